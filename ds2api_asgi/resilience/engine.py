"""The one engine that runs plans over apps: `Retry` and `Failover` are this, with a plan each.

It claims the request for a protocol, reads its body once, and then lets the plan decide while `attempt.Attempt` does
the work. What no plan may exceed is held here, together with all engines around and beneath:

- the deadline and the call budget of the exchange, set by the outermost engine; a nested one adds its own bounds to
  its own attempts but never lowers those of its neighbours;
- an attempt that asks an upstream costs one call. Where the app is a retry itself, the inner one has charged its calls
  already and the plan is told their number, so that three times three attempts are three;
- who may be asked at all (`targets`), and whether the request may leave its first target or be repeated (`pinned`).

Requests that are not a protocol's, or that do more than ask for an answer, are the first app's, and pass untouched
(`untouched`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.claims import Claims
from ..asgi.exchange import Exchange, enter
from ..asgi.facts import Attempted, BreakerClosed, BreakerOpened, Committed, Stopped
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, ConfigurationError
from ..protocols import registry
from ..protocols.base import Claim, Operation, Protocol
from ..universal.failure import Failure, FailureKind, Fault, RetryScope, Row, Verdict
from .answer import error_answer
from .attempt import Attempt, Lost
from .breaker import BreakerPolicy, BreakerState
from .budget import BudgetPolicy
from .line import ClientLine
from .plan import Failed, Plan, RetryPolicy, Try, preference
from .stated import CLIENT_TIMEOUTS, stated_timeout
from .steps import Bounds, Steps
from .targets import BreakerReport, Targets, Turn
from .timeouts import RequestClock, Timeouts, Watchdog
from .untouched import Untouched

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
_LATE = 0.5
"""The share of the request's whole time that an upstream must have used before missing it is its failure."""


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every request of an engine.

    Attributes:
        policy: Its deadline and its call budget are enforced here.
        timeouts: For each attempt.
        clock: Monotonic seconds.
        wall: Unix time, to read the dates that providers send.
        max_body: Bytes of a request's body.
        breaker: When targets that fail are left alone; None: never.
        budget: How much of what a target gets may be repeats; None: anything.
        keep_pace: Begin no further attempt that half of the last ones would not have finished in time.
        timeout_headers: Headers, in lower case, by which clients say how long they wait, and the seconds of their unit.
        rng: Draws the jitter of the breakers; None: a fresh one.
        name: What facts call the engine.
        rules: The user's own rows.
    """

    policy: RetryPolicy
    timeouts: Timeouts
    breaker: BreakerPolicy | None = None
    budget: BudgetPolicy | None = None
    keep_pace: bool = True
    timeout_headers: Mapping[bytes, float] = CLIENT_TIMEOUTS
    rng: Random | None = None
    name: str = "retry"
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    max_body: int = DEFAULT_MAX_BODY
    rules: Sequence[Row] = ()

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: See the ``check`` of each; or a body bound below 0.
        """
        self.policy.check()
        self.timeouts.check()
        if self.breaker is not None:
            self.breaker.check()
        if self.budget is not None:
            self.budget.check()
        if self.max_body < 0:
            raise ConfigurationError(f"max_body must be 0 bytes or more, not {self.max_body!r}")


