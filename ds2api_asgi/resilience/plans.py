"""Our plans: one app again (`retry_plan`), or one app after the other (`failover_plan`); without any I/O.

What a failed attempt leads to:

    verdict.retry              another app follows        this is the last one
    none                       stop (fault of the request or client: for good, but for a chosen `fallback_on`; else
                               the next app)
    key, and a pool is there   another key, at once       another key, at once
    key, no pool, rate         the next app               pause, again
    key, no pool, otherwise    the next app               stop
    same                       pause, once again          pause, again
    route, rate, and a pool    another key, at once       another key, at once: the request is too large for this one
    route, rate, no pool       the next app               stop
    route                      the next app               pause, again
    the pool is empty          the next app               wait for the first key (at most `wait_cap`), once
    skipped                    the next app               stop

A pause is ``hint + U(0, min(1, hint / 10))`` seconds where the upstream gave a hint, never less than the hint, and
full jitter ``U(0, min(backoff_cap, backoff * 2 ** n))`` for the n-th pause (from 0) otherwise. A hint over
`wait_cap` is not waited for.

An app that is `Skipped` was not asked: its breaker is open, or it may not be asked again so soon. When nobody else
could answer, the one that comes back first is tried all the same (`Try.panic`), now and then: the last candidate is
never shut out. That is the last thing to do, and done once; but a key's fault says nothing of the app, so what draws
one goes on with another key.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from random import Random

from ..asgi.facts import PoolEmpty, Skipped
from ..universal.failure import Fault, RetryScope, Verdict
from .plan import Answered, Ended, Failed, Outcome, Reason, RetryPolicy, Try

__all__ = ["FALLBACKS", "failover_plan", "retry_plan"]

FALLBACKS = frozenset({"context-window", "content-policy"})
"""Faults of a request that another app's model may not share."""

_MOST_DOUBLINGS = 30
"""Keeps ``2 ** n`` a small number; every sane `backoff_cap` is reached long before."""


def retry_plan(
    policy: RetryPolicy, rng: Random, *, target: int = 0, elsewhere: bool = False
) -> Generator[Try, Outcome, Ended]:
    """Try one app until it answers or trying again makes no sense.

    Args:
        policy: How much is tried.
        rng: Draws the jitter.
        target: Index of the app.
        elsewhere: Whether another app follows; then this one is given up sooner.

    Returns:
        How it ended.
    """
    outcome = yield Try(target, 0.0, elsewhere)
    if isinstance(outcome, Answered):  # at once, as most are
        return Ended(outcome)
    if isinstance(outcome, Skipped):
        course = _Course(policy, rng, elsewhere=elsewhere)
        return (yield from _panic([outcome], Ended(outcome, Reason(outcome.reason)), course))
    return (yield from _again(outcome, _Course(policy, rng, elsewhere=elsewhere), target))


def failover_plan(
    targets: int,
    policy: RetryPolicy,
    rng: Random,
    *,
    elsewhere: bool = False,
    fallback_on: Collection[str] = (),
) -> Generator[Try, Outcome, Ended]:
    """Try one app after the other, each as `retry_plan` does, until one answers or the request itself is at fault.

    Args:
        targets: How many apps there are.
        policy: How much is tried, for each app; `max_calls` and `deadline` hold for all together.
        rng: Draws the jitter.
        elsewhere: Whether something follows even the last app.
        fallback_on: Faults of the request, out of `FALLBACKS`, that the next app is to be asked about all the same.

    Returns:
        How it ended.
    """
    skipped: list[Skipped] = []
    outcome = yield Try(0, 0.0, elsewhere or targets > 1)
    if isinstance(outcome, Answered):
        return Ended(outcome)
    target = 0
    while True:
        follows = elsewhere or target < targets - 1
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
            ended = Ended(outcome, Reason(outcome.reason))
        else:
            ended = yield from _again(outcome, _Course(policy, rng, elsewhere=follows), target)
        if ended.reason is None or (ended.reason is Reason.REQUEST and not _falls_back(ended.outcome, fallback_on)):
            return ended
        target += 1
        if target == targets:
            return (yield from _panic(skipped, ended, _Course(policy, rng, elsewhere=elsewhere)))
        outcome = yield Try(target, 0.0, elsewhere or target < targets - 1)
        if isinstance(outcome, Answered):
            return Ended(outcome)


def _again(outcome: Failed, course: _Course, target: int) -> Generator[Try, Outcome, Ended]:
    """Go on with an app whose first attempt failed."""
    while True:
        after = course.pause(outcome)
        if isinstance(after, Reason):
            return Ended(outcome, after)
        following = yield Try(target, after, course.elsewhere)
        if isinstance(following, Answered):
            return Ended(following)
        if isinstance(following, Skipped):
            return Ended(outcome, Reason(following.reason))
        outcome = following


