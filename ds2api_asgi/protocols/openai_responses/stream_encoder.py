"""Writing streams: every event named and numbered; the answer here, its parts in `stream_parts`.

https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-23). Clients count on this: items and
parts are announced before their deltas, the ``done`` events and the last snapshot repeat what the deltas added up to,
and the last snapshot is all that some look at. So the whole answer is kept until its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_comment
from ...universal.events import Close, Delta, End, Error, Event, Extra, Open, Ping, Set, Start, StopEvent, UsageEvent
from ...universal.failure import Failure
from ...universal.fold import merge_usage
from ...universal.jsontext import json_string
from ...universal.loss import Loss
from ...universal.node import Origin
from ...universal.response import Response, Stop, Usage
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .errors import encode_event, encode_failed
from .profile import NAME, TARGET
from .response import answer_id, envelope_of
from .settle import COMPLETED
from .stops import DETAILS, encode_stop
from .stream_events import DELTA, END, Events
from .stream_parts import Parts
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_WIRE: Final = {"id": "id", "model": "model", "created": "created_at", "service_tier": "service_tier"}


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = ("_context", "_envelope", "_events", "_live", "_out", "_parts", "_scope", "_stop", "_usage", "losses")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._out: list[bytes] = []
        self._events = Events(self._out)
        self._parts = Parts(context, self._scope, self._events)
        self._live = self._parts.live
        self._envelope: Json | None = None
        self._stop: Stop | UnsetType = UNSET
        self._usage: Usage | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now."""
        out, live, written = self._out, self._live, self._events
        for event in events:
            if type(event) is Delta and event.channel == "text":
                part = live.get(event.key)
                text = event.text
                if part is None or not text:
                    continue
                part.texts.append(text)
                if part.held:
                    continue
                if not part.head:
                    self._parts.begin_thought(part)
                out += (part.head, b"%d" % written.number, DELTA, json_string(text), END)
                written.number += 1
            else:
                self._other(event)
        data = b"".join(out)
        out.clear()
        return data

    def _other(self, event: Event) -> None:
        match event:
            case Delta(key=key, text=text):
                self._parts.summary(key, text, begin=False)
            case Open():
                self._parts.open(event)
            case Close(key=key):
                self._parts.close(key)
            case Set():
                self._parts.set(event)
            case StopEvent():
                if event.choice == 0:
                    self._stop = event.stop
                    self._parts.leave()
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event)
            case Start():
                self._start(event)
            case Ping():
                self._out.append(write_comment(b"ping"))
            case Error(failure=failure):
                self._error(failure)
            case End():
                self._end()
            case _:
                assert_never(event)

    def _start(self, start: Start) -> None:
        self._scope.home = start.protocol == NAME
        if self._scope.home:
            known = {wire: value for name, wire in _WIRE.items() if (value := getattr(start, name)) is not UNSET}
            self._envelope = {"object": "response", **known, **(start.echo or {}), **(start.ext or {})}
            self._parts.begin(start.id or "", remade=self._context.remade)
        else:
            self._scope.ext(start.ext, "")
            blank = Response(
                id=start.id,
                model=start.model,
                created=start.created,
                service_tier=start.service_tier,
                origin=Origin(protocol=start.protocol),
            )
            id_ = answer_id(replace(blank, created=self._context.now)) if start.id is UNSET else start.id
            self._envelope = envelope_of(blank, self._context, self._scope, id_=id_)
            self._parts.begin(id_, remade=False)
        snapshot = {**self._envelope, "status": "in_progress", "output": [], "usage": None}
        self._events.say("response.created", response=snapshot)
        self._events.say("response.in_progress", response=snapshot)

    def _extra(self, event: Extra) -> None:
        if self._scope.home and event.at == "response" and self._envelope is not None:
            self._envelope.update(event.ext)
        elif event.choice == 0:
            turn = ".turns[0]" if event.at == "turn" else ""
            self._scope.ext(event.ext, "" if event.at == "response" else f"candidates[0]{turn}")

    def _final(self) -> Json:
        assert self._envelope is not None
        usage = None if self._usage is UNSET else encode_usage(self._usage, self._scope)
        return {**self._envelope, "output": self._parts.items(), "usage": usage}

    def _end(self) -> None:
        self._parts.leave()
        document = self._final()
        kept = document.pop(DETAILS, UNSET)
        encode_stop(
            self._stop,
            document,
            self._scope,
            "candidates[0].stop",
            calls=self._parts.calls,
            refused=self._parts.refused,
            kept=kept,
        )
        document.setdefault("status", COMPLETED)
        if kept is not UNSET:
            document.setdefault(DETAILS, kept)
        ending = "incomplete" if document["status"] == "incomplete" else "completed"
        self._events.say(f"response.{ending}", response=document)

    def _error(self, failure: Failure) -> None:
        if self._envelope is None:
            self._out.append(encode_event(failure, self._events.number))
            self._events.number += 1
            return
        self._events.say(
            "response.failed", response={**self._final(), "status": "failed", "error": encode_failed(failure)}
        )