class Engine:
    """Runs a plan per request over apps.

    Args:
        apps: The plan's targets, by index.
        plan: Makes a plan.
        protocol: The name of the protocol of all requests; None: of each what the registry tells.
        terms: What holds for every request.
        pinned: Makes the plan that goes on with a request that only target 0 can serve, where it was tried first; None:
            the plan of all requests does, and is ended where it would leave its first target.

    Raises:
        ConfigurationError: An unknown protocol, or terms that cannot work.
    """

    __slots__ = ("_apps", "_claims", "_draining", "_pinned", "_plan", "_protocol", "_rng", "_targets", "_terms")

    def __init__(
        self,
        apps: Sequence[ASGIApp],
        plan: PlanFactory,
        *,
        protocol: str | Protocol | None,
        terms: Terms,
        pinned: PlanFactory | None = None,
    ) -> None:
        terms.check()
        self._apps = tuple(apps)
        self._plan = plan
        self._pinned = pinned
        self._draining = False
        self._rng = terms.rng or Random()  # noqa: S311 - jitter is no secret
        self._targets = Targets(
            len(self._apps),
            breaker=terms.breaker,
            budget=terms.budget,
            clock=terms.clock,
            rng=self._rng,
        )
        self._protocol = registry.get(protocol) if isinstance(protocol, str) else protocol
        self._claims = Claims(registry.claim if self._protocol is None else self._protocol.claim)
        self._terms = terms

    def breakers(self) -> list[BreakerReport]:
        """How all breakers are: the targets', then those of their models that were asked for."""
        return self._targets.report()

    def drain(self) -> None:
        """From now on repeat nothing: the server is to end soon. What is under way goes on."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ``http`` request.

        Raises:
            BrokenStream: An answer broke off after its start reached the client, and has no way to say so.
            Exception: What the server's ``receive`` or ``send`` raised; what an app raised after its complete answer.
        """
        claim = self._claim(scope)
        if claim is None:
            scope, exchange = enter(scope)
            terms = self._terms
            passing = Untouched(self._apps[0], exchange, terms.policy, max_body=terms.max_body, rng=self._rng)
            await passing(scope, receive, send)
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
            asked = _Asked(
                protocol, stream=stream, model=body.peek()[0] if claim.model is UNSET else claim.model, body=body
            )
            lost = await self._run(scope, asked, exchange, line)
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

    async def _run(self, scope: Scope, asked: _Asked, exchange: Exchange, line: ClientLine) -> list[Lost]:
        """Run the plan; return every failed answer when there is no other, and none when the client has its answer."""
        terms, protocol, stream = self._terms, asked.protocol, asked.stream
        clock = RequestClock(terms.clock)
        bounds = self._bounds(scope, exchange, clock.now())
        steps = Steps(
            self._plan,
            _elsewhere(exchange),
            bounds,
            self._targets,
            exchange,
            model=asked.model,
            stream=stream,
            body=asked.body.body,
            pinned=self._pinned,
        )
        patience = _Patience(exchange) if stream else None
        lost: list[Lost] = []
        step: Try | None = steps.begin()
        while step is not None:
            turn = steps.enter(step)
            if turn is None:
                step = steps.skip(step, clock.now())
                continue
            began = clock.now()
            exchange.note(
                Attempted(number=len(lost) + 1, target=step.target, after=step.after, elsewhere=step.elsewhere)
            )
            dog = Watchdog(clock, bounds.deadline if stream else min(bounds.deadline, bounds.patience))
            timeouts = self._timeouts(bounds, began) if stream else terms.timeouts
            attempt = Attempt(
                protocol, exchange, line, dog, timeouts, terms.wall, terms.rules, head=scope["method"] == "HEAD"
            )
            if patience is not None:
                patience.dog = dog
            ended = False
            outcome: Lost | None = None
            try:
                outcome = await attempt.run(self._apps[step.target], _own(scope), asked.body.again(), stream=stream)
                ended = True
            finally:
                verdict = (
                    attempt.broken if outcome is None else self._counts(outcome.failed, clock.now(), began, bounds)
                )
                served = ended and outcome is None and verdict is None
                self._leave(exchange, turn, verdict, served=served)
            if patience is not None:
                patience.dog = None
            if outcome is None:
                if terms.keep_pace and self._targets.times_next(step.target, stream=stream):
                    self._learn(exchange, step.target, began - clock.now(), stream=stream)
                steps.answered()
                return []
            lost.append(outcome)
            bounds.draining = self._draining
            step = steps.after(outcome.failed, clock.now())
            if step is not None and not await line.pause(step.after):
                steps.close()
                raise ClientGone
        exchange.note(Stopped(by=terms.name, reason=steps.stopped.value, attempts=len(lost)))
        return lost or [_resting(protocol, steps)]

    def _bounds(self, scope: Scope, exchange: Exchange, now: float) -> Bounds:
        terms = self._terms
        deadline = now + terms.policy.deadline
        if exchange.calls_left is None:
            exchange.limit(deadline=deadline, calls=terms.policy.max_calls)
        waits = stated_timeout(scope["headers"], terms.timeout_headers) if terms.timeout_headers else None
        patience = math.inf if waits is None else now + waits - (time.monotonic() - exchange.started)
        return Bounds(
            exchange, calls=terms.policy.max_calls, deadline=min(deadline, exchange.deadline), patience=patience
        )

    def _timeouts(self, bounds: Bounds, now: float) -> Timeouts:
        """How long what of a stream may take, whose client does not wait for ever."""
        timeouts = self._terms.timeouts
        left = bounds.patience - now
        if left >= (math.inf if timeouts.first_content is None else timeouts.first_content):
            return timeouts
        return replace(timeouts, first_content=max(left, 0.0))

    def _counts(self, failed: Failed, now: float, began: float, bounds: Bounds) -> Verdict | None:
        """The verdict that a failed attempt has for the breakers."""
        verdict = failed.verdict
        if not failed.calls:
            return None
        if verdict.row.startswith("late."):
            if now >= bounds.patience:  # nobody may open a breaker by having no time
                return None
            if verdict.fault is Fault.SELF and now - began > _LATE * self._terms.policy.deadline:
                return replace(verdict, fault=Fault.MODEL)
        return verdict

    def _leave(self, exchange: Exchange, turn: Turn, verdict: Verdict | None, *, served: bool) -> None:
        for change in self._targets.leave(turn, verdict, served=served):
            if change.state is BreakerState.OPEN:
                exchange.note(BreakerOpened(target=turn.target, model=change.model, seconds=change.seconds))
            else:
                exchange.note(BreakerClosed(target=turn.target, model=change.model))

    def _learn(self, exchange: Exchange, target: int, ago: float, *, stream: bool) -> None:
        """Remember how long the answer took that was just let through."""
        committed = exchange.last(Committed)
        if committed is not None:
            self._targets.learn_pace(
                target, max(0.0, committed.held - (time.monotonic() + ago - exchange.started)), stream=stream
            )


