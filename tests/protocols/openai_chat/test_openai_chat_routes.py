"""Paths and companions of OpenAI Chat."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.base import Operation, Protocol
from ds2api_asgi.protocols.openai_chat import PROTOCOL


def test_it_is_a_protocol() -> None:
    assert isinstance(PROTOCOL, Protocol)


@pytest.mark.parametrize(
    ("method", "path", "operation", "allowed", "sure"),
    [
        ("POST", "/v1/chat/completions", Operation.GENERATE, True, True),
        ("POST", "/chat/completions/", Operation.GENERATE, True, True),
        ("GET", "/v1/chat/completions", Operation.GENERATE, False, True),
        ("POST", "/v1/embeddings", Operation.EMBED, True, True),
        ("GET", "/v1/models", Operation.LIST_MODELS, True, False),
        ("GET", "/models/", Operation.LIST_MODELS, True, False),
        ("POST", "/v1/models/x", Operation.GET_MODEL, False, False),
    ],
)
def test_claims(method: str, path: str, operation: Operation, allowed: bool, sure: bool) -> None:
    claim = PROTOCOL.claim(method, path, {})
    assert claim is not None
    assert (claim.operation, claim.method_allowed, claim.sure) == (operation, allowed, sure)
    assert claim.prefix == ("/v1" if path.startswith("/v1") else "")


@pytest.mark.parametrize(
    "path", ["", "/", "/v1", "/v1/messages", "/v2/chat/completions", "/v1x/models", "/v1/models/x/../"]
)
def test_other_paths_are_not_claimed(path: str) -> None:
    claim = PROTOCOL.claim("GET", path, {})
    assert claim is None or claim.operation is Operation.GET_MODEL


def test_a_model_may_have_slashes() -> None:
    claim = PROTOCOL.claim("GET", "/v1/models/meta/llama%203:free", {})
    assert claim is not None
    assert claim.model == "meta/llama 3:free"
    route = PROTOCOL.route(Operation.GET_MODEL, stream=False, model="meta/llama 3:free", dialect="")
    assert route is not None
    assert route.path == "/v1/models/meta/llama%203:free"


def test_routes() -> None:
    generate = PROTOCOL.route(Operation.GENERATE, stream=True, model="m", dialect="")
    assert generate is not None
    assert (generate.method, generate.path) == ("POST", "/v1/chat/completions")
    assert PROTOCOL.route(Operation.COUNT_TOKENS, stream=False, model=UNSET, dialect="") is None
    assert PROTOCOL.authorize("sk") == (b"authorization", b"Bearer sk")


def test_models_come_back_as_rows() -> None:
    rows = [{"id": "a", "created": 5, "owned_by": "me"}, {"id": "b", "created": 0, "owned_by": "", "display_name": "B"}]
    document = PROTOCOL.encode_models(rows)
    assert document["object"] == "list"
    assert {entry["object"] for entry in document["data"]} == {"model"}
    assert PROTOCOL.decode_models(document) == rows
    assert PROTOCOL.decode_model(PROTOCOL.encode_model({"id": "a"})) == {"id": "a", "created": 0, "owned_by": ""}
    assert PROTOCOL.decode_token_count(PROTOCOL.encode_token_count(5)) == 5
    for wrong in ({}, {"data": 5}):
        with pytest.raises(InvalidDocument):
            PROTOCOL.decode_models(wrong)


@pytest.mark.parametrize("body", [b"", b"[]", b"nope", b'"x"'])
def test_only_objects_are_documents(body: bytes) -> None:
    with pytest.raises(InvalidDocument):
        PROTOCOL.parse(body)
