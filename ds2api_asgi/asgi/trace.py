"""The decision trace of a request: its journal, as a document of one line.

Every fact becomes a `Step`: when it was noted, its name, and its members. Facts that are unknown here are printed from
their members alike, so that a new part needs no place in this module. What a request or an answer says never gets in:
facts have none of it, and of strings only so much is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from .exchange import Exchange
from .facts import Asked, Broke, Caller, Closed, Committed, Judged, PoolEmpty, Stopped, TurnedAway

__all__ = [
    "MAX_STEPS",
    "MAX_TEXT",
    "Step",
    "Trace",
    "decode_trace",
    "encode_trace",
    "plain",
    "printable",
    "trace_of",
    "why_of",
]

MAX_STEPS: Final = 256
"""Facts that a trace keeps: the first ones and the last ones of a request that noted more."""

MAX_TEXT: Final = 200
"""Characters of a string that a trace keeps."""

_MAX_ITEMS: Final = 32
_MAX_DEPTH: Final = 4
# Controls, line ends, surrogates, and what turns the direction of a line or is not seen in it.
_UNPRINTABLE: Final = re.compile(
    r"[^\x20-\x7e\u00a0-\u00ac\u00ae-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\U0010ffff]"
)


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact.

    Attributes:
        at: Seconds since the request began.
        what: The fact's name (``"Judged"``).
        members: Its members that are not what they are by default.
    """

    at: float
    what: str
    members: dict[str, Any] = field(default_factory=dict)


