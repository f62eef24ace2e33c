"""The steps of a plan that may be taken: between what the plan wants and what the engine does. Without I/O.

No plan may exceed the call budget and the deadline, repeat while the server shuts down, leave the target of a request
that is pinned to it, or repeat one that may have been done: then it is over. An app whose breaker is open, that is
repeated too much, or that takes longer than there is time is skipped: the plan hears of it at once, before any pause,
and goes on. A second attempt beside a slow one (`pair`) is no step of the plan, but bound by the same.
"""

from __future__ import annotations

from collections.abc import Callable

from ..asgi.exchange import Exchange
from ..asgi.facts import Skipped
from .pinned import Pin, pin_of
from .plan import Answered, Ended, Failed, Plan, Reason, Try
from .targets import Targets, Turn

__all__ = ["Bounds", "Steps"]

_MOST_SKIPS = 1000
"""Skips after which a plan that insists is ended."""

_ANSWERED = Answered()


class Bounds:
    """What no plan of one request may exceed. Times are those of `anyio.current_time`.

    Args:
        exchange: Has the calls that are left.
        calls: How many this engine may make.
        deadline: When all must be done.
        patience: When the client stops waiting for the first byte.
        keep_pace: Whether to begin nothing that half of the last attempts would not have finished in time.

    Attributes:
        draining: Whether the server shuts down.
    """

    __slots__ = ("_exchange", "_floor", "deadline", "draining", "keep_pace", "patience")

    def __init__(
        self, exchange: Exchange, *, calls: int, deadline: float, patience: float, keep_pace: bool = True
    ) -> None:
        left = exchange.calls_left
        self._exchange = exchange
        self._floor = 0 if left is None else max(0, left - calls)
        self.deadline = deadline
        self.patience = patience
        self.keep_pace = keep_pace
        self.draining = False

    def reason(self, begins: float, *, running: int = 0) -> Reason | None:
        """Why no attempt may begin at a time, None when one may.

        Args:
            begins: The time.
            running: Calls that are under way beside it, and not charged yet.
        """
        left = self._exchange.calls_left
        if left is not None and left <= self._floor + running:
            return Reason.CALLS
        if begins >= min(self.deadline, self.patience):
            return Reason.DEADLINE
        return Reason.DRAIN if self.draining else None


