"""Paths, keys, models and token counts."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Operation, Protocol
from ds2api_asgi.protocols.gemini import PROTOCOL


def test_it_is_a_protocol() -> None:
    assert isinstance(PROTOCOL, Protocol)


@pytest.mark.parametrize(
    ("path", "operation", "model", "stream", "dialect"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", Operation.GENERATE, "gemini-2.5-pro", False, ""),
        ("/v1/models/m:streamGenerateContent?alt=sse", Operation.GENERATE, "m", True, ""),
        ("/v1/models/m:streamGenerateContent?key=x&alt=sse", Operation.GENERATE, "m", True, ""),
        ("/v1/models/m:streamGenerateContent?", Operation.GENERATE, "m", True, "json_array"),
        ("/v1/models/m:streamGenerateContent?xalt=sse", Operation.GENERATE, "m", True, "json_array"),
        ("/v1/models/m:streamGenerateContent", Operation.GENERATE, "m", True, "json_array"),
        ("/models/org/name:countTokens/", Operation.COUNT_TOKENS, "org/name", UNSET, ""),
        ("/v1beta/tunedModels/t:generateContent", Operation.GENERATE, "tunedModels/t", False, ""),
        ("/v1/publishers/google/models/m:generateContent", Operation.GENERATE, "m", False, ""),
        (
            "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse",
            Operation.GENERATE,
            "m",
            True,
            "",
        ),
        ("/v1beta/models/e:embedContent", Operation.EMBED, "e", UNSET, ""),
        ("/v1beta/models/e:batchEmbedContents", Operation.EMBED, "e", UNSET, "batch"),
    ],
)
def test_its_paths_are_claimed(path: str, operation: Operation, model: str, stream: Any, dialect: str) -> None:
    path, _, query = path.partition("?")
    claim = PROTOCOL.claim("POST", path, {}, query)
    assert claim is not None
    assert (claim.operation, claim.model, claim.stream, claim.dialect) == (operation, model, stream, dialect)
    assert (claim.sure, claim.method_allowed) == (True, True)
    wrong = PROTOCOL.claim("GET", path, {})
    assert wrong is not None
    assert not wrong.method_allowed


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/chat/completions", "/v1/messages", "/v1/modelsx", "/v1beta/models/:x"]
)
def test_other_paths_are_not(path: str) -> None:
    claim = PROTOCOL.claim("POST", path, {})
    assert claim is None or claim.operation is Operation.GET_MODEL


@pytest.mark.parametrize(
    ("path", "headers", "sure"),
    [
        ("/v1beta/models", {}, True),
        ("/v1/models", {}, False),
        ("/models/m", {}, False),
        ("/v1/models", {"x-goog-api-key": "k"}, True),
        ("/v1/models/m", {"x-goog-api-client": "google-genai-sdk/3.4"}, True),
    ],
)
def test_models_are_shared_and_headers_decide(path: str, headers: dict[str, str], sure: bool) -> None:
    claim = PROTOCOL.claim("GET", path, headers)
    assert claim is not None
    assert claim.sure is sure


def _route(operation: Operation, model: Any = UNSET, *, stream: bool = False) -> Any:
    route = PROTOCOL.route(operation, stream=stream, model=model, dialect="")
    return route and (route.method, route.path, route.query)


def test_upstreams_are_asked_by_path() -> None:
    assert _route(Operation.GENERATE, "m") == ("POST", "/v1beta/models/m:generateContent", b"")
    assert _route(Operation.GENERATE, "m", stream=True) == (
        "POST",
        "/v1beta/models/m:streamGenerateContent",
        b"alt=sse",
    )
    assert _route(Operation.COUNT_TOKENS, "models/m") == ("POST", "/v1beta/models/m:countTokens", b"")
    assert _route(Operation.GENERATE, "tunedModels/t") == ("POST", "/v1beta/tunedModels/t:generateContent", b"")
    assert _route(Operation.LIST_MODELS) == ("GET", "/v1beta/models", b"")
    assert _route(Operation.GET_MODEL, "m") == ("GET", "/v1beta/models/m", b"")
    assert _route(Operation.GENERATE) is None


@pytest.mark.parametrize("model", ["../secret", "a/../../b", "a?b", "a#b", "a\r\nb", "a;b", "%2e%2e/x", "a\\b", "ｍ"])
def test_a_models_name_leads_nowhere_else(model: str) -> None:
    path = _route(Operation.GENERATE, model)[1]
    assert path.startswith("/v1beta/models/")
    assert path.endswith(":generateContent")
    assert not {*"?#;\r\n\\"} & {*path}
    assert ".." not in path.split("/")
    claim = PROTOCOL.claim("POST", path, {})
    assert claim is not None
    assert claim.model == model


def test_keys_go_in_the_header() -> None:
    assert PROTOCOL.authorize("k") == (b"x-goog-api-key", b"k")


def test_models_come_back() -> None:
    rows = PROTOCOL.decode_models(
        {"models": [{"name": "models/m", "displayName": "M", "inputTokenLimit": 5}, {"name": "tunedModels/t"}]}
    )
    assert [row["id"] for row in rows] == ["m", "t"]
    model = PROTOCOL.encode_models([{"id": "m", "created": 1, "owned_by": "x", "display_name": "M"}])["models"][0]
    assert (model["name"], model["displayName"]) == ("models/m", "M")
    assert PROTOCOL.decode_model(PROTOCOL.encode_model(rows[0]))["inputTokenLimit"] == 5


def test_counts_come_back() -> None:
    assert PROTOCOL.decode_token_count(PROTOCOL.encode_token_count(7)) == 7
    assert PROTOCOL.decode_token_count({"total_tokens": 3}) == 3
    assert PROTOCOL.decode_token_count({}) == 0


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "k"}, {"anthropic-version": "x"}, {"x-goog-api-key": "k"}])
@pytest.mark.parametrize("path", ["/v1/models/m:generateContent", "//v1beta/models/m:generateContent"])
def test_a_question_for_an_answer_is_its_own_whatever_the_headers_say(path: str, headers: dict[str, str]) -> None:
    claim = registry.claim("POST", path, headers)
    assert claim is not None
    assert (claim.protocol, claim.operation, claim.model) == ("gemini", Operation.GENERATE, "m")


def test_the_path_counts_for_more_than_a_model_in_the_body() -> None:
    claim = PROTOCOL.claim("POST", "/v1beta/models/path:generateContent", {})
    assert claim is not None
    request = PROTOCOL.decode_request({"model": "models/body", "contents": []})
    assert (request.model, claim.complete(request).model) == ("body", "path")
