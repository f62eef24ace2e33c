"""A key that a provider repeats does not reach the client."""

from __future__ import annotations

from typing import Any

import pytest

from ds2api_asgi import Upstream, running
from ds2api_asgi.asgi.masking import mask
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script, serve

KEY = "sk-0123456789abcdef"


def body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": False}


def test_stars_take_the_place_of_the_key_and_the_length_stays() -> None:
    data = b'{"error": "Incorrect API key: ' + KEY.encode() + b'"}'
    masked = mask(body(data), KEY)["body"]
    assert KEY.encode() not in masked
    assert len(masked) == len(data)


def test_a_message_without_the_key_and_a_key_that_is_a_word_pass_as_they_are() -> None:
    message = body(b"the key")
    assert mask(message, KEY) is message
    assert mask(message, "key") is message


@pytest.mark.anyio
async def test_the_key_of_an_upstream_is_masked_in_its_errors() -> None:
    document = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    async with serve(ScriptedUpstream([json_script(document, status=401)])) as base:
        upstream = Upstream(base, protocol="openai-chat", api_key=KEY)
        async with running(upstream):
            answer = await Driver(upstream).request("POST", "/v1/chat/completions", json={"model": "m"})
    assert answer.status == 401
    assert KEY not in answer.text
    assert "Incorrect API key provided" in answer.text
