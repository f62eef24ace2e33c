"""Whatever an upstream answers, by a sender that passes everything on: the nest's client is never told a lie.

Statuses, headers and bodies of any kind, bodies that break off. A client of another protocol gets an answer or an error
of its own; a client of the same protocol gets the upstream's bytes, and no broken answer looks whole.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogues import (
    CONTENT,
    HEADERS,
    answer_in,
    ended_well,
    error_of,
    events_of,
    frames_in,
    is_error,
    path_of,
    request_in,
)
from ds2api_asgi import BrokenStream, KeyPool, Retry, Translator, Upstream
from ds2api_asgi.testing import Answer, Driver

NAMES = ("openai-chat", "anthropic", "openai-responses", "gemini", "ollama")
RawHeaders = Sequence[tuple[bytes, bytes]]


class Said:
    """An answer as senders give it, which may break off after its parts."""

    def __init__(self, status: int, headers: RawHeaders, parts: Sequence[bytes], *, breaks: bool) -> None:
        self.status = status
        self.headers = headers
        self.chunks: AsyncIterator[bytes] = self._chunks([part for part in parts if part], breaks)
        self.closed = False

    async def _chunks(self, parts: Sequence[bytes], breaks: bool) -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if breaks:
            raise BrokenStream("reset", "the connection was reset")

    async def aclose(self) -> None:
        self.closed = True


class OneAnswer:
    """A sender that always gets the same answer."""

    def __init__(self, *said: Any, breaks: bool) -> None:
        self._said = said
        self._breaks = breaks
        self.given: list[Said] = []

    async def send(self, method: str, url: str, headers: RawHeaders, body: bytes) -> Said:
        self.given.append(Said(*self._said, breaks=self._breaks))
        return self.given[-1]

    async def aclose(self) -> None:
        pass


_values = st.binary(max_size=8) | st.sampled_from([b"0", b"5", b"9" * 5000, b"gzip", b"text/event-stream; charset=x"])
_names = st.sampled_from(
    [b"content-length", b"Content-Encoding", b"retry-after", b"set-cookie", b"connection", b"x-request-id",
     b"transfer-encoding", b"x-ratelimit-remaining-requests", b"location", b"retry-after-ms", b"x-should-retry"]
)  # fmt: skip
_more_headers = st.lists(st.tuples(_names | st.binary(max_size=4), _values), max_size=3)
_types = st.sampled_from([b"application/json", b"text/event-stream", b"text/html", b"", b"\xff"])


@st.composite
def _bodies(draw: st.DrawFn, speaks: str) -> list[bytes]:
    whole = json.dumps(answer_in(speaks)).encode()
    frames = frames_in(speaks, "Hi", " there")
    error = json.dumps({"type": "error", "error": {"message": "m", "type": draw(st.sampled_from(["x", "api_error"]))}})
    parts = draw(
        st.just([whole])
        | st.just(frames)
        | st.just([error.encode()])
        | st.lists(st.binary(max_size=30) | st.sampled_from(frames), max_size=5)
    )
    body = b"".join(parts)
    cut = draw(st.just(len(body)) | st.integers(0, len(body)))
    at = draw(st.integers(0, cut))
    return [body[:at], body[at:cut]]


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("speaks", NAMES)
@given(
    data=st.data(),
    status=st.just(200) | st.integers(200, 599),
    kind=_types,
    headers=_more_headers,
    breaks=st.booleans(),
    stream=st.booleans(),
)
def test_no_answer_of_an_upstream_makes_the_nest_lie(
    client: str, speaks: str, data: Any, status: int, kind: bytes, headers: Any, *, breaks: bool, stream: bool
) -> None:
    parts = data.draw(_bodies(speaks))
    sender = OneAnswer(status, [(b"content-type", kind), *headers], parts, breaks=breaks)
    pool = KeyPool(
        Upstream("https://provider.example", protocol=speaks, sender=sender),
        protocol=speaks,
        keys=["sk-1"],
        queue_timeout=0.0,
    )
    retry = Retry(pool, backoff=1e-6, backoff_cap=1e-6, wait_cap=0.0)
    answer = anyio.run(_ask, Translator(retry, speaks=speaks, on_loss="allow"), client, stream)
    assert all(said.closed for said in sender.given)
    if answer is None:  # the connection breaks off, which is no lie
        assert client == speaks
        return
    assert answer.complete
    assert not {b"set-cookie", b"connection", b"transfer-encoding", b"location"} & {name for name, _ in answer.headers}
    if client != speaks:
        _is_an_answer_or_error(client, answer, stream=stream)
    elif breaks and answer.status == 200 and b"content-length" not in {name.lower() for name, _ in headers}:
        ends = (b"[DONE]", b"message_stop", b"finishReason", b"response.completed", b'"done": true')
        ended = any(word in answer.body for word in ends)
        assert ended or b'"error"' in answer.body


async def _ask(app: Any, client: str, stream: bool) -> Answer | None:
    driver = Driver(app, headers=HEADERS[client])
    try:
        answer = await driver.request("POST", path_of(client, stream=stream), json=request_in(client, stream=stream))
    except BrokenStream:
        return None
    return answer if answer.complete else None


def _is_an_answer_or_error(client: str, answer: Answer, *, stream: bool) -> None:
    if answer.status != 200:
        assert answer.status >= 400
        error_of(client, answer.json())
    elif stream:
        assert ended_well(client, answer.body) is not is_error(events_of(answer.body)[-1])
    else:
        assert answer.json()[CONTENT[client]] is not None
