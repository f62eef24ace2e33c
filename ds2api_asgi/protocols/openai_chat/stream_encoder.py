"""Writing streams: events to chunks of ``chat.completion.chunk``; the answer here, its parts in `stream_parts`.

https://platform.openai.com/docs/api-reference/chat/streaming (read 2026-11-23). What clients rely on: the finish reason
has a chunk of its own; usage comes in a last chunk without choices, to clients that asked for it; then ``[DONE]``, but
not after an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_comment, write_event
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
from ...universal.jsontext import dumps, json_string
from ...universal.loss import Loss
from ...universal.node import Origin
from ...universal.response import Response, Usage
from ..base import Context
from ..fields import Json
from ..openai_shared.answers import created_of, model_of
from ..openai_shared.settings import ANSWER_TIERS, tier_of
from ..scope import Scope
from .errors import stream_error
from .profile import NAME, TARGET
from .response import answer_id
from .stops import encode_stop
from .stream_envelope import END, Envelope
from .stream_parts import Parts
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_OBJECT: Final = "chat.completion.chunk"
_DONE: Final = write_event(b"[DONE]")


class StreamEncoder:
    """See `base.StreamEncoder`; the paths of losses are those of the folded answer."""

    __slots__ = ("_context", "_envelope", "_live", "_out", "_parts", "_scope", "_usage", "losses")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._out: list[bytes] = []
        self._envelope = Envelope(self._out)
        self._parts = Parts(context, self._scope, self._envelope, self._out)
        self._live = self._parts.live
        self._usage: Usage | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """See `base.StreamEncoder.write`."""
        out = self._out
        live = self._live
        envelope = self._envelope
        for event in events:
            if type(event) is Delta:
                part = live.get(event.key)
                text = event.text
                if part is None or not text:
                    continue
                part.length += len(text)
                if part.told is not None:
                    part.told.append(text)
                    if part.held:
                        continue
                if envelope.pending:
                    self._parts.flush()
                out.append(part.head)
                out.append(json_string(text))
                out.append(part.tail)
            else:
                self._other(event)
        data = b"".join(out)
        del out[:]
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
                self._out.append(write_comment(b"ping"))
            case Error(failure=failure):
                self._out.append(stream_error(failure))
            case End():
                self._end()
            case _:
                assert_never(event)

    def _start(self, start: Start) -> None:
        scope, context = self._scope, self._context
        scope.home = start.protocol == NAME
        envelope: Json = {"object": _OBJECT}
        if scope.home:
            for name in ("id", "created", "model", "service_tier"):
                if getattr(start, name) is not UNSET:
                    envelope[name] = getattr(start, name)
        else:
            blank = Response(model=start.model, created=start.created, origin=Origin(protocol=start.protocol))
            created, model = created_of(blank, context), model_of(blank, context)
            blank = replace(blank, model=model or UNSET, created=created)
            envelope["id"] = answer_id(blank) if start.id is UNSET else start.id
            envelope["created"] = created
            envelope["model"] = model
            tier = tier_of(start.service_tier, scope, ANSWER_TIERS)
            if tier is not None:
                envelope["service_tier"] = tier
            scope.ext(start.ext, "")
        self._envelope.begin(envelope, (start.ext or {}) if scope.home else {})

    def _stop(self, event: StopEvent) -> None:
        choice = self._parts.begin(event.choice, {"content": ""})
        path = f"candidates[{event.choice}].stop"
        word = encode_stop(event.stop, self._scope, path, calls=choice.calls > 0, refused=choice.refused)
        if word is UNSET:
            return
        if word == "tool_calls" and self._parts.legacy:
            word = "function_call"
        self._envelope.chunk(event.choice, {}, {"finish_reason": word})

    def _extra(self, event: Extra) -> None:
        if not self._scope.home:
            turn = ".turns[0]" if event.at == "turn" else ""
            path = "" if event.at == "response" else f"candidates[{event.choice}]{turn}"
            self._scope.ext(event.ext, path)
        elif event.at == "response":
            old = len(self._envelope.prefix)
            if self._envelope.change(event.ext):
                self._parts.rehead(old)
        elif event.at == "candidate":
            self._parts.begin(event.choice, {"content": ""})
            self._envelope.chunk(event.choice, {}, event.ext)
        else:
            self._parts.begin(event.choice, {"content": ""})
            self._envelope.chunk(event.choice, event.ext)

    def _end(self) -> None:
        request = self._context.request
        asked = request is UNSET or request.origin.protocol != NAME or request.stream_usage is True
        if asked and self._usage is not UNSET:
            usage = encode_usage(self._usage, self._scope)
            self._out += (self._envelope.head(), b'],"usage":', dumps(usage), b"}\n\n")
        elif self._envelope.pending:
            self._out += (self._envelope.head(), END)
        self._out.append(_DONE)
