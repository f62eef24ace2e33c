"""The one engine that runs plans over apps: `Retry` and `Failover` are this, with a plan each.

It claims the request for a protocol, reads its body once, and then lets the plan decide while `attempt.Attempt` does
the work. What no plan may exceed is held here, together with all engines around and beneath:

- the deadline and the call budget of the exchange, set by the outermost engine; a nested one adds its own bounds to
  its own attempts but never lowers those of its neighbours;
- an attempt that asks an upstream costs one call. Where the app is a retry itself, the inner one has charged its calls
  already and the plan is told their number, so that three times three attempts are three.

Requests that are not a protocol's, or that do more than ask for an answer, pass untouched and are never repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.claims import Claims
from ..asgi.exchange import Exchange, enter
from ..asgi.facts import Attempted
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Claim, Operation, Protocol
from ..universal.failure import Failure, FailureKind
from .answer import error_answer
from .attempt import Attempt, Lost
from .line import ClientLine
from .plan import Answered, Outcome, Plan, RetryPolicy, Try, preference
from .timeouts import RequestClock, Timeouts, Watchdog

__all__ = ["REPEATABLE", "Engine", "PlanFactory", "Terms"]

PlanFactory = Callable[[bool], Plan]
"""Makes the plan of one request; told whether something else follows when it gives up."""

REPEATABLE = frozenset(
    {
        Operation.GENERATE,
        Operation.COUNT_TOKENS,
        Operation.LIST_MODELS,
        Operation.GET_MODEL,
        Operation.EMBED,
    }
)
"""Operations that may be asked twice: asking costs tokens at worst, and changes nothing."""

_BODILESS = frozenset({"GET", "HEAD"})
_ANSWERED = Answered()


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every request of an engine.

    Attributes:
        policy: Its deadline and its call budget are enforced here.
        timeouts: For each attempt.
        clock: Monotonic seconds.
        wall: Unix time, to read the dates that providers send.
        max_body: Bytes of a request's body.
    """

    policy: RetryPolicy
    timeouts: Timeouts
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    max_body: int = DEFAULT_MAX_BODY

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: See `RetryPolicy.check` and `Timeouts.check`; or a body bound below 0.
        """
        self.policy.check()
        self.timeouts.check()
        if self.max_body < 0:
            raise ConfigurationError(f"max_body must be 0 bytes or more, not {self.max_body!r}")


class Engine:
    """Runs a plan per request over apps.

    Args:
        apps: The plan's targets, by index.
        plan: Makes a plan.
        protocol: The name of the protocol of all requests; None: of each what the registry tells.
        terms: What holds for every request.

    Raises:
        ConfigurationError: An unknown protocol, or terms that cannot work.
    """

    __slots__ = ("_apps", "_claims", "_plan", "_protocol", "_terms")

    def __init__(
        self, apps: Sequence[ASGIApp], plan: PlanFactory, *, protocol: str | Protocol | None, terms: Terms
    ) -> None:
        terms.check()
        self._apps = tuple(apps)
        self._plan = plan
        self._protocol = registry.get(protocol) if isinstance(protocol, str) else protocol
        self._claims = Claims(registry.claim if self._protocol is None else self._protocol.claim)
        self._terms = terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ``http`` request.

        Raises:
            BrokenStream: An answer broke off after its start reached the client, and has no way to say so.
            Exception: What the server's ``receive`` or ``send`` raised; what an app raised after its complete answer.
        """
        claim = self._claim(scope)
        if claim is None:
            await self._apps[0](scope, receive, send)
            return
        protocol = self._protocol or registry.get(claim.protocol)
        scope, exchange = enter(scope)
        line = ClientLine(receive, send)
        head = scope["method"] == "HEAD"
        try:
            # Some servers never deliver the empty body of a GET (uvicorn with zttp over HTTP/2).
            bodiless = scope["method"] in _BODILESS
            body = Replay(b"", line.receive) if bodiless else await read_body(line.receive, limit=self._terms.max_body)
            stream = claim.asks_for_stream(body.peek()[1], by_default=protocol.streams_by_default)
            lost = await self._run(scope, body, exchange, line, protocol, stream=stream)
            if lost:
                best = min(enumerate(lost), key=lambda entry: preference(entry[1].failed, number=entry[0]))[1]
                spent = sum(one.failed.calls for one in lost) > 1
                await best.answer.advised(best.failed, spent=spent).send(send, head=head)
        except BodyTooLarge as error:
            answer = error_answer(protocol, Failure(kind=FailureKind.TOO_LARGE, message=str(error)))
            await answer.send(send, head=head)
        except ClientGone:
            return

    def _claim(self, scope: Scope) -> Claim | None:
        """The claim of a request that may be repeated, or None."""
        claim = self._claims.of(scope)
        return claim if claim is not None and claim.method_allowed and claim.operation in REPEATABLE else None

    async def _run(
        self, scope: Scope, body: Replay, exchange: Exchange, line: ClientLine, protocol: Protocol, *, stream: bool
    ) -> list[Lost]:
        """Run the plan; return every failed answer when there is no other, and none when the client has its answer."""
        terms = self._terms
        bounds = _Bounds(exchange, terms)
        plan = self._plan(_elsewhere(exchange))
        patience = _Patience(exchange) if stream else None
        lost: list[Lost] = []
        step: Try | None = next(plan)
        while step is not None:
            exchange.note(
                Attempted(number=len(lost) + 1, target=step.target, after=step.after, elsewhere=step.elsewhere)
            )
            dog = Watchdog(bounds.clock, bounds.deadline)
            attempt = Attempt(protocol, exchange, line, dog, terms.timeouts, terms.wall, head=scope["method"] == "HEAD")
            if patience is not None:
                patience.dog = dog
            outcome = await attempt.run(self._apps[step.target], _own(scope), body.again(), stream=stream)
            if patience is not None:
                patience.dog = None
            if outcome is None:
                _tell(plan, _ANSWERED)
                return []
            lost.append(outcome)
            step = _tell(plan, outcome.failed)
            if step is not None and not bounds.allow(step.after):
                plan.close()
                step = None
            if step is not None and not await line.pause(step.after):
                plan.close()
                raise ClientGone
        return lost


