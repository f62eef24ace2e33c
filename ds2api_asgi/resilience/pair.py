"""A request's first attempt where a second one may begin beside it (`hedge` says when, `race` who wins).

The two have an exchange each, so that nobody takes the findings about one for those about the other: a key pool's
verdict, the account that answers. The second's is a branch of the request's, which takes over what it knows when the
second attempt is the answer, or when both have failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..asgi.body import Replay
from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Hedged, KeyLeased, Queueing
from ..asgi.headers import decode
from ..asgi.types import ASGIApp
from ..universal.failure import Fault
from .asked import Asked
from .attempt import Lost
from .course import Course, Patience
from .hedge import Hedging, is_stateless
from .line import ClientLine
from .race import Lane, Race
from .targets import Turn

__all__ = ["Pair"]

_LIMITS = frozenset({Fault.RATE, Fault.QUOTA})


class Pair:
    """The first attempt of a request, and perhaps one beside it; `run` once.

    Args:
        asked: The request.
        apps: To be asked, by their targets' indices.
        exchange: The request's exchange.
        line: The client.
        patience: Watches over the exchange; None: no stream is waited for.
        hedging: Whether and when.
        enter: Takes the turn of a second attempt, which is to begin now; None: there may be none.
    """

    def __init__(
        self,
        asked: Asked,
        apps: Sequence[ASGIApp],
        exchange: Exchange,
        line: ClientLine,
        patience: Patience | None,
        hedging: Hedging,
        enter: Callable[[], Turn | None],
    ) -> None:
        self._asked = asked
        self._apps = apps
        self._exchange = exchange
        self._line = line
        self._patience = patience
        self._hedging = hedging
        self._enter = enter
        self._due = 0.0

    async def run(self, turn: Turn) -> tuple[Lost | None, Lost | None]:
        """Run the first attempt, and the second where it is due.

        Args:
            turn: The first's.

        Returns:
            What became of the first, None when the client has its answer; and what became of the second, None when
            there was none, or it was called off.

        Raises:
            ClientGone: The client left.
            Exception: As `Attempt.run` raises it.
        """
        asked, hedging = self._asked, self._hedging
        hedging.asked()
        due = hedging.due(asked.targets.pace(turn.target, stream=asked.stream))
        if due is None or not is_stateless(asked.protocol.name, asked.body.body):
            course = Course(asked, turn, self._exchange, self._line, self._patience)
            return await self._follow(course, asked.body.fresh()), None
        self._due = due
        race = Race(self._line, self._exchange)
        course = Course(asked, turn, self._exchange, race.first.line, self._patience)

        async def run_first() -> Lost | None:
            race.first.course = course
            return await self._follow(course, self._replay(race.first))

        async def run_second(lane: Lane, turn: Turn) -> Lost | None:
            return await self._run_second(race, lane, turn, course)

        return await race.run(run_first, run_second, after=due, enter=self._enter_second)

    def _enter_second(self) -> Turn | None:
        if not self._hedging.may(self._asked.clock.now()):
            return None
        exchange = self._exchange
        if len(self._apps) == 1 and exchange.age(Queueing) < exchange.age(KeyLeased):
            return None  # the first waits for a key: another one would wait behind it
        turn = self._enter()
        if turn is not None:
            self._hedging.spend()
        return turn

    async def _run_second(self, race: Race, lane: Lane, turn: Turn, first: Course) -> Lost | None:
        exchange = self._exchange
        exchange.note(Hedged(target=turn.target, after=self._due))
        assert exchange.calls_left is not None
        calls = exchange.calls_left - 1  # the first attempt's own is not charged before its end
        branch, mark = exchange.branch(calls=calls), len(exchange)
        race.on_win = lambda: exchange.absorb(branch, mark)
        patience = None if self._patience is None else Patience(branch, self._asked)
        lane.course = course = Course(self._asked, turn, branch, lane.line, patience, beside=first)
        try:
            return await self._follow(course, self._replay(lane), branch)
        finally:
            race.on_end = lambda: self._settle(race, branch, mark, calls)

    async def _follow(self, course: Course, body: Replay, branch: Exchange | None = None) -> Lost | None:
        """Run an attempt, and see what it tells of rate limits."""
        asked, hedging = self._asked, self._hedging
        scope = asked.own_scope()
        if branch is not None:
            scope[KEY] = branch
        lost = await course.run(self._apps[course.target], scope, body)
        now = asked.clock.now()
        headers = decode(course.headers)
        if headers:
            hedging.stated(asked.protocol.limits(headers, now=asked.terms.wall()), now)
        if lost is not None and lost.failed.verdict.fault in _LIMITS:
            hedging.limited(now, lost.failed.verdict.hint)
        return lost

    def _settle(self, race: Race, branch: Exchange, mark: int, calls: int) -> None:
        """Both are over: charge the second's calls, and know what it found when nobody has answered."""
        exchange = self._exchange
        assert exchange.calls_left is not None
        assert branch.calls_left is not None
        exchange.calls_left = max(0, exchange.calls_left - max(1, calls - branch.calls_left))
        if race.winner is None:
            exchange.absorb(branch, mark)

    def _replay(self, lane: Lane) -> Replay:
        return Replay(
            self._asked.body.body, lane.line.receive, peeked=self._asked.body.peek(self._asked.scope["headers"])
        )
