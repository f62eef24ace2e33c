"""Two attempts at a time for one client: who has content first is the answer, the other one is cut off.

The rule that keeps them apart: each has a line of its own, and the first message on one of them decides. From then on
the other's messages are dropped, and it is cancelled in the same step, which closes its connection. The client's
``receive`` has one reader at a time all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ..asgi.exchange import Exchange
from ..asgi.facts import HedgeLost
from ..asgi.types import Message
from ..asgi.unwrapped import unwrapped
from ..errors import ClientGone
from ..universal.failure import Fault
from .attempt import Lost
from .course import Course
from .line import ClientLine
from .targets import Turn

__all__ = ["Lane", "Race"]

_SHARED = frozenset({Fault.REQUEST, Fault.CLIENT})
"""Whose fault is that of both attempts."""


class Lane:
    """One attempt's way to the client.

    Attributes:
        line: For the attempt.
        course: The attempt's, once it runs.
    """

    __slots__ = ("_race", "course", "line")

    def __init__(self, race: Race) -> None:
        self._race = race
        self.line = ClientLine(race.receive, self._send)
        self.course: Course | None = None

    async def _send(self, message: Message) -> None:
        if self._race.wins(self):
            await self._race.line.send(message)


class Race:
    """The attempts of one client; `run` once.

    Args:
        line: The client.
        exchange: Where it is noted who lost.

    Attributes:
        winner: The lane that has the client; None while nobody has.
        second: The second lane, once there is one.
        on_win: Called when the second has the client.
        on_end: Called when both are over.
    """

    __slots__ = (
        "_ended",
        "_exchange",
        "_gone",
        "_lost",
        "_reading",
        "first",
        "line",
        "on_end",
        "on_win",
        "second",
        "winner",
    )

    def __init__(self, line: ClientLine, exchange: Exchange) -> None:
        self.line = line
        self._exchange = exchange
        self._reading: anyio.Event | None = None
        self._ended = anyio.Event()
        self._lost: Lost | None = None
        self._gone = False
        self.winner: Lane | None = None
        self.first = Lane(self)
        self.second: Lane | None = None
        self.on_win: Callable[[], None] | None = None
        self.on_end: Callable[[], None] | None = None

    async def receive(self) -> Message:
        """The client's next message, for whoever asks first."""
        while self._reading is not None:
            await self._reading.wait()
        self._reading = read = anyio.Event()
        try:
            return await self.line.receive()
        finally:
            self._reading = None
            read.set()

    def wins(self, lane: Lane) -> bool:
        """Whether a lane has the client; the first that asks has."""
        if self.winner is None:
            self.winner = lane
            if lane is self.second and self.on_win is not None:
                self.on_win()
            other = self.first if lane is self.second else self.second
            if other is not None and other.course is not None:
                other.course.beat()
                if not (other is self.second and self._ended.is_set()):
                    self._exchange.note(HedgeLost(second=other is self.second))
        return self.winner is lane

    async def run(
        self,
        first: Callable[[], Awaitable[Lost | None]],
        second: Callable[[Lane, Turn], Awaitable[Lost | None]],
        *,
        after: float,
        enter: Callable[[], Turn | None],
    ) -> tuple[Lost | None, Lost | None]:
        """Run the first attempt, and the second beside it when it is slow.

        Args:
            first: Runs the attempt of the first lane.
            second: Runs that of the second.
            after: Seconds until it begins.
            enter: Takes its turn then; None: there may be none.

        Returns:
            What became of them; None twice when the client has its answer.

        Raises:
            ClientGone: The client left.
            Exception: As `Attempt.run` raises it.
        """
        lost: Lost | None = None
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(self._follow, second, after, enter)
                lost = await first()
                if lost is not None and lost.failed.verdict.fault in _SHARED:
                    self._call_off()
                if self.second is not None and self.winner is not self.first:
                    await self._ended.wait()
                group.cancel_scope.cancel()
        if self.on_end is not None:
            self.on_end()
        if self._gone and self.winner is not self.first:
            raise ClientGone
        if self.winner is not None:
            return None, None
        return lost, self._lost

    def _call_off(self) -> None:
        """End the second attempt, which can do no better."""
        if self.winner is None and self.second is not None and self.second.course is not None:
            self.second.course.beat()

    async def _follow(
        self, second: Callable[[Lane, Turn], Awaitable[Lost | None]], after: float, enter: Callable[[], Turn | None]
    ) -> None:
        await anyio.sleep(after)
        turn = enter() if self.winner is None else None
        if turn is None:
            return
        self.second = lane = Lane(self)
        try:
            self._lost = await second(lane, turn)
        except ClientGone:  # the first hears of it too, unless it was over
            self._gone = True
        finally:
            self._ended.set()