class Trace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a request, and why.

    Attributes:
        id: Of the request.
        when: Unix time of its beginning.
        took: Seconds until its end.
        status: What the client saw; 0: nothing.
        end: ``"complete"``, ``"failed"`` (an error answer), ``"cut"`` (a stream that ended with an error, or broke
            off), ``"gone"`` (the client left), ``"raised"``, ``"cancelled"`` (from outside, as servers do when they
            shut down).
        why: Why nothing more was tried, or None where nothing failed.
        protocol: The client's.
        operation: What was asked for (``"generate"``).
        model: What was asked.
        caller: The client key's alias.
        first: Seconds until the first content of a stream; None: there was none, or it was no stream.
        overhead: Seconds that were neither a provider's nor the client's nor a wait on purpose; None: nobody knows.
        cost: US dollars; None: nobody asked, or nobody knows.
        received: Messages of a websocket's client.
        sent: Messages to it.
        steps: The facts, oldest first.
        omitted: How many facts in the middle were left out.
    """

    id: str
    when: float
    took: float
    status: int = 0
    end: str = "complete"
    why: str | None = None
    protocol: str | None = None
    operation: str | None = None
    model: str | None = None
    caller: str | None = None
    first: float | None = None
    overhead: float | None = None
    cost: float | None = None
    received: int = 0
    sent: int = 0
    steps: tuple[Step, ...] = ()
    omitted: int = 0

    @property
    def failed(self) -> bool:
        """Whether the client did not get what it asked for."""
        return self.end != "complete"


def trace_of(
    exchange: Exchange,
    *,
    id: str = "",  # noqa: A002 - the member's name
    when: float = 0.0,
    took: float | None = None,
    status: int = 0,
    end: str = "complete",
    model: str | None = None,
    first: float | None = None,
    overhead: float | None = None,
    cost: float | None = None,
    received: int = 0,
    sent: int = 0,
) -> Trace:
    """Write a journal down.

    Args:
        exchange: The request's.
        id: See `Trace`; likewise the others.
        when: Unix time of its beginning.
        took: Seconds; None: until now.
        status: What the client saw.
        end: How it ended.
        model: What was asked, where the journal does not say it.
        first: Seconds.
        overhead: Seconds.
        cost: US dollars.
        received: Messages.
        sent: Messages.

    Returns:
        The trace; never raises, whatever the facts are.
    """
    timed = list(exchange.timed())
    omitted = max(0, len(timed) - MAX_STEPS)
    if omitted:
        timed = [*timed[: MAX_STEPS // 2], *timed[-(MAX_STEPS - MAX_STEPS // 2) :]]
    asked, caller = exchange.last(Asked), exchange.last(Caller)
    model = model or (None if asked is None else asked.model)
    return Trace(
        id=id,
        when=round(when, 3),
        took=round(exchange.clock() - exchange.started if took is None else took, 6),
        status=status,
        end=end,
        why=why_of(exchange, end),
        protocol=None if asked is None else asked.protocol,
        operation=None if asked is None else asked.operation,
        model=None if model is None else _text(model),
        caller=None if caller is None else _text(caller.name),
        first=_rounded(first),
        overhead=_rounded(overhead),
        cost=_rounded(cost, 9),
        received=received,
        sent=sent,
        steps=tuple([_step(at, fact) for at, fact in timed if not isinstance(fact, (Asked, Caller))]),
        omitted=omitted,
    )


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)


def why_of(exchange: Exchange, end: str) -> str | None:
    """The reason of the end, from the last decisive fact; None where nothing failed.

    Args:
        exchange: The request's.
        end: See `Trace`.
    """
    if end == "complete":
        return None
    if end == "gone":
        return "the client left"
    if end == "cancelled":
        return "it was cancelled from outside, as when a server shuts down"
    stopped: Stopped | None = None
    for fact in reversed(list(exchange)):
        match fact:
            case TurnedAway():
                return f"turned away at the door: {fact.code or fact.status}"
            case Stopped():
                stopped = stopped or fact  # the outermost part has the last word; what failed stands before it
            case Broke():
                return f"the answer broke off: {fact.reason}"
            case PoolEmpty():
                return f"no key of pool {fact.pool!r} was usable: {fact.reason}"
            case Judged():
                reason = stopped.reason if stopped is not None else ""
                if reason in ("request", "final") or fact.verdict.retry.value == "none":
                    return f"{fact.verdict.row}: {_STOPS['final']}"
                return f"{fact.verdict.row}, and {_STOPS.get(reason, reason) or 'nobody tried again'}"
            case Closed():
                return f"the {fact.by} closed the websocket with code {fact.code}"
            case Committed():
                return "the answer ended with an error after it had begun"
            case _:
                pass
    return "no part said why" if stopped is None else _STOPS.get(stopped.reason, stopped.reason)


_STOPS: Final = {
    "request": "trying again makes no sense",
    "final": "trying again makes no sense",
    "attempts": "all attempts were made",
    "keys": "as many keys were tried as may be",
    "calls": "no upstream call was left",
    "deadline": "there was no time left",
    "wait": "the wait that it asks for is over the cap",
    "empty": "there was no other key",
    "breaker": "the breaker was open",
    "budget": "too much was repeated already",
    "pace": "there was too little time for a first word",
    "pinned": "it must not be asked again",
    "drain": "the server was shutting down",
    "plan": "the plan gave up",
}
"""Why a part gave up: the reasons of the fact `Stopped`."""


def _step(at: float, fact: object) -> Step:
    return Step(at=round(at, 6), what=type(fact).__name__, members=_members(fact, 0))


def _members(struct: object, depth: int) -> dict[str, Any]:
    names = getattr(struct, "__struct_fields__", None)
    if names is None:
        return {}  # not one of our facts: who knows what its text holds
    defaults = getattr(struct, "__struct_defaults__", ())
    by_default = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    found = {}
    for name in names:
        value = getattr(struct, name)
        default = by_default.get(name, _NO_DEFAULT)
        if not (type(value) is type(default) and value == default):
            found[name] = plain(value, depth + 1)
    return found


_NO_DEFAULT: Final = object()


def plain(value: Any, depth: int = 1) -> Any:
    """A value as JSON has it: bounded, without what a line of a log cannot hold; of what is no data, its type's name.

    Args:
        value: Any.
        depth: How deep it stands already; four levels are told.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)[:MAX_TEXT]
    if isinstance(value, float):
        return round(value, 6) if value - value == 0 else None
    if isinstance(value, str):
        return _text(value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Struct):
        return _members(value, depth)
    if isinstance(value, Mapping):
        return {_text(str(key)): plain(one, depth + 1) for key, one in list(value.items())[:_MAX_ITEMS]}
    if isinstance(value, (tuple, list, frozenset, set)):
        return [plain(one, depth + 1) for one in list(value)[:_MAX_ITEMS]]
    return type(value).__name__


def _text(text: str) -> str:
    short = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return printable(short)


def printable(text: str) -> str:
    """A text without what would end a line or speak to a terminal."""
    return _UNPRINTABLE.sub("�", text)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Trace)


def encode_trace(trace: Trace) -> str:
    """One line of JSON."""
    return _encoder.encode(trace).decode()


def decode_trace(line: str | bytes) -> Trace | None:
    """The trace in a line of JSON; None when it is none."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
