"""Circuit breakers: whoever keeps failing is left alone for a while, and then asked by one request at a time.

Pure: no clock and no dice of its own. The states and what moves them (`TRANSITIONS`):

    CLOSED     tripped          OPEN         5 failures in a row, or over half of at least 20 in the last 30 seconds
    OPEN       rested           HALF_OPEN    its time is over: 5 seconds, doubled from re-opening to re-opening
    OPEN       relieved         HALF_OPEN    somebody was let through all the same (panic), and was served
    HALF_OPEN  failed again     OPEN         the probe failed
    HALF_OPEN  recovered        CLOSED       2 probes in a row were served

A `Pass` says what a request was let through as. Only what it was let through to find out moves a breaker that is not
closed: a success that began before the breaker opened proves nothing, and neither does a failure that began before it
closed (``Pass.era``). Who trips again within a window of having closed goes on doubling, so that flapping costs more
and more.

The numbers are those of Envoy's outlier detection
(https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier), but for the times: a provider's
overload lasts seconds. At the cap the jitter goes to both sides too, lest all breakers of a fleet end up in step.
"""

from __future__ import annotations

from enum import Enum, auto
from random import Random

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["TRANSITIONS", "Breaker", "BreakerEvent", "BreakerPolicy", "BreakerState", "Mark", "Pass"]

BUCKETS = 10
"""Parts of the sliding window."""

_MOST_DOUBLINGS = 30
_PROBING = 1.0  # seconds after which it makes sense to ask again while a probe is under way


class BreakerState(Enum):
    """Whether requests may pass."""

    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class BreakerEvent(Enum):
    """What moves a breaker."""

    TRIPPED = auto()
    RESTED = auto()
    RELIEVED = auto()
    FAILED_AGAIN = auto()
    RECOVERED = auto()


TRANSITIONS: dict[BreakerState, dict[BreakerEvent, BreakerState]] = {
    BreakerState.CLOSED: {BreakerEvent.TRIPPED: BreakerState.OPEN},
    BreakerState.OPEN: {
        BreakerEvent.RESTED: BreakerState.HALF_OPEN,
        BreakerEvent.RELIEVED: BreakerState.HALF_OPEN,
    },
    BreakerState.HALF_OPEN: {
        BreakerEvent.FAILED_AGAIN: BreakerState.OPEN,
        BreakerEvent.RECOVERED: BreakerState.CLOSED,
    },
}
"""Every move there is."""


class Mark(Enum):
    """How a request ended, as far as its breaker cares."""

    SERVED = auto()
    FAILED = auto()
    NEITHER = auto()  # a bad request, a client that left: says nothing
    UNUSED = auto()  # a bad or limited key: says nothing, and the request goes on with another one


_COUNTED = (Mark.SERVED, Mark.FAILED)


