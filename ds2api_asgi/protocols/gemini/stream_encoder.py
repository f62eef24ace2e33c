"""Writing streams: events to frames, each a whole GenerateContentResponse.

What clients rely on: texts come in pieces, calls whole; each frame has a candidate with a part (google-genai takes no
other for a sound answer); the finish reasons and the counts come in the last. So calls wait until they are complete,
and stops until the end. The provider has ``usageMetadata`` in every frame, and clients keep the last that they saw: the
first frame says an empty one where no count is known yet. There are no comments.
It follows https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...universal.content import Media, OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import (
    Close,
    Delta,
    End,
    Error,
    Event,
    Extra,
    Open,
    Ping,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ...universal.failure import Failure
from ...universal.fold import merge_usage
from ...universal.jsontext import JsonText, dumps, json_string
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.response import Usage
from ..base import Context
from ..scope import Scope
from .citations import Ground
from .errors import encode_failure
from .parts import encode_part
from .profile import JSON_ARRAY, NAME, SIGNATURE, TARGET
from .stops import BLOCKED, encode_stop
from .times import rfc3339
from .usage import encode_usage

__all__ = ["Framing", "StreamEncoder", "framing_of"]

Framing = Literal["sse", "json_array"]

_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")
_EMPTY: Final = {"parts": [{"text": ""}], "role": "model"}


def framing_of(context: Context) -> Framing:
    """How the client wants its stream: its dialect says so."""
    request = context.request
    if request is not UNSET and request.origin.protocol == NAME and request.origin.dialect == JSON_ARRAY:
        return "json_array"
    return "sse"


class _Live:
    """An open part: its deltas are a text between two fixed pieces."""

    __slots__ = ("choice", "citations", "head", "opaque", "part", "path", "tail", "told", "waiting")

    def __init__(self, part: Part, choice: int, path: str) -> None:
        self.part = part
        self.choice = choice
        self.path = path
        self.head: bytes | None = None  # None: it comes whole
        self.tail = b""
        self.told: list[str] | None = None  # its text, where that is needed at the end
        self.opaque: list[Opaque] = []
        self.citations: list[Any] = []
        self.waiting = ""  # of a thought from elsewhere: its last piece, for the payload to stand on


class _Choice:
    """What a candidate has shown so far."""

    __slots__ = ("calls", "ground", "members", "parts", "written")

    def __init__(self) -> None:
        self.calls: dict[int, _Live | None] = {}  # by key, in the order in which they began; None: not complete
        self.parts = 0  # of the source
        self.written = 0  # of this stream
        self.members: dict[str, Any] = {}  # what its last frame says
        self.ground = Ground()


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.
        framing: ``"sse"`` or ``"json_array"``; None: as the client's dialect says.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = (
        "_array",
        "_begun",
        "_between",
        "_choices",
        "_context",
        "_envelope",
        "_live",
        "_pending",
        "_scope",
        "_tail",
        "_tier",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context, framing: Framing | None = None) -> None:
        self._context = context
        self._array = (framing or framing_of(context)) == "json_array"
        self._between = b",\n" if self._array else b"data: "
        self._begun = False
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._choices: dict[int, _Choice] = {}
        self._live: dict[int, _Live] = {}
        self._envelope: dict[str, Any] = {}
        self._tail = b""
        self._pending: dict[str, Any] = {}  # members of the envelope that the next frame carries
        self._usage: Usage | UnsetType = UNSET
        self._tier: str | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now."""
        out: list[bytes] = []
        live = self._live
        for event in events:
            if type(event) is Delta:
                part = live.get(event.key)
                text = event.text
                if part is None or not text:
                    continue
                if part.told is not None:
                    part.told.append(text)
                if part.head is None:
                    if isinstance(part.part, Reasoning):
                        self._think(part, text, out)
                    continue
                if self._begun and not self._pending:
                    out.append(part.head)
                    out.append(json_string(text))
                    out.append(part.tail)
                else:
                    self._say(part, text, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Delta():
                pass  # written above
            case Open():
                self._open(event, out)
            case Close(key=key):
                self._close(key, out)
            case Set():
                self._set(event, out)
            case StopEvent():
                self._stop(event)
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event, out)
            case Start():
                self._start(event)
            case Ping():
                pass  # google-genai takes a comment for JSON, and a frame without a word for an unsound answer
            case Error(failure=failure):
                self._error(failure, out)
            case End():
                self._end(out)
            case _:
                assert_never(event)

    # frames

    def _frame(self, document: dict[str, Any], out: list[bytes]) -> None:
        """Write one frame; the members that stand for the whole answer go with it."""
        pending, self._pending = self._pending, {}
        data = dumps({**pending, **document, **self._envelope})
        # Line ends stand between the tokens of arguments only, which are verbatim; a frame is one line.
        if b"\n" in data or b"\r" in data:
            data = data.translate(_ONE_LINE)
        out += (self._lead(), data, b"" if self._array else b"\n\n")

    def _lead(self) -> bytes:
        first, self._begun = not self._begun, True
        return b"[" if self._array and first else self._between

    def _candidate(self, index: int, part: dict[str, Any], out: list[bytes]) -> None:
        """Write a frame with one part of one candidate."""
        self._choices[index].written += 1
        self._frame({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": index}]}, out)

    def _template(self, live: _Live, part: dict[str, Any]) -> None:
        """Prepare the pieces around each text of a part; its text here is NUL."""
        body = {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": live.choice}]}
        head, _, tail = dumps({**body, **self._envelope}).partition(rb'"\u0000"')
        live.head = self._between + head
        live.tail = tail + (b"" if self._array else b"\n\n")

    def _say(self, live: _Live, text: str, out: list[bytes]) -> None:
        """Write a text when there is more to say than its template does."""
        thought = {"thought": True} if isinstance(live.part, Reasoning) else {}
        self._candidate(live.choice, {"text": text, **thought}, out)

    def _think(self, live: _Live, text: str, out: list[bytes]) -> None:
        """Write what was thought so far, but for this piece.

        A payload of another provider's thought comes behind its text, and clients drop parts without any.
        """
        waiting, live.waiting = live.waiting, text
        if waiting:
            self._say(live, waiting, out)

    # events

    def _start(self, start: Start) -> None:
        scope = self._scope
        scope.home = start.protocol == NAME
        envelope: dict[str, Any] = {}
        model = start.model
        if model is UNSET and not scope.home and self._context.request is not UNSET:
            model = self._context.request.model
        if model is not UNSET:
            envelope["modelVersion"] = model
        if start.id is not UNSET:
            envelope["responseId"] = start.id
        if start.created is not UNSET:
            envelope["createTime"] = rfc3339(start.created)
        if scope.home:
            self._tier = start.service_tier
            self._pending.update(start.ext or {})
            if self._tier is not UNSET:
                self._pending["usageMetadata"] = {"serviceTier": self._tier}
        else:
            scope.ext(start.ext, "")
            self._pending["usageMetadata"] = {}
            if start.service_tier is not UNSET:
                scope.lacks("service_tier", Severity.COSMETIC, "service_tier")
        self._envelope = envelope

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        return choice

    def _open(self, event: Open, out: list[bytes]) -> None:
        part, index = event.part, event.choice
        choice = self._choice(index)
        path = f"candidates[{index}].turns[0].parts[{choice.parts}]"
        choice.parts += 1
        live = _Live(part, index, path)
        text = ""
        match part:
            case Text(text=text):
                self._template(live, {"text": "\0"})
                live.told = [text]
            case Refusal(text=text):
                self._template(live, {"text": "\0"})
                self._scope.add(path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no refusals beside texts")
            case Reasoning():
                if self._scope.home:
                    self._template(live, {"text": "\0", "thought": True})
                text = "".join(part.summary) + (part.text or "")
            case ToolCall():
                live.told = [part.arguments.text]
            case Media() | OpaquePart():
                for document in encode_part(part, path, self._scope):
                    self._candidate(index, document, out)
                return
            case _:
                self._scope.drop(path, Severity.SEMANTIC, "a tool of another provider")
                return
        self._live[event.key] = live
        if isinstance(part, ToolCall):
            choice.calls[event.key] = None
            return  # its ``ext`` and payloads are written with it
        self._scope.ext(part.ext, path)
        if text and live.head is None:
            self._think(live, text, out)
        elif text:
            self._say(live, text, out)
        for payload in getattr(part, "opaque", ()):
            self._payload(live, payload, out)

    def _close(self, key: int, out: list[bytes]) -> None:
        live = self._live.pop(key, None)
        if live is None:
            return
        part = live.part
        choice = self._choices[live.choice]
        if isinstance(part, ToolCall):
            choice.calls[key] = live
            self._calls(choice, out)
        elif isinstance(part, Reasoning):
            self._think(live, "", out)
        elif live.citations:
            # A text is one part to a client that puts the pieces together.
            choice.ground.add(live.citations, "".join(live.told or ()), 0, live.path, self._scope)

    def _calls(self, choice: _Choice, out: list[bytes]) -> None:
        """Write the calls that are complete, in the order in which they began."""
        while choice.calls and (live := choice.calls[next(iter(choice.calls))]) is not None:
            del choice.calls[next(iter(choice.calls))]
            part = live.part
            assert isinstance(part, ToolCall)
            text = "".join(live.told or ())
            whole = replace(part, arguments=JsonText(text), opaque=(*part.opaque, *live.opaque))
            for document in encode_part(whole, live.path, self._scope):
                self._candidate(live.choice, document, out)

    def _set(self, event: Set, out: list[bytes]) -> None:
        live = self._live.get(event.key)
        if live is None:
            return
        match event.field:
            case "opaque":
                if isinstance(live.part, ToolCall):
                    live.opaque.append(event.value)
                else:
                    self._payload(live, event.value, out)
            case "summary":
                self._scope.add(live.path, LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no summaries")
                if event.value:
                    self._think(live, event.value, out)
            case "citation":
                if not self._scope.home:
                    live.citations.append(event.value)
            case "ext":
                self._scope.ext(event.value, live.path)
            case _:
                assert_never(event.field)

    def _payload(self, live: _Live, payload: Opaque, out: list[bytes]) -> None:
        if payload.protocol != NAME or payload.kind != SIGNATURE:
            self._scope.opaque((payload,), live.path)
            return
        thought = {"thought": True} if isinstance(live.part, Reasoning) else {}
        text, live.waiting = live.waiting, ""
        self._candidate(live.choice, {"text": text, **thought, "thoughtSignature": payload.value}, out)

    def _stop(self, event: StopEvent) -> None:
        if self._scope.home and BLOCKED in event.stop.form:
            return  # ``promptFeedback`` says it
        document = encode_stop(event.stop, f"candidates[{event.choice}].stop", self._scope)
        self._choice(event.choice).members.update(document)

    def _extra(self, event: Extra, out: list[bytes]) -> None:
        if not self._scope.home:
            ext = event.ext
            path = "" if event.at == "response" else f"candidates[{event.choice}]"
            if event.at == "candidate" and "logprobs" in ext:
                self._scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")
                ext = {key: value for key, value in ext.items() if key != "logprobs"}
            self._scope.ext(ext, f"{path}.turns[0]" if event.at == "turn" else path)
        elif event.at == "response":
            self._pending.update(event.ext)
        elif event.at == "turn":
            self._choice(event.choice)
            self._frame({"candidates": [{"content": {**event.ext, **_EMPTY}, "index": event.choice}]}, out)
        else:
            members = dict(event.ext)
            logprobs = members.pop("logprobs", None)
            if logprobs is not None:
                self._choice(event.choice)
                body = {"content": _EMPTY, "index": event.choice, "logprobsResult": logprobs}
                self._frame({"candidates": [body]}, out)
            self._choice(event.choice).members.update(members)

    def _error(self, failure: Failure, out: list[bytes]) -> None:
        for live in self._live.values():
            self._think(live, "", out)
        # An array that is not whole is not closed: who reads it at once must not take it for an answer.
        out += (self._lead(), dumps(encode_failure(failure)), b"" if self._array else b"\n\n")

    def _end(self, out: list[bytes]) -> None:
        candidates: list[dict[str, Any]] = []
        if not self._scope.home:
            self._choice(0)  # a client takes no answer without a candidate for a sound one
        for index, choice in sorted(self._choices.items()):
            grounding = choice.ground.document()
            if grounding is not None:
                choice.members["groundingMetadata"] = grounding
            if not self._scope.home and "finishReason" not in choice.members:
                choice.members["finishReason"] = "STOP"
                path = f"candidates[{index}].stop"
                self._scope.add(path, LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a finish reason")
            candidates.append({"content": _EMPTY, **choice.members, "index": index})
        document: dict[str, Any] = {"candidates": candidates} if candidates else {}
        if self._usage is not UNSET:
            document["usageMetadata"] = encode_usage(self._usage, self._scope, self._tier)
        self._frame(document, out)
        if self._array:
            out.append(b"]")
