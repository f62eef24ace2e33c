"""What an engine learns of its targets over time: who fails (breakers), who is repeated too much, how fast they are.

A fault of a model counts against that model of that target, one of the provider or the network against the target with
all its models. Of a rate, a quota, a key, the request, the client and our own bounds nobody learns anything here: those
are the pool's affair. Each request that may be tried gets a `Turn`, to be given back with `Targets.leave`.

    verdict.fault                     the target             its model
    (served)                          served                 served
    model                             -                      failed
    provider, network                 failed                 -
    request                           reached (probes only)  -
    key, rate, quota                  reached (probes only)  - (a probe or panic of it is given back)
    client, self                      -                      -
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import Random
from typing import assert_never

from msgspec import Struct

from ..universal.failure import Fault, Verdict
from .breaker import Breaker, BreakerPolicy, BreakerState, Mark, Pass
from .budget import BudgetPolicy, RetryBudget
from .pace import SAMPLES, Pace

__all__ = ["BreakerReport", "Change", "Targets", "Turn"]

_LONGEST_NAME = 200  # characters of a model's name that a breaker of its own is kept for
_FIRST = Pass(0)


class BreakerReport(Struct, frozen=True, kw_only=True):
    """How one breaker is.

    Attributes:
        target: Index of the app.
        model: The model that it is about; None: the app with all its models.
        state: Closed, open (nothing passes) or half open (one request at a time).
        failures: Failures in a row.
        reopens_in: Seconds until a request may pass; 0 when one may now.
    """

    target: int
    model: str | None
    state: BreakerState
    failures: int
    reopens_in: float


class Change(Struct, frozen=True):
    """A breaker has changed its state.

    Attributes:
        model: The model that it is about; None: the target.
        state: The new one.
        seconds: Until a request may pass.
    """

    model: str | None
    state: BreakerState
    seconds: float


class Turn:
    """One attempt that may be made.

    Args:
        target: Index of the app.
        model: The model, where one is known.
        whole: The target's breaker and the pass that it gave; None where there are no breakers.
        part: The same of its model.
    """

    __slots__ = ("model", "part", "target", "whole")

    def __init__(
        self,
        target: int,
        model: str | None,
        whole: tuple[Breaker, Pass] | None = None,
        part: tuple[Breaker, Pass] | None = None,
    ) -> None:
        self.target = target
        self.model = model
        self.whole = whole
        self.part = part


class Targets:
    """All targets of one engine.

    Args:
        count: How many there are.
        breaker: When breakers open; None: never.
        budget: How much may be repeated; None: anything.
        clock: Monotonic seconds.
        rng: Draws the jitter of the breakers' rests.
        samples: How many of its times are remembered of each target.
    """

    __slots__ = ("_breaker", "_budgets", "_clock", "_paces", "_parts", "_rng", "_wholes")

    def __init__(
        self,
        count: int,
        *,
        breaker: BreakerPolicy | None,
        budget: BudgetPolicy | None,
        clock: Callable[[], float],
        rng: Random,
        samples: int = SAMPLES,
    ) -> None:
        self._breaker = breaker
        self._clock = clock
        self._rng = rng
        self._wholes = [Breaker(breaker, rng) for _ in range(count)] if breaker is not None else []
        # Models are chosen by clients: only those that served or failed here get a breaker, the least asked give way.
        self._parts: OrderedDict[tuple[int, str], Breaker] = OrderedDict()
        self._budgets = [RetryBudget(budget) for _ in range(count)] if budget is not None else []
        self._paces = [(Pace(samples), Pace(samples)) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._paces)

    def blocked(self, target: int, model: str | None) -> float:
        """Seconds until a breaker lets a request pass; 0 when one may try now. Changes nothing."""
        if self._breaker is None:
            return 0.0
        now = self._clock()
        part = self._part(target, model)
        return max(self._wholes[target].reopens_in(now), 0.0 if part is None else part.reopens_in(now))

    def enter(self, target: int, model: str | None, *, panic: bool = False) -> Turn | None:
        """A turn for an attempt, or None when a breaker forbids it.

        Args:
            target: Index of the app.
            model: The request's, where it is known.
            panic: There is nobody else to ask.
        """
        if self._breaker is None:
            return Turn(target, model)
        now = self._clock()
        breaker = self._wholes[target]
        whole = breaker.panic(now) if panic else breaker.enter(now)
        if whole is None:
            return None
        part = self._part(target, model)
        if part is None:
            return Turn(target, model, (breaker, whole))
        entered = part.panic(now) if panic else part.enter(now)
        if entered is None:
            breaker.leave(whole, Mark.NEITHER, now)
            return None
        return Turn(target, model, (breaker, whole), (part, entered))

    def leave(self, turn: Turn, verdict: Verdict | None, *, served: bool = False) -> Sequence[Change]:
        """An attempt is over.

        Args:
            turn: What `enter` gave.
            verdict: On what went wrong; None when nothing did, or nothing that counts.
            served: Whether it was answered to the end.

        Returns:
            The breakers that changed because of it, mostly none.
        """
        if served and self._budgets:
            self._budgets[turn.target].succeed()
        if turn.whole is None:
            return ()
        whole, part = (Mark.SERVED, Mark.SERVED) if served else _marks(verdict, turn.whole[1])
        now = self._clock()
        changes: list[Change] = []
        breaker, entered = turn.whole
        if breaker.leave(entered, whole, now):
            changes.append(Change(None, breaker.state, breaker.reopens_in(now)))
        if turn.part is not None:
            breaker, entered = turn.part
        elif part in (Mark.NEITHER, Mark.UNUSED):
            return changes
        else:
            breaker, entered = self._part(turn.target, turn.model) or self._add(turn.target, turn.model), _FIRST
        if breaker.leave(entered, part, now):
            changes.append(Change(turn.model, breaker.state, breaker.reopens_in(now)))
        return changes

    def may_repeat(self, target: int) -> bool:
        """Take what a repeated attempt, or a hedge, costs from a target's budget; False when there is nothing left."""
        return not self._budgets or self._budgets[target].take()

    def pace(self, target: int, *, stream: bool) -> Pace:
        """How fast a target answers those who ask for streams, or those who do not."""
        return self._paces[target][stream]

    def report(self) -> list[BreakerReport]:
        """How all breakers are, targets first."""
        now = self._clock()
        wholes: list[tuple[int, str | None, Breaker]] = [(n, None, one) for n, one in enumerate(self._wholes)]
        parts: list[tuple[int, str | None, Breaker]] = [(n, model, one) for (n, model), one in self._parts.items()]
        return [
            BreakerReport(
                target=target, model=model, state=one.state, failures=one.failures, reopens_in=one.reopens_in(now)
            )
            for target, model, one in (*wholes, *parts)
        ]

    def _part(self, target: int, model: str | None) -> Breaker | None:
        key = _key(target, model)
        found = self._parts.get(key)
        if found is not None:
            self._parts.move_to_end(key)
        return found

    def _add(self, target: int, model: str | None) -> Breaker:
        assert self._breaker is not None
        breaker = self._parts[_key(target, model)] = Breaker(self._breaker, self._rng)
        if len(self._parts) > self._breaker.models:
            self._parts.popitem(last=False)
        return breaker


def _key(target: int, model: str | None) -> tuple[int, str]:
    return (target, "" if model is None or len(model) > _LONGEST_NAME else model)  # all those share one


def _marks(verdict: Verdict | None, entered: Pass) -> tuple[Mark, Mark]:
    """What a failure says of the target, and of its model."""
    if verdict is None:
        return Mark.NEITHER, Mark.NEITHER
    match verdict.fault:
        case Fault.MODEL:
            return Mark.NEITHER, Mark.FAILED
        case Fault.PROVIDER | Fault.NETWORK:
            return Mark.FAILED, Mark.NEITHER
        case Fault.REQUEST:
            return (Mark.SERVED if entered.probe else Mark.NEITHER), Mark.NEITHER
        case Fault.KEY | Fault.RATE | Fault.QUOTA:
            return (Mark.SERVED if entered.probe else Mark.NEITHER), Mark.UNUSED
        case Fault.CLIENT | Fault.SELF:
            return Mark.NEITHER, Mark.NEITHER
        case _:
            assert_never(verdict.fault)