class BreakerPolicy(Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long. Times are in seconds.

    Attributes:
        consecutive: Failures in a row that open it.
        share: It opens when more than this share of a window's requests failed ...
        least: ... and there were at least so many.
        window: How far back is looked.
        rest: How long it stays open the first time; doubled from re-opening to re-opening.
        longest_rest: The bound of that, before the jitter.
        jitter: Rests are spread by this share to both sides.
        probes: Successes in a row that close it again.
        panic_interval: While all that could be asked is open, one request in so much time is let through.
        models: Models that are remembered; their names are chosen by clients.
    """

    consecutive: int = 5
    share: float = 0.5
    least: int = 20
    window: float = 30.0
    rest: float = 5.0
    longest_rest: float = 300.0
    jitter: float = 0.2
    probes: int = 2
    panic_interval: float = 1.0
    models: int = 1000

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigurationError: A count below 1, a share outside of 0 to 1, or a time that is not above 0.
        """
        for name in ("consecutive", "least", "probes", "models"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"the breaker's {name} must be an integer of at least 1, not {value!r}")
        for name in ("share", "jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"the breaker's {name} must be from 0 to below 1")
        for name in ("window", "rest", "longest_rest"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(f"the breaker's {name} must be more than 0 seconds")
        if not self.panic_interval >= 0:
            raise ConfigurationError("the breaker's panic_interval must be 0 seconds or more")


class Pass(Struct, frozen=True):
    """A request was let through.

    Attributes:
        era: How often the breaker had changed its state by then.
        probe: Whether it is to find out if the upstream is back.
    """

    era: int
    probe: bool = False


_NO_STAMP = -(1 << 62)  # no bucket of any clock


class Breaker:
    """One circuit breaker.

    Args:
        policy: When it opens.
        rng: Draws the jitter.

    Attributes:
        state: Where it stands; a rest that is over shows at the next `enter`.
        failures: Failures in a row, while it is closed.
    """

    __slots__ = (
        "_bad",
        "_closed_at",
        "_era",
        "_good",
        "_length",
        "_panicked_at",
        "_passes",
        "_policy",
        "_probing",
        "_reopenings",
        "_rng",
        "_served",
        "_stamps",
        "_until",
        "failures",
        "state",
    )

    def __init__(self, policy: BreakerPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self._length = policy.window / BUCKETS
        self._stamps = [_NO_STAMP] * BUCKETS
        self._good = [0] * BUCKETS
        self._bad = [0] * BUCKETS
        self._era = 0
        self._passes = Pass(0)
        self._probing = False
        self._served = 0
        self._until = 0.0
        self._reopenings = 0
        self._closed_at = float("-inf")
        self._panicked_at = float("-inf")
        self.state = BreakerState.CLOSED
        self.failures = 0

    def reopens_in(self, now: float) -> float:
        """Seconds until a request may pass; 0 when one may now.

        Args:
            now: Monotonic seconds.
        """
        match self.state:
            case BreakerState.CLOSED:
                return 0.0
            case BreakerState.OPEN:
                return max(0.0, self._until - now)
            case BreakerState.HALF_OPEN:
                return _PROBING if self._probing else 0.0

    def enter(self, now: float) -> Pass | None:
        """Let a request through, or not. Who gets a pass gives it back with `leave`.

        Args:
            now: Monotonic seconds.
        """
        if self.state is BreakerState.CLOSED:
            return self._passes
        if self.state is BreakerState.OPEN and now >= self._until:
            self._move(BreakerEvent.RESTED)
        if self.state is BreakerState.OPEN or self._probing:
            return None
        self._probing = True
        return Pass(self._era, probe=True)

    def panic(self, now: float) -> Pass | None:
        """Let a request through although the breaker is open, since there is nobody else to ask; now and then.

        Args:
            now: Monotonic seconds.
        """
        entered = self.enter(now)
        if entered is not None:
            return entered
        if self._probing or now - self._panicked_at < self._policy.panic_interval:
            return None
        self._panicked_at = now
        self._probing = True
        return Pass(self._era, probe=True)

    def leave(self, entered: Pass, mark: Mark, now: float) -> bool:
        """A request that was let through has ended.

        Args:
            entered: Its pass.
            mark: How it ended.
            now: Monotonic seconds.

        Returns:
            Whether that has changed the state.
        """
        if entered.era != self._era:
            return False
        if self.state is BreakerState.CLOSED:
            return mark in _COUNTED and self._count(mark, now)
        if not entered.probe:
            return False
        self._probing = False
        match mark:
            case Mark.NEITHER:
                return False
            case Mark.UNUSED:
                self._panicked_at = float("-inf")
                return False
            case Mark.FAILED:
                return self._fail_again(now)
            case Mark.SERVED:
                return self._serve(now)

    def _count(self, mark: Mark, now: float) -> bool:
        number = int(now // self._length)
        slot = number % BUCKETS
        if self._stamps[slot] != number:
            self._stamps[slot] = number
            self._good[slot] = self._bad[slot] = 0
        if mark is Mark.SERVED:
            self._good[slot] += 1
            self.failures = 0
            return False
        self._bad[slot] += 1
        self.failures += 1
        if self.failures < self._policy.consecutive and not self._is_over_share(number):
            return False
        self._reopenings = self._reopenings + 1 if now - self._closed_at < self._policy.window else 0
        self._rest(BreakerEvent.TRIPPED, now)
        return True

    def _is_over_share(self, number: int) -> bool:
        recent = [slot for slot in range(BUCKETS) if number - BUCKETS < self._stamps[slot] <= number]
        bad = sum(self._bad[slot] for slot in recent)
        total = bad + sum(self._good[slot] for slot in recent)
        return total >= self._policy.least and bad > self._policy.share * total

    def _fail_again(self, now: float) -> bool:
        if self.state is BreakerState.OPEN:  # in a panic, which was before its time: it goes on resting
            return False
        self._reopenings += 1
        self._rest(BreakerEvent.FAILED_AGAIN, now)
        return True

    def _serve(self, now: float) -> bool:
        if self.state is BreakerState.OPEN:
            self._move(BreakerEvent.RELIEVED)
        self._served += 1
        if self._served < self._policy.probes:
            return False
        self._move(BreakerEvent.RECOVERED)
        self._closed_at = now
        self._stamps = [_NO_STAMP] * BUCKETS
        return True

    def _rest(self, event: BreakerEvent, now: float) -> None:
        policy = self._policy
        rest = min(policy.longest_rest, policy.rest * 2 ** min(self._reopenings, _MOST_DOUBLINGS))
        self._until = now + rest * self._rng.uniform(1 - policy.jitter, 1 + policy.jitter)
        self._move(event)

    def _move(self, event: BreakerEvent) -> None:
        self.state = TRANSITIONS[self.state][event]
        self._era += 1
        self._passes = Pass(self._era)
        self._probing = False
        self._served = 0
        self.failures = 0
