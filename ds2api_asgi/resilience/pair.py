"""A request's first attempt where a second one may begin beside it (`hedge` says when, `race` who wins).

The two have an exchange each, so that nobody takes the findings about one for those about the other: a key pool's
verdict, the account that answers. The second's is a branch of the request's, which takes over what it knows when the
second attempt is the answer, or when both have failed.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from msgspec import Struct

from ..asgi.body import Replay
from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Attempted, Committed, Hedged
from ..asgi.headers import decode
from ..asgi.types import ASGIApp, Scope
from ..protocols.base import Protocol
from ..universal.failure import Fault
from .attempt import Attempt, Lost
from .hedge import Hedging, is_stateless
from .line import ClientLine
from .race import Lane, Race
from .timeouts import RequestClock, Timeouts, Watchdog

__all__ = ["Aim", "Bounds", "Pair"]

_LIMITS = frozenset({Fault.RATE, Fault.QUOTA})


class Bounds(typing.Protocol):
    """What no attempt may exceed.

    Attributes:
        clock: The request's.
        deadline: On it.
    """

    clock: RequestClock
    deadline: float

    def allow_two(self) -> bool:
        """Whether a second attempt may begin now, beside the first."""
        ...


class Aim(Struct, frozen=True):
    """What an attempt asks.

    Attributes:
        app: The app.
        scope: Its own copy of the scope.
    """

    app: ASGIApp
    scope: Scope


class Pair:
    """The first attempt of a request, and perhaps one beside it; `run` once.

    Args:
        protocol: The protocol that the client speaks.
        exchange: The request's exchange.
        line: The client.
        body: The request's body.
        hedging: Whether and when.
        bounds: What no attempt may exceed.
        timeouts: How long what may take.
        wall: Unix time, to read the dates that providers send.
        stream: Whether the client asked for a stream.
    """

    def __init__(
        self,
        protocol: Protocol,
        exchange: Exchange,
        line: ClientLine,
        body: Replay,
        hedging: Hedging,
        bounds: Bounds,
        timeouts: Timeouts,
        wall: Callable[[], float],
        *,
        stream: bool,
    ) -> None:
        self._protocol = protocol
        self._exchange = exchange
        self._line = line
        self._body = body
        self._hedging = hedging
        self._bounds = bounds
        self._timeouts = timeouts
        self._wall = wall
        self._stream = stream
        self._branch: Exchange | None = None
        self._began = bounds.clock.now()
        self._after = 0.0

    async def run(self, dog: Watchdog, first: Aim, second: Aim, target: int) -> tuple[Lost | None, Lost | None]:
        """Run the first attempt, and the second where it is due.

        Args:
            dog: Watches over the first.
            first: What it asks.
            second: What the second asks.
            target: Its index, for the journal.

        Returns:
            What became of the first, None when the client has its answer; and what became of the second, None when
            there was none, or it was called off.

        Raises:
            ClientGone: The client left.
            Exception: As `Attempt.run` raises it.
        """
        self._hedging.asked()
        self._exchange.observe(self._observe)
        due = self._hedging.due(stream=self._stream)
        if due is None or not is_stateless(self._protocol.name, self._body.body):
            attempt = self._attempt(self._exchange, self._line, dog)
            lost = await attempt.run(first.app, first.scope, self._body.again())
            self._learn(attempt, lost)
            return lost, None
        self._after = due
        race = Race(self._line, self._exchange)

        async def run_first() -> Lost | None:
            race.first.attempt = attempt = self._attempt(self._exchange, race.first.line, dog)
            lost = await attempt.run(first.app, first.scope, self._replay(race.first))
            self._learn(attempt, lost)
            return lost

        async def run_second(lane: Lane) -> Lost | None:
            return await self._run_second(race, lane, second, target)

        one, two = await race.run(run_first, run_second, after=due, allowed=self._may)
        return one, two

    def _may(self) -> bool:
        return self._bounds.allow_two() and self._hedging.take(self._bounds.clock.now())

    async def _run_second(self, race: Race, lane: Lane, aim: Aim, target: int) -> Lost | None:
        exchange = self._exchange
        exchange.note(Hedged(target=target, after=self._after))
        assert exchange.calls_left is not None
        calls = exchange.calls_left - 1  # the first attempt's own is not charged before its end
        branch, mark = exchange.branch(calls=calls), len(exchange)
        race.on_win = lambda: exchange.absorb(branch, mark)
        dog = Watchdog(self._bounds.clock, self._bounds.deadline)
        branch.observe(_Inner(dog))
        lane.attempt = attempt = self._attempt(branch, lane.line, dog)
        try:
            lost = await attempt.run(aim.app, {**aim.scope, KEY: branch}, self._replay(lane))
        finally:
            race.on_end = lambda: self._settle(race, branch, mark, calls)
        self._learn(attempt, lost)
        return lost

    def _settle(self, race: Race, branch: Exchange, mark: int, calls: int) -> None:
        """Both are over: charge the second's calls, and know what it found when nobody has answered."""
        exchange = self._exchange
        assert exchange.calls_left is not None
        assert branch.calls_left is not None
        exchange.calls_left = max(0, exchange.calls_left - max(1, calls - branch.calls_left))
        if race.winner is None:
            exchange.absorb(branch, mark)

    def _attempt(self, exchange: Exchange, line: ClientLine, dog: Watchdog) -> Attempt:
        return Attempt(self._protocol, exchange, line, dog, self._timeouts, self._wall, stream=self._stream)

    def _replay(self, lane: Lane) -> Replay:
        return Replay(self._body.body, lane.line.receive, peeked=self._body.peek())

    def _observe(self, fact: object) -> None:
        # Of the second's content only that is known: the first would have taken no less.
        if type(fact) is Committed:
            self._hedging.observed(self._bounds.clock.now() - self._began, stream=self._stream)

    def _learn(self, attempt: Attempt, lost: Lost | None) -> None:
        """What an attempt tells of rate limits."""
        now = self._bounds.clock.now()
        headers = decode(attempt.headers)
        if headers:
            self._hedging.stated(self._protocol.limits(headers, now=self._wall()), now)
        if lost is not None and lost.failed.verdict.fault in _LIMITS:
            self._hedging.limited(now, lost.failed.verdict.hint)


class _Inner:
    """Leaves the wait for the first content to an engine beneath the second attempt, as `engine` does for others."""

    def __init__(self, dog: Watchdog) -> None:
        self._dog = dog

    def __call__(self, fact: object) -> None:
        if isinstance(fact, Attempted) and self._dog.cause == "first-content":
            self._dog.allow("total", None)
