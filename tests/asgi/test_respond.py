from __future__ import annotations

from typing import Any

import pytest

from ds2api_asgi.asgi.respond import respond

pytestmark = pytest.mark.anyio


class Sent(list[Any]):
    async def __call__(self, message: Any) -> None:
        self.append(message)


async def test_an_answer_states_its_length_and_type() -> None:
    sent = Sent()
    await respond(sent, status=418, document={"a": [1]}, headers=[(b"x", b"y")])
    start, body = sent
    assert start["status"] == 418
    assert dict(start["headers"]) == {b"x": b"y", b"content-type": b"application/json", b"content-length": b"9"}
    assert (body["body"], body["more_body"]) == (b'{"a":[1]}', False)


async def test_a_content_type_of_the_caller_stands_alone() -> None:
    sent = Sent()
    await respond(sent, status=200, document=1, headers=[(b"content-type", b"text/x"), (b"content-length", b"99")])
    assert sent[0]["headers"] == [(b"content-type", b"text/x"), (b"content-length", b"1")]


async def test_a_head_answer_has_the_headers_and_no_body() -> None:
    sent = Sent()
    await respond(sent, status=200, document={}, head=True)
    assert dict(sent[0]["headers"])[b"content-length"] == b"2"
    assert sent[1]["body"] == b""
