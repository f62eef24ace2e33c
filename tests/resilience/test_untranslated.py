"""Answers that are not translated: tried again while nothing was sent, and through with their first bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import KeyPool
from ds2api_asgi.errors import BrokenStream
from ds2api_asgi.resilience import Failover, Retry
from ds2api_asgi.testing.driver import Driver

pytestmark = pytest.mark.anyio

JSON = ((b"content-type", b"application/json"),)
SOUND = ((b"content-type", b"audio/mpeg"),)
HTML = ((b"content-type", b"text/html; charset=utf-8"),)
EVENTS = ((b"content-type", b"text/event-stream"),)
LINES = ((b"content-type", b"application/x-ndjson"),)
DOWN = json.dumps({"error": {"message": "down", "type": "server_error"}}).encode()
GOOD = json.dumps({"id": "c", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}).encode()
PIECE = b'data: {"choices": [{"index": 0, "text": "a", "finish_reason": null}]}\n\n'
LAST = b'data: {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


class Takes:
    """Answers with one take after the other: a status, headers, and parts; an exception ends it."""

    def __init__(self, *takes: tuple[int, Any, list[Any]]) -> None:
        self.takes = list(takes)
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, headers, parts = self.takes[min(self.calls, len(self.takes) - 1)]
        self.calls += 1
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, anyio.Event):
                await part.wait()
            else:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def retried(*takes: tuple[int, Any, list[Any]], speaks: str = "openai-chat") -> tuple[Retry, Takes]:
    app = Takes(*takes)
    return Retry(app, protocol=speaks, backoff=0.0, rng=Random(1)), app


async def ask(app: Any, path: str = "/v1/completions", **more: Any) -> Any:
    return await Driver(app).request("POST", path, json={"model": "m", "prompt": "a", **more})


@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(
    "first",
    [
        (500, JSON, [DOWN]),
        (429, JSON, [DOWN]),
        (200, JSON, [DOWN]),
        (200, JSON, [GOOD[:9]]),
        (200, EVENTS, [b"data: " + DOWN + b"\n\n"]),
        (200, EVENTS, [b": hello\n\n"]),
        (200, EVENTS, []),
        (200, HTML, [b"<html>a proxy's page</html>"]),
        (200, HTML, [b"", b"\n<!D", b"OCTYPE html>", b"a proxy's page"]),
        (200, SOUND, [BrokenStream("reset", "gone")]),
    ],
)
async def test_what_failed_before_anything_was_sent_is_tried_again(first: Any, speaks: str) -> None:
    app, takes = retried(first, (200, SOUND, [b"\xff", b"\xfb"]), speaks=speaks)
    answer = await ask(app)
    assert (answer.status, answer.body, answer.complete, takes.calls) == (200, b"\xff\xfb", True, 2)


async def test_another_app_is_asked_where_one_fails() -> None:
    apps = [Takes((503, JSON, [DOWN])), Takes((200, JSON, [GOOD]))]
    answer = await ask(Failover(apps, backoff=0.0, rng=Random(1)), "/v1/moderations")
    assert (answer.status, answer.body, [app.calls for app in apps]) == (200, GOOD, [1, 1])


@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(
    ("headers", "first", "rest"),
    [
        (SOUND, b"\xff", b"\xfb"),
        (HTML, b" Hello", b" world\n"),
        ([(b"content-type", b"text/plain; charset=utf-8")], b"1\n", b"00:00 --> 00:01\n"),
        ([], b"?", b"?"),
        (EVENTS, PIECE, LAST),
        (EVENTS, b"data: UklGRg==\n\n", b"data: AAAA\n\n"),
        (EVENTS, b"event: audio\ndata: [1,2]\n\n", b"data: [3]\n\n"),
        (LINES, b'{"text": "a"}\n', b'{"text": "b"}\n'),
        (EVENTS, b'data: {"type": "speech.audio.delta"}\n\n', b'data: {"type": "speech.audio.done"}\n\n'),
    ],
)
async def test_nothing_is_held_back_once_it_is_no_error(headers: Any, first: bytes, rest: bytes, speaks: str) -> None:
    go_on = anyio.Event()
    app, _ = retried((200, headers, [first, go_on, rest]), speaks=speaks)
    with anyio.fail_after(10):
        async with Driver(app).open("POST", "/v1/completions", json={"model": "m", "stream": True}) as response:
            assert await anext(response) == first
            go_on.set()
            answer = await response.read()
    assert (answer.body, answer.complete) == (rest, True)


@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize("end", [[], [BrokenStream("reset", "gone")]])
async def test_a_stream_that_breaks_off_ends_with_an_error(end: list[Any], speaks: str) -> None:
    app, takes = retried((200, EVENTS, [PIECE, *end]), speaks=speaks)
    answer = await ask(app, stream=True)
    assert takes.calls == 1
    assert answer.body.startswith(PIECE)
    assert "error" in json.loads(answer.body.removeprefix(PIECE).removeprefix(b"data: "))


@pytest.mark.parametrize("size", [1_200_000, 5_000_000])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_picture_of_any_size_is_complete_with_its_end_only(size: int, cut: bool) -> None:
    data = b'data: {"type": "image_generation.completed", "b64_json": "%b"}\n\n' % (b"A" * size)
    passed = data[:-3] if cut else data
    parts = [passed[at : at + 65_536] for at in range(0, len(passed), 65_536)]
    app, _ = retried((200, EVENTS, parts))
    answer = await ask(app, "/v1/images/generations", stream=True)
    assert (answer.complete and answer.body == data) is not cut


async def test_sound_that_breaks_off_never_ends_cleanly() -> None:
    app, takes = retried((200, SOUND, [b"\xff", BrokenStream("reset", "gone")]))
    answer = await ask(app, "/v1/audio/speech")
    assert (answer.body, answer.complete, takes.calls) == (b"\xff", False, 1)


@pytest.mark.parametrize("kind", [b"text/plain", b"text/html"])
async def test_what_was_heard_of_silence_may_be_empty(kind: bytes) -> None:
    app, takes = retried((200, [(b"content-type", kind)], []))
    answer = await ask(app, "/v1/audio/transcriptions")
    assert (answer.status, answer.body, answer.complete, takes.calls) == (200, b"", True, 1)


BODIES = {
    b"audio/mpeg": st.binary(max_size=300),
    b"image/png": st.binary(max_size=300),
    b"text/plain": st.binary(max_size=300),
    b"text/html": st.sampled_from([b"", b" Hello world\n", b"<", b"\n<h", b" " * 2_000, b"< html>"]),
    b"application/json": st.dictionaries(st.text("abc"), st.text()).map(json.dumps).map(str.encode),
    b"text/event-stream": st.lists(st.just(PIECE), max_size=5).map(lambda pieces: b"".join([*pieces, LAST])),
}


@given(st.data())
def test_whatever_an_answer_is_and_however_it_is_cut_its_bytes_pass(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(BODIES)))
    body = data.draw(BODIES[kind])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    parts = [body[start:end] for start, end in pairwise([0, *cuts, len(body)])]
    kept = KeyPool(Takes((200, [(b"content-type", kind)], parts)), protocol="openai-chat", keys=["sk-1"])

    async def run() -> None:
        answer = await ask(Retry(kept, protocol="openai-chat"), "/v1/audio/speech", stream=True)
        assert (answer.status, answer.body, answer.complete) == (200, body, True)

    anyio.run(run)
