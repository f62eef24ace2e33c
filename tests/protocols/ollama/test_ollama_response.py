"""Answers of Ollama, its errors, its companions and its paths."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.base import Context, Operation
from ds2api_asgi.protocols.ollama import PROTOCOL
from ds2api_asgi.universal.content import OpaquePart, Part, Refusal, Text, ToolCall
from ds2api_asgi.universal.failure import Failure, FailureKind, Fault, RetryScope
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage

ANSWER = {"model": "m", "created_at": "2025-06-23T11:09:16.952042Z", "message": {"role": "assistant", "content": "a"}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.0}}}]}


def read(document: dict[str, Any]) -> Response:
    return PROTOCOL.decode_response(PROTOCOL.parse(dumps(document)))


@pytest.mark.parametrize(
    "document",
    [
        {**ANSWER, "done": True, "done_reason": "stop", "eval_count": 3, "total_duration": 9, "remote_model": "x"},
        {**ANSWER, "done": True},
        {**ANSWER, "done": False, "done_reason": "length"},
        {**ANSWER, "done_reason": None, "logprobs": None},
        {**ANSWER, "done": True, "done_reason": "load", "logprobs": [{"token": "a", "logprob": -0.10}]},
        {**ANSWER, "created_at": "soon", "model": None, "done": 1, "eval_count": "many"},
        {**ANSWER, "message": CALLING, "done": True, "done_reason": "stop"},
        {**ANSWER, "message": {"content": "a", "tool_calls": [{"function": 1}, 2], "images": ["AAAA"]}, "done": True},
        {**ANSWER, "message": {"role": None, "content": 3, "tool_calls": {}}},
        {**ANSWER, "message": {"role": 5}, "done": True},
        {"error": "the model has crashed"},
    ],
    ids=range(11),
)
def test_odd_answers_come_back_as_they_were(document: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode_response(read(document), Context())
    assert equal(loads(dumps(encoded.document)), document)
    assert encoded.losses == ()


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        read({"model": "m"})


def test_calls_make_the_end_of_an_answer() -> None:
    candidate = read({**ANSWER, "message": CALLING, "done": True, "done_reason": "stop"}).candidates[0]
    assert candidate.stop == Stop(reason=StopReason.TOOL)


def test_a_call_that_cannot_be_read_is_no_call() -> None:
    message = {"role": "assistant", "content": "a", "tool_calls": [{"function": {"arguments": {}}}]}
    assert isinstance(read({**ANSWER, "message": message}).candidates[0].turns[0].parts[1], OpaquePart)


def test_an_answer_of_another_protocol_has_what_clients_rely_on() -> None:
    parts: tuple[Part, ...] = (Text(text="a"), Text(text="b"), ToolCall(id="c", name="f", arguments=JsonText("")))
    response = Response(
        id="x",
        candidates=(Candidate(turns=(Turn(role="assistant", parts=parts),), stop=Stop(reason=StopReason.TOOL)),),
        usage=Usage(input_total=3, output_total=4),
        origin=Origin(protocol="elsewhere"),
    )
    assert PROTOCOL.encode_response(response, Context(now=0)).document == {
        "model": "",
        "created_at": "1970-01-01T00:00:00Z",
        "message": {
            "role": "assistant",
            "content": "ab",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 4,
    }


@pytest.mark.parametrize(
    ("reason", "word"),
    [(StopReason.FILTER, "content_filter"), (StopReason.REFUSAL, "refusal"), (StopReason.CONTEXT, "length")],
)
def test_a_blocked_answer_does_not_look_like_a_success(reason: StopReason, word: str) -> None:
    turn = Turn(role="assistant", parts=(Refusal(text="no"),))
    response = Response(
        candidates=(Candidate(turns=(turn,), stop=Stop(reason=reason)),), origin=Origin(protocol="elsewhere")
    )
    document = PROTOCOL.encode_response(response, Context()).document
    assert document["done_reason"] == word
    assert document["message"]["content"] == "no"


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"error": "model 'x' not found"}, FailureKind.NOT_FOUND),
        (503, {"error": "server busy, please try again. maximum pending requests exceeded"}, FailureKind.OVERLOADED),
        (401, {"error": "unauthorized", "signin_url": "https://x"}, FailureKind.AUTH),
        (500, {"error": ""}, FailureKind.SERVER),
        (502, {"error": {"message": "a gateway", "code": 1}}, FailureKind.BAD_GATEWAY),
        (400, {"message": "another"}, FailureKind.INVALID),
    ],
    ids=str,
)
def test_errors_come_back_as_they_were(status: int, body: dict[str, Any], kind: FailureKind) -> None:
    failure = PROTOCOL.decode_error(status, {}, dumps(body))
    assert failure.kind is kind
    wire = PROTOCOL.encode_error(failure)
    assert (wire.status, wire.document) == (status, body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":"server busy, please try again"}', FailureKind.OVERLOADED),
        (b'{"error":"x","status":429}', FailureKind.RATE),
        (b'{"error":"an error was encountered while running the model"}', FailureKind.SERVER),
    ],
)
def test_words_tell_the_kind_of_an_error_in_a_stream(body: bytes, kind: FailureKind) -> None:
    assert PROTOCOL.decode_error(UNSET, {}, body).kind is kind


@given(st.binary(max_size=60), st.sampled_from([UNSET, 400, 500]))
def test_any_bytes_are_an_error(body: bytes, status: Any) -> None:
    assert isinstance(PROTOCOL.decode_error(status, {}, body), Failure)


@pytest.mark.parametrize(
    ("status", "message", "fault", "retry"),
    [
        (503, "server busy", Fault.PROVIDER, RetryScope.ROUTE),
        (404, "model 'x' not found", Fault.MODEL, RetryScope.ROUTE),
        (400, "x does not support tools", Fault.REQUEST, RetryScope.NONE),
        (500, "model requires more system memory (9 GiB)", Fault.MODEL, RetryScope.ROUTE),
        (500, "boom", Fault.MODEL, RetryScope.SAME),
        (429, "too many", Fault.RATE, RetryScope.KEY),
    ],
)
def test_what_follows_from_a_failure(status: int, message: str, fault: Fault, retry: RetryScope) -> None:
    failure = PROTOCOL.decode_error(status, {}, dumps({"error": message}))
    verdict = PROTOCOL.classify(failure, {}, now=0)
    assert (verdict.fault, verdict.retry) == (fault, retry)
    assert PROTOCOL.limits({}, now=0) == ()


# -- companions and paths --------------------------------------------------------------------------------------------


def test_models_come_back() -> None:
    rows = [{"id": "a:7b", "created": 1_700_000_000, "owned_by": ""}]
    document = PROTOCOL.encode_models(rows)
    assert len(document["models"][0]["digest"]) == 64
    again = PROTOCOL.decode_models(document)
    assert [(row["id"], row["created"]) for row in again] == [("a:7b", 1_700_000_000)]
    assert PROTOCOL.decode_model(PROTOCOL.encode_model(rows[0]))["id"] == "a:7b"
    assert PROTOCOL.decode_token_count(PROTOCOL.encode_token_count(7)) == 7


@pytest.mark.parametrize(
    ("method", "path", "operation", "allowed"),
    [
        ("POST", "/api/chat", Operation.GENERATE, True),
        ("GET", "/api/chat/", Operation.GENERATE, False),
        ("GET", "/api/tags", Operation.LIST_MODELS, True),
        ("POST", "/api/show", Operation.GET_MODEL, True),
        ("POST", "/api/embed", Operation.EMBED, True),
    ],
)
def test_own_paths_are_claimed(method: str, path: str, operation: Operation, allowed: bool) -> None:
    claim = PROTOCOL.claim(method, path, {})
    assert claim is not None
    assert (claim.operation, claim.method_allowed, claim.sure) == (operation, allowed, True)


@pytest.mark.parametrize("path", ["/api", "/chat", "/v1/api/chat", "/api/pull", "/v1/models"])
def test_other_paths_are_not(path: str) -> None:
    assert PROTOCOL.claim("POST", path, {}) is None


def test_an_upstream_is_asked_at_its_path() -> None:
    route = PROTOCOL.route(Operation.GENERATE, stream=True, model="m", dialect="")
    assert route is not None
    assert (route.method, route.path) == ("POST", "/api/chat")
    assert PROTOCOL.route(Operation.COUNT_TOKENS, stream=False, model="m", dialect="") is None
    assert PROTOCOL.authorize("k") == (b"authorization", b"Bearer k")
