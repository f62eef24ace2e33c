"""The commit rule: which events are content, in every protocol, however they are cut into reads."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.protocols import registry
from ds2api_asgi.resilience.passage import MAX_HELD_EVENTS

from .conftest import Stage
from .test_real_protocols import (
    ITEM,
    KINDS,
    MESSAGE,
    PART,
    PROTOCOLS,
    RESPONSE,
    STREAMS,
    ask,
    candidate,
    chat,
    element,
    event,
    line,
    said,
)


def block(**members: Any) -> bytes:
    return event("content_block_start", index=0, content_block=members)


def delta(**members: Any) -> bytes:
    return event("content_block_delta", index=0, delta=members)


def parts(*members: Any, **more: Any) -> bytes:
    return candidate("", **more).replace(b'{"text": ""}', b", ".join(members))


ITEM_ADDED = {"type": "reasoning", "id": "rs_1", "summary": []}
NOT_YET = {
    "openai-chat": [
        b": OPENROUTER PROCESSING\n\n",
        chat(role="assistant", content=""),
        chat(role="assistant", content=None, tool_calls=[], refusal=None),
        chat(reasoning_content=""),
        b'data: {"choices": [], "usage": {"prompt_tokens": 1}}\n\n',
        b'data: {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}\n\n',
    ],
    "openai-responses": [
        b": ping\n\n",
        event("response.created", sequence_number=0, response=RESPONSE),
        event("response.queued", sequence_number=1, response={**RESPONSE, "status": "queued"}),
        event("response.in_progress", sequence_number=1, response=RESPONSE),
        event("response.output_item.added", sequence_number=2, output_index=0, item=ITEM_ADDED),
        event("response.content_part.added", sequence_number=3, output_index=0, content_index=0, part=PART),
        event("response.output_text.delta", sequence_number=3, output_index=0, content_index=0, delta=""),
        event("keepalive", sequence_number=4),
    ],
    "anthropic": [
        b": ping\n\n",
        event("message_start", message={**MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 0}}),
        event("ping"),
        block(type="text", text=""),
        block(type="thinking", thinking="", signature=""),
        block(type="tool_use", id="toolu_1", name="f", input={}),
        event("content_block_stop", index=0),
    ],
    "gemini": [
        b'data: {"usageMetadata": {"promptTokenCount": 1}, "modelVersion": "m"}\r\n\r\n',
        candidate(""),
        parts(),
        b'data: {"candidates": [{"index": 0}]}\r\n\r\n',
        b'data: {"promptFeedback": {"safetyRatings": []}}\r\n\r\n',
    ],
    "ollama": [
        line(message=said("")),
        line(message={**said(""), "thinking": "", "tool_calls": []}),
        line(message={"role": "assistant"}),
    ],
    "ollama generate": [line(response=""), line(response="", thinking="")],
}
CONTENT = {
    "openai-chat": [
        chat(content="a"),
        chat(reasoning_content="a"),
        chat(reasoning="a"),
        chat(refusal="a"),
        chat(tool_calls=[{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        chat(finish_reason="stop"),
        chat(finish_reason="content_filter"),
    ],
    "openai-responses": [
        event("response.output_text.delta", sequence_number=4, output_index=0, content_index=0, delta="a"),
        event("response.reasoning_summary_text.delta", sequence_number=4, output_index=0, summary_index=0, delta="a"),
        event("response.reasoning_text.delta", sequence_number=4, output_index=0, content_index=0, delta="a"),
        event("response.refusal.delta", sequence_number=4, output_index=0, content_index=0, delta="a"),
        event("response.function_call_arguments.delta", sequence_number=4, output_index=0, delta="{"),
        event("response.output_item.done", sequence_number=5, output_index=0, item=ITEM),
        event("response.completed", sequence_number=6, response={**RESPONSE, "status": "completed"}),
        event("response.incomplete", sequence_number=6, response={**RESPONSE, "status": "incomplete"}),
    ],
    "anthropic": [
        delta(type="text_delta", text="a"),
        delta(type="thinking_delta", thinking="a"),
        delta(type="signature_delta", signature="a"),
        delta(type="input_json_delta", partial_json="{"),
        block(type="redacted_thinking", data="a"),
        block(type="thinking", thinking="", signature="a"),
        block(type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        block(type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    ],
    "gemini": [
        candidate("a"),
        parts(b'{"text": "", "thoughtSignature": "YQ=="}'),
        parts(b'{"functionCall": {"name": "f", "args": {}}}'),
        parts(b'{"inlineData": {"mimeType": "image/png", "data": "YQ=="}}'),
        candidate("", finishReason="SAFETY"),
        b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\r\n\r\n',
    ],
    "ollama": [
        line(message=said("a")),
        line(message={**said(""), "thinking": "a"}),
        line(message={**said(""), "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}),
        line(message=said(""), done=True, done_reason="length"),
    ],
    "ollama generate": [line(response="a"), line(response="", thinking="a"), line(response="", done=True)],
}
NAMES = sorted(CONTENT)


def reads(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), cuts=CUTS)
def test_what_says_nothing_is_held_and_the_first_word_is_seen(name: str, data: st.DataObject, cuts: list[int]) -> None:
    prelude = b"".join(data.draw(st.lists(st.sampled_from(NOT_YET[name]), max_size=6)))
    content = data.draw(st.sampled_from(CONTENT[name]))
    watch = registry.get(PROTOCOLS[name]).stream_watch()
    for read in reads(prelude, cuts):
        watch.feed(read)
        assert not watch.content
    for read in reads(content, cuts):
        watch.feed(read)
    assert watch.content
    assert watch.failure is None


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), cuts=CUTS)
def test_only_behind_content_nothing_is_tried_again(name: str, data: st.DataObject, cuts: list[int]) -> None:
    stage = Stage()
    prelude = b"".join(data.draw(st.lists(st.sampled_from(NOT_YET[name]), max_size=6)))
    content = data.draw(st.sampled_from([b"", *CONTENT[name]]))
    broken = stage.stream(*reads(prelude + content, cuts), then=BrokenStream("reset", "gone"), kind=KINDS[name])
    app = stage.Actor(broken, stage.stream(*STREAMS[name], kind=KINDS[name]))
    answer = anyio.run(ask, name, app)
    assert (answer.status, answer.complete) == (200, True)
    if content:
        assert app.calls == 1
        assert answer.body.startswith(prelude + content)
    else:
        assert (app.calls, answer.body) == (2, b"".join(STREAMS[name]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.anyio
async def test_what_is_held_too_long_goes_out_as_it_is(name: str, stage: Any, anyio_backend: str) -> None:
    for held in NOT_YET[name]:
        prelude = [held] * (MAX_HELD_EVENTS + 1)
        app = stage.Actor(stage.stream(*prelude, then=BrokenStream("reset", "gone"), kind=KINDS[name]))
        answer = await ask(name, app)
        assert (answer.status, app.calls) == (200, 1)
        assert answer.body.startswith(b"".join(prelude))


def test_elements_of_an_array_are_judged_like_events() -> None:
    for table, content in ((NOT_YET, False), (CONTENT, True)):
        for frame in table["gemini"]:
            watch = registry.get("gemini").stream_watch()
            watch.feed(b"[" + frame.strip().removeprefix(b"data: ") + b"\n,\r\n")
            assert watch.content is content
    watch = registry.get("gemini").stream_watch()
    watch.feed(b"[" + element("a"))
    assert watch.content
