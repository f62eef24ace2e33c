"""A Chat Completions request as the demo model sees it, checked at the door.

The rules are those of https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-23): what is missing or
of the wrong type is refused with the path of the culprit, members that nobody knows are let through. Like the real
API, a tool result must answer a call of the assistant's message before it, and every call needs its result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ..errors import InvalidDocument
from .fields import read_flag, read_number, read_text, read_whole
from .offers import Choice, Tool, read_choice, read_tools
from .tokens import count_tokens

__all__ = ["Call", "ChatRequest", "Turn", "read_request"]

MAX_CHOICES = 128
MAX_STOPS = 4
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_PARTS = {"text": "text", "refusal": "refusal", "image_url": "", "input_audio": "", "file": ""}
"""The kinds of content part, and the member that holds their text."""


class Call(Struct, frozen=True, kw_only=True):
    """A call that the assistant made earlier."""

    id: str
    name: str


class Turn(Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant``, ``tool``.
        text: Its text parts, joined by new lines.
        images: How many images it shows.
        calls: The calls it made, for an assistant.
        answers: The id of the call it answers, for a tool.
    """

    role: str
    text: str = ""
    images: int = 0
    calls: tuple[Call, ...] = ()
    answers: str = ""


class ChatRequest(Struct, frozen=True, kw_only=True):
    """All that the model heeds.

    Attributes:
        digest: Hexadecimal digest of the body: ids come from it.
        schema: The schema that the answer must follow; UNSET for plain text.
        limit: Tokens the answer may have, or None.
        thinks: Whether it thinks before it answers.
        prompt_tokens: Tokens of the request.
    """

    model: str
    turns: tuple[Turn, ...]
    digest: str
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    parallel: bool = True
    schema: Any | UnsetType = UNSET
    limit: int | None = None
    stops: tuple[str, ...] = ()
    choices: int = 1
    thinks: bool = False
    stream: bool = False
    include_usage: bool = False
    prompt_tokens: int = 0


def read_request(document: Any, body: bytes) -> ChatRequest:
    """Check a request.

    Args:
        document: The decoded body.
        body: The body itself, for the digest.

    Returns:
        The request.

    Raises:
        InvalidDocument: With the path of what is missing or wrong.
    """
    if not isinstance(document, Mapping):
        raise InvalidDocument("", "the body must be a JSON object")
    model = read_text(document, "model", "")
    if not model:
        raise InvalidDocument("model", "you must provide a model")
    for name, (low, high) in _RANGES.items():
        read_number(document, name, low, high)
    tools = read_tools(document)
    stream = read_flag(document, "stream", default=False)
    options = document.get("stream_options")
    if options is not None and not (isinstance(options, Mapping) and stream):
        raise InvalidDocument("stream_options", "must be an object, and only where stream is true")
    effort = read_text(document, "reasoning_effort", "", default="")
    if effort and effort not in _EFFORTS:
        raise InvalidDocument("reasoning_effort", f"must be one of {', '.join(_EFFORTS)}")
    limits = [read_whole(document, name, 1, None) for name in ("max_completion_tokens", "max_tokens")]
    return ChatRequest(
        model=model,
        turns=_turns(document),
        digest=hashlib.sha256(body).hexdigest(),
        tools=tools,
        choice=read_choice(document, tools),
        parallel=read_flag(document, "parallel_tool_calls", default=True),
        schema=_answer_schema(document),
        limit=next((limit for limit in limits if limit is not None), None),
        stops=_stops(document),
        choices=read_whole(document, "n", 1, MAX_CHOICES) or 1,
        thinks=effort not in ("", "none", "minimal") or ("think" in model and not effort),
        stream=stream,
        include_usage=options is not None and read_flag(options, "include_usage", default=False, at="stream_options."),
        prompt_tokens=count_tokens(document),
    )


