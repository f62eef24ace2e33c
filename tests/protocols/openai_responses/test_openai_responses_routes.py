"""Paths, errors and verdicts of OpenAI Responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.universal.failure import FailureKind, Fault, KeyAction

CLAIMS = [
    ("POST", "/v1/responses", Operation.GENERATE, True),
    ("POST", "/responses/", Operation.GENERATE, True),
    ("POST", "/v1/responses/input_tokens", Operation.COUNT_TOKENS, True),
    ("POST", "/v1/embeddings", Operation.EMBED, False),
    ("GET", "/v1/models", Operation.LIST_MODELS, False),
    ("GET", "/v1/models/a/b", Operation.GET_MODEL, False),
]


@pytest.mark.parametrize(("method", "path", "operation", "sure"), CLAIMS)
def test_paths_are_claimed(method: str, path: str, operation: Operation, sure: bool) -> None:
    claim = PROTOCOL.claim(method, path, {})
    assert claim is not None
    assert (claim.operation, claim.sure, claim.method_allowed) == (operation, sure, True)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses/resp_1", "/", "/v1/messages"])
def test_other_paths_are_not(path: str) -> None:
    assert PROTOCOL.claim("POST", path, {}) is None


def test_a_wrong_method_is_told() -> None:
    claim = PROTOCOL.claim("GET", "/v1/responses", {})
    assert claim is not None
    assert not claim.method_allowed


@pytest.mark.parametrize("operation", sorted({*Operation} - {Operation.ABOUT, Operation.INFER}))
def test_a_route_is_claimed_again(operation: Operation) -> None:
    route = PROTOCOL.route(operation, stream=False, model="m", dialect="")
    assert route is not None
    claim = PROTOCOL.claim(route.method, route.path, {})
    assert claim is not None
    assert claim.operation is operation
    assert PROTOCOL.authorize("sk") == (b"authorization", b"Bearer sk")
    assert PROTOCOL.dialect({}) == ""


def test_companions_come_back() -> None:
    assert PROTOCOL.decode_token_count(PROTOCOL.encode_token_count(7)) == 7
    row = {"id": "m", "created": 1, "owned_by": "me"}
    assert PROTOCOL.decode_models(PROTOCOL.encode_models([row])) == [row]


def test_a_spent_quota_exhausts_the_key() -> None:
    body = b'{"error": {"message": "x", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}}'
    failure = PROTOCOL.decode_error(429, {}, body)
    assert failure.kind is FailureKind.BILLING
    verdict = PROTOCOL.classify(failure, {}, now=0.0)
    assert (verdict.fault, verdict.key) == (Fault.QUOTA, KeyAction.EXHAUST)
    assert verdict.row.startswith("openai-responses.")
    assert [limit.dimension for limit in PROTOCOL.limits({"x-ratelimit-remaining-tokens": "3"}, now=0.0)] == ["tokens"]


@given(st.binary(max_size=80), st.one_of(st.just(UNSET), st.integers(400, 599)))
def test_any_error_body_is_read_and_written(body: bytes, status: int) -> None:
    failure = PROTOCOL.decode_error(status, {}, body)
    wire = PROTOCOL.encode_error(failure)
    assert wire.status >= 400
    assert PROTOCOL.stream_error(failure).startswith(b"event: error\ndata: {")
