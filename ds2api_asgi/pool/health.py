"""The health of a key, as a state machine without clock, lock or loop.

    state      | after ...                                       | until ...              | then
    -----------|-------------------------------------------------|------------------------|----------
    ACTIVE     | -                                               | -                      | -
    COOLING    | a rate limit; a first 401 of a key that served  | hint, or 1 s .. 60 s   | HALF_OPEN
    EXHAUSTED  | a used up quota, a bill                         | reset, or 1 h .. 24 h  | HALF_OPEN
    BLOCKED    | "this key may not use this model"               | 10 min                 | HALF_OPEN
    DISABLED   | 401 again, or before it ever served; an operator| 24 h; operator: never  | HALF_OPEN
    HALF_OPEN  | its time of rest                                | one probe comes back   | ACTIVE, or rests longer

Providers limit different things, so one key has several `Lane` s, each with its own state: the key itself (refused),
the key for one model (forbidden), its quota scope (exhausted), its quota scope for one model (rate limited). A key can
be used when all lanes that a request runs through can.

Answers come in another order than requests went out. Each lane remembers the stamp of its last turn (`Lane.changed`)
and each lease the stamp at which it was `born`; an answer to a request that began before the turn is old news:

- many requests that fail together count once,
- a success that began before the key started to rest does not end the rest,
- a failure that began before the key recovered does not send it back to rest.

Deadlines only move out: a rest never ends sooner because of a second, shorter one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from msgspec import Struct

__all__ = [
    "LONGEST_COOLING",
    "TRANSITIONS",
    "Event",
    "KeyState",
    "Lane",
    "Outcome",
]


class KeyState(StrEnum):
    """What a key may be used for now, from best to worst."""

    ACTIVE = "active"
    HALF_OPEN = "half_open"  # one request may try whether it works again
    COOLING = "cooling"
    EXHAUSTED = "exhausted"
    BLOCKED = "blocked"  # for one model only
    DISABLED = "disabled"

    @property
    def resting(self) -> bool:
        """No request may use it."""
        return self not in (KeyState.ACTIVE, KeyState.HALF_OPEN)


class Event(StrEnum):
    """What happens to a lane."""

    SERVED = "served"  # a successful answer began
    TOLD = "told"  # an answer that is no success, and not the key's fault, told what is left of its limits
    RATE = "rate"
    QUOTA = "quota"
    DOUBTED = "doubted"  # refused for the first time, after it had served
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    ELAPSED = "elapsed"  # the time of rest is over
    DISABLE = "disable"  # by an operator
    ENABLE = "enable"  # by an operator


def _transitions() -> dict[tuple[KeyState, Event], KeyState]:
    table = {(state, Event.ENABLE): KeyState.ACTIVE for state in KeyState}
    table |= {(state, Event.DISABLE): KeyState.DISABLED for state in KeyState}
    for state in (KeyState.ACTIVE, KeyState.HALF_OPEN):
        table |= {
            (state, Event.RATE): KeyState.COOLING,
            (state, Event.DOUBTED): KeyState.COOLING,
            (state, Event.QUOTA): KeyState.EXHAUSTED,
            (state, Event.REFUSED): KeyState.DISABLED,
            (state, Event.FORBIDDEN): KeyState.BLOCKED,
        }
    for state in (KeyState.COOLING, KeyState.EXHAUSTED, KeyState.BLOCKED, KeyState.DISABLED):
        table[state, Event.ELAPSED] = KeyState.HALF_OPEN
    table |= {
        (KeyState.HALF_OPEN, Event.SERVED): KeyState.ACTIVE,
        # Two of several requests that failed together: a longer hint or a worse reason still counts.
        (KeyState.COOLING, Event.RATE): KeyState.COOLING,
        (KeyState.COOLING, Event.QUOTA): KeyState.EXHAUSTED,
        (KeyState.EXHAUSTED, Event.QUOTA): KeyState.EXHAUSTED,
    }
    return table


TRANSITIONS: Mapping[tuple[KeyState, Event], KeyState] = MappingProxyType(_transitions())
"""Every turn that a lane can take; an event that does not stand here changes nothing."""

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
LONGEST_COOLING = (
    _HOUR  # seconds; a hint beyond it is asked again, for hints of days have kept good keys away for weeks
)
_FIRST_DOUBT = 30.0
_DOUBT_LASTS = 10 * _MINUTE


class Outcome(Struct, frozen=True, kw_only=True):
    """What a key's answer means for its health.

    Attributes:
        event: What happened.
        seconds: How long the provider said that it will last, or None.
        soft: Seconds for which other keys shall be preferred, because too little is left of a limit; None: no need.
        left: How many requests the provider still allows the quota scope, and the seconds until it allows all of them
            again; None: it did not say.
        latency: Seconds until content came; None: nobody measured.
    """

    event: Event
    seconds: float | None = None
    soft: float | None = None
    latency: float | None = None
    left: tuple[float, float] | None = None

    def soft_for(self, others: int) -> float | None:
        """Seconds for which other keys shall be preferred, or None.

        Args:
            others: Other requests of the same quota scope that are in flight, and may use up what is left.
        """
        if self.left is None or self.left[0] > others:
            return self.soft
        return max(self.soft or 0.0, self.left[1]) or None


class Lane(Struct, kw_only=True):
    """One of the things that a provider limits about a key.

    Attributes:
        state: Where it is.
        until: When its rest ends, in seconds of the pool's monotonic clock; only meaningful while it rests.
        soft_until: Until when others are preferred, on the same clock.
        changed: The stamp of its last turn.
        probe: The id of the lease that probes it, or None.
        strikes: How often it went to rest for this cause without serving in between.
        cause: Why it rests, or rested last.
        doubted: When a key that had served was refused, on the same clock.
        wake: When its owner will let time pass for it; ``inf``: nothing is planned.
    """

    state: KeyState = KeyState.ACTIVE
    until: float = -math.inf
    soft_until: float = -math.inf
    changed: int = 0
    probe: int | None = None
    strikes: int = 0
    cause: Event | None = None
    doubted: float = -math.inf
    wake: float = math.inf

    @property
    def is_soft(self) -> bool:
        """Others are preferred."""
        return self.soft_until > -math.inf

    def next_wake(self) -> float:
        """When time will change something next; ``inf``: never."""
        rest = self.until if self.state.resting else math.inf
        return min(rest, self.soft_until) if self.is_soft else rest

    def fail(self, outcome: Outcome, *, proven: bool, born: int, stamp: int, now: float) -> bool:
        """Take a failure.

        Args:
            outcome: RATE, QUOTA, REFUSED or FORBIDDEN.
            proven: The key has served before.
            born: The stamp at which the failed request began.
            stamp: The stamp of this turn, if it is one.
            now: Seconds of the monotonic clock.

        Returns:
            Whether anything changed.
        """
        if not self.state.resting and born < self.changed:
            return False
        event = outcome.event
        if event is Event.REFUSED and not self.state.resting and self._is_doubtful(proven, now):
            event = Event.DOUBTED
            self.doubted = now
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        if after is self.state:
            return self._extend(outcome, now)
        self.strikes = self.strikes + 1 if event is self.cause else 1
        self.cause = event
        self._turn(after, stamp)
        self.until = max(self.until, now + _rest(event, self.strikes, outcome.seconds))
        return True

    def serve(self, *, born: int, stamp: int) -> bool:
        """Take a success of a request that began at stamp `born`; tells whether anything changed."""
        after = TRANSITIONS.get((self.state, Event.SERVED))
        if after is None or born < self.changed:
            return False
        self._turn(after, stamp)
        self._forget()
        return True

    def elapse(self, now: float) -> bool:
        """Let time pass; tells whether a rest ended."""
        if now >= self.soft_until:
            self.soft_until = -math.inf
        if not self.state.resting or now < self.until:
            return False
        # No new stamp: who began before the rest is still old news, and nobody can begin in it.
        self.state = TRANSITIONS[self.state, Event.ELAPSED]
        return True

    def soften(self, until: float) -> bool:
        """Let others be preferred until then; tells whether that is later than before."""
        later = until > self.soft_until
        self.soft_until = max(self.soft_until, until)
        return later

    def disable(self, stamp: int) -> None:
        """Take it out until `enable`."""
        self._turn(TRANSITIONS[self.state, Event.DISABLE], stamp)
        self._forget()
        self.until = math.inf

    def enable(self, stamp: int) -> None:
        """Take it back in, whatever it was, and forget what was held against it."""
        self._turn(TRANSITIONS[self.state, Event.ENABLE], stamp)
        self._forget()
        self.until = self.soft_until = -math.inf

    def _turn(self, after: KeyState, stamp: int) -> None:
        self.state = after
        self.changed = stamp
        self.probe = None

    def _forget(self) -> None:
        self.strikes = 0
        self.cause = None
        self.doubted = -math.inf

    def _extend(self, outcome: Outcome, now: float) -> bool:
        if outcome.seconds is None:
            return False
        before = self.until
        self.until = max(before, now + _rest(outcome.event, 1, outcome.seconds))
        return self.until > before

    def _is_doubtful(self, proven: bool, now: float) -> bool:
        # Providers do answer 401 by mistake, and a whole pool must not fall for it: one 401 is a doubt, a second within
        # ten minutes and with no success in between is an answer.
        return proven and self.cause is not Event.REFUSED and now - self.doubted > _DOUBT_LASTS


def _rest(event: Event, strikes: int, seconds: float | None) -> float:
    """How long a lane rests, in seconds."""
    doubled = 2.0 ** min(strikes - 1, 16)
    match event:
        case Event.RATE:
            # Rate windows are a minute or less nearly everywhere: from 1 s on no long window is missed by much, and
            # beyond 60 s a key without a hint would only be kept away from a window that is open again.
            ladder = min(doubled, _MINUTE)
            if seconds is None:
                return ladder
            # The first hint is believed to the second; one that a probe proved wrong is not believed below the ladder.
            return min(max(seconds, ladder if strikes > 1 else 0.0), LONGEST_COOLING)
        case Event.QUOTA:
            # Money and quotas often come back before the date that was told, so a day is the longest without a probe.
            return min(seconds or _HOUR * doubled, _DAY)
        case Event.DOUBTED:
            return _FIRST_DOUBT
        case Event.FORBIDDEN:
            return 10 * _MINUTE
        case Event.REFUSED:
            return _DAY
        case Event.SERVED | Event.TOLD | Event.ELAPSED | Event.DISABLE | Event.ENABLE:
            raise ValueError(f"{event.value} is no failure")
        case _:
            assert_never(event)
