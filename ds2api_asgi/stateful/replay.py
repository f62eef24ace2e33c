"""A stream for a response whose own events were not kept: what might have been streamed, made of the whole.

https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-28). Each text comes in one delta;
items, parts and texts are written as they stand in the response. The numbers are those of this stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..errors import InvalidDocument
from ..framing.sse import write_event
from ..universal import jsontext
from .members import NULL, elements, joined, members, value

__all__ = ["error_event", "events_of", "numbered", "sse", "type_of"]

_Event = dict[str, bytes]

_ENDINGS: Final[dict[Any, str | None]] = {
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    "cancelled": None,
}
_BEGINNING: Final = {
    "status": b'"in_progress"',
    "error": NULL,
    "incomplete_details": NULL,
    "completed_at": NULL,
    "output": b"[]",
    "usage": NULL,
}
_EMPTY: Final = b'""'
# Kinds of items with one text: their member, and the prefix of their events.
_CALLS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
# Kinds of parts with one text, for messages and thoughts.
_PARTS: Final = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}


def events_of(document: bytes) -> list[bytes]:
    """The data of the events of a stream that ends in this response.

    Args:
        document: A response object that has come to its end. One that was cancelled has no last event, since the API
            knows none.
    """
    found = members(document)
    begin = joined({**found, **_BEGINNING})
    events = [_event("response.created", response=begin), _event("response.in_progress", response=begin)]
    for index, item in enumerate(elements(found.get("output", b"[]"))):
        events += _item(item, b"%d" % index)
    status = value(found.get("status", NULL))
    ending = _ENDINGS.get(status, "response.completed") if type(status) is str else "response.completed"
    if ending is not None:
        events.append(_event(ending, response=document))
    return [numbered(event, number) for number, event in enumerate(events)]


def _event(type_: str, **found: bytes) -> _Event:
    return {"type": jsontext.json_string(type_), **found}


def _item(item: bytes, index: bytes) -> Iterator[_Event]:
    try:
        found = members(item)
        kind = value(found.get("type", NULL))
        blank, middle = _unfolded(found, kind if type(kind) is str else "", index)
    except InvalidDocument:  # not as the API has it: shown as it is
        blank, middle = item, []
    yield _event("response.output_item.added", output_index=index, item=blank)
    yield from middle
    yield _event("response.output_item.done", output_index=index, item=item)


def _unfolded(found: _Event, kind: str, index: bytes) -> tuple[bytes, list[_Event]]:
    """An item before it has content, and the events that give it its content."""
    place = {"item_id": found.get("id", _EMPTY), "output_index": index}
    status = {"status": b'"in_progress"'} if "status" in found else {}
    if kind in _CALLS:
        name, prefix = _CALLS[kind]
        blank = {**found, **status, name: _EMPTY}
        text = found.get(name, _EMPTY)
        return joined(blank), [
            _event(f"{prefix}.delta", **place, delta=text),
            _event(f"{prefix}.done", **place, **{name: text}),
        ]
    middle: list[_Event] = []
    blank = {**found, **status}
    if kind == "reasoning":
        blank["summary"] = b"[]"
        for at, part in enumerate(elements(found.get("summary", b"[]"))):
            middle += _part(part, {**place, "summary_index": b"%d" % at}, "response.reasoning_summary_part")
    if kind in ("message", "reasoning") and found.get("content", NULL) != NULL:
        blank["content"] = b"[]"
        for at, part in enumerate(elements(found["content"])):
            middle += _part(part, {**place, "content_index": b"%d" % at}, "response.content_part")
    return joined(blank), middle


def _part(part: bytes, place: _Event, about: str) -> list[_Event]:
    found = members(part)
    kind = value(found.get("type", NULL))
    name = _PARTS.get(kind) if type(kind) is str else None
    if name is None:
        return [_event(f"{about}.added", **place, part=part), _event(f"{about}.done", **place, part=part)]
    text = found.get(name, _EMPTY)
    prefix = "response.reasoning_summary_text" if kind == "summary_text" else f"response.{kind}"
    logprobs = {"logprobs": found.get("logprobs", b"[]")} if kind == "output_text" else {}
    annotations = elements(found["annotations"]) if found.get("annotations", NULL) != NULL else []
    blank = {**found, name: _EMPTY, **({"annotations": b"[]"} if "annotations" in found else {})}
    told = [
        _event(f"{prefix}.delta", **place, delta=text, **logprobs),
        *(
            _event(f"{prefix}.annotation.added", **place, annotation_index=b"%d" % at, annotation=annotation)
            for at, annotation in enumerate(annotations)
        ),
        _event(f"{prefix}.done", **place, **{name: text}, **logprobs),
    ]
    if kind == "reasoning_text":  # the API announces no parts of these
        return told
    return [_event(f"{about}.added", **place, part=joined(blank)), *told, _event(f"{about}.done", **place, part=part)]


def numbered(event: _Event, number: int) -> bytes:
    """The data of an event with this number, counted from 0."""
    rest = {key: text for key, text in event.items() if key not in ("type", "sequence_number")}
    return joined({"type": event["type"], "sequence_number": b"%d" % number, **rest})


def sse(data: bytes, type_: str) -> bytes:
    """An event on the wire, named as its type."""
    name = type_.encode("utf-8", "replace")
    return write_event(data, b"" if b"\n" in name or b"\r" in name else name)


def type_of(event: bytes) -> str:
    """The type of an event of ours."""
    return str(value(members(event)["type"]))


def error_event(error: dict[str, Any], number: int) -> bytes:
    """An ``error`` event on the wire.

    Args:
        error: ``{"message", "type", "param", "code"}``.
        number: Its ``sequence_number``.
    """
    event = {
        "type": "error",
        "sequence_number": number,
        "code": error.get("code") or error.get("type"),
        "message": error.get("message"),
        "param": error.get("param"),
    }
    return write_event(jsontext.dumps(event), b"error")
