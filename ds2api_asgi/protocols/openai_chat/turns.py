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

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.ids import CallIds
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ...universal.templates import ERROR_PREFIX, TOOL_MEDIA
from .calls import encode_call
from .marks import Json, encode_cache
from .messages import decode_message, encode_message
from .parts import encode_part
from .profile import CALL_ID, NAME, Dialect, tool_name
from .report import Report

__all__ = ["ToolNames", "decode_turns", "encode_turns"]


def decode_turns(messages: Any) -> tuple[Turn, ...]:
    """The messages of a request to turns.

    Raises:
        InvalidDocument: Not a list, or a message with a member of the wrong type.
    """
    if type(messages) is not list:
        raise InvalidDocument("messages", "must be an array")
    return tuple(decode_message(message, f"messages[{index}]", strict=True) for index, message in enumerate(messages))


def encode_turns(request: Request, report: Report, dialect: Dialect, names: ToolNames) -> tuple[list[Json], CallIds]:
    """Turns to the messages of a request.

    Args:
        request: Whose turns.
        report: Takes the losses.
        dialect: What the upstream accepts beside the standard.
        names: Takes the tool names that had to change.

    Returns:
        The messages, and the call ids that had to change.
    """
    if report.home:
        messages = [encode_message(turn, f"turns[{index}]", report) for index, turn in enumerate(request.turns)]
        return messages, CallIds(CALL_ID)
    writer = _Writer(report, dialect, names)
    for index, turn in enumerate(request.turns):
        writer.turn(turn, f"turns[{index}]")
    writer.flush()
    return writer.messages, writer.ids


class ToolNames:
    """Tool names in the protocol's alphabet.

    Attributes:
        back: This protocol's spelling to the source's, for names that had to change.
    """

    __slots__ = ("_report", "back")

    def __init__(self, report: Report) -> None:
        self._report = report
        self.back: dict[str, str] = {}

    def encode(self, name: str, path: str) -> str:
        """The name as this protocol accepts it; a change is reported."""
        if self._report.home:
            return name
        target = tool_name(name)
        if target != name:
            self.back[target] = name
            self._report.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"not a tool name of {NAME}")
        return target


