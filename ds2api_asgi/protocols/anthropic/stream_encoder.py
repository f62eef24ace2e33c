"""Streams out: universal events to events of this provider; the envelope here, the parts in `stream_blocks`.

It follows https://docs.anthropic.com/en/docs/build-with-claude/streaming (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...framing.sse import write_event
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
from ...universal.response import Stop, Usage
from ..base import Context
from ..fields import ext_losses
from ..scope import Scope
from .errors import stream_error
from .profile import NAME, TARGET
from .response import encode_tier, invent_id
from .stops import encode_stop
from .stream_blocks import SUFFIX, Blocks
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_DELTA_USAGE: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "server_tool_use",
        "output_tokens_details",
    }
)
_PING: Final = write_event(b'{"type":"ping"}', b"ping")
_STOP: Final = write_event(b'{"type":"message_stop"}', b"message_stop")


class StreamEncoder:
    """See `base.StreamEncoder`.

    ``message_delta`` waits for the end, since other providers state usage after the stop.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope: Scope = Scope(TARGET, origin=UNSET, context=context)
        self.losses: list[Loss] = self._scope.losses
        self._out: list[bytes] = []
        self._begun: Start | None = None  # seen, not yet written
        self._live = False  # message_start is written
        self._blocks = Blocks(self._scope, self._out)
        self._usage: Usage | UnsetType = UNSET
        self._first_usage: dict[str, Any] = {}
        self._stop: Stop | UnsetType = UNSET
        self._tier: str | UnsetType = UNSET
        self._extra: dict[str, Any] = {}

    def write(self, events: Iterable[Event]) -> bytes:
        """See `base.StreamEncoder.write`."""
        out = self._out
        blocks = self._blocks
        for event in events:
            if type(event) is Delta and event.key == blocks.hot_key:
                out += (blocks.prefix, json_string(event.text), SUFFIX)
            else:
                self._event(event)
        self._message_start()
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    def _event(self, event: Event) -> None:
        if isinstance(event, (Delta, Set, Close)):
            self._blocks.take(event)
        elif isinstance(event, Open):
            self._message_start()
            self._blocks.open(event)
        elif isinstance(event, UsageEvent):
            self._usage = merge_usage(self._usage, event.usage)
        elif isinstance(event, Start):
            self._scope.home = event.protocol == NAME
            self._begun = event
        elif isinstance(event, StopEvent):
            if event.choice == 0:
                self._stop = event.stop
        elif isinstance(event, Extra):
            self._take_extra(event)
        elif isinstance(event, Ping):
            self._message_start()
            if self._live:
                self._out.append(_PING)
        elif isinstance(event, Error):
            self._message_start()
            self._out.append(stream_error(event.failure))
        elif isinstance(event, End):
            self._end()

    # --- the envelope

    def _message_start(self) -> None:
        start = self._begun
        if start is None:
            return
        self._begun = None
        self._live = True
        scope = self._scope
        self._first_usage = self._counts(first=True)
        message: dict[str, Any] = {
            "id": start.id or invent_id(b"stream", self._context.now),
            "type": "message",
            "role": "assistant",
            "model": self._model(start),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._first_usage,
        }
        self._tier = start.service_tier
        if scope.home:
            if start.service_tier is not UNSET:
                self._first_usage["service_tier"] = start.service_tier
            message.update(start.ext or {})
        else:
            encode_tier(start.service_tier, self._first_usage, scope)
            scope.ext(start.ext, "")
        self._say(b"message_start", {"type": "message_start", "message": message})

    def _model(self, start: Start) -> str:
        if start.model is not UNSET:
            return start.model
        request = self._context.request
        return "" if request is UNSET else request.model or ""

    def _counts(self, *, first: bool) -> dict[str, Any]:
        """Usage as the wire has it; zeros at the start are a form, at the end they are a loss."""
        losses = self._scope.losses
        known = len(losses)
        document = encode_usage(self._usage, self._scope)
        if first:
            del losses[known:]
        for name in ("input_tokens", "output_tokens"):
            document.setdefault(name, 0)
        return document

    def _take_extra(self, event: Extra) -> None:
        if event.choice != 0:
            return
        if self._scope.home:
            self._extra.update(event.ext)
            return
        path = {"response": "", "candidate": "candidates[0]", "turn": "candidates[0].turns[0]"}[event.at]
        known = {loss.path for loss in self.losses}
        self._scope.losses.extend(loss for loss in ext_losses(event.ext, path, NAME) if loss.path not in known)

    def _end(self) -> None:
        self._message_start()
        self._blocks.flush()
        counts = self._counts(first=False)
        usage = {
            name: value
            for name, value in counts.items()
            if name in _DELTA_USAGE or name not in self._first_usage or self._first_usage[name] != value
        }
        if self._stop is UNSET:
            delta: dict[str, Any] = {"stop_reason": None, "stop_sequence": None}
        else:
            delta = encode_stop(self._stop, calls=self._blocks.calls, refused=self._blocks.refused, scope=self._scope)
        if "container" in self._extra:
            delta["container"] = self._extra.pop("container")
        self._say(b"message_delta", {"type": "message_delta", "delta": delta, "usage": usage, **self._extra})
        self._out.append(_STOP)

    def _say(self, name: bytes, document: dict[str, Any]) -> None:
        self._out.append(write_event(dumps(document), name))
