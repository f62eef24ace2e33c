"""One attempt's course: from its turn at a target to what is learned from it.

Whatever becomes of an attempt, its turn is given back. The breakers hear of failures that say something about the
target, also of those after the commit; how long it took to the first content is remembered as the target's pace.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..asgi.exchange import Exchange
from ..asgi.facts import Attempted, BreakerClosed, BreakerOpened, KeyLeased, Queueing
from ..asgi.headers import RawHeaders
from ..asgi.types import ASGIApp, Receive, Scope
from ..universal.failure import Fault, Verdict
from .alive import KeepAlive
from .asked import Asked
from .attempt import Attempt, Lost
from .breaker import BreakerState
from .line import ClientLine
from .plan import Failed
from .targets import Turn
from .timeouts import Watchdog

__all__ = ["Course", "Patience"]

_LATE = 0.5
"""The share of the request's whole time that an upstream must have used before missing it is its failure."""


class Patience:
    """Bounds the wait for the first content by what goes on beneath an attempt.

    Where a retry beneath us begins attempts, the wait is left to it: they have a bound each. While a pool makes the
    attempt wait for a key, nobody has been asked: only the request's deadline and the client's patience count until
    there is one, and then the wait begins anew.

    Args:
        exchange: The attempts'.
        asked: The request.

    Attributes:
        dog: Watches over the attempt that runs.
    """

    __slots__ = ("_asked", "_queued", "dog")

    def __init__(self, exchange: Exchange, asked: Asked) -> None:
        self._asked = asked
        self._queued = False
        self.dog: Watchdog | None = None
        exchange.observe(self)

    def watch(self, dog: Watchdog) -> None:
        """An attempt begins."""
        self._queued = False
        self.dog = dog

    def __call__(self, fact: object) -> None:
        """Hear of a fact."""
        dog = self.dog
        if dog is None:
            return
        if self._queued:
            if isinstance(fact, KeyLeased):
                self._queued = False
                first = self._asked.timeouts_at(self._asked.clock.now()).first_content
                assert not callable(first)
                dog.allow("first-content", first)
        elif isinstance(fact, Queueing | Attempted) and dog.cause == "first-content":
            left = None
            if isinstance(fact, Queueing):
                self._queued = True
                left = self._asked.bounds.patience - self._asked.clock.now()
            dog.allow("total" if left is None else "first-content", left)


class Course:
    """The course of one attempt; `run` once.

    Args:
        asked: The request.
        turn: Given back at the end.
        exchange: The attempt's.
        line: The client.
        patience: Watches over the exchange; None: no stream is waited for.
        alive: Sends comments to the client meanwhile; None: nobody does.
        beside: The attempt that this one was begun beside, since it is slow; None: it is on its own.

    Attributes:
        began: When it began, on the request's clock.
        target: Index of the app.
    """

    __slots__ = ("_asked", "_attempt", "_beside", "_dog", "_exchange", "_patience", "_turn", "began", "target")

    def __init__(
        self,
        asked: Asked,
        turn: Turn,
        exchange: Exchange,
        line: ClientLine,
        patience: Patience | None,
        *,
        alive: KeepAlive | None = None,
        beside: Course | None = None,
    ) -> None:
        self._asked = asked
        self._turn = turn
        self._exchange = exchange
        self._patience = patience
        self._beside = beside
        self.target = turn.target
        self.began = now = asked.clock.now()
        self._dog = Watchdog(asked.clock, asked.due())
        self._attempt = Attempt(asked, exchange, line, self._dog, asked.timeouts_at(now), alive=alive)

    @property
    def headers(self) -> RawHeaders:
        """Those of the answer; none before it started."""
        return self._attempt.headers

    def beat(self) -> None:
        """End it: another attempt has answered."""
        self._attempt.beat()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> Lost | None:
        """Run the attempt; see `Attempt.run`."""
        lost: Lost | None = None
        ended = False
        if self._patience is not None:
            self._patience.watch(self._dog)
        try:
            lost = await self._attempt.run(app, scope, receive)
            ended = True
        finally:
            if self._patience is not None:
                self._patience.dog = None
            self._leave(lost, ended=ended)
        return lost

    def _leave(self, lost: Lost | None, *, ended: bool) -> None:
        attempt = self._attempt
        answered = ended and lost is None and not attempt.beaten
        verdict = attempt.broken if lost is None else self._counts(lost.failed)
        for change in self._asked.targets.leave(self._turn, verdict, served=answered and verdict is None):
            if change.state is BreakerState.OPEN:
                self._exchange.note(BreakerOpened(target=self.target, model=change.model, seconds=change.seconds))
            else:
                self._exchange.note(BreakerClosed(target=self.target, model=change.model))
        if answered:
            # Of a slow attempt that another one has beaten only that is known: it would have taken no less.
            slow = self._beside or self
            pace = self._asked.targets.pace(slow.target, stream=self._asked.stream)
            pace.learn(self._dog.answered_at - slow.began)

    def _counts(self, failed: Failed) -> Verdict | None:
        """The verdict that a failed attempt has for the breakers."""
        verdict = failed.verdict
        if not failed.calls:
            return None
        if verdict.row.startswith("late."):
            now = self._asked.clock.now()
            if now >= self._asked.bounds.patience:  # nobody may open a breaker by having no time
                return None
            used = min(now - self.began, self._exchange.age(KeyLeased))  # no wait for a key is the upstream's
            if verdict.fault is Fault.SELF and used > _LATE * self._asked.terms.policy.deadline:
                return replace(verdict, fault=Fault.MODEL)
        return verdict
