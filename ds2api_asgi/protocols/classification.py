"""What a failed answer means, as a function and as data: `classify`, and every row that it goes by.

Each protocol has its own rows; those of Amazon Bedrock stand before all of them, those of failures without an answer
beside them. A `rule` is a row of the user's own, which comes before the built-in ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, assert_never, get_args

from msgspec import UNSET, Struct

from ..errors import ConfigurationError
from ..universal.failure import Failure, FailureKind, Fault, KeyAction, RequestFault, RetryScope, Row, Verdict
from ..universal.unanswered import UNANSWERED, unanswered
from . import bedrock_rows, registry
from .base import Protocol
from .verdict import judged, rule_for

__all__ = ["Action", "Listed", "classify", "rows", "rule"]

Action = Literal["stop", "same", "other-key", "other-route", "cool-key", "exhaust-key", "disable-key", "block-model"]

_ACTIONS: dict[Action, tuple[Fault, RetryScope, KeyAction]] = {
    "stop": (Fault.REQUEST, RetryScope.NONE, KeyAction.NONE),
    "same": (Fault.PROVIDER, RetryScope.SAME, KeyAction.NONE),
    "other-key": (Fault.KEY, RetryScope.KEY, KeyAction.NONE),
    "other-route": (Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE),
    "cool-key": (Fault.RATE, RetryScope.KEY, KeyAction.COOL),
    "exhaust-key": (Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST),
    "disable-key": (Fault.KEY, RetryScope.KEY, KeyAction.DISABLE),
    "block-model": (Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL),
}

Phase = Literal["answer", "stream", "unanswered"]


class Listed(Struct, frozen=True):
    """A row and where it is valid.

    Attributes:
        protocol: A protocol's name, or ``""`` for failures that have no answer.
        row: The row; `Verdict.row` is ``id``.
    """

    protocol: str
    row: Row

    @property
    def id(self) -> str:
        """What the fact of a verdict calls it (``"openai-chat.429.slow_down"``)."""
        return f"{self.protocol}.{self.row.id}" if self.protocol else self.row.id


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    protocol: Protocol | str,
    dialect: str = "",
    rules: Sequence[Row] = (),
    phase: Phase = "answer",
    now: float | None = None,
) -> Verdict:
    """Tell what follows from a failure: whose fault it was, where to try again, what happens to the key.

        classify(429, {"retry-after": "20"}, b'{"error": {"message": "Slow down", "code": "slow_down"}}',
                 protocol="openai-chat")
        # Verdict(row="openai-chat.429.slow_down", fault="rate", retry="key", key="cool", hint=20.0, …)

    Args:
        status: The HTTP status; no matter in the other phases.
        headers: The answer's, names in any case; a repeated header's values joined with ``", "``.
        body: The answer's body, or a beginning of it; garbage is judged by the status.
        protocol: What the upstream speaks, a name or a protocol.
        dialect: The upstream's dialect. Answers are read whoever sent them: it is only checked.
        rules: Rows of your own, which come first; see `rule`.
        phase: ``"answer"``; ``"stream"`` for the document of an error inside a stream that began with success
            (``b'{"error": {…}}'``); ``"unanswered"`` for a failure without an answer, whose row is the body
            (``b"network.connect"``).
        now: Unix time, to read dates; None: the clock's.

    Returns:
        The verdict; never raises for what an upstream sent.

    Raises:
        ConfigurationError: No such protocol or phase, or the protocol has no such dialect.
    """
    codec = registry.get(protocol) if isinstance(protocol, str) else protocol
    if phase not in get_args(Phase):
        raise ConfigurationError(f"phase is one of {', '.join(get_args(Phase))}")
    if dialect not in codec.dialects:
        raise ConfigurationError(f"{codec.name} has no dialect {dialect!r}")
    if phase == "unanswered":
        name = body.decode("utf-8", "replace")
        own = rule_for(Failure(kind=FailureKind.BAD_GATEWAY, message="", code=name), rules)
        if own is not None:
            return Verdict(
                row=f"rule.{own.id}", fault=own.fault, retry=own.retry, key=own.key, reason=own.reason, hint=own.wait
            )
        return unanswered(name)
    named = {name.lower(): value for name, value in headers.items()}
    moment = time.time() if now is None else now
    if phase == "stream":
        return judged(codec, codec.decode_error(UNSET, named, body), named, now=moment, rules=rules)
    if phase == "answer":
        return judged(codec, codec.decode_error(status, named, body), named, now=moment, rules=rules)
    assert_never(phase)


def rule(
    id: str,  # noqa: A002 - the member's name
    then: Action,
    *,
    status: int | Iterable[int] = (),
    code: str | int | Iterable[str | int] = (),
    message: str | re.Pattern[str] | None = None,
    wait: float | None = None,
    reason: RequestFault | None = None,
) -> Row:
    """A row of your own, for `KeyPool`, `Retry`, `Failover` and `classify`.

        KeyPool(app, protocol="openai-chat", keys=KEYS,
                rules=[rule("plan", "exhaust-key", status=403, message="upgrade your plan", wait=3600)])

    Args:
        id: Its name; verdicts call it ``rule.ID``.
        then: What to do: ``"stop"``; ask the ``"same"`` upstream again, the ``"other-key"`` or ``"other-route"``; or
            take another key and ``"cool-key"``, ``"exhaust-key"``, ``"disable-key"`` or ``"block-model"`` this one.
        status: The statuses that it is about; none: all.
        code: The error's code or type, as the provider says it; none: all.
        message: Words that must stand in the message, letter case aside, or a pattern.
        wait: Seconds that a key rests, or a repeat waits, where the upstream says nothing of it.
        reason: See `Verdict`.

    Returns:
        The row.

    Raises:
        ConfigurationError: It matches everything, its action or reason is unknown, a status is no number, a pattern
            is for bytes, or the wait is not a number of 0 or more.
    """
    if then not in _ACTIONS:
        raise ConfigurationError(f"unknown action {then!r} of rule {id!r}; known: {', '.join(_ACTIONS)}")
    statuses = (status,) if isinstance(status, int) else tuple(status)
    if not all(type(one) is int for one in statuses):
        raise ConfigurationError(f"rule {id!r} has a status that is no number")
    if isinstance(message, re.Pattern) and not isinstance(message.pattern, str):
        raise ConfigurationError(f"rule {id!r} has a pattern for bytes")
    if reason is not None and reason not in get_args(RequestFault):
        raise ConfigurationError(
            f"unknown reason {reason!r} of rule {id!r}; known: {', '.join(get_args(RequestFault))}"
        )
    codes = (code,) if isinstance(code, (str, int)) else tuple(code)
    if not statuses and not codes and not message:
        raise ConfigurationError(f"rule {id!r} has no condition: it would match every failure")
    if wait is not None and not 0 <= wait < float("inf"):
        raise ConfigurationError(f"rule {id!r} has a wait of {wait!r} seconds")
    pattern = re.compile(re.escape(message), re.IGNORECASE) if isinstance(message, str) and message else message or None
    fault, retry, key = _ACTIONS[then]
    return Row(
        id=id,
        fault=fault,
        retry=retry,
        key=key,
        reason=reason,
        wait=wait,
        status=statuses,
        word=codes,
        message=None if isinstance(pattern, str) else pattern,
    )


def rows() -> tuple[Listed, ...]:
    """Every built-in row in the order in which each protocol tries them; Bedrock's once for each protocol."""
    found = [Listed("", row) for row in UNANSWERED]
    for name in registry.names():
        table: Sequence[Row] = getattr(registry.get(name), "rows", ())
        found += [Listed(name, row) for row in (*bedrock_rows.ROWS, *table)]
    return tuple(found)
