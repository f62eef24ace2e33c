"""`Summary`: what a trace says, without its steps: one flat document for logs and tables."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..asgi.trace import Trace

__all__ = ["Summary", "summary_of"]


class Summary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in one line; what is not known, or was not, is None or 0.

    Attributes:
        id: Of the request; likewise what `asgi.trace.Trace` has.
        protocol: The client's.
        operation: What was asked for.
        model: What was asked.
        caller: The client key's alias.
        status: What the client saw.
        end: How it ended.
        why: Why it failed.
        took: Seconds.
        overhead: Of them, seconds that were neither a provider's nor the client's nor a wait on purpose.
        first: Seconds until the first content of a stream.
        upstream: Which upstream answered, or was called last.
        upstream_model: What it was asked for.
        provider: Whose it is.
        upstream_status: What it said.
        pool: The pool whose key was used last.
        key: That key's alias.
        input: Tokens of the request, over all its answers; likewise the others.
        output: Tokens of the answer.
        cached: Of the input, what a cache knew.
        reasoning: Of the output, what was thought.
        audio_input: Of the input, what was heard.
        audio_output: Of the output, what was spoken.
        audio_cached: Of the cached, what was heard.
        cost: US dollars.
        attempts: Calls of upstreams; where nobody watches them, attempts of a retry or failover.
        retries: Attempts after the first of a retry or failover.
        queued: Seconds in queues of pools.
        losses: What translations lost.
        code: The code that a websocket was closed with.
        received: Messages of a websocket's client.
        sent: Messages to it.
    """

    id: str
    protocol: str | None = None
    operation: str | None = None
    model: str | None = None
    caller: str | None = None
    status: int = 0
    end: str = ""
    why: str | None = None
    took: float = 0.0
    overhead: float | None = None
    first: float | None = None
    upstream: str | None = None
    upstream_model: str | None = None
    provider: str | None = None
    upstream_status: int | None = None
    pool: str | None = None
    key: str | None = None
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    audio_cached: int | None = None
    cost: float | None = None
    attempts: int = 0
    retries: int = 0
    queued: float | None = None
    losses: int = 0
    code: int | None = None
    received: int = 0
    sent: int = 0


_TOKENS = ("input", "output", "cached", "reasoning", "audio_input", "audio_output", "audio_cached")


def summary_of(trace: Trace) -> Summary:
    """Sum a trace up; never raises, whatever its steps are, for they may have been read from a file.

    Of a trace that left steps out (`Trace.omitted`), sums are of those that are there.
    """
    told: dict[str, Any] = {}
    called = retries = attempted = losses = 0
    for step in trace.steps:
        members = step.members
        match step.what:
            case "Called":
                called += 1
                if members.get("end", "complete") != "cancelled" or "upstream" not in told:
                    told["upstream"] = _text(members.get("upstream"))
                    told["upstream_model"] = _text(members.get("model"))
                    told["provider"] = _text(members.get("provider"))
                    told["upstream_status"] = _count(members.get("status", 0))
            case "KeyLeased":
                told["pool"], told["key"] = _text(members.get("pool")), _text(members.get("key"))
            case "Used":
                for kind in _TOKENS:
                    told[kind] = told.get(kind, 0) + _count(members.get(kind, 0))
            case "Attempted":
                attempted += 1
                retries += _count(members.get("number", 1)) > 1
            case "Queued":
                told["queued"] = told.get("queued", 0.0) + _seconds(members.get("seconds"))
            case "Lost":
                losses += _count(members.get("count", 0))
            case "Closed":
                told["code"] = _count(members.get("code", 0))
            case _:
                pass
    return Summary(
        id=trace.id,
        protocol=trace.protocol,
        operation=trace.operation,
        model=trace.model,
        caller=trace.caller,
        status=trace.status,
        end=trace.end,
        why=trace.why,
        took=trace.took,
        overhead=trace.overhead,
        first=trace.first,
        cost=trace.cost,
        attempts=called or attempted,
        retries=retries,
        losses=losses,
        received=trace.received,
        sent=trace.sent,
        **told,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
