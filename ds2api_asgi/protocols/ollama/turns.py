"""Conversations: messages to turns, and turns of any protocol to messages that a server of this one accepts.

A conversation that was born here is written back as it was. For any other
(https://docs.ollama.com/capabilities/tool-calling and …/vision, read 2026-11-23):

* a message has one text, so a turn with several becomes several messages of its role: no boundary is lost;
* an image that no text stands before goes with the text behind it;
* an assistant's calls stand on the last of its messages, since the results follow;
* each tool result is a ``tool`` message with the name of its tool, which templates print, directly behind its call;
* a failed tool says so in words (template T1), since there is no error flag;
* a developer is a system, and what is neither text nor an image in base64 has no place.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import (
    Base64,
    Inline,
    Media,
    OpaquePart,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ...universal.templates import ERROR_PREFIX
from ..fields import Json
from ..scope import Scope
from .calls import encode_foreign_call
from .messages import decode_message, encode_message
from .profile import NAME

__all__ = ["decode_turns", "encode_turns", "text_of"]


def decode_turns(messages: Any) -> tuple[Turn, ...]:
    """The messages of a request to turns.

    Raises:
        InvalidDocument: Not a list, or a message with a member of the wrong type.
    """
    if type(messages) is not list:
        raise InvalidDocument("messages", "must be an array")
    return tuple(decode_message(message, f"messages[{index}]", strict=True) for index, message in enumerate(messages))


def encode_turns(request: Request, scope: Scope) -> list[Json]:
    """Turns to the messages of a request."""
    if scope.home:
        return [encode_message(turn) for turn in request.turns]
    writer = _Writer(scope)
    for index, turn in enumerate(request.turns):
        writer.turn(turn, f"turns[{index}]")
    return writer.messages


def text_of(part: Part, path: str, scope: Scope) -> str | None:
    """The text of a part that is one, or can be said as one; None for any other, which is not reported."""
    match part:
        case Text(text=text):
            scope.ext(part.ext, path)
            scope.opaque(part.opaque, path)
            if part.citations is not UNSET:
                severity = Severity.DEGRADED if part.citations else Severity.COSMETIC
                scope.lacks(f"{path}.citations", severity, "citations")
            if part.cache is not UNSET:
                scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
            return text
        case Refusal(text=text):
            scope.ext(part.ext, path)
            scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{NAME} has no refusals")
            return text
        case Media(source=PlainText(text=text)):
            pass
        case Media(source=Inline(parts=pieces)) if all(isinstance(piece, Text) for piece in pieces):
            text = "".join(piece.text for piece in pieces if isinstance(piece, Text))
        case _:
            return None
    scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{NAME} has no documents")
    return text


class _Writer:
    """Writes the messages of a conversation of another protocol, one turn after the other.

    Attributes:
        messages: What was written.
    """

    __slots__ = ("_called", "_scope", "_step", "messages")

    def __init__(self, scope: Scope) -> None:
        self.messages: list[Json] = []
        self._scope = scope
        self._step = 0  # where the next result of the current step belongs
        self._called: dict[Any, str] = {}  # the name of the newest call of each id

    def turn(self, turn: Turn, path: str) -> None:
        """Write one turn."""
        scope = self._scope
        scope.ext(turn.ext, path)
        scope.lacks_each(turn, ("name", "id", "status", "phase"), path, Severity.COSMETIC, "of a turn")
        rest: list[tuple[str, Part]] = []
        for index, part in enumerate(turn.parts):
            at = f"{path}.parts[{index}]"
            if not isinstance(part, ToolResult):
                rest.append((at, part))
                continue
            if rest:
                scope.add(at, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
            self._result(part, at)
        if rest or not turn.parts:
            self._plain(turn, rest, path)

    def _plain(self, turn: Turn, rest: list[tuple[str, Part]], path: str) -> None:
        """Write what a turn says beside tool results."""
        scope = self._scope
        role = turn.role
        if role == "developer":
            role = "system"
            scope.add(f"{path}.role", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it system")
        messages = _Messages(role, scope)
        for at, part in rest:
            if isinstance(part, ToolCall) and role == "assistant":
                self._called[part.id] = part.name
            messages.add(part, at)
        written = messages.written()
        if role == "assistant" and self.messages and _more_calls(self.messages[-1], written):
            self.messages[-1]["tool_calls"] += written[0]["tool_calls"]
        else:
            self.messages += written
        if role == "assistant":
            self._step = len(self.messages)

    def _result(self, result: ToolResult, path: str) -> None:
        scope = self._scope
        scope.ext(result.ext, path)
        if result.cache is not UNSET:
            scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
        message: Json = {"role": "tool"}
        call_id = scope.result_id(result, path)
        if call_id:
            message["tool_call_id"] = call_id
        name = result.name
        if name is UNSET and result.call_id in self._called:
            name = self._called[result.call_id]
            scope.add(f"{path}.name", LossKind.INVENTED, Severity.COSMETIC, "it is the name of the call")
        if name is not UNSET:
            message["tool_name"] = scope.tool_name(name, f"{path}.name")
        message.update(self._result_content(result, path))
        if self._step != len(self.messages):
            scope.add(path, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
        self.messages.insert(self._step, message)
        self._step += 1

    def _result_content(self, result: ToolResult, path: str) -> Json:
        scope = self._scope
        texts: list[str] = []
        images: list[str] = []
        ordered = True
        for index, part in enumerate(result.parts or ()):
            at = f"{path}.parts[{index}]"
            text = text_of(part, at, scope)
            if text is not None:
                ordered = ordered and not images
                texts.append(text)
            elif (data := _image(part, at, scope)) is not None:
                images.append(data)
        if len(texts) > 1 or not ordered:
            scope.add(f"{path}.parts", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has one text in a message")
        elif not texts:
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        if result.is_error:
            texts.insert(0, ERROR_PREFIX[1])
            # The words stand in the content, so all of the result differs.
            scope.add(
                path,
                LossKind.TEXTUALISED,
                Severity.DEGRADED,
                f"{NAME} has no error flag on tool results",
                template=ERROR_PREFIX[0],
            )
        elif result.is_error is not UNSET:
            scope.lacks(f"{path}.is_error", Severity.COSMETIC, "error flag on tool results")
        document: Json = {"content": "".join(texts)}
        if images:
            document["images"] = images
        return document


class _Messages:
    """The messages of one turn in the making."""

    __slots__ = ("_calls", "_done", "_now", "_role", "_scope")

    def __init__(self, role: str, scope: Scope) -> None:
        self._role = role
        self._scope = scope
        self._done: list[Json] = []
        self._now: Json = {}
        self._calls: list[Json] = []

    def add(self, part: Part, path: str) -> None:
        """Write one part."""
        scope = self._scope
        if isinstance(part, ToolCall) and self._role == "assistant":
            self._calls.append(encode_foreign_call(part, path, scope))
            return
        if isinstance(part, Reasoning) and self._role == "assistant":
            self._put("thinking", _thought(part, path, scope), path)
            return
        text = text_of(part, path, scope)
        if text is not None:
            self._put("content", text, path)
        elif (image := _image(part, path, scope)) is not None:
            self._behind_calls(path)
            self._now.setdefault("images", []).append(image)

    def _put(self, member: str, text: str | None, path: str) -> None:
        if text is None:
            return
        self._behind_calls(path)
        if not text:
            self._scope.lacks(path, Severity.COSMETIC, "empty text")
            return
        if "content" in self._now or member in self._now or (member == "thinking" and self._now):
            self._done.append(self._now)
            self._now = {}
        elif "images" in self._now:
            self._scope.add(path, LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} keeps text and images apart")
        self._now[member] = text

    def _behind_calls(self, path: str) -> None:
        if self._calls:
            self._scope.add(path, LossKind.RELOCATED, Severity.DEGRADED, "results directly follow the calls")

    def written(self) -> list[Json]:
        """The messages, one at least."""
        if self._calls:
            self._now["tool_calls"] = self._calls
        if self._now or not self._done:
            self._done.append(self._now)
        return [{"role": self._role, "content": "", **message} for message in self._done]


def _more_calls(last: Json, written: list[Json]) -> bool:
    """Whether what was written is calls alone, right behind others: results follow all calls of a step."""
    if last["role"] != "assistant" or "tool_calls" not in last or len(written) != 1:
        return False
    return written[0].keys() == {"role", "content", "tool_calls"} and not written[0]["content"]


def _thought(part: Reasoning, path: str, scope: Scope) -> str | None:
    if part.text is UNSET and not part.summary:
        scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
        return None
    scope.ext(part.ext, path)
    scope.opaque(part.opaque, path)
    if part.summary:
        scope.add(f"{path}.summary", LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries")
    return "".join(part.summary) if part.text is UNSET else part.text


def _image(part: Part, path: str, scope: Scope) -> str | None:
    """The base64 of an image; None for any other part, which is reported."""
    match part:
        case Media(kind="image", source=Base64(data=data)):
            scope.ext(part.ext, path)
            scope.lacks_each(
                part,
                ("mime", "name", "detail", "title", "context", "citations", "cache", "source_ext"),
                path,
                Severity.COSMETIC,
                "of an image",
            )
            return data
        case Media(kind=kind):
            scope.lacks(path, Severity.SEMANTIC, f"place for this {kind}: images in base64 only")
        case OpaquePart():
            scope.foreign(part, path)
        case _:
            scope.lacks(path, Severity.SEMANTIC, "place for this here")
    return None
