"""The engine with the protocols of the real world: their streams cut at every byte."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.ending import stream_error
from ds2api_asgi.resilience import Retry
from ds2api_asgi.testing.driver import Driver
from ds2api_asgi.universal.failure import Failure, FailureKind

pytestmark = pytest.mark.anyio


def chat(**delta: Any) -> bytes:
    finish = delta.pop("finish_reason", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: %s\n\n" % json.dumps(chunk).encode()


def event(kind: str, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def candidate(text: str, **more: Any) -> bytes:
    chunk = {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}]}
    return b"data: %s\r\n\r\n" % json.dumps(chunk).encode()


def element(text: str, **more: Any) -> bytes:
    return candidate(text, **more).strip().removeprefix(b"data: ")


def line(**members: Any) -> bytes:
    return b"%s\n" % json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False, **members}).encode()


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


PART = {"type": "output_text", "text": "", "annotations": []}
ITEM = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{**PART, "text": "Hi"}],
}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
STREAMS = {
    "openai-chat": [
        b": OPENROUTER PROCESSING\n\n",
        chat(role="assistant", content=""),
        chat(content="Hi"),
        chat(content=" you"),
        chat(finish_reason="stop"),
        b"data: [DONE]\n\n",
    ],
    "anthropic": [
        event("message_start", message={**MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 0}}),
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        event("message_stop"),
    ],
    "gemini": [
        b'data: {"usageMetadata": {"promptTokenCount": 1}, "modelVersion": "m"}\r\n\r\n',
        candidate("Hi"),
        candidate(" you"),
        candidate("", finishReason="STOP"),
    ],
    "gemini array": [
        b'[{"usageMetadata": {"promptTokenCount": 1}, "modelVersion": "m"}',
        b"\n,\r\n" + element('a ] " }, {'),
        b"\n,\r\n" + element(" you"),
        b"\n,\r\n" + element("", finishReason="STOP"),
        b"\n]\n",
    ],
    "openai-responses": [
        event("response.created", sequence_number=0, response=RESPONSE),
        event("response.in_progress", sequence_number=1, response=RESPONSE),
        event("response.output_item.added", sequence_number=2, output_index=0, item={**ITEM, "content": []}),
        event("response.content_part.added", sequence_number=3, output_index=0, content_index=0, part=PART),
        event("response.output_text.delta", sequence_number=4, output_index=0, content_index=0, delta="Hi"),
        event("response.output_item.done", sequence_number=5, output_index=0, item=ITEM),
        event("response.completed", sequence_number=6, response={**RESPONSE, "status": "completed", "output": [ITEM]}),
    ],
    "ollama": [
        line(message=said("")),
        line(message=said("Hi")),
        line(message=said(" you")),
        line(message=said(""), done=True, done_reason="stop", eval_count=2),
    ],
    "ollama generate": [
        line(response=""),
        line(response="Hi"),
        line(response=" you"),
        line(response="", done=True, done_reason="stop", context=[1, 2]),
    ],
}
PROTOCOLS = {name: name.partition(" ")[0] for name in STREAMS}
KINDS = {name: registry.get(protocol).stream_type() for name, protocol in PROTOCOLS.items()}
KINDS["gemini array"] = "application/json"
PRELUDE = {
    "openai-chat": 2,
    "anthropic": 3,
    "gemini": 1,
    "gemini array": 1,
    "openai-responses": 4,
    "ollama": 1,
    "ollama generate": 1,
}  # events before the first content
END = {
    "openai-chat": 6,
    "anthropic": 7,
    "gemini": 4,
    "gemini array": 5,
    "openai-responses": 7,
    "ollama": 4,
    "ollama generate": 4,
}  # events until nothing can be missing any more
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
    "gemini array": "/v1beta/models/m:streamGenerateContent",
    "openai-responses": "/v1/responses",
    "ollama": "/api/chat",
    "ollama generate": "/api/generate",
}
OVERLOADED = {
    "openai-chat": b'data: {"error": {"message": "busy", "type": "server_error", "code": "server_is_overloaded"}}\n\n',
    "anthropic": event("error", error={"type": "overloaded_error", "message": "busy"}),
    "gemini": b'data: {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}\r\n\r\n',
    "gemini array": b',\n{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]',
    "openai-responses": event("error", sequence_number=4, code="server_is_overloaded", message="busy", param=None),
    "ollama": b'{"error": "server busy, please try again"}\n',
    "ollama generate": b'{"error": "server busy, please try again"}\n',
}
RATE = {
    "openai-chat": {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}},
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
    "gemini": {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}},
    "gemini array": [{"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}],
    "openai-responses": {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}},
    "ollama": {"error": "too many requests"},
    "ollama generate": {"error": "too many requests"},
}


async def ask(name: str, app: Any, **terms: Any) -> Any:
    retry = Retry(app, backoff=0.0, rng=Random(1), **terms)  # the protocol is the registry's to find
    headers = {"anthropic-version": "2023-06-01"} if name == "anthropic" else {}
    return await Driver(retry).request("POST", PATHS[name], json={"model": "m", "stream": True}, headers=headers)


@pytest.mark.parametrize("name", STREAMS)
async def test_a_good_stream_passes_byte_for_byte(stage, name):
    answer = await ask(name, stage.Actor(stage.stream(*STREAMS[name], kind=KINDS[name])))
    assert answer.body == b"".join(STREAMS[name])


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_stream_cut_anywhere_never_looks_whole(stage, name, size):
    events = STREAMS[name]
    whole = b"".join(events)
    content = len(b"".join(events[: PRELUDE[name] + 1])) - whole.endswith(b"\r\n")  # a bare CR ends a line too
    end = len(b"".join(events[: END[name]])) - whole.endswith(b"]\n")
    step = {1: 13, 7: 3, 4096: 1}[size]
    for cut in range(0, len(whole), step):
        reads = [whole[at : min(at + size, cut)] for at in range(0, cut, size)]
        app = stage.Actor(
            stage.stream(*reads, then=BrokenStream("reset", "gone"), kind=KINDS[name]),
            stage.stream(whole, kind=KINDS[name]),
        )
        answer = await ask(name, app)
        assert (answer.status, answer.complete) == (200, True)
        if app.calls == 2:
            assert answer.body == whole
            continue
        watch = registry.get(PROTOCOLS[name]).stream_watch()
        watch.feed(answer.body)
        assert cut >= content
        assert (watch.failure is not None) == (cut < end)
        assert (watch.ended and watch.failure is None) == (cut >= end)


@pytest.mark.parametrize("name", STREAMS)
async def test_an_error_before_content_is_retried_and_else_has_its_real_status(stage, name):
    prelude = STREAMS[name][: PRELUDE[name]]
    failing = stage.stream(*prelude, OVERLOADED[name], kind=KINDS[name])
    answer = await ask(name, stage.Actor(failing, stage.stream(*STREAMS[name], kind=KINDS[name])))
    assert answer.body == b"".join(STREAMS[name])
    answer = await ask(name, stage.Actor(failing), max_attempts=1)
    assert answer.status in (503, 529)
    assert "busy" in answer.text


@pytest.mark.parametrize("name", STREAMS)
async def test_a_rate_limit_keeps_its_time(stage, name):
    body = json.dumps(RATE[name]).encode()
    headers = [(b"retry-after", b"20")]
    app = stage.Actor(stage.answer(body, status=429, headers=headers))
    answer = await ask(name, app)
    assert (answer.status, answer.body, app.calls) == (429, body, 1)
    assert (answer.header("retry-after"), answer.header("retry-after-ms")) == ("20", "20000")


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("terms", "status"), [({"max_body": 3}, 413), ({"max_attempts": 1}, 502)])
async def test_what_we_say_ourselves_has_the_protocols_shape(stage, name, terms, status):
    answer = await ask(name, stage.Actor(stage.fails(RuntimeError("bug"))), **terms)
    assert answer.status in ({status} if status == 413 else {500, 502})
    assert "bug" not in answer.text
    error = answer.json()["error"]
    assert error if name.startswith("ollama") else error["message"]


@pytest.mark.parametrize("name", STREAMS)
async def test_a_fresh_watch_sees_content_in_the_middle_of_a_stream(name):
    watch = registry.get(PROTOCOLS[name]).stream_watch()
    if KINDS[name] != "application/json":
        watch.feed(b": ping\n\n")
        assert not watch.content
    watch.feed(STREAMS[name][PRELUDE[name]])
    assert watch.content


@pytest.mark.parametrize("how", ["raises", "ends"])
async def test_a_response_that_was_begun_has_failed_with_the_next_number(stage, how):
    events = STREAMS["openai-responses"]
    for count in range(PRELUDE["openai-responses"] + 1, len(events)):
        then = BrokenStream("reset", "gone") if how == "raises" else None
        app = stage.Actor(stage.stream(*events[:count], b": ping\n\n", then=then, kind="text/event-stream"))
        last = (await ask("openai-responses", app)).body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
        head, _, data = last.partition(b"\ndata: ")
        failed = json.loads(data)
        assert (head, failed["type"]) == (b"event: response.failed", "response.failed")
        assert failed["sequence_number"] == count
        assert failed["response"].pop("error") == {"code": "server_error", "message": failed_message(how)}
        assert failed["response"] == {**RESPONSE, "status": "failed"}


def failed_message(how: str) -> str:
    return "the upstream broke off its answer" if how == "raises" else "the upstream's answer ended before its end"


def test_a_response_of_which_only_a_piece_was_seen_ends_with_an_error_event():
    watch = registry.get("openai-responses").stream_watch()
    watch.feed(STREAMS["openai-responses"][4])
    said = stream_error(registry.get("openai-responses"), watch, Failure(kind=FailureKind.SERVER, message="x"))
    assert said.startswith(b"event: error\ndata: ")
    assert b'"sequence_number":5' in said


@pytest.mark.parametrize("size", [1, 5, 4096])
async def test_an_array_that_is_cut_is_an_array_all_the_same(stage, size):
    events = STREAMS["gemini array"]
    whole = b"".join(events)
    for cut in range(len(b"".join(events[:2])), len(whole)):
        reads = [whole[at : min(at + size, cut)] for at in range(0, cut, size)]
        app = stage.Actor(stage.stream(*reads, kind="application/json"))
        answer = await ask("gemini array", app)
        *elements, last = json.loads(answer.body)
        assert app.calls == 1
        assert elements == json.loads(whole)[: len(elements)]
        assert ("error" in last) == (cut < len(b"".join(events)) - 1)


async def test_an_array_passes_element_by_element(stage):
    events = STREAMS["gemini array"]
    body = b'{"contents": []}'
    app = Retry(stage.Actor(stage.stream(*events, kind="application/json; charset=UTF-8")))
    async with Driver(app).open("POST", PATHS["gemini array"], body=body) as response:
        parts = [part async for part in response]
    assert parts == [*events[:4], b"\n]", b"\n"]


@pytest.mark.parametrize("body", [b'{"candidates": []}', b"", b" \n ", b"[ no array", b"[1, 2]"])
async def test_what_comes_in_place_of_an_array_passes_as_it_is(stage, body):
    parts = [body[at : at + 1] for at in range(len(body))]
    app = stage.Actor(stage.answer(*parts, headers=[(b"content-length", b"%d" % len(body))]))
    answer = await ask("gemini array", app, max_attempts=1)
    if body.startswith(b"["):
        assert answer.status == 502  # a stream without its end
    elif not body.strip():
        assert answer.status == 502  # no document
    else:
        assert (answer.status, answer.body, answer.header("content-length")) == (200, body, str(len(body)))