def _turns(document: Mapping[str, Any]) -> tuple[Turn, ...]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidDocument("messages", "must be an array with at least one message")
    turns = []
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        turn = _turn(message, path)
        if turn.role == "tool":
            if turn.answers not in waiting:
                raise InvalidDocument(f"{path}.tool_call_id", "answers no call of the assistant message before it")
            waiting.discard(turn.answers)
        elif waiting:
            raise InvalidDocument(path, "the calls of the assistant message before it were not all answered")
        waiting |= {call.id for call in turn.calls}
        turns.append(turn)
    if waiting:
        raise InvalidDocument(
            f"messages[{len(messages) - 1}]", "an assistant message with calls cannot be the last one"
        )
    return tuple(turns)


def _turn(message: Any, path: str) -> Turn:
    if not isinstance(message, Mapping):
        raise InvalidDocument(path, "must be an object")
    role = read_text(message, "role", f"{path}.")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise InvalidDocument(f"{path}.role", "must be system, developer, user, assistant or tool")
    calls = _calls(message, path) if role == "assistant" else ()
    content = message.get("content")
    if content is None and role == "assistant":
        return Turn(role=role, calls=calls)
    text, images = _content(content, f"{path}.content")
    answers = read_text(message, "tool_call_id", f"{path}.") if role == "tool" else ""
    return Turn(role=role, text=text, images=images, calls=calls, answers=answers)


def _content(content: Any, path: str) -> tuple[str, int]:
    if isinstance(content, str):
        return content, 0
    if not isinstance(content, list):
        raise InvalidDocument(path, "must be a string or an array of parts")
    texts, images = [], 0
    for index, part in enumerate(content):
        where = f"{path}[{index}]"
        if not isinstance(part, Mapping):
            raise InvalidDocument(where, "must be an object")
        kind = read_text(part, "type", f"{where}.")
        if kind not in _PARTS:
            raise InvalidDocument(f"{where}.type", f"must be one of {', '.join(_PARTS)}")
        if _PARTS[kind]:
            texts.append(read_text(part, _PARTS[kind], f"{where}."))
        elif not isinstance(part.get(kind), Mapping):
            raise InvalidDocument(f"{where}.{kind}", "must be an object")
        elif kind == "image_url":
            read_text(part[kind], "url", f"{where}.image_url.")
            images += 1
    return "\n".join(texts), images


def _calls(message: Mapping[str, Any], path: str) -> tuple[Call, ...]:
    calls = message.get("tool_calls")
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise InvalidDocument(f"{path}.tool_calls", "must be an array")
    return tuple(_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls))


def _call(call: Any, path: str) -> Call:
    if not isinstance(call, Mapping):
        raise InvalidDocument(path, "must be an object")
    kind = read_text(call, "type", f"{path}.", default="function")
    body = call.get(kind)
    if kind not in ("function", "custom") or not isinstance(body, Mapping):
        raise InvalidDocument(path, "must be a call of a function or a custom tool")
    read_text(body, "arguments" if kind == "function" else "input", f"{path}.{kind}.")
    return Call(id=read_text(call, "id", f"{path}."), name=read_text(body, "name", f"{path}.{kind}."))


def _answer_schema(document: Mapping[str, Any]) -> Any:
    wanted = document.get("response_format")
    if wanted is None:
        return UNSET
    if not isinstance(wanted, Mapping):
        raise InvalidDocument("response_format", "must be an object")
    match wanted.get("type"):
        case "text":
            return UNSET
        case "json_object":
            return {"type": "object", "properties": {"answer": {"type": "string"}}}
        case "json_schema":
            named = wanted.get("json_schema")
            if not isinstance(named, Mapping):
                raise InvalidDocument("response_format.json_schema", "must be an object")
            read_text(named, "name", "response_format.json_schema.")
            schema = named.get("schema", {"type": "object"})
            if not isinstance(schema, Mapping):
                raise InvalidDocument("response_format.json_schema.schema", "must be a JSON Schema")
            return schema
        case _:
            raise InvalidDocument("response_format.type", "must be text, json_object or json_schema")


def _stops(document: Mapping[str, Any]) -> tuple[str, ...]:
    stop = document.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(one, str) for one in stops):
        raise InvalidDocument("stop", f"must be a string or an array of at most {MAX_STOPS} strings")
    return tuple(one for one in stops if one)
