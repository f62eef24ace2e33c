"""What went wrong (`Failure`), and what follows from it (`Verdict`).

A failure is data, the same for every protocol: each protocol's ``errors.py`` reads its wire spelling into a
`Failure` and writes one back. A verdict is what key pools, retries and breakers act on: whose fault it was, where
trying again makes sense, what should happen to the key. Verdicts come from rows (`Row`), one per documented case,
that each protocol lists with the page it follows; `judge` finds the first row that matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal, TypeAlias, assert_never

from msgspec import UNSET, Struct, UnsetType

__all__ = [
    "Failure",
    "FailureKind",
    "Fault",
    "KeyAction",
    "RequestFault",
    "RetryScope",
    "Row",
    "Verdict",
    "judge",
    "kind_of_status",
    "verdict_by_row",
]

RequestFault: TypeAlias = Literal["context-window", "content-policy"]
"""Faults of a request that another model may not see as ones: what a failover can be told to fall back on."""


class FailureKind(StrEnum):
    """The kinds of failure that every protocol can spell (protocols differ in status and type strings)."""

    INVALID = "invalid"  # 400, 422: the request is wrong
    AUTH = "auth"  # 401
    BILLING = "billing"  # 402, or a quota that money would lift
    PERMISSION = "permission"  # 403
    NOT_FOUND = "not_found"  # 404
    METHOD = "method"  # 405
    CONFLICT = "conflict"  # 409
    TOO_LARGE = "too_large"  # 413
    RATE = "rate"  # 429
    CLIENT_CLOSED = "client_closed"  # 499
    SERVER = "server"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502: the upstream could not be reached or talked nonsense
    OVERLOADED = "overloaded"  # 503, 529
    TIMEOUT = "timeout"  # 504
    TRUNCATED = "truncated"  # a stream that ended before its terminal event


class Failure(Struct, frozen=True, kw_only=True):
    """An error of an API, without its protocol's spelling.

    Attributes:
        kind: What it is.
        status: The HTTP status it came with, or UNSET when it came inside a stream or from ourselves.
        message: The words for a person.
        type: The protocol's own type string (``"rate_limit_error"``), if it had one.
        code: The protocol's own code (``"insufficient_quota"``; some vendors send numbers).
        param: The parameter it is about (``"messages[0].content"``).
        retry_after: Seconds to wait that the upstream asked for.
        request_id: The upstream's id of the request.
        details: Further members of the error object that have no place above, verbatim.
        ext: Further members beside the error object, verbatim.
        protocol: Whose spelling ``type``, ``code``, ``details`` and ``ext`` are; UNSET for failures of our own.
    """

    kind: FailureKind
    message: str
    status: int | UnsetType = UNSET
    type: str | UnsetType = UNSET
    code: Any = UNSET
    param: Any = UNSET
    retry_after: float | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    details: dict[str, Any] | UnsetType = UNSET
    ext: dict[str, Any] | UnsetType = UNSET
    protocol: str | UnsetType = UNSET


def kind_of_status(status: int) -> FailureKind:
    """Tell what an HTTP error status means when the body says nothing better.

    Args:
        status: An HTTP status of 400 or above; an unknown 4xx is the request's fault, an unknown 5xx the server's.

    Returns:
        The kind.
    """
    known = _KIND_OF_STATUS.get(status)
    if known is not None:
        return known
    return FailureKind.SERVER if status >= 500 else FailureKind.INVALID


_KIND_OF_STATUS = {
    401: FailureKind.AUTH,
    402: FailureKind.BILLING,
    403: FailureKind.PERMISSION,
    404: FailureKind.NOT_FOUND,
    405: FailureKind.METHOD,
    408: FailureKind.TIMEOUT,
    409: FailureKind.CONFLICT,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.RATE,
    499: FailureKind.CLIENT_CLOSED,
    502: FailureKind.BAD_GATEWAY,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}


class Fault(StrEnum):
    """Whose fault a failure was."""

    REQUEST = "request"  # the request itself: no key and no upstream will do better
    KEY = "key"  # this key is refused
    RATE = "rate"  # this key (or its organisation) is over a rate
    QUOTA = "quota"  # this key's money or quota is used up
    MODEL = "model"  # the provider cannot serve this model now
    PROVIDER = "provider"  # the provider as a whole is in trouble
    NETWORK = "network"  # nobody was reached
    CLIENT = "client"  # the client went away
    SELF = "self"  # our own bounds: queue full, pool empty, deadline


class RetryScope(StrEnum):
    """Where trying again makes sense."""

    NONE = "none"
    SAME = "same"  # the same upstream, after a pause
    KEY = "key"  # another key, at once
    ROUTE = "route"  # another upstream


class KeyAction(StrEnum):
    """What happens to the key that was used."""

    NONE = "none"
    COOL = "cool"  # rest until the hint
    EXHAUST = "exhaust"  # out of quota until reset
    DISABLE = "disable"  # refused: off until an operator or a long re-probe says otherwise
    BLOCK_MODEL = "block_model"  # this key may not use this model


class Verdict(Struct, frozen=True, kw_only=True):
    """What follows from one failure.

    Attributes:
        row: The id of the row that matched (``"openai-chat.429.insufficient_quota"``).
        fault: Whose fault it was.
        retry: Where trying again makes sense.
        key: What happens to the key.
        hint: Seconds to wait that the upstream asked for, or None.
        hint_source: Where the hint stood (``"retry-after-ms"``), or None.
        until: Unix time at which a quota comes back, or None when it is not known.
        same_key: Whether the same key may be asked again (``x-should-retry: false`` forbids it).
        reason: Why the request was refused, where another model might take it: it is too long for this model's
            window, or against this provider's policy; None for all else.
    """

    row: str
    fault: Fault
    retry: RetryScope
    key: KeyAction = KeyAction.NONE
    hint: float | None = None
    hint_source: str | None = None
    until: float | None = None
    same_key: bool = True
    reason: RequestFault | None = None


class Row(Struct, frozen=True, kw_only=True):
    """One documented case of a provider's failure; UNSET members match anything.

    Attributes:
        id: The row's name after its protocol (``"429.insufficient_quota"``).
        fault: Whose fault it is.
        retry: Where trying again makes sense.
        key: What happens to the key.
        reason: See `Verdict`.
        wait: Seconds to wait where the upstream states none; None: as the part that reads the verdict does it.
        status: Statuses it is about, 0 for an error inside a stream that states none; empty: any.
        type: The error's type strings.
        code: The error's codes.
        word: What must be its type or its code, for words that vendors put in either place.
        message: A pattern searched in the message: only for cases that a provider tells by words alone.
        detail: (name, value) that must stand in the error's details.
        source: The page it follows: the provider's, its SDK's, or a report with the wire in it; ``""`` for rules of
            our own, which no provider states.
        read: The day on which that page was read (``"2026-11-28"``), or ``"unchecked"``: the row is from knowledge,
            and that page is where it should stand.
    """

    id: str
    fault: Fault
    retry: RetryScope
    key: KeyAction = KeyAction.NONE
    reason: RequestFault | None = None
    wait: float | None = None
    status: tuple[int, ...] = ()
    type: tuple[str, ...] = ()
    code: tuple[str | int, ...] = ()
    word: tuple[str | int, ...] = ()
    message: re.Pattern[str] | None = None
    detail: tuple[str, str] | None = None
    source: str = ""
    read: str = ""

    @property
    def explicit(self) -> bool:
        """Whether it goes by the error's own code, type or details, and not by its status or its words."""
        return bool(self.type or self.code or self.word or self.detail)

    def matches(self, failure: Failure) -> bool:
        """Tell whether this row is about this failure."""
        if self.status and (0 if failure.status is UNSET else failure.status) not in self.status:
            return False
        if self.word and failure.type not in self.word and failure.code not in self.word:
            return False
        if self.type and failure.type not in self.type:
            return False
        if self.code and failure.code not in self.code:
            return False
        if self.message is not None and not self.message.search(failure.message):
            return False
        if self.detail is not None:
            name, value = self.detail
            return isinstance(failure.details, dict) and _lookup(failure.details, name) == value
        return True


