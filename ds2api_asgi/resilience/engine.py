"""The one engine that runs plans over apps: `Retry` and `Failover` are this, with a plan each.

It claims the request for a protocol, reads its body once, and then lets the plan decide while `attempt.Attempt` does
the work (`course`). What no plan may exceed is held here, together with all engines around and beneath:

- the deadline and the call budget of the exchange, set by the outermost engine; a nested one adds its own bounds to
  its own attempts but never lowers those of its neighbours;
- an attempt that asks an upstream costs one call. Where the app is a retry itself, the inner one has charged its calls
  already and the plan is told their number, so that three times three attempts are three;
- who may be asked at all (`targets`), and whether the request may leave its first target or be repeated (`pinned`).

A client that waits for a stream may be kept waiting (`alive`), a slow first attempt may get another one beside it
(`pair`); neither costs anything where it is not asked for.

Requests that are not a protocol's, or that do more than ask for an answer, are the first app's, and pass untouched
(`untouched`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from msgspec import UNSET

from ..asgi.body import Replay, read_body
from ..asgi.claims import Claims
from ..asgi.exchange import Exchange, enter
from ..asgi.facts import Attempted, Stopped
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone
from ..protocols import registry
from ..protocols.alive import keep_alive_of
from ..protocols.base import Claim, Operation, Protocol
from ..universal.failure import Failure, FailureKind, Fault, RetryScope, Verdict
from .alive import KeepAlive
from .answer import FailedAnswer, error_answer, preference
from .asked import Asked
from .attempt import Lost
from .course import Course, Patience
from .hedge import Hedging
from .line import ClientLine
from .pace import SAMPLES
from .pair import Pair
from .plan import Failed, Plan, Reason, Try
from .stated import stated_timeout, without_timeouts
from .steps import Bounds, Steps
from .targets import BreakerReport, Targets, Turn
from .terms import Terms
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
        Operation.INFER,
    }
)
"""Operations that may be asked twice: asking costs tokens at worst, and changes nothing."""

_BODILESS = frozenset({"GET", "HEAD"})


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

    __slots__ = (
        "_apps",
        "_claims",
        "_draining",
        "_hedging",
        "_pinned",
        "_plan",
        "_protocol",
        "_rng",
        "_targets",
        "_terms",
    )

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
            samples=SAMPLES if terms.hedge is None else terms.hedge.window,
        )
        self._protocol = registry.get(protocol) if isinstance(protocol, str) else protocol
        self._claims = Claims(registry.claim if self._protocol is None else self._protocol.claim)
        self._terms = terms
        self._hedging = None if terms.hedge is None else Hedging(terms.hedge)

    def breakers(self) -> list[BreakerReport]:
        """How all breakers are: the targets', then those of their models that were asked for."""
        return self._targets.report()

    def drain(self) -> None:
        """From now on repeat nothing: the server is to end soon. What is under way goes on."""
        self._draining = True

    def inherit(self, other: Engine) -> bool:
        """Share from now on what another engine learns and has learned of its targets, which must be the same ones.

        Returns:
            Whether that was done: not where the two judge them in other ways.
        """
        mine, theirs = self._terms, other._terms
        if len(self._apps) != len(other._apps):
            return False
        if (mine.breaker, mine.budget, mine.hedge) != (theirs.breaker, theirs.budget, theirs.hedge):
            return False
        self._targets, self._hedging = other._targets, other._hedging
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ``http`` request.

        Raises:
            BrokenStream: An answer broke off after its start reached the client, and has no way to say so.
            Exception: What the server's ``receive`` or ``send`` raised; what an app raised after its complete answer.
        """
        claim = self._claim(scope)
        terms = self._terms
        scope, exchange = enter(scope, clock=terms.clock)
        if claim is None:
            passing = Untouched(self._apps[0], exchange, terms.policy, max_body=terms.max_body, rng=self._rng)
            await passing(scope, receive, send)
            return
        protocol = self._protocol or registry.get(claim.protocol)
        line = ClientLine(receive, send)
        try:
            # Some servers never deliver the empty body of a GET (uvicorn with zttp over HTTP/2).
            bodiless = scope["method"] in _BODILESS
            body = (
                Replay(b"", line.receive)
                if bodiless
                else await read_body(receive, limit=terms.max_body, then=line.receive)
            )
            named, said = body.peek(scope["headers"])
            stream = claim.asks_for_stream(said, by_default=protocol.streams_by_default)
            model = named if claim.model is UNSET else claim.model
            asked = Asked(terms, self._targets, scope, protocol, claim.operation, model=model, stream=stream, body=body)
            generates = claim.operation is Operation.GENERATE
            if terms.early_commit_after is not None and stream and generates and keep_alive_of(protocol):
                stall = terms.timeouts.idle or math.inf
                alive = KeepAlive(send, exchange, protocol, every=terms.early_commit_after, stall=stall)
                line.through(alive.send)
                await self._keep_alive(asked, exchange, line, alive)
                return
            self._bind(asked, exchange)
            lost = await self._run(asked, exchange, line, hedging=self._hedging if generates else None)
            if lost:
                await _best_of(lost).send(send, head=asked.head)
        except BodyTooLarge as error:
            answer = error_answer(protocol, Failure(kind=FailureKind.TOO_LARGE, message=str(error)))
            await answer.send(send, head=scope["method"] == "HEAD")
        except ClientGone:
            return

    def _claim(self, scope: Scope) -> Claim | None:
        """The claim of a request that may be repeated, or None."""
        claim = self._claims.of(scope)
        return claim if claim is not None and claim.method_allowed and claim.operation in REPEATABLE else None

    def _bind(self, asked: Asked, exchange: Exchange, *, comments_every: float = math.inf) -> None:
        """Set the request its bounds."""
        terms, now = self._terms, asked.clock.now()
        deadline = now + terms.policy.deadline
        if exchange.calls_left is None:
            exchange.limit(deadline=deadline, calls=terms.policy.max_calls)
        units = terms.timeout_headers
        waits = stated_timeout(asked.scope["headers"], units) if units else None
        if waits is not None and comments_every < waits:  # each of them makes the client wait anew
            waits = None
            asked.scope = without_timeouts(asked.scope, units)
        asked.bounds = Bounds(
            exchange,
            calls=terms.policy.max_calls,
            deadline=min(deadline, exchange.deadline),
            patience=math.inf if waits is None else now + waits - (exchange.clock() - exchange.started),
            keep_pace=terms.keep_pace,
        )

    async def _keep_alive(self, asked: Asked, exchange: Exchange, line: ClientLine, alive: KeepAlive) -> None:
        """Run the plan while the client gets comments."""
        self._bind(asked, exchange, comments_every=alive.every)

        async def attempts() -> None:
            # Without hedges: an answer that lost must not decide whether a comment fits into the other's.
            lost = await self._run(asked, exchange, line, alive=alive)
            if lost:
                await alive.tell_lost(_best_of(lost))

        await alive.through(attempts)

    async def _run(
        self,
        asked: Asked,
        exchange: Exchange,
        line: ClientLine,
        *,
        alive: KeepAlive | None = None,
        hedging: Hedging | None = None,
    ) -> list[Lost]:
        """Run the plan; return every failed answer when there is no other, and none when the client has its answer."""
        clock, bounds = asked.clock, asked.bounds
        steps = Steps(
            self._plan,
            _elsewhere(exchange),
            bounds,
            self._targets,
            exchange,
            model=asked.model,
            stream=asked.stream,
            body=asked.body.body,
            pinned=self._pinned,
        )
        patience = Patience(exchange, asked) if asked.stream else None
        lost: list[Lost] = []
        step: Try | None = steps.begin()
        while step is not None:
            turn = steps.enter(step)
            if turn is None:
                step = steps.skip(step, clock.now())
                continue
            exchange.note(
                Attempted(number=len(lost) + 1, target=step.target, after=step.after, elsewhere=step.elsewhere)
            )
            if hedging is None or lost or exchange.hedging:
                course = Course(asked, turn, exchange, line, patience, alive=alive)
                outcome = await course.run(self._apps[step.target], asked.own_scope(), asked.body.fresh())
            else:
                exchange.hedging = True
                enter_second = partial(self._enter_beside, asked, steps, step)
                pair = Pair(asked, self._apps, exchange, line, patience, hedging, enter_second)
                outcome, second = await pair.run(turn)
                if second is not None:
                    lost.append(second)
            if outcome is None:
                steps.answered()
                return []
            lost.append(outcome)
            bounds.draining = self._draining
            step = steps.after(outcome.failed, clock.now())
            if step is not None and not await line.pause(step.after):
                steps.close()
                raise ClientGone
        exchange.note(Stopped(by=self._terms.name, reason=steps.stopped.value, attempts=len(lost)))
        if not lost:
            return [_resting(asked.protocol, steps)]
        if steps.stopped is Reason.BREAKER and all(one.failed.verdict.fault is Fault.KEY for one in lost):
            lost.insert(0, _resting(asked.protocol, steps))  # the client's own key is another one
        return lost

    def _enter_beside(self, asked: Asked, steps: Steps, step: Try) -> Turn | None:
        asked.bounds.draining = self._draining
        return steps.enter_beside(step, asked.clock.now())


def _resting(protocol: Protocol, steps: Steps) -> Lost:
    """The answer when nobody was asked, since all breakers are open."""
    wait = steps.retry_after
    failure = Failure(
        kind=FailureKind.OVERLOADED, message="every upstream that could answer has failed and is left to rest"
    )
    answer = error_answer(protocol, failure)
    verdict = Verdict(row=f"breaker.{steps.stopped.value}", fault=Fault.PROVIDER, retry=RetryScope.ROUTE, hint=wait)
    return Lost(Failed(verdict=verdict, status=answer.status, calls=0, processed=False), answer)


def _best_of(lost: Sequence[Lost]) -> FailedAnswer:
    """The failed answer that says most."""
    best = min(enumerate(lost), key=lambda entry: preference(entry[1].failed, number=entry[0]))[1]
    return best.answer.advised(best.failed, spent=sum(one.failed.calls for one in lost) > 1)


def _elsewhere(exchange: Exchange) -> bool:
    """Whether the attempt that we are part of has something to follow when we give up."""
    around = exchange.last(Attempted)
    return around is not None and around.elsewhere
