"""``/api/generate``: another dialect of the same codec."""

from __future__ import annotations

import json
from typing import Any

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from documents import documents_of, mutated, names, texts
from ds2api_asgi import InvalidDocument
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context, Operation
from ds2api_asgi.protocols.ollama import PROTOCOL
from ds2api_asgi.protocols.ollama.profile import GENERATE
from ds2api_asgi.universal.content import Base64, Media, Text
from ds2api_asgi.universal.diff import diff
from ds2api_asgi.universal.events import End, Error
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import dumps, equal, loads
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.request import Request
from ds2api_asgi.universal.response import Response
from lawkit import cuts_of, plain


class _Request(ollama._types.GenerateRequest):
    images: list[str] | None = None  # type: ignore[assignment]


requests = mutated(documents_of(_Request, overrides={("_Request", "model"): names}))
answers = st.builds(
    lambda document, text: {**document, "response": text}, mutated(documents_of(ollama.GenerateResponse)), texts
)


def read(document: dict[str, Any]) -> Request:
    return PROTOCOL.decode_request(PROTOCOL.parse(dumps(document)), dialect=GENERATE)


def asked(document: dict[str, Any] | None = None) -> Context:
    return Context(request=read(document or {"model": "m", "prompt": "p"}), now=1_700_000_000)


@given(document=requests)
def test_a_request_comes_back(document: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode_request(read(document))
    assert equal(loads(dumps(encoded.document)), document)
    assert encoded.losses == ()


@given(document=answers)
def test_an_answer_comes_back(document: dict[str, Any]) -> None:
    encoded = PROTOCOL.encode_response(PROTOCOL.decode_response(loads(dumps(document))), Context())
    assert equal(loads(dumps(encoded.document)), document)
    assert encoded.losses == ()


@pytest.mark.parametrize("target", ["openai-chat", "anthropic", "gemini", "openai-responses"])
@given(document=requests)
def test_what_has_no_place_elsewhere_is_lost_by_name(target: str, document: dict[str, Any]) -> None:
    encoded = registry.get(target).encode_request(read(document))
    lost = {loss.path for loss in encoded.losses}
    for name in ("suffix", "template", "context", "raw", "keep_alive", "width", "height", "steps"):
        assert (f"ext.{name}" in lost) == (document.get(name) is not None)


def test_a_prompt_is_a_conversation_of_a_system_and_a_user() -> None:
    request = read({"model": "m", "prompt": "what?", "system": "brief", "images": ["aGk="], "think": "low"})
    assert [turn.role for turn in request.turns] == ["system", "user"]
    assert request.turns[1].parts == (Text(text="what?"), Media(kind="image", source=Base64("aGk=")))
    assert request.reasoning_effort == "low"
    assert request.stream is UNSET


def test_an_edited_prompt_is_what_is_sent() -> None:
    request = read({"model": "m", "prompt": "a", "context": [1], "options": {"num_ctx": 5}})
    (turn,) = request.turns
    edited = replace(request, turns=(replace(turn, parts=(Text(text="b"),)),), stream=False)
    assert PROTOCOL.encode_request(edited).document == {
        "model": "m",
        "prompt": "b",
        "context": [1],
        "options": {"num_ctx": 5},
        "stream": False,
    }


@pytest.mark.parametrize("bad", [{"prompt": 1}, {"images": "x"}, {"images": [1]}, {"options": []}])
def test_a_member_of_the_wrong_type_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument):
        read({"model": "m", **bad})


ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi\u2028", "reasoning_content": "hm"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def foreign() -> Response:
    return registry.get("openai-chat").decode_response(ANSWER)


def test_an_answer_from_elsewhere_is_said_in_the_dialect_of_who_asked() -> None:
    document = PROTOCOL.encode_response(foreign(), asked()).document
    assert document == {
        "model": "m",
        "created_at": "1970-01-01T00:00:01Z",
        "response": "Hi\u2028",
        "thinking": "hm",
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    }
    ollama.GenerateResponse.model_validate(document)


@given(data=st.data(), chunk=st.sampled_from([1, 2, 50]))
def test_a_stream_is_said_in_the_dialect_of_who_asked(data: st.DataObject, chunk: int) -> None:
    wire = PROTOCOL.stream_encoder(asked()).write(unfold(foreign(), chunk=chunk))
    lines = [json.loads(line) for line in wire.splitlines() if line]
    for line in lines:
        ollama.GenerateResponse.model_validate(line)
        assert "message" not in line
    assert "".join(line["response"] for line in lines) == "Hi\u2028"
    assert "".join(line.get("thinking", "") for line in lines) == "hm"
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    decoder = PROTOCOL.stream_decoder()
    events = [event for piece in data.draw(cuts_of(wire)) for event in decoder.feed(piece)] + decoder.close()
    assert isinstance(events[-1], End)
    folded = PROTOCOL.fold(events)
    whole = PROTOCOL.decode_response(PROTOCOL.encode_response(foreign(), asked()).document)
    assert diff(plain(whole), plain(folded), ignore=frozenset({"form", "created"})) == []


