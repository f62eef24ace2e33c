"""The facts that parts tell each other through the exchange; frozen, and never a secret among them."""

from __future__ import annotations

from msgspec import Struct

from ..protocols.metering import Used
from ..universal.failure import Verdict

__all__ = [
    "AccountGroup",
    "Asked",
    "Attempted",
    "BreakerClosed",
    "BreakerOpened",
    "Broke",
    "Called",
    "Caller",
    "Closed",
    "Committed",
    "HedgeLost",
    "Hedged",
    "Judged",
    "KeptAlive",
    "KeyLeased",
    "Lost",
    "PoolEmpty",
    "Queued",
    "Queueing",
    "Skipped",
    "Stopped",
    "TurnedAway",
    "Unreachable",
    "Used",
]


class AccountGroup(Struct, frozen=True, kw_only=True, gc=False):
    """A part near the upstream says whose account answers: opaque payloads are bound to it.

    Attributes:
        group: Any name of the organisation or project (``"org-blue"``), never a key.
    """

    group: str


class Asked(Struct, frozen=True, kw_only=True, gc=False):
    """A part at the door says what is asked for.

    Attributes:
        protocol: The client's protocol.
        operation: What it asks for (``"generate"``).
        model: The model, where the path names it; a body is not read for this fact.
    """

    protocol: str
    operation: str
    model: str | None = None


class Caller(Struct, frozen=True, kw_only=True, gc=False):
    """A part at the door says who asks.

    Attributes:
        name: The client key's alias, never the key.
        share: The caller's share of what is free, compared with other callers'.
    """

    name: str
    share: float = 1.0


class TurnedAway(Struct, frozen=True, kw_only=True):
    """A part at the door let a request in no further.

    Attributes:
        status: The HTTP status that it was answered.
        code: Why, in one word (``"gateway_rate_limit_exceeded"``); ``""`` where the status says it all.
        caller: The client key's alias; ``""``: nobody's key was shown.
    """

    status: int
    code: str = ""
    caller: str = ""


class Attempted(Struct, frozen=True, kw_only=True, gc=False):
    """A retry or failover part began an attempt.

    Attributes:
        number: 1 for the first attempt.
        target: Index of the app that was tried.
        after: Seconds that were waited before it.
        elsewhere: Whether another app follows when this one gives up, so that parts within need not insist.
    """

    number: int
    target: int = 0
    after: float = 0.0
    elsewhere: bool = False


class Skipped(Struct, frozen=True, kw_only=True, gc=False):
    """A retry or failover part did not make an attempt that its plan wanted.

    Attributes:
        target: Index of the app that was not tried.
        reason: ``"breaker"`` (it is open), ``"budget"`` (too much of what it gets are repeats), or ``"pace"`` (it takes
            longer to its first content than there is time).
        retry_after: Seconds until the breaker lets a request pass, else None.
    """

    target: int
    reason: str
    retry_after: float | None = None


class Stopped(Struct, frozen=True, kw_only=True, gc=False):
    """A retry or failover part gave up; noted only when a request ends in failure.

    Attributes:
        by: The part (``"retry"``, ``"failover"``).
        reason: ``"request"`` (it is the request's own fault), ``"final"`` (trying again helps nobody), ``"attempts"``,
            ``"keys"``, ``"calls"``, ``"deadline"``, ``"wait"`` (over the cap), ``"empty"`` (no key left to draw),
            ``"breaker"``, ``"budget"``, ``"pace"``, ``"pinned"`` (only one app may have it, or it may have been done
            already), ``"drain"``, or ``"plan"`` (a plan of one's own ended).
        attempts: How many attempts it had made.
    """

    by: str
    reason: str
    attempts: int


class BreakerOpened(Struct, frozen=True, kw_only=True, gc=False):
    """This request's outcome was the last straw: its target is left alone for a while.

    Attributes:
        target: Index of the app.
        model: The model that it is left alone with; None: any.
        seconds: For how long.
    """

    target: int
    model: str | None
    seconds: float


class BreakerClosed(Struct, frozen=True, kw_only=True, gc=False):
    """This request showed that a target is back.

    Attributes:
        target: Index of the app.
        model: The model that it serves again; None: any.
    """

    target: int
    model: str | None


class KeyLeased(Struct, frozen=True, kw_only=True, gc=False):
    """A pool gave a key to this attempt.

    Attributes:
        pool: The pool's name.
        key: The key's alias, never the key.
    """

    pool: str
    key: str