class _Patience:
    """Leaves the wait for the first content to the innermost engine: the attempts beneath us have a bound each."""

    __slots__ = ("dog",)

    def __init__(self, exchange: Exchange) -> None:
        self.dog: Watchdog | None = None
        exchange.observe(self)

    def __call__(self, fact: object) -> None:
        if isinstance(fact, Attempted) and self.dog is not None and self.dog.cause == "first-content":
            self.dog.allow("total", None)


class _Bounds:
    """What no plan of this engine may exceed."""

    __slots__ = ("_exchange", "_floor", "clock", "deadline")

    def __init__(self, exchange: Exchange, terms: Terms) -> None:
        self.clock = RequestClock(terms.clock)
        deadline = self.clock.now() + terms.policy.deadline
        if exchange.calls_left is None:
            exchange.limit(deadline=deadline, calls=terms.policy.max_calls)
        assert exchange.calls_left is not None
        self._exchange = exchange
        self._floor = max(0, exchange.calls_left - terms.policy.max_calls)
        self.deadline = min(deadline, exchange.deadline)

    def allow(self, after: float) -> bool:
        """Whether another attempt may begin after so many seconds."""
        calls_left = self._exchange.calls_left
        assert calls_left is not None
        return calls_left > self._floor and self.clock.now() + after < self.deadline


def _own(scope: Scope) -> Scope:
    """An attempt's own copy of the scope, without extensions whose messages could not be held back."""
    return {**scope, "extensions": {}} if scope.get("extensions") else {**scope}


def _elsewhere(exchange: Exchange) -> bool:
    """Whether the attempt that we are part of has something to follow when we give up."""
    around = exchange.last(Attempted)
    return around is not None and around.elsewhere


def _tell(plan: Plan, outcome: Outcome) -> Try | None:
    """The plan's next step, or None when it has ended."""
    try:
        return plan.send(outcome)
    except StopIteration:
        return None