class _Writer:
    """Writes the messages of a conversation of another protocol, one turn after the other.

    Attributes:
        messages: What was written.
        ids: The call ids.
    """

    __slots__ = ("_dialect", "_media", "_names", "_report", "_step", "ids", "messages")

    def __init__(self, report: Report, dialect: Dialect, names: ToolNames) -> None:
        self.messages: list[Json] = []
        self.ids = CallIds(CALL_ID)
        self._report = report
        self._dialect = dialect
        self._names = names
        self._step = 0  # where the next tool message of the current step belongs
        self._media: list[Json] = []  # what the step's tools returned beside text

    def turn(self, turn: Turn, path: str) -> None:
        """Write one turn."""
        report = self._report
        report.ext(turn, path)
        for name in ("id", "status", "phase"):
            if getattr(turn, name) is not UNSET:
                report.dropped(f"{path}.{name}", Severity.COSMETIC, f"{name} of a turn")
        rest: list[tuple[str, Part]] = []
        for index, part in enumerate(turn.parts):
            at = f"{path}.parts[{index}]"
            if isinstance(part, ToolResult):
                if rest:
                    report.add(at, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
                self._result(part, at)
            else:
                rest.append((at, part))
        if len(rest) == len(turn.parts) or rest:
            self.flush()
            if turn.role == "assistant":
                self._assistant(turn, rest, path)
            else:
                self._other(turn, rest, path)

    def flush(self) -> None:
        """Write the media of the step that has ended."""
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
            self._media = []

    def _result(self, result: ToolResult, path: str) -> None:
        report = self._report
        report.ext(result, path)
        call_id = self.ids.result(None if result.call_id is UNSET else result.call_id)
        if result.call_id is not UNSET and call_id != result.call_id:
            self._id_changed(f"{path}.call_id")
        if result.name is not UNSET:
            report.dropped(f"{path}.name", Severity.COSMETIC, "name on a tool result")
        content = self._result_content(result, path, call_id)
        message: Json = {"role": "tool", "tool_call_id": call_id, "content": content}
        encode_cache(result.cache, message, path, report)
        if self._step != len(self.messages):
            report.add(path, LossKind.RELOCATED, Severity.DEGRADED, "tool results directly follow their calls")
        self.messages.insert(self._step, message)
        self._step += 1

    def _result_content(self, result: ToolResult, path: str, call_id: str) -> str | list[Json]:
        report = self._report
        content: list[Json] = []
        media: list[Json] = []
        if not result.parts:
            report.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        for index, part in enumerate(result.parts or ()):
            at = f"{path}.parts[{index}]"
            document = encode_part(part, at, report)
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
                report.add(at, kind, Severity.DEGRADED, reason, target=target, template=TOOL_MEDIA[0])
            media.append(document)
        if media:
            self._media += [{"type": "text", "text": TOOL_MEDIA[1].format(id=call_id)}, *media]
        if result.is_error is not UNSET:
            if result.is_error:
                content = _prefixed(ERROR_PREFIX[1], content)
                # The words stand in the content, so all of the result differs.
                report.add(
                    path,
                    LossKind.TEXTUALISED,
                    Severity.DEGRADED,
                    f"{NAME} has no error flag on tool results",
                    template=ERROR_PREFIX[0],
                )
            else:
                report.dropped(f"{path}.is_error", Severity.COSMETIC, "error flag on tool results")
        return _content(content)

    def _id_changed(self, path: str) -> None:
        self._report.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"not a call id of {NAME}, or used before")

    def _other(self, turn: Turn, rest: list[tuple[str, Part]], path: str) -> None:
        report = self._report
        content: list[Json] = []
        for at, part in rest:
            if turn.role != "user" and not isinstance(part, (Text, OpaquePart)):
                report.dropped(at, Severity.SEMANTIC, f"place for this in a {turn.role} message")
                continue
            document = encode_part(part, at, report)
            if document is not None:
                content.append(document)
        if not rest:
            report.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        self._append(turn, {"role": turn.role, "content": _content(content)})

    def _append(self, turn: Turn, message: Json) -> None:
        if turn.name is not UNSET:
            message["name"] = turn.name
        self.messages.append(message)

    def _assistant(self, turn: Turn, rest: list[tuple[str, Part]], path: str) -> None:
        report = self._report
        thoughts: list[str] = []
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
                    self._reasoning(part, at, thoughts)
                case Text():
                    document = encode_part(part, at, report)
                    if document is not None:
                        content.append(document)
                case Refusal():
                    report.ext(part, at)
                    refusals.append(part.text)
                case ToolCall():
                    calls.append(self._call(part, at))
                case OpaquePart(protocol=protocol):
                    report.dropped(at, Severity.SEMANTIC, f"place for this part of {protocol}")
                case _:
                    report.dropped(at, Severity.SEMANTIC, "place for this in an assistant message")
        if not ordered:
            report.add(f"{path}.parts", LossKind.RELOCATED, Severity.DEGRADED, f"{NAME} keeps kinds of parts apart")
        if len(thoughts) > 1 or len(refusals) > 1:
            report.add(f"{path}.parts", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has one text for each kind")
        message: Json = {"role": "assistant"}
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
        # Null beside calls is what everybody sends; without calls there must be content.
        message["content"] = _content(content) if content or not (calls or refusals) else None
        if refusals:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = calls
        if not content and not calls and not refusals and not thoughts:
            report.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        self._append(turn, message)
        self._step = len(self.messages)

    def _reasoning(self, part: Reasoning, path: str, thoughts: list[str]) -> None:
        report = self._report
        if part.text is UNSET and not part.summary:
            report.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
            return
        if not self._dialect.reasoning:
            report.dropped(path, Severity.DEGRADED, "reasoning in messages")
            return
        report.ext(part, path)
        report.opaque(part.opaque, path)
        if part.summary:
            report.add(f"{path}.summary", LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries")
        thoughts.append("".join(part.summary) if part.text is UNSET else part.text)

    def _call(self, call: ToolCall, path: str) -> Json:
        report = self._report
        report.ext(call, path)
        report.opaque(call.opaque, path)
        encode_cache(call.cache, {}, path, report)
        for name in ("namespace", "caller"):
            if getattr(call, name) is not UNSET:
                report.dropped(f"{path}.{name}", Severity.DEGRADED, f"{name} of a call")
        id_ = self.ids.call(None if call.id is UNSET else call.id, call.name)
        if id_ != call.id:
            self._id_changed(f"{path}.id")
        return encode_call(call, id_, self._names.encode(call.name, f"{path}.name"), home=False)


_RANKS: dict[type, int] = {Reasoning: 0, Refusal: 2, ToolCall: 3}
"""The order that a message keeps its kinds of parts in; content is 1."""


def _content(content: list[Json]) -> str | list[Json]:
    """A lone text is a string: it says the same, and some servers take nothing else."""
    if not content:
        return ""
    if len(content) == 1 and content[0]["type"] == "text" and len(content[0]) == 2:
        return str(content[0]["text"])
    return content


def _prefixed(prefix: str, content: list[Json]) -> list[Json]:
    if len(content) == 1 and content[0]["type"] == "text" and len(content[0]) == 2:
        return [{"type": "text", "text": prefix + content[0]["text"]}]
    return [{"type": "text", "text": prefix}, *content]