def test_a_cut_stream_is_no_success_at_any_byte() -> None:
    wire = PROTOCOL.stream_encoder(asked()).write(unfold(foreign(), chunk=2))
    for cut in range(len(wire) - 1):
        decoder = PROTOCOL.stream_decoder()
        assert isinstance((decoder.feed(wire[:cut]) + decoder.close())[-1], Error), cut


def test_a_stream_of_its_own_comes_back() -> None:
    lines = [
        {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "a", "done": False},
        {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "", "done": True, "done_reason": "stop",
         "context": [1, 2], "eval_count": 1},
    ]  # fmt: skip
    wire = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    decoder = PROTOCOL.stream_decoder()
    again = PROTOCOL.stream_encoder(asked()).write(decoder.feed(wire) + decoder.close())
    assert [json.loads(line) for line in again.splitlines()] == lines


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"model": "m"}, "load"),
        ({"model": "m", "prompt": ""}, "load"),
        ({"model": "m", "prompt": None}, "load"),
        ({"model": "m", "keep_alive": 0}, "unload"),
        ({"model": "m", "keep_alive": "0s"}, "unload"),
        ({"model": "m", "keep_alive": "10m", "system": "x"}, "load"),
    ],
)
def test_an_empty_prompt_asks_nothing_of_a_model(document: dict[str, Any], reason: str) -> None:
    answer = PROTOCOL.idle(read(document), now=5)
    assert answer == {
        "model": "m", "created_at": "1970-01-01T00:00:05Z", "response": "", "done": True, "done_reason": reason
    }  # fmt: skip


@pytest.mark.parametrize("document", [{"prompt": "a"}, {"images": ["aGk="]}])
def test_anything_else_does(document: dict[str, Any]) -> None:
    assert PROTOCOL.idle(read({"model": "m", **document}), now=0) is None


def test_a_chat_without_messages_loads_the_model_and_one_with_a_system_does_not() -> None:
    empty = PROTOCOL.decode_request({"model": "m", "messages": []})
    answer = PROTOCOL.idle(empty, now=0)
    assert answer is not None
    assert answer["message"] == {"role": "assistant", "content": ""}
    assert (
        PROTOCOL.idle(PROTOCOL.decode_request({"model": "m", "messages": [{"role": "system", "content": "x"}]}), now=0)
        is None
    )


@pytest.mark.parametrize(
    ("method", "path", "operation", "dialect", "allowed"),
    [
        ("POST", "/api/chat", Operation.GENERATE, "", True),
        ("POST", "/api/generate", Operation.GENERATE, GENERATE, True),
        ("GET", "/api/generate", Operation.GENERATE, GENERATE, False),
        ("POST", "/api/embed", Operation.EMBED, "", True),
        ("POST", "/api/embeddings", Operation.EMBED, "legacy", True),
        ("GET", "/api/tags", Operation.LIST_MODELS, "", True),
        ("HEAD", "/api/tags", Operation.LIST_MODELS, "", True),
        ("HEAD", "/api/version", Operation.ABOUT, "", True),
        ("GET", "/api/ps", Operation.ABOUT, "", True),
        ("HEAD", "/api/show", Operation.GET_MODEL, "", False),
        ("POST", "/api/show", Operation.GET_MODEL, "", True),
    ],
)
def test_paths_are_claimed(method: str, path: str, operation: Operation, dialect: str, *, allowed: bool) -> None:
    claim = PROTOCOL.claim(method, path, {})
    assert claim is not None
    assert (claim.operation, claim.dialect, claim.method_allowed) == (operation, dialect, allowed)


@pytest.mark.parametrize(
    "path", ["/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs/x", "/api", "/"]
)
def test_what_changes_a_server_is_not_claimed(path: str) -> None:
    assert PROTOCOL.claim("POST", path, {}) is None


def test_an_upstream_is_asked_where_the_dialect_is_spoken() -> None:
    def path(operation: Operation, dialect: str = "") -> str | None:
        route = PROTOCOL.route(operation, stream=False, model="m", dialect=dialect)
        return None if route is None else route.path

    assert path(Operation.GENERATE) == "/api/chat"
    assert path(Operation.GENERATE, GENERATE) == "/api/generate"
    assert path(Operation.EMBED) == "/api/embed"
    assert path(Operation.LIST_MODELS) == "/api/tags"
    assert path(Operation.COUNT_TOKENS) is None


def test_a_loss_of_the_context_is_more_than_cosmetic() -> None:
    losses = registry.get("openai-chat").encode_request(read({"model": "m", "prompt": "a", "context": [1]})).losses
    assert [loss.severity for loss in losses if loss.path == "ext.context"] == [Severity.DEGRADED]
