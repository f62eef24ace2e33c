"""Conversations: messages to turns, and turns of any protocol to messages that a server of this one accepts.

A conversation that was born here is written back as it was. For any other the rules of the wire are kept
(https://platform.openai.com/docs/guides/function-calling, read 2026-11-23):

* each tool result is a ``tool`` message, directly after the assistant message that called;
* a failed tool says so in words (template T1), since there is no error flag;
* tool messages are text: media that a tool returned follow in a user message (template T2) after the step's results;
* system turns stay where they are;
* an assistant message keeps kinds apart: reasoning, content, refusal, calls.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ...universal.templates import TOOL_MEDIA
from ..fields import Json
from ..openai_shared.marks import encode_cache
from ..openai_shared.results import say_failure, string_or_parts
from ..scope import Scope
from .calls import encode_call
from .carry import DETAILS, EXTRA, encode_detail, encode_extra, foreign_payloads, joined_details, vendors
from .dialects import dialect
from .messages import decode_message, encode_message
from .parts import encode_part
from .profile import NAME

__all__ = ["decode_turns", "encode_turns"]

_TEXT: Final = "text"


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
        return [encode_message(turn, f"turns[{index}]", scope) for index, turn in enumerate(request.turns)]
    writer = _Writer(scope)
    for index, turn in enumerate(request.turns):
        text = _plain(turn)
        if text is None or (turn.role == "assistant" and writer.called):
            writer.turn(turn, f"turns[{index}]")
        else:
            writer.plain(turn.role, text)
    writer.flush()
    if request.turns and not writer.messages:
        scope.drop("turns", Severity.BLOCKING, f"{NAME} wants a message with something in it")
    return writer.messages


class _Writer:
    """Writes the messages of a conversation of another protocol, one turn after the other.

    Attributes:
        messages: What was written.
    """

    __slots__ = ("_media", "_scope", "_step", "messages")

    def __init__(self, scope: Scope) -> None:
        self.messages: list[Json] = []
        self._scope = scope
        self._step = 0  # where the next tool message of the current step belongs
        self._media: list[Json] = []  # what the step's tools returned beside text

    def turn(self, turn: Turn, path: str) -> None:
        """Write one turn."""
        scope = self._scope
        scope.ext(turn.ext, path)
        scope.lacks_each(turn, ("id", "status", "phase"), path, Severity.COSMETIC, "of a turn")
        rest: list[tuple[str, Part]] = []
        for index, part in enumerate(turn.parts):
            at = f"{path}.parts[{index}]"
            if isinstance(part, ToolResult):
                if rest:
                    scope.add(at, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
                self._result(part, at)
            else:
                rest.append((at, part))
        if len(rest) == len(turn.parts) or rest:
            self.flush()
            if turn.role == "assistant":
                self._assistant(turn, rest, path)
            else:
                self._other(turn, rest, path)

    @property
    def called(self) -> bool:
        """Whether the message before has calls, whose results have to follow it: nothing else may stand between."""
        return bool(self.messages) and "tool_calls" in self.messages[-1]

    def plain(self, role: str, text: str) -> None:
        """Write a turn that is one text."""
        if self._media:
            self.flush()
        self.messages.append({"role": role, "content": text})
        if role == "assistant":
            self._step = len(self.messages)

    def flush(self) -> None:
        """Write the media of the step that has ended."""
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
            self._media = []

    def _result(self, result: ToolResult, path: str) -> None:
        scope = self._scope
        scope.ext(result.ext, path)
        call_id = str(scope.result_id(result, path))
        if result.name is not UNSET:
            scope.lacks(f"{path}.name", Severity.COSMETIC, "name on a tool result")
        content = self._result_content(result, path, call_id)
        message: Json = {"role": "tool", "tool_call_id": call_id, "content": content}
        encode_cache(result.cache, message, path, scope)
        if self._step != len(self.messages):
            scope.add(path, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
        self.messages.insert(self._step, message)
        self._step += 1

    def _result_content(self, result: ToolResult, path: str, call_id: str) -> str | list[Json]:
        scope = self._scope
        content: list[Json] = []
        media: list[Json] = []
        if not result.parts:
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        for index, part in enumerate(result.parts or ()):
            at = f"{path}.parts[{index}]"
            document = encode_part(part, at, scope)
            if document is None:
                continue
            if not isinstance(part, Media) or document["type"] == "text":
                content.append(document)
                continue
            target = f"turns[{len(self.messages) + 1}]"
            for kind, reason in (
                (LossKind.RELOCATED, "tool messages are text"),
                (LossKind.INVENTED, "media need words that say whose they are"),
            ):
                scope.add(at, kind, Severity.DEGRADED, reason, target=target, template=TOOL_MEDIA[0])
            media.append(document)
        if media:
            self._media += [{"type": "text", "text": TOOL_MEDIA[1].format(id=call_id)}, *media]
        content = say_failure(result, content, _TEXT, path, scope)
        return string_or_parts(content, _TEXT)

    def _other(self, turn: Turn, rest: list[tuple[str, Part]], path: str) -> None:
        scope = self._scope
        if turn.role not in _ROLES:
            scope.add(f"{path}.role", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} has no such role")
            turn = replace(turn, role="user")
        content: list[Json] = []
        for at, part in rest:
            if turn.role != "user" and not isinstance(part, (Text, OpaquePart)):
                scope.lacks(at, Severity.SEMANTIC, f"place for this in a {turn.role} message")
                continue
            document = encode_part(part, at, scope)
            if document is not None:
                content.append(document)
        if not rest:
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        self._append(turn, {"role": turn.role, "content": string_or_parts(content, _TEXT)})

    def _append(self, turn: Turn, message: Json) -> None:
        if turn.name is not UNSET:
            message["name"] = turn.name
        self.messages.append(message)

    def _assistant(self, turn: Turn, rest: list[tuple[str, Part]], path: str) -> None:
        scope = self._scope
        thoughts: list[str] = []
        details: list[Any] = []
        content: list[Json] = []
        refusals: list[str] = []
        calls: list[Json] = []
        last = 0
        ordered = True
        for at, part in rest:
            rank = _RANKS.get(type(part), 1)
            ordered = ordered and rank >= last
            last = max(last, rank)
            match part:
                case Reasoning():
                    details += self._details(part, at, thoughts, len(details))
                case Text():
                    document = encode_part(part, at, scope)
                    if document is not None:
                        content.append(document)
                case Refusal():
                    scope.ext(part.ext, at)
                    refusals.append(part.text)
                case ToolCall():
                    calls.append(self._call(part, at))
                case OpaquePart():
                    scope.foreign(part, at)
                case _:
                    scope.lacks(at, Severity.SEMANTIC, "place for this in an assistant message")
        if not ordered:
            scope.add(f"{path}.parts", LossKind.RELOCATED, Severity.DEGRADED, f"{NAME} keeps kinds of parts apart")
        if len(thoughts) > 1 or len(refusals) > 1:
            scope.add(f"{path}.parts", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has one text for each kind")
        message = _assistant_message(_thought(thoughts, details), content, refusals, calls)
        if len(message) == len(("role", "content")) and not content:
            if turn.parts:
                return  # nothing of it can be said here, and an empty message would be said by nobody
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        if not (turn.name is UNSET and self._joined(message, path)):
            self._append(turn, message)
        self._step = len(self.messages)

    def _joined(self, message: Json, path: str) -> bool:
        """Join an assistant's message to the one before it, where calls, or a lone thought, must not stand alone.

        Protocols of items say each call and each thought apart, but results answer one message's calls.
        """
        last = self.messages[-1] if self.messages else {}
        details = message.get(DETAILS, [])
        if details and last.get("role") == "assistant" and len(message) == 3 and not message["content"]:
            last[DETAILS] = joined_details(last.get(DETAILS, []), details)  # a carrier, which says nothing itself
            return True
        lone = ("reasoning_content" in last or DETAILS in last) and not last["content"] and "refusal" not in last
        if (
            last.get("role") != "assistant"
            or "name" in last
            or not ("tool_calls" in last or "tool_calls" in message or lone)
        ):
            return False
        said = message["content"] or "reasoning_content" in message or "refusal" in message
        if message["content"] == "" and "tool_calls" not in message:
            self._scope.drop(f"{path}.parts", Severity.COSMETIC, "an empty text says nothing beside calls")
        elif "tool_calls" in last and said:
            reason = f"{NAME} keeps kinds of parts apart"
            self._scope.add(f"{path}.parts", LossKind.RELOCATED, Severity.DEGRADED, reason)
        if details:
            last[DETAILS] = joined_details(last.get(DETAILS, []), details)
        for key in ("reasoning_content", "refusal"):
            if key in message:
                last[key] = last.get(key, "") + message[key]
        if last["content"] and message["content"]:
            last["content"] = [*_listed(last["content"]), *_listed(message["content"])]
        else:
            last["content"] = last["content"] or message["content"] or None
        if "tool_calls" in message:
            last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
        return True

    def _details(self, part: Reasoning, path: str, thoughts: list[str], index: int) -> list[Any]:
        """Write a thought, unless it is nothing but a vendor's details, which are given back."""
        detail = encode_detail(part, index)
        if detail is not None:  # a translator that is our upstream put it there, for its own
            self._scope.ext(part.ext, path)
            thoughts += [] if part.text is UNSET else [part.text]
            return [detail]
        found = vendors(part.opaque, DETAILS)
        if found is None or part.text is not UNSET or part.summary:
            self._reasoning(part, path, thoughts)
        return found if type(found) is list else []

    def _reasoning(self, part: Reasoning, path: str, thoughts: list[str]) -> None:
        scope = self._scope
        if part.text is UNSET and not part.summary:
            scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
            return
        if not dialect(scope.dialect).thoughts:
            scope.lacks(path, Severity.DEGRADED, "reasoning in messages")
            return
        scope.ext(part.ext, path)
        scope.opaque(foreign_payloads(part.opaque), path)
        if part.summary:
            scope.add(f"{path}.summary", LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries")
        thoughts.append("".join(part.summary) if part.text is UNSET else part.text)

    def _call(self, call: ToolCall, path: str) -> Json:
        scope = self._scope
        scope.ext(call.ext, path)
        scope.opaque(foreign_payloads(call.opaque), path)
        encode_cache(call.cache, {}, path, scope)
        scope.lacks_each(call, ("namespace", "caller"), path, Severity.DEGRADED, "of a call")
        name = scope.tool_name(call.name, f"{path}.name")
        document = encode_call(call, scope.call_id(call, path), name, home=False)
        extra = encode_extra(call.opaque)
        return document if extra is None else {**document, EXTRA: extra}


_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
_RANKS: dict[type, int] = {Reasoning: 0, Refusal: 2, ToolCall: 3}
"""The order that a message keeps its kinds of parts in; content is 1."""


def _plain(turn: Turn) -> str | None:
    """The text of a turn that says nothing beside one text, as most turns do; None: it says more."""
    if len(turn.parts) != 1 or type(part := turn.parts[0]) is not Text or turn.role not in _ROLES:
        return None
    if part.opaque or not (UNSET is part.cache is part.citations is part.ext):
        return None
    return part.text if UNSET is turn.ext is turn.name is turn.id is turn.status is turn.phase else None


def _thought(thoughts: list[str], details: list[Any]) -> Json:
    """The members of a message that say what the model thought."""
    members: Json = {"reasoning_content": "".join(thoughts)} if thoughts else {}
    return {**members, DETAILS: details} if details else members


def _assistant_message(thought: Json, content: list[Json], refusals: list[str], calls: list[Json]) -> Json:
    message: Json = {"role": "assistant", **thought}
    # Null beside calls is what everybody sends; without calls there must be content.
    message["content"] = string_or_parts(content, _TEXT) if content or not (calls or refusals) else None
    if refusals:
        message["refusal"] = "".join(refusals)
    if calls:
        message["tool_calls"] = calls
    return message


def _listed(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