def _lookup(details: dict[str, Any], path: str) -> Any:
    value: Any = details
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def judge(rows: Iterable[Row], failure: Failure, *, protocol: str) -> Verdict:
    """Find what follows from a failure: the first row that matches, else what its kind says.

    Args:
        rows: The protocol's rows, most specific first.
        failure: What went wrong; its ``retry_after`` becomes the hint.
        protocol: The name that the row's id gets in front.

    Returns:
        The verdict; never raises.
    """
    row = next((row for row in rows if row.matches(failure)), None)
    if row is not None:
        return verdict_by_row(row, failure, protocol=protocol)
    fault, retry, key = _consequence(failure.kind)
    named = Row(id=f"kind.{failure.kind.value}", fault=fault, retry=retry, key=key)
    return verdict_by_row(named, failure, protocol=protocol)


def verdict_by_row(row: Row, failure: Failure, *, protocol: str) -> Verdict:
    """What a row says of a failure; the arguments are those of `judge`."""
    hint, source = row.wait, None if row.wait is None else "row"
    if failure.retry_after is not UNSET:
        hint, source = failure.retry_after, "retry-after"
    return Verdict(
        row=f"{protocol}.{row.id}",
        fault=row.fault,
        retry=row.retry,
        key=row.key,
        hint=hint,
        hint_source=source,
        reason=row.reason,
    )


def _consequence(kind: FailureKind) -> tuple[Fault, RetryScope, KeyAction]:
    match kind:
        case FailureKind.INVALID | FailureKind.METHOD | FailureKind.TOO_LARGE:
            return Fault.REQUEST, RetryScope.NONE, KeyAction.NONE
        case FailureKind.AUTH:
            return Fault.KEY, RetryScope.KEY, KeyAction.DISABLE
        case FailureKind.BILLING:
            return Fault.QUOTA, RetryScope.KEY, KeyAction.EXHAUST
        case FailureKind.PERMISSION | FailureKind.NOT_FOUND:
            return Fault.KEY, RetryScope.KEY, KeyAction.BLOCK_MODEL
        case FailureKind.CONFLICT:
            return Fault.REQUEST, RetryScope.SAME, KeyAction.NONE
        case FailureKind.RATE:
            return Fault.RATE, RetryScope.KEY, KeyAction.COOL
        case FailureKind.CLIENT_CLOSED:
            return Fault.CLIENT, RetryScope.NONE, KeyAction.NONE
        case FailureKind.SERVER | FailureKind.TIMEOUT | FailureKind.TRUNCATED:
            return Fault.MODEL, RetryScope.SAME, KeyAction.NONE
        case FailureKind.OVERLOADED:
            return Fault.MODEL, RetryScope.ROUTE, KeyAction.NONE
        case FailureKind.BAD_GATEWAY:
            return Fault.PROVIDER, RetryScope.SAME, KeyAction.NONE
        case _:
            assert_never(kind)