class PoolEmpty(Struct, frozen=True, kw_only=True):
    """A pool had no usable key and answered by itself.

    Attributes:
        pool: The pool's name.
        reason: ``"tried"`` (all usable keys failed in this exchange), ``"busy"``, ``"limited"`` (configured limits are
            reached), ``"cooling"``, ``"exhausted"``, ``"blocked"`` or ``"disabled"``: the least bad of all keys'
            reasons.
        retry_after: Seconds until the first key is usable again, or None when none will be by itself.
        waited: Whether the request waited in the pool's queue, in vain, so that nobody needs to wait once more.
    """

    pool: str
    reason: str
    retry_after: float | None = None
    waited: bool = False


class Queued(Struct, frozen=True, kw_only=True, gc=False):
    """A request waited in a pool's queue; noted when that was over, with a key or without.

    Attributes:
        pool: The pool's name.
        seconds: How long it waited.
        position: How many waited already when it came.
    """

    pool: str
    seconds: float
    position: int


class Queueing(Struct, frozen=True, kw_only=True, gc=False):
    """A pool has no key to give now and lets a request wait for one, if that makes sense; until then nobody is asked.

    Attributes:
        pool: The pool's name.
    """

    pool: str


class Judged(Struct, frozen=True, kw_only=True):
    """A failed answer was classified.

    Attributes:
        by: The part that did (``"pool"``, ``"retry"``).
        status: The HTTP status, or 0 for an error inside a stream and for transport failures.
        verdict: What follows.
        pool: The pool whose key was used, where the part knows it.
        key: The alias of the key that was used, where the part knows it.
    """

    by: str
    status: int
    verdict: Verdict
    pool: str | None = None
    key: str | None = None


class Unreachable(Struct, frozen=True, kw_only=True):
    """An upstream was not reached, or did not answer; the answer that followed is our own.

    Attributes:
        reason: As in `ds2api_asgi.errors.TransportError`.
        processed: Whether the upstream may have begun to work on the request.
    """

    reason: str
    processed: bool


class Broke(Struct, frozen=True, kw_only=True):
    """A response broke off after it had started.

    Attributes:
        reason: As in `ds2api_asgi.errors.BrokenStream`.
    """

    reason: str


class Called(Struct, frozen=True, kw_only=True, gc=False):
    """A call of an upstream is over; noted by what watches it.

    Attributes:
        upstream: What it is called.
        model: The model that it was asked for; None: unknown.
        provider: Whose it is, as OpenTelemetry calls it; None: nobody said.
        status: What it answered; 101: it accepted a websocket; 0: nothing, or nobody was reached.
        first: Seconds until the first bytes of its answer's body; None: none came.
        took: Seconds until the end.
        end: ``"complete"``, ``"failed"`` (an error answer), ``"cut"`` (it broke off), ``"raised"`` or ``"cancelled"``
            (nobody wanted it any more).
    """

    upstream: str
    model: str | None = None
    provider: str | None = None
    status: int = 0
    first: float | None = None
    took: float = 0.0
    end: str = "complete"


class Closed(Struct, frozen=True, kw_only=True, gc=False):
    """A websocket that had been accepted is closed.

    Attributes:
        by: ``"client"`` or ``"upstream"``: who closed it first.
        code: The code of its close; 1005: none was given, 1006: the connection was lost.
    """

    by: str
    code: int


class Committed(Struct, frozen=True, kw_only=True, gc=False):
    """A held response was let through to the client: from here on nothing can be retried.

    Attributes:
        status: Its HTTP status.
        held: Seconds since the exchange began.
    """

    status: int
    held: float


class Hedged(Struct, frozen=True, kw_only=True, gc=False):
    """A second attempt began beside the first, which is slow.

    Attributes:
        target: Index of the app that is tried.
        after: Seconds after the first attempt's start.
    """

    target: int
    after: float


class HedgeLost(Struct, frozen=True, kw_only=True, gc=False):
    """One of two attempts was cut off because the other had content first; its tokens are paid for.

    Attributes:
        second: Whether it was the second one.
    """

    second: bool


class KeptAlive(Struct, frozen=True, kw_only=True, gc=False):
    """The next message to the client says nothing; it is sent so that the connection is kept.

    Attributes:
        begins: Whether the stream begins with it: from here on a failure cannot be a status any more.
    """

    begins: bool


class Lost(Struct, frozen=True, kw_only=True):
    """A translation lost something.

    Attributes:
        count: How many losses.
        paths: Where, at most 32 of them.
    """

    count: int
    paths: tuple[str, ...]