class _Asked:
    """One request, read."""

    __slots__ = ("body", "model", "protocol", "stream")

    def __init__(self, protocol: Protocol, *, stream: bool, model: str | None, body: Replay) -> None:
        self.protocol = protocol
        self.stream = stream
        self.model = model
        self.body = body


def _resting(protocol: Protocol, steps: Steps) -> Lost:
    """The answer when nobody was asked, since all breakers are open."""
    wait = steps.retry_after
    failure = Failure(
        kind=FailureKind.OVERLOADED, message="every upstream that could answer has failed and is left to rest"
    )
    answer = error_answer(protocol, failure)
    verdict = Verdict(row=f"breaker.{steps.stopped.value}", fault=Fault.PROVIDER, retry=RetryScope.ROUTE, hint=wait)
    return Lost(Failed(verdict=verdict, status=answer.status, calls=0, processed=False), answer)


class _Patience:
    """Leaves the wait for the first content to the innermost engine: the attempts beneath us have a bound each."""

    __slots__ = ("dog",)

    def __init__(self, exchange: Exchange) -> None:
        self.dog: Watchdog | None = None
        exchange.observe(self)

    def __call__(self, fact: object) -> None:
        if isinstance(fact, Attempted) and self.dog is not None and self.dog.cause == "first-content":
            self.dog.allow("total", None)


def _own(scope: Scope) -> Scope:
    """An attempt's own copy of the scope, without extensions whose messages could not be held back."""
    return {**scope, "extensions": {}} if scope.get("extensions") else {**scope}


def _elsewhere(exchange: Exchange) -> bool:
    """Whether the attempt that we are part of has something to follow when we give up."""
    around = exchange.last(Attempted)
    return around is not None and around.elsewhere
