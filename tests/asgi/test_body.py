from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.body import Replay, read_body
from ds2api_asgi.universal import jsontext

MEMBERS = st.dictionaries(
    st.sampled_from(("model", "stream", "other")),
    st.sampled_from(("m", "stream", True, False, None, 1, {"stream": True})),
)


async def _nobody() -> Any:
    raise AssertionError("nothing is left to receive")


@given(document=MEMBERS | st.just([]))
def test_says_stream_says_what_peek_says_in_either_order(document: Any) -> None:
    body = jsontext.dumps(document)
    fresh, peeked = Replay(body, _nobody), Replay(body, _nobody)
    assert fresh.says_stream([]) == peeked.peek([])[1] == peeked.says_stream([]) == peeked.again().says_stream([])


def test_what_is_known_is_not_read_again() -> None:
    replay = Replay(b"no JSON at all", _nobody, peeked=("m", True))
    assert replay.peek([]) == replay.again().peek([]) == ("m", True)
    assert replay.says_stream([])


def test_a_body_is_fresh_until_somebody_begins_it() -> None:
    replay = Replay(b"{}", _nobody)
    assert replay.fresh() is replay
    replay.take()
    again = replay.fresh()
    assert (again.body, again.begun) == (b"{}", False)


@pytest.mark.anyio
async def test_a_body_that_was_taken_does_not_come_again() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    replay = Replay(b"{}", gone)
    assert replay.take() == b"{}"
    assert await replay() == {"type": "http.disconnect"}
    assert not replay.again().begun


@pytest.mark.anyio
async def test_a_body_that_was_handed_on_is_followed_through_the_other_receive() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    read = Replay(b"no JSON at all", gone, peeked=("m", False))
    heard = []

    async def listening() -> Any:
        heard.append(await read())
        return heard[-1]

    handed = read.through(listening)
    assert handed.peek([]) == ("m", False)
    assert (await handed())["body"] == read.body
    assert not heard
    assert await handed() == {"type": "http.disconnect"}
    assert heard == [{"type": "http.disconnect"}]


@pytest.mark.anyio
@pytest.mark.parametrize("begun", [False, True])
async def test_who_reads_a_body_says_what_is_asked_for_what_comes_after_it(begun: bool) -> None:
    async def server() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def line() -> Any:
        return {"type": "http.disconnect"}

    read = await read_body(server, then=line)
    assert [(await read())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]
    outer = Replay(b"{}", _nobody)
    outer.begun = begun
    handed = await read_body(outer, then=line)
    assert outer.begun
    assert [(await handed())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]


def test_a_form_is_peeked_at_like_a_document() -> None:
    kind = [(b"content-type", b"multipart/form-data; boundary=b")]
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"stream", b"true") + part % (b"model", b"m") + b"--b--\r\n"
    assert Replay(body, _nobody).peek(kind) == ("m", True)
    assert Replay(body, _nobody).says_stream(kind) is True
    assert Replay(body.replace(b"true", b"yes"), _nobody).peek(kind) == ("m", None)
    for headers in ([], [(b"content-type", b"application/json")], [*kind, *kind]):
        assert Replay(body, _nobody).peek(headers) == (None, None)
    assert Replay(body + b"x", _nobody).peek(kind) == (None, None)
    assert Replay(b'{"model":"m"}', _nobody).peek(kind) == ("m", None)
