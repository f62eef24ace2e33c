"""Reading streams: named events, each a JSON object whose ``type`` is its name.

    response.created ─> (queued) ─> in_progress ─> per item: output_item.added ─> parts and deltas ─> output_item.done
    ─> response.completed | response.incomplete | response.failed;  error any time

Items may interleave. https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-23), and what
other servers send: no names (OpenRouter), no numbers of events and items (llama.cpp), ids that change from event to
event (Copilot), ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...framing.sse import SseEvent, SseParser
from ...universal.events import End, Event, Extra, Ping, Start, StopEvent, UsageEvent
from ...universal.jsontext import loads
from ..fields import Json
from ..stream import FrameDecoder
from .errors import decode_event, decode_failed
from .fields import RESPONSE
from .profile import NAME
from .response import decode_envelope
from .settle import COMPLETED
from .stops import decode_stop
from .stream_item import Item
from .usage import decode_usage

__all__ = ["StreamDecoder"]

_DONE: Final = b"[DONE]"
_TEXT: Final = "response.output_text.delta"
_LATE: Final = {field.name: wire for wire, field in RESPONSE.items()}


class StreamDecoder(FrameDecoder[SseEvent]):
    """See `base.StreamDecoder`."""

    def __init__(self) -> None:
        super().__init__(SseParser())
        self._keys = count()
        self._envelope: tuple[dict[str, Any], Json] | None = None
        self._items: dict[int, Item] = {}
        self._ids: dict[str, int] = {}  # places of items by their ids
        self._latest = -1
        self._on: dict[str, Callable[[Json, list[Event]], None]] = {
            "response.created": self._begin,
            "response.queued": self._begin,
            "response.in_progress": self._begin,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.output_text.annotation.added": self._cited,
            "response.refusal.delta": self._refused,
            "response.function_call_arguments.delta": self._argued,
            "response.custom_tool_call_input.delta": self._argued,
            "response.reasoning_text.delta": self._argued,
            "response.reasoning_summary_part.added": self._summary_added,
            "response.reasoning_summary_text.delta": self._summarised,
            "response.output_text.done": self._text_done,
            "response.refusal.done": self._text_done,
            "response.function_call_arguments.done": self._argued_done,
            "response.custom_tool_call_input.done": self._argued_done,
            "response.completed": self._complete,
            "response.incomplete": self._complete,
            "response.failed": self._failed,
            "error": self._error,
            "keepalive": self._ping,
        }

    def _read(self, frames: list[SseEvent], out: list[Event]) -> None:
        for frame in frames:
            if self._over:
                return
            try:
                document = loads(frame.data)
            except InvalidDocument:
                if frame.complete and frame.data.strip() not in (b"", _DONE):
                    self._unreadable(frame.data, out)
                continue
            if type(document) is not dict:
                self._malformed("not an object", out)
                continue
            kind = document.get("type")
            if kind == _TEXT:
                self._text(document, out)
                continue
            if type(kind) is not str:
                kind = "error" if "error" in document else frame.name.decode("latin-1")
            on = self._on.get(kind)
            if on is not None:  # new types of events may be added: unknown ones are to be ignored
                on(document, out)

    def _text(self, event: Json, out: list[Event]) -> None:
        text = event.get("delta")
        if type(text) is not str:
            return
        at = event.get("content_index")
        item = self._item(event, out)
        if item is not None:
            item.say(at if type(at) is int else 0, text, refused=False, out=out)

    def _item(self, event: Json, out: list[Event]) -> Item | None:
        """The item that an event is about; a message that was never added, if it must be one."""
        place = event.get("output_index")
        if type(place) is not int:
            id_ = event.get("item_id")
            place = self._ids.get(id_, self._latest) if type(id_) is str else self._latest
        item = self._items.get(place)
        if item is None and event.get("type") in (_TEXT, "response.refusal.delta", "response.content_part.added"):
            document = {"type": "message", "role": "assistant", "id": event.get("item_id")}
            item = self._add(max(place, 0), document, out)
        return item

    def _add(self, place: int, document: Json, out: list[Event]) -> Item:
        self._begin({}, out)
        if place in self._items:
            self._items[place].close(out)
        item = self._items[place] = Item(place, document, self._keys, out)
        self._latest = place
        id_ = document.get("id")
        if type(id_) is str:
            self._ids[id_] = place
        return item

    def _begin(self, event: Json, out: list[Event]) -> None:
        """The first sign of an answer makes `Start`; later snapshots before its end say nothing new."""
        if self._envelope is not None:
            return
        response = event.get("response")
        self._envelope = values, ext = decode_envelope(response if type(response) is dict else {})
        if "object" in ext:
            del ext["object"]
        out.append(Start(protocol=NAME, ext=ext or UNSET, **values))

    def _item_added(self, event: Json, out: list[Event]) -> None:
        item, place = event.get("item"), event.get("output_index")
        if type(item) is dict:
            self._add(place if type(place) is int else self._latest + 1, item, out)

    def _item_done(self, event: Json, out: list[Event]) -> None:
        document, place = event.get("item"), event.get("output_index")
        if type(document) is not dict:
            return
        if type(place) is not int:
            place = self._ids.get(str(document.get("id")), self._latest)
            if place < 0:
                place = 0
        item = self._items.get(place) or self._add(place, document, out)
        item.finish(document, out)

    def _part_added(self, event: Json, out: list[Event]) -> None:
        item = self._item(event, out)
        if item is not None:
            item.begin(_number(event, "content_index"), event.get("part"), out)

    def _cited(self, event: Json, out: list[Event]) -> None:
        item = self._item(event, out)
        if item is not None:
            item.cite(_number(event, "content_index"), event.get("annotation"), out)

    def _refused(self, event: Json, out: list[Event]) -> None:
        item, text = self._item(event, out), event.get("delta")
        if item is not None and type(text) is str:
            item.say(_number(event, "content_index"), text, refused=True, out=out)

    def _argued(self, event: Json, out: list[Event]) -> None:
        item, text = self._item(event, out), event.get("delta")
        if item is not None and type(text) is str:
            item.say(0, text, refused=False, out=out)

    def _summary_added(self, event: Json, out: list[Event]) -> None:
        item, part = self._item(event, out), event.get("part")
        text = part.get("text") if type(part) is dict else ""
        if item is not None:
            item.summary(_number(event, "summary_index"), text if type(text) is str else "", out)

    def _summarised(self, event: Json, out: list[Event]) -> None:
        item, text = self._item(event, out), event.get("delta")
        if item is not None and type(text) is str:
            item.summary(_number(event, "summary_index"), text, out)

    def _text_done(self, event: Json, out: list[Event]) -> None:
        item, text = self._item(event, out), event.get("text", event.get("refusal"))
        if item is not None and type(text) is str:
            item.told(_number(event, "content_index"), text, out)

    def _argued_done(self, event: Json, out: list[Event]) -> None:
        item, text = self._item(event, out), event.get("arguments", event.get("input"))
        if item is not None and type(text) is str:
            item.told(0, text, out)

    def _complete(self, event: Json, out: list[Event]) -> None:
        response = event.get("response")
        if type(response) is not dict:
            response = {}
        self._begin(event, out)
        output = response.get("output")
        for place, document in enumerate(output if type(output) is list else ()):
            item = self._items.get(place)
            if item is None and type(document) is dict:
                item = self._add(place, document, out)
            if item is not None:
                item.finish(document, out)
        for item in self._items.values():
            item.close(out)
        self._news(response, out)
        self._over = True
        out.append(End())

    def _news(self, response: Json, out: list[Event]) -> None:
        """What the last snapshot says beside the output: what changed, what it cost, and how it ended."""
        assert self._envelope is not None
        before, ext_before = self._envelope
        values, ext = decode_envelope(response)
        ext.pop("object", None)
        calls = any(item.calls for item in self._items.values())
        said = response if type(response.get("status")) is str else {**response, "status": COMPLETED}
        stop = decode_stop(said, ext, calls=calls)
        news = {key: value for key, value in ext.items() if ext_before.get(key, UNSET) != value}
        for name, value in values.items():
            if name in _LATE and before.get(name) != value:
                news[_LATE[name]] = value
        if news:
            out.append(Extra(news))
        usage = response.get("usage")
        if type(usage) is dict:
            out.append(UsageEvent(decode_usage(usage)))
        out.append(StopEvent(stop))

    def _failed(self, event: Json, out: list[Event]) -> None:
        self._fail(decode_failed(event), out)

    def _error(self, event: Json, out: list[Event]) -> None:
        self._fail(decode_event(event), out)

    def _ping(self, _: Json, out: list[Event]) -> None:
        out.append(Ping())


def _number(event: Json, name: str) -> int:
    value = event.get(name)
    return value if type(value) is int else 0
