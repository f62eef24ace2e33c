"""Sound and pictures at the door: forms are no JSON, and nobody reads another model than the door did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_kit import Hello, alice, guarded
from ds2api_asgi import Bounds
from ds2api_asgi.access import ClientLimits
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio

KIND = {"content-type": "multipart/form-data; boundary=b"}
PATH = "/v1/audio/transcriptions"


def form(*parts: tuple[str, bytes]) -> bytes:
    written = [
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), said)
        for name, said in parts
    ]
    return b"".join(written) + b"--b--\r\n"


class Says:
    """Answers with a document."""

    def __init__(self, document: Any) -> None:
        self._document = document

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status=200, document=self._document)


@given(st.binary(max_size=40) | st.just(b"[{" * 4_000) | st.just(b'NaN 1e999 "model": "model":'))
async def test_sound_is_no_json(sound: bytes) -> None:
    body = form(("model", b"hear"), ("file", sound.replace(b"--b", b"")))
    for app, driver in ((Bounds(Hello()), Driver), (guarded(Hello())[0], alice)):
        answer = await driver(app).request("POST", PATH, headers=KIND, body=body)
        assert answer.status == 200


async def test_a_form_where_none_may_come_is_no_document() -> None:
    app, behind = guarded(Hello(), models=["hear"])
    body = form(("model", b"hear"))
    for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/files"):
        assert (await alice(app).request("POST", path, headers=KIND, body=body)).status == 403
    assert behind.scopes == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(("model", b"hear"), ("file", b"\xff")), 200),
        (form(("model", b"other"), ("file", b"\xff")), 403),
        (form(("file", b"\xff")), 403),
        (form(("model", b"hear"), ("model", b"other")), 400),
        (form(("model", b"hear"), ("Model", b"other")), 400),
        (form(("model", b"hear")) + form(("model", b"other")), 400),
        (b'{"model":"hear"}', 400),
        (b"", 400),
    ],
)
async def test_an_allow_list_holds_in_forms(body: bytes, status: int) -> None:
    app, behind = guarded(Hello(), models=["hear"])
    answer = await alice(app).request("POST", PATH, headers=KIND, body=body)
    assert answer.status == status
    assert len(behind.scopes) == (status == 200)


async def test_a_form_of_two_types_is_refused() -> None:
    app, behind = guarded(Hello(), models=["hear"])
    headers = [(b"content-type", kind) for kind in (KIND["content-type"].encode(), b"multipart/form-data; boundary=c")]
    answer = await alice(app).request("POST", PATH, headers=headers, body=form(("model", b"hear")))
    assert (answer.status, behind.scopes) == (400, [])


CHEAP = b'{"model":"hear","x":"&model=other&y="}'


@pytest.mark.parametrize(
    "kinds",
    [
        [b"application/x-www-form-urlencoded"],
        [b"Application/X-WWW-Form-Urlencoded ; charset=utf-8"],
        [b"application/json", b"application/x-www-form-urlencoded"],
        [b"application/x-www-form-urlencoded", KIND["content-type"].encode()],
    ],
)
@pytest.mark.parametrize("path", [PATH, "/v1/completions", "/v1/images/generations", "/v1/videos"])
async def test_a_document_that_some_read_as_a_form_passes_no_allow_list(path: str, kinds: list[bytes]) -> None:
    headers = [(b"content-type", kind) for kind in kinds]
    app, behind = guarded(Hello(), models=["hear"])
    answer = await alice(app).request("POST", path, headers=headers, body=CHEAP)
    assert (answer.status, answer.json()["error"]["type"], behind.scopes) == (415, "invalid_request_error", [])
    assert (await alice(app).request("POST", path, headers=headers, body=b"")).status != 415


async def test_bounds_let_no_document_pass_that_some_read_as_a_form() -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await Driver(Bounds(Hello())).request("POST", PATH, headers=headers, body=CHEAP)).status == 415
    assert (await Driver(Bounds(Hello())).request("POST", "/v1/videos", headers=headers, body=CHEAP)).status == 200


@pytest.mark.parametrize("path", [PATH, "/v1/completions", "/v1/moderations", "/v1/videos"])
async def test_documents_that_curl_says_to_be_forms_are_read_as_documents(path: str) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b'{"model": "hear", "prompt": "a=1 & b; models=2&the model=3"}'
    app, behind = guarded(Hello(), models=["hear"])
    assert (await alice(app).request("POST", path, headers=headers, body=body)).status == 200
    other = body.replace(b"hear", b"other")
    assert (await alice(app).request("POST", path, headers=headers, body=other)).status == 403
    assert len(behind.scopes) == 1


async def test_chats_that_curl_says_to_be_forms_are_answered() -> None:
    app, _ = guarded(Hello(), models=["hear"])
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for door, driver in ((app, alice), (Bounds(Hello()), Driver)):
        answer = await driver(door).request("POST", "/v1/chat/completions", headers=headers, body=b'{"model":"hear"}')
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "document", "status"),
    [
        ("/v1/completions", {"model": "hear", "prompt": "a"}, 200),
        ("/v1/completions", {"model": "other", "prompt": "a"}, 403),
        ("/v1/moderations", {"input": "a"}, 403),
        ("/v1beta/models/hear:predict", {"instances": []}, 200),
        ("/v1beta/models/other:predict", {"instances": []}, 403),
    ],
)
async def test_an_allow_list_holds_in_documents(path: str, document: Any, status: int) -> None:
    app, _ = guarded(Hello(), models=["hear"])
    assert (await alice(app).request("POST", path, json=document)).status == status


async def used(document: Any, path: str, **request: Any) -> int:
    """Tokens that a request has taken of a key's limit."""
    app, _ = guarded(Says(document), limits=ClientLimits(tpm=10_000))
    for _ in range(2):
        answer = await alice(app).request("POST", path, **request)
        assert answer.status == 200
    return 10_000 - int(answer.header("x-ratelimit-remaining-tokens") or "0")


async def test_what_answers_state_is_what_they_cost() -> None:
    stated = {"usage": {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700}}
    assert 700 <= await used(stated, "/v1/completions", json={"model": "m", "prompt": "a"}) < 720
    ranked = {"usage": {"total_tokens": 900}}
    assert 900 <= await used(ranked, "/v1/rerank", json={"model": "m", "query": "q", "documents": ["a"]}) < 930


async def test_nothing_is_guessed_where_there_is_no_text() -> None:
    body = form(("model", b"hear"), ("file", b"\xff" * 9_000))
    assert await used({"text": "a"}, PATH, headers=KIND, body=body) == 2
    moderated = {"input": "word " * 40}
    assert await used({}, "/v1/moderations", json=moderated) < 4 * len(json.dumps(moderated))
    bounded = {"model": "m", "prompt": "a", "max_tokens": 300}
    assert await used({}, "/v1/completions", json=bounded) > 600
