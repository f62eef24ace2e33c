"""Writing streams: events to frames, each a whole GenerateContentResponse; parts of answers: `stream_parts`.

What clients rely on: texts come in pieces, calls whole; each frame has a candidate with a part (google-genai takes no
other for a sound answer); the finish reasons and the counts come in the last. So calls wait until they are complete,
and stops until the end. The provider has ``usageMetadata`` in every frame, and clients keep the last that they saw: the
first frame says an empty one where no count is known yet. There are no comments.
It follows https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from msgspec import UNSET, UnsetType

from ...universal.content import Reasoning
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
from ...universal.fold import merge_usage
from ...universal.jsontext import json_string
from ...universal.loss import Loss, LossKind, Severity
from ...universal.response import Usage
from ..base import Context
from ..scope import Scope
from .errors import encode_failure
from .profile import NAME, TARGET
from .stops import BLOCKED, encode_stop
from .stream_frames import FrameWriter, Framing, framing_of
from .stream_parts import Parts
from .times import rfc3339
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_EMPTY: Final = {"parts": [{"text": ""}], "role": "model"}


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.
        framing: ``"sse"`` or ``"json_array"``; None: as the client's dialect says.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = ("_context", "_frames", "_live", "_out", "_parts", "_scope", "_tier", "_usage", "losses")

    def __init__(self, context: Context, framing: Framing | None = None) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._out: list[bytes] = []
        self._frames = FrameWriter(framing or framing_of(context), self._out)
        self._parts = Parts(self._scope, self._frames)
        self._live = self._parts.live
        self._usage: Usage | UnsetType = UNSET
        self._tier: str | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now."""
        out, live, frames = self._out, self._live, self._frames
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
                        self._parts.think(part, text)
                    continue
                if frames.begun and not frames.pending:
                    out.append(part.head)
                    out.append(json_string(text))
                    out.append(part.tail)
                else:
                    self._parts.say(part, text)
            else:
                self._other(event)
        data = b"".join(out)
        out.clear()
        return data

    def _other(self, event: Event) -> None:
        match event:
            case Delta():
                pass  # written above
            case Open():
                self._parts.open(event)
            case Close(key=key):
                self._parts.close(key)
            case Set():
                self._parts.set(event)
            case StopEvent():
                self._stop(event)
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event)
            case Start():
                self._start(event)
            case Ping():
                pass  # google-genai takes a comment for JSON, and a frame without a word for an unsound answer
            case Error(failure=failure):
                self._parts.cut()
                self._frames.bare(encode_failure(failure))
            case End():
                self._end()
            case _:
                assert_never(event)

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
            self._frames.pending.update(start.ext or {})
            if self._tier is not UNSET:
                self._frames.pending["usageMetadata"] = {"serviceTier": self._tier}
        else:
            scope.ext(start.ext, "")
            self._frames.pending["usageMetadata"] = {}
            if start.service_tier is not UNSET:
                scope.lacks("service_tier", Severity.COSMETIC, "service_tier")
        self._frames.envelope = envelope

    def _stop(self, event: StopEvent) -> None:
        if self._scope.home and BLOCKED in event.stop.form:
            return  # ``promptFeedback`` says it
        document = encode_stop(event.stop, f"candidates[{event.choice}].stop", self._scope)
        self._parts.choice(event.choice).members.update(document)

    def _extra(self, event: Extra) -> None:
        if not self._scope.home:
            ext = event.ext
            path = "" if event.at == "response" else f"candidates[{event.choice}]"
            if event.at == "candidate" and "logprobs" in ext:
                self._scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")
                ext = {key: value for key, value in ext.items() if key != "logprobs"}
            self._scope.ext(ext, f"{path}.turns[0]" if event.at == "turn" else path)
        elif event.at == "response":
            self._frames.pending.update(event.ext)
        elif event.at == "turn":
            self._parts.choice(event.choice)
            self._frames.frame({"candidates": [{"content": {**event.ext, **_EMPTY}, "index": event.choice}]})
        else:
            members = dict(event.ext)
            logprobs = members.pop("logprobs", None)
            if logprobs is not None:
                self._parts.choice(event.choice)
                body = {"content": _EMPTY, "index": event.choice, "logprobsResult": logprobs}
                self._frames.frame({"candidates": [body]})
            self._parts.choice(event.choice).members.update(members)

    def _end(self) -> None:
        candidates: list[dict[str, Any]] = []
        if not self._scope.home:
            self._parts.choice(0)  # a client takes no answer without a candidate for a sound one
        for index, choice in sorted(self._parts.choices.items()):
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
        self._frames.frame(document)
        self._frames.end()