def _panic(skipped: list[Skipped], ended: Ended, course: _Course) -> Generator[Try, Outcome, Ended]:
    """Of the apps that were never asked, since their breakers are open, try the one that comes back first."""
    resting = [skip for skip in skipped if skip.reason == Reason.BREAKER]
    if course.elsewhere or not resting:
        return ended
    soonest = min(resting, key=lambda skip: skip.retry_after or 0.0)
    while True:
        outcome = yield Try(soonest.target, panic=True)
        if isinstance(outcome, Answered):
            return Ended(outcome)
        if isinstance(outcome, Skipped):
            return Ended(outcome, Reason(outcome.reason))
        if not _is_for_another_key(outcome):
            return Ended(outcome, Reason.BREAKER)
        if not course.may_change_key(outcome):
            return Ended(outcome, Reason.KEYS)


def _is_hopeless(verdict: Verdict) -> bool:
    return verdict.retry is RetryScope.NONE and verdict.fault in (Fault.REQUEST, Fault.CLIENT)


def _is_for_another_key(failed: Failed) -> bool:
    """Whether a pool's next key may do better, at once: this one was at fault, or is of too small a tier."""
    verdict = failed.verdict
    too_large = verdict.retry is RetryScope.ROUTE and verdict.fault is Fault.RATE
    return failed.keyed and failed.empty is None and (verdict.retry is RetryScope.KEY or too_large)


def _falls_back(outcome: Outcome, kinds: Collection[str]) -> bool:
    return isinstance(outcome, Failed) and outcome.verdict.reason in kinds


class _Course:
    """What one app has been asked so far."""

    __slots__ = ("_attempts", "_keys", "_pauses", "_policy", "_rng", "_waited", "elsewhere")

    def __init__(self, policy: RetryPolicy, rng: Random, *, elsewhere: bool) -> None:
        self._policy = policy
        self._rng = rng
        self.elsewhere = elsewhere
        self._attempts = 0
        self._keys = 0
        self._pauses = 0
        self._waited = False

    def pause(self, failed: Failed) -> float | Reason:
        """Seconds before the next attempt, or why there should be none."""
        if failed.empty is not None:
            return self._wait_for_key(failed.empty)
        if _is_for_another_key(failed):
            return 0.0 if self.may_change_key(failed) else Reason.KEYS
        verdict = failed.verdict
        match verdict.retry:
            case RetryScope.NONE:
                return Reason.REQUEST if _is_hopeless(verdict) else Reason.FINAL
            case RetryScope.KEY:
                # Without a pool the same key would be asked again: only a rate comes back by waiting.
                again = verdict.fault is Fault.RATE and not self.elsewhere
            case RetryScope.ROUTE:
                # A request that is too large for a key's rate will be so in a minute too.
                again = verdict.fault is not Fault.RATE and not self.elsewhere
            case RetryScope.SAME:
                again = True
        if not again or not verdict.same_key:
            return Reason.FINAL
        self._attempts += max(1, failed.calls)
        return self._back_off(verdict) if self._attempts < self._most(verdict) else Reason.ATTEMPTS

    def may_change_key(self, failed: Failed) -> bool:
        """Count the keys that were tried; whether there may be one more."""
        self._keys += max(1, failed.calls)
        return self._keys < self._policy.max_keys_tried

    def _most(self, verdict: Verdict) -> int:
        # A conflict (409) is the request's own and worth one repeat; where another app follows, it is the better one.
        once = self.elsewhere or verdict.fault is Fault.REQUEST
        return min(2, self._policy.max_attempts) if once else self._policy.max_attempts

    def _back_off(self, verdict: Verdict) -> float | Reason:
        if verdict.hint is not None:
            return self._after_hint(verdict.hint)
        most = min(self._policy.backoff_cap, self._policy.backoff * 2 ** min(self._pauses, _MOST_DOUBLINGS))
        self._pauses += 1
        return self._rng.uniform(0.0, most)

    def _wait_for_key(self, empty: PoolEmpty) -> float | Reason:
        if self.elsewhere or self._waited or empty.waited or empty.retry_after is None:
            return Reason.EMPTY
        self._waited = True
        return self._after_hint(empty.retry_after)

    def _after_hint(self, hint: float) -> float | Reason:
        if not hint <= self._policy.wait_cap:
            return Reason.WAIT
        hint = max(hint, 0.0)
        return hint + self._rng.uniform(0.0, min(1.0, 0.1 * hint))
