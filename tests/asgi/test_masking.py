"""A key that a provider repeats does not reach the client."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import Upstream, running
from ds2api_asgi.asgi.masking import Mask
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script, serve

KEY = "sk-0123456789abcdef"


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


DATA = b'{"error": "Incorrect API key: ' + KEY.encode() + b", sk-0123. Again: " + KEY.encode() + b'"}'


@given(st.lists(st.integers(0, len(DATA)), max_size=8))
def test_stars_take_the_place_of_the_key_however_the_body_is_cut(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(DATA)]
    mask = Mask(KEY)
    pieces = [DATA[a:b] for a, b in itertools.pairwise(ends)]
    masked = [mask(body(piece, more=n < len(pieces) - 1))["body"] for n, piece in enumerate(pieces)]
    assert b"".join(masked) == DATA.replace(KEY.encode(), b"*" * len(KEY))


def test_what_may_begin_no_key_passes_at_once() -> None:
    assert Mask(KEY)(body(b"nothing of it", more=True))["body"] == b"nothing of it"


def test_a_key_that_is_a_word_is_left_alone() -> None:
    message = body(b"the key")
    assert Mask("key")(message) is message


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
