"""A key that a provider repeats does not reach the client."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import KeyPool, Retry, Upstream, running
from ds2api_asgi.asgi.masking import Mask
from ds2api_asgi.testing import Driver, ScriptedUpstream, event_script, json_script, serve

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


_PIECES = st.sampled_from([KEY.encode(), KEY.encode()[:7], b"s", b"sk", b"\n", b"data: {}", b"f"])


@given(data=st.lists(_PIECES), cuts=st.data())
def test_any_bytes_arrive_but_for_the_key_and_no_more_is_held_than_may_begin_it(data: list[bytes], cuts: Any) -> None:
    whole = b"".join(data)
    ends = [0, *sorted(cuts.draw(st.lists(st.integers(0, len(whole))))), len(whole)]
    mask = Mask(KEY)
    passed, said = b"", b""
    for number, (start, end) in enumerate(itertools.pairwise(ends)):
        more = number < len(ends) - 2
        said += mask(body(whole[start:end], more=more))["body"]
        passed += whole[start:end]
        held = passed[len(said) :]
        assert KEY.encode().startswith(held)
        assert more or not held
    assert said == whole.replace(KEY.encode(), b"*" * len(KEY))


@pytest.mark.parametrize("text", [b"nothing of it", b"all is sunk\n", b"", b"sk-0\n\n"])
def test_what_may_begin_no_key_passes_at_once_and_is_not_touched(text: bytes) -> None:
    message = body(text, more=True)
    assert Mask(KEY)(message) is message


def test_a_key_that_is_a_word_is_left_alone() -> None:
    message = body(b"the key")
    assert Mask("key")(message) is message


SAID = f"the backend refused {KEY}"
WHOLE = json_script({"error": {"message": SAID, "type": "server_error", "code": "bad"}})
CHUNK = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
STREAM = event_script(CHUNK, {"error": {"message": SAID, "type": "server_error", "code": "bad"}})


@pytest.mark.anyio
@pytest.mark.parametrize("script", [WHOLE, STREAM])
@pytest.mark.parametrize("nest", ["upstream", "pool", "retry"])
async def test_an_error_under_a_success_status_shows_no_key_either(script: Any, nest: str) -> None:
    async with serve(ScriptedUpstream([script])) as base:
        app: Any = Upstream(base, protocol="openai-chat", api_key=KEY if nest == "upstream" else None)
        if nest != "upstream":
            app = KeyPool(app, protocol="openai-chat", keys=[KEY], queue_timeout=0)
        if nest == "retry":
            app = Retry(app, max_attempts=1)
        async with running(app):
            answer = await Driver(app).request(
                "POST", "/v1/chat/completions", json={"model": "m", "stream": script is STREAM, "messages": []}
            )
    assert "the backend refused" in answer.text
    assert KEY not in answer.text


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