class Steps:
    """Drives one plan.

    Args:
        plan: Makes the plan.
        elsewhere: Whether something follows when it gives up.
        bounds: What it may not exceed.
        targets: Who may be asked.
        exchange: Where skips are noted.
        model: The request's, where it is known.
        stream: Whether it asks for a stream.
        body: The request's; looked at only when the first attempt has failed, to tell how free the request is.
        pinned: Makes the plan that goes on with one that must stay where it is.

    Attributes:
        stopped: Why there is no further step.
        retry_after: Seconds until the first of the skipped targets may be asked; None when none was.
    """

    __slots__ = (
        "_body",
        "_bounds",
        "_elsewhere",
        "_exchange",
        "_home",
        "_model",
        "_pin",
        "_pinned",
        "_plan",
        "_skips",
        "_stream",
        "_targets",
        "_tried",
        "retry_after",
        "stopped",
    )

    def __init__(
        self,
        plan: Callable[[bool], Plan],
        elsewhere: bool,
        bounds: Bounds,
        targets: Targets,
        exchange: Exchange,
        *,
        model: str | None,
        stream: bool,
        body: bytes,
        pinned: Callable[[bool], Plan] | None,
    ) -> None:
        self._plan = plan(elsewhere)
        self._elsewhere = elsewhere
        self._bounds = bounds
        self._targets = targets
        self._exchange = exchange
        self._model = model
        self._pin: Pin | None = None
        self._pinned = pinned
        self._body = body
        self._stream = stream
        self._home = 0
        self._tried: set[int] | None = None
        self._skips = 0
        self.stopped: Reason = Reason.PLAN
        self.retry_after: float | None = None

    def begin(self) -> Try:
        """The first step."""
        step = next(self._plan)
        self._home = step.target
        return step

    def enter(self, step: Try) -> Turn | None:
        """Take the turn of a step, or None when a breaker forbids it; then `skip` it."""
        turn = self._targets.enter(step.target, self._model, panic=step.panic)
        if turn is not None:
            self._has_tried(step.target)
        return turn

    def enter_beside(self, step: Try, now: float) -> Turn | None:
        """Take the turn of a second attempt beside that of a step, or None when there may be none.

        The next app that is not left alone is asked; where there is one app only, it is asked again. What that costs
        is taken from its budget as for a repeat.
        """
        if self._bounds.reason(now, running=1) is not None:
            return None
        pin = pin_of(self._body)
        if pin is Pin.ONCE:
            return None
        count = len(self._targets)
        others = range(1, count) if count > 1 and pin is Pin.FREE else (0,)
        for ahead in others:
            target = (step.target + ahead) % count
            if self._targets.blocked(target, self._model) or not self._targets.may_repeat(target):
                continue
            turn = self._targets.enter(target, self._model)
            if turn is not None:
                self._has_tried(target)
                return turn
        return None

    def _has_tried(self, target: int) -> None:
        if self._tried is None:
            self._tried = {target}
        else:
            self._tried.add(target)

    def answered(self) -> None:
        """The client has its answer."""
        self._tell(_ANSWERED)

    def close(self) -> None:
        """Nobody waits any more."""
        self._plan.close()

    def after(self, failed: Failed, now: float) -> Try | None:
        """The step after an attempt that failed; None when there is none."""
        following = self._tell(failed)
        if following is not None and self._pin is Pin.ONCE and failed.processed:
            self._stop(Reason.PINNED)
            return None
        return self._settle(following, now)

    def skip(self, step: Try, now: float, reason: Reason = Reason.BREAKER) -> Try | None:
        """The step instead of one that may not be taken; None when there is none."""
        return self._settle(self._tell(self._skipped(step, reason)), now)

    def _settle(self, step: Try | None, now: float) -> Try | None:
        while step is not None:
            begins = now + step.after
            stop = self._bounds.reason(begins) if self._tried else None
            if stop is None and self._pin is not Pin.FREE and step.target != self._home:
                stop = Reason.PINNED
            if stop is not None or self._skips >= _MOST_SKIPS:
                self._stop(stop or Reason.PLAN)
                return None
            reason = self._obstacle(step, begins)
            if reason is None:
                return step
            step = self._tell(self._skipped(step, reason))
        return None

    def _obstacle(self, step: Try, begins: float) -> Reason | None:
        """Why a step may not be taken, though the plan may go on."""
        if not step.panic and self._targets.blocked(step.target, self._model):
            return Reason.BREAKER
        if not self._tried:
            return None
        bounds = self._bounds
        if bounds.keep_pace and not step.panic:
            takes = self._targets.pace(step.target, stream=self._stream).half()
            if begins + takes > min(bounds.deadline, bounds.patience):
                return Reason.PACE
        if step.target in self._tried and not self._targets.may_repeat(step.target):
            return Reason.BUDGET
        return None

    def _skipped(self, step: Try, reason: Reason) -> Skipped:
        self._skips += 1
        wait = None
        if reason is Reason.BREAKER:
            wait = self._targets.blocked(step.target, self._model)
            self.retry_after = wait if self.retry_after is None else min(self.retry_after, wait)
        fact = Skipped(target=step.target, reason=reason.value, retry_after=wait)
        self._exchange.note(fact)
        return fact

    def _stop(self, reason: Reason) -> None:
        self._plan.close()
        self.stopped = reason

    def _tell(self, outcome: Failed | Skipped | Answered) -> Try | None:
        try:
            if self._pin is None and not isinstance(outcome, Answered):
                self._pin = pin_of(self._body)
                if self._pin is not Pin.FREE and self._pinned is not None:
                    self._plan.close()
                    self._plan = self._pinned(self._elsewhere)
                    next(self._plan)  # the attempt that was made already
            return self._plan.send(outcome)
        except StopIteration as end:
            if isinstance(end.value, Ended) and end.value.reason is not None:
                self.stopped = end.value.reason
            return None
