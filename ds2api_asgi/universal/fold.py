"""What a stream of events adds up to (`fold`), and one stream that adds up to an answer (`unfold`).

``fold(unfold(response)) == response`` for every answer whose candidates have one turn each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from .content import Part, Reasoning, Refusal, ServerCall, Text, ToolCall
from .events import (
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
from .failure import Failure
from .jsontext import JsonText
from .node import Origin
from .request import Turn
from .response import Candidate, Response, Stop, Usage

__all__ = ["fold", "merge_usage", "unfold"]


class _OpenPart:
    """A part that is growing."""

    __slots__ = ("ext", "opaque", "part", "summary", "text", "values")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.text: list[str] = []
        self.summary: list[str] = list(part.summary) if isinstance(part, Reasoning) else []
        self.opaque: list[Any] = []
        self.values: list[Any] = []
        self.ext: dict[str, Any] = {}

    def closed(self) -> Part:
        part = self.part
        changes: dict[str, Any] = {}
        more = "".join(self.text)
        match part:
            case Text() | Refusal():
                if more:
                    changes["text"] = part.text + more
                if self.values and isinstance(part, Text):
                    changes["citations"] = (*(part.citations or ()), *self.values)
            case Reasoning():
                if more or (self.text and part.text is UNSET):
                    changes["text"] = (part.text or "") + more
                if tuple(self.summary) != part.summary:
                    changes["summary"] = tuple(self.summary)
            case ToolCall() | ServerCall():
                if more:
                    changes["arguments"] = JsonText(part.arguments.text + more)
            case _:
                pass
        if self.opaque:
            changes["opaque"] = (*getattr(part, "opaque", ()), *self.opaque)
        if self.ext:
            changes["ext"] = {**(getattr(part, "ext", None) or {}), **self.ext}
        return msgspec.structs.replace(part, **changes) if changes else part


class _Candidate:
    """A candidate that is growing."""

    __slots__ = ("ext", "keys", "stop", "turn_ext")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.stop: Stop | UnsetType = UNSET
        self.ext: dict[str, Any] = {}
        self.turn_ext: dict[str, Any] = {}


def fold(events: Iterable[Event], *, protocol: str) -> Response:
    """Add a stream of events up.

    A stream that failed gives an answer with ``error`` set beside what had come.

    Args:
        events: In a legal order (`lifecycle`).
        protocol: The protocol whose ``ext`` the events carry; becomes the origin.

    Returns:
        The answer.
    """
    start: Start | None = None
    parts: dict[int, _OpenPart] = {}
    candidates: dict[int, _Candidate] = {}
    usage: Usage | UnsetType = UNSET
    error: Failure | UnsetType = UNSET
    ext: dict[str, Any] = {}
    for event in events:
        match event:
            case Start():
                start = event
                ext.update(event.ext or {})
            case Open(key=key, part=part, choice=choice):
                parts[key] = _OpenPart(part)
                candidates.setdefault(choice, _Candidate()).keys.append(key)
            case Delta(key=key, text=text, channel=channel):
                _append(parts[key], text, channel)
            case Set():
                _set(parts[event.key], event)
            case UsageEvent(usage=newer):
                usage = merge_usage(usage, newer)
            case StopEvent(stop=stop, choice=choice):
                candidates.setdefault(choice, _Candidate()).stop = stop
            case Extra():
                _add_extra(event, ext, candidates)
            case Error(failure=failure):
                error = failure
            case Close() | Ping() | End():
                pass
            case _:
                assert_never(event)
    return Response(
        id=start.id if start else UNSET,
        model=start.model if start else UNSET,
        created=start.created if start else UNSET,
        service_tier=start.service_tier if start else UNSET,
        echo=start.echo if start else UNSET,
        candidates=tuple(_closed(index, candidate, parts) for index, candidate in sorted(candidates.items())),
        usage=usage,
        error=error,
        ext=ext or UNSET,
        origin=Origin(protocol=protocol),
    )


def _append(part: _OpenPart, text: str, channel: str) -> None:
    if channel == "text":
        part.text.append(text)
    elif part.summary:
        part.summary[-1] += text
    else:
        part.summary.append(text)


def _set(part: _OpenPart, event: Set) -> None:
    match event.field:
        case "opaque":
            part.opaque.append(event.value)
        case "citation":
            part.values.append(event.value)
        case "summary":
            part.summary.append(event.value)
        case "ext":
            part.ext.update(event.value)
        case _:
            assert_never(event.field)


def _add_extra(event: Extra, ext: dict[str, Any], candidates: dict[int, _Candidate]) -> None:
    if event.at == "response":
        ext.update(event.ext)
        return
    candidate = candidates.setdefault(event.choice, _Candidate())
    _merge_ext(candidate.ext if event.at == "candidate" else candidate.turn_ext, event.ext)


def _merge_ext(into: dict[str, Any], ext: dict[str, Any]) -> None:
    """Later members win; objects merge and lists grow, as accumulating clients have it."""
    for key, value in ext.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged = dict(old)
            _merge_ext(merged, value)
            into[key] = merged
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + value
        else:
            into[key] = value


def _closed(index: int, candidate: _Candidate, parts: dict[int, _OpenPart]) -> Candidate:
    ext = dict(candidate.ext)
    logprobs = ext.pop("logprobs", UNSET)
    turn = Turn(
        role="assistant",
        parts=tuple(parts[key].closed() for key in candidate.keys),
        ext=candidate.turn_ext or UNSET,
    )
    return Candidate(turns=(turn,), stop=candidate.stop, index=index, logprobs=logprobs, ext=ext or UNSET)


def merge_usage(old: Usage | UnsetType, new: Usage) -> Usage:
    """The newer snapshot over the older one, member by member."""
    if old is UNSET:
        return new
    changes = {
        name: getattr(new, name) for name in new.__struct_fields__ if name != "form" and getattr(new, name) is not UNSET
    }
    if old.ext is not UNSET and new.ext is not UNSET:
        changes["ext"] = {**old.ext, **new.ext}
    return msgspec.structs.replace(old, **changes) if changes else old


def unfold(response: Response, *, chunk: int | None = None) -> list[Event]:
    """One stream of events that adds up to an answer.

    Args:
        response: The answer; only the turns' parts are streamed, one part after the other.
        chunk: Code points per delta; None: each text is one delta.

    Returns:
        The events, from `Start` to `End` (or to `Error` when the answer is one).
    """
    events: list[Event] = [
        Start(
            protocol=response.origin.protocol,
            id=response.id,
            model=response.model,
            created=response.created,
            service_tier=response.service_tier,
            echo=response.echo,
            ext=response.ext,
        )
    ]
    key = 0
    for candidate in response.candidates:
        for turn in candidate.turns:
            if turn.ext is not UNSET:
                events.append(Extra(turn.ext, "turn", candidate.index))
            for part in turn.parts:
                events.extend(_unfold_part(key, part, candidate.index, chunk))
                key += 1
        extra = dict(candidate.ext) if candidate.ext is not UNSET else {}
        if candidate.logprobs is not UNSET:
            extra["logprobs"] = candidate.logprobs
        if extra:
            events.append(Extra(extra, "candidate", candidate.index))
        if candidate.stop is not UNSET:
            events.append(StopEvent(candidate.stop, candidate.index))
    if response.usage is not UNSET:
        events.append(UsageEvent(response.usage))
    events.append(End() if response.error is UNSET else Error(response.error))
    return events


def _unfold_part(key: int, part: Part, choice: int, chunk: int | None) -> Iterable[Event]:
    replace = msgspec.structs.replace
    match part:
        case Text():
            cited = part.citations if part.citations is not UNSET else ()
            start = UNSET if part.citations is UNSET else ()
            yield Open(key, replace(part, text="", opaque=(), citations=start), choice)
            yield from _deltas(key, part.text, chunk)
            for citation in cited:
                yield Set(key, "citation", citation)
        case Refusal():
            yield Open(key, replace(part, text=""), choice)
            yield from _deltas(key, part.text, chunk)
        case Reasoning() if part.text is UNSET and not part.summary:
            # Nothing of it comes in pieces: one that is sealed comes whole, as its decoders give it.
            yield Open(key, part, choice)
            yield Close(key)
            return
        case Reasoning():
            yield Open(key, replace(part, text="" if part.text is not UNSET else UNSET, summary=(), opaque=()), choice)
            for summary in part.summary:
                yield Set(key, "summary", summary)
            if part.text is not UNSET:
                yield from _deltas(key, part.text, chunk)
        case ToolCall():
            yield Open(key, replace(part, arguments=JsonText(""), opaque=()), choice)
            yield from _deltas(key, part.arguments.text, chunk)
        case _:
            yield Open(key, part, choice)
    if not isinstance(part, ServerCall):
        for opaque in getattr(part, "opaque", ()):
            yield Set(key, "opaque", opaque)
    yield Close(key)


def _deltas(key: int, text: str, chunk: int | None) -> Iterable[Event]:
    if not text:
        return
    if chunk is None:
        yield Delta(key, text)
        return
    for start in range(0, len(text), chunk):
        yield Delta(key, text[start : start + chunk])
