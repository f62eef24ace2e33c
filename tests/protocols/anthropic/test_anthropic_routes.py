"""Paths, headers, dialects, models and token counts."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import ModelInfo
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.anthropic import PROTOCOL
from ds2api_asgi.protocols.base import Operation, Protocol
from shared import corpus_items, needs_shared


def test_it_is_a_protocol() -> None:
    assert isinstance(PROTOCOL, Protocol)


@pytest.mark.parametrize(
    ("method", "path", "operation", "allowed"),
    [
        ("POST", "/v1/messages", Operation.GENERATE, True),
        ("POST", "/messages", Operation.GENERATE, True),
        ("POST", "/v1/messages/", Operation.GENERATE, True),
        ("GET", "/v1/messages", Operation.GENERATE, False),
        ("POST", "/v1/messages/count_tokens", Operation.COUNT_TOKENS, True),
        ("GET", "/v1/models", Operation.LIST_MODELS, True),
        ("GET", "/models/", Operation.LIST_MODELS, True),
        ("GET", "/v1/models/org/name", Operation.GET_MODEL, True),
        ("DELETE", "/v1/models/m", Operation.GET_MODEL, False),
    ],
)
def test_its_paths_are_claimed(method: str, path: str, operation: Operation, allowed: bool) -> None:
    claim = PROTOCOL.claim(method, path, {"anthropic-version": "2023-06-01"})
    assert claim is not None
    assert (claim.operation, claim.method_allowed, claim.sure) == (operation, allowed, True)
    assert claim.prefix == ("/v1" if path.startswith("/v1") else "")
    if operation is Operation.GET_MODEL:
        assert claim.model in {"org/name", "m"}


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/messagesx", "/v1/messages/batches", "/v1/chat/completions", "/v1/modelsx"]
)
def test_other_paths_are_not(path: str) -> None:
    assert PROTOCOL.claim("POST", path, {}) is None


def test_models_are_shared_and_headers_decide() -> None:
    for headers, sure in (({}, False), ({"authorization": "Bearer x"}, False), ({"x-api-key": "k"}, True)):
        claim = PROTOCOL.claim("GET", "/v1/models", headers)
        assert claim is not None
        assert claim.sure is sure


def test_routes_ask_in_the_dialect() -> None:
    def route(operation: Operation, model: Any = UNSET, dialect: str = "") -> Any:
        return PROTOCOL.route(operation, stream=False, model=model, dialect=dialect)

    assert route(Operation.GENERATE).headers == ((b"anthropic-version", b"2023-06-01"),)
    assert route(Operation.GENERATE, dialect="2026-10-21").headers == ((b"anthropic-version", b"2026-10-21"),)
    assert route(Operation.GET_MODEL, "a/b").path == "/v1/models/a%2Fb"
    assert route(Operation.COUNT_TOKENS).path == "/v1/messages/count_tokens"
    assert route(Operation.EMBED) is None
    assert PROTOCOL.authorize("k") == (b"x-api-key", b"k")
    assert PROTOCOL.dialect({}) == "2023-06-01"
    assert PROTOCOL.dialect({"anthropic-version": "2026-10-21"}) == "2026-10-21"


def test_models_of_others_become_the_sdks_models() -> None:
    page = PROTOCOL.encode_models([{"id": "gpt", "created": 86400, "owned_by": "o"}, {"id": "b", "display_name": "B"}])
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("gpt", "b", False)
    assert page["data"][0]["created_at"] == "1970-01-02T00:00:00Z"
    for model in page["data"]:
        ModelInfo.model_validate({"lifecycle": "active", **model})
    assert PROTOCOL.encode_models([])["first_id"] is None


def test_models_of_ours_come_back() -> None:
    model = {"type": "model", "id": "c", "display_name": "C", "created_at": "2025-02-19T00:00:00.5Z", "max_tokens": 8}
    rows = PROTOCOL.decode_models({"data": [model], "has_more": True})
    assert rows[0]["created"] == 1739923200
    assert PROTOCOL.encode_models(rows)["data"] == [model]
    with pytest.raises(InvalidDocument):
        PROTOCOL.decode_models({"object": "list"})


def test_token_counts() -> None:
    assert PROTOCOL.decode_token_count(PROTOCOL.encode_token_count(43)) == 43
    with pytest.raises(InvalidDocument):
        PROTOCOL.decode_token_count({"input_tokens": None})


@needs_shared
def test_the_corpus_counts_tokens() -> None:
    items = [
        item
        for item in corpus_items("other", "response")
        if item["sub"] == "count_tokens" and "anthropic" in item["provider"]
    ]
    assert items
    for item in items:
        assert PROTOCOL.encode_token_count(PROTOCOL.decode_token_count(item["body"])) == item["body"]
