"""Who got what, and when: what a simulation says about a scenario."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec import Struct

from ..pool import KeyReport, KeyState
from . import scenario
from .attempt import Attempt
from .call import Call, End
from .checker import Violation
from .client import RequestEnd
from .world import Observer, World

__all__ = ["Bucket", "GroupReport", "KeyUse", "Report", "Reporter", "percentile"]

BUCKETS = 24


class KeyUse(Struct, frozen=True, kw_only=True):
    """How one key was used.

    Attributes:
        provider: Whose.
        key: Its name.
        calls: How many.
        ends: How they ended, by `End`.
        most: The most at a time.
        tokens: That the provider counted.
        utilisation: The served part of what its limit of requests allows; None: it has none, or shares it.
        states: The share of the time that it spent in each state, as sampled.
    """

    provider: str
    key: str
    calls: int
    ends: dict[str, int]
    most: int
    tokens: int
    utilisation: float | None
    states: dict[str, float]


class GroupReport(Struct, frozen=True, kw_only=True):
    """What a group of clients got.

    Attributes:
        name: Its name.
        requests: How many.
        ends: How they ended, as in `RequestEnd`.
        served: The share that was answered well, of those that stayed.
        attempts: HTTP requests that it took, with what their SDKs tried again.
        latency: Seconds to the end of a good answer, from the first attempt on: at 50, 95 and 99 percent.
        first: The same, to its beginning.
        waited: The same, waiting for a key.
    """

    name: str
    requests: int
    ends: dict[str, int]
    served: float
    attempts: int
    latency: tuple[float, float, float]
    first: tuple[float, float, float]
    waited: tuple[float, float, float]


class Bucket(Struct, kw_only=True):
    """A piece of the time.

    Attributes:
        at: When it begins, in seconds since the start.
        served: Requests that were answered well in it.
        failed: Requests that were not, without those whose clients left.
        calls: Upstream calls that began in it.
        limited: Of those that ended in it, the rate limited.
    """

    at: float
    served: int = 0
    failed: int = 0
    calls: int = 0
    limited: int = 0


class Report(Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        seed: Gives the same report again.
        start: The time of day of the beginning, in seconds since midnight.
        duration: Seconds in which clients asked.
        requests: Of all clients.
        served: The share that was answered well, of those that stayed.
        attempts: HTTP requests.
        calls: Upstream calls.
        amplification: Upstream calls for each client's request.
        keys: In the order of the scenario.
        groups: In the order of the scenario.
        timeline: From the start to when the last request ended.
        violations: Of what must always hold.
        failure: What ended the simulation before its end; None: nothing.
    """

    seed: int
    start: float
    duration: float
    requests: int
    served: float
    attempts: int
    calls: int
    amplification: float
    keys: list[KeyUse]
    groups: list[GroupReport]
    timeline: list[Bucket]
    violations: list[Violation]
    failure: str | None = None

    @property
    def sound(self) -> bool:
        """Whether all held that must."""
        return not self.violations and self.failure is None


class _Key:
    def __init__(self) -> None:
        self.calls = self.most = self.now = self.tokens = 0
        self.ends: Counter[str] = Counter()
        self.states: Counter[str] = Counter()


class Reporter(Observer):
    """Counts."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], _Key] = defaultdict(_Key)
        self._ended: dict[str, list[RequestEnd]] = defaultdict(list)
        self._attempts = 0
        self._calls = 0
        self._buckets: list[Bucket] = []

    def starts(self, world: World) -> None:
        """See `Observer.starts`."""
        self._clock = world.loop.time
        self._step = world.plan.duration / BUCKETS

    def begins(self, call: Call) -> None:
        """See `Ears.begins`."""
        self._calls += 1
        key = self._keys[call.provider, call.key]
        key.calls += 1
        key.now += 1
        key.most = max(key.most, key.now)
        self._bucket().calls += 1

    def ends(self, call: Call) -> None:
        """See `Ears.ends`."""
        assert call.end is not None
        key = self._keys[call.provider, call.key]
        key.now -= 1
        key.ends[call.end.value] += 1
        key.tokens += call.tokens
        self._bucket().limited += call.end is End.RATE

    def answered(self, attempt: Attempt) -> None:  # noqa: ARG002 - it is only counted
        """See `Observer.answered`."""
        self._attempts += 1

    def concluded(self, request: RequestEnd) -> None:
        """See `Observer.concluded`."""
        self._ended[request.group].append(request)
        if request.end == "ok":
            self._bucket().served += 1
        elif request.end not in ("left", "killed"):
            self._bucket().failed += 1

    def sampled(self, provider: str, keys: Sequence[KeyReport]) -> None:
        """See `Observer.sampled`."""
        for report in keys:
            self._keys[provider, report.alias].states[report.state.value] += 1

    def report(
        self, plan: scenario.Scenario, seed: int, violations: Sequence[Violation], failure: str | None = None
    ) -> Report:
        """What was counted.

        Args:
            plan: The scenario.
            seed: With which it was run.
            violations: What a `Checker` found.
            failure: What ended it before its end.
        """
        everybody = [ended for group in plan.clients for ended in self._ended[group.name]]
        return Report(
            seed=seed,
            start=float(plan.start),
            duration=float(plan.duration),
            requests=len(everybody),
            served=_served(everybody),
            attempts=self._attempts,
            calls=self._calls,
            amplification=self._calls / len(everybody) if everybody else 0.0,
            keys=[
                self._use(plan, provider, keys, name)
                for provider in plan.providers
                for keys in provider.keys or (None,)
                for name in (keys.names() if keys is not None else [""])
            ],
            groups=[_group(group.name, self._ended[group.name]) for group in plan.clients],
            timeline=self._buckets,
            violations=list(violations),
            failure=failure,
        )

    def _bucket(self) -> Bucket:
        number = int(self._clock() / self._step)
        while len(self._buckets) <= number:
            self._buckets.append(Bucket(at=len(self._buckets) * self._step))
        return self._buckets[number]

    def _use(
        self, plan: scenario.Scenario, provider: scenario.Provider, keys: scenario.Keys | None, name: str
    ) -> KeyUse:
        key = self._keys[provider.name, name]
        limit = None if keys is None or keys.scope is not None else keys.rpm
        samples = key.states.total()
        return KeyUse(
            provider=provider.name,
            key=name,
            calls=key.calls,
            ends={end.value: key.ends[end.value] for end in End},
            most=key.most,
            tokens=key.tokens,
            utilisation=None if limit is None else key.ends[End.SERVED.value] / (limit * plan.duration / 60),
            states={state.value: key.states[state.value] / samples for state in KeyState} if samples else {},
        )


def _group(name: str, ended: list[RequestEnd]) -> GroupReport:
    good = [request for request in ended if request.end == "ok"]
    return GroupReport(
        name=name,
        requests=len(ended),
        ends=dict(sorted(Counter(request.end for request in ended).items())),
        served=_served(ended),
        attempts=sum(request.attempts for request in ended),
        latency=_three([request.ended - request.begun for request in good]),
        first=_three([request.first - request.begun for request in good if request.first is not None]),
        waited=_three([request.waited for request in ended]),
    )


def _served(ended: Sequence[RequestEnd]) -> float:
    stayed = [request for request in ended if request.end not in ("left", "killed")]
    return sum(request.end == "ok" for request in stayed) / len(stayed) if stayed else 1.0


def _three(values: list[float]) -> tuple[float, float, float]:
    values.sort()
    return percentile(values, 50), percentile(values, 95), percentile(values, 99)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed; 0.0 when there are none.

    Args:
        ordered: From the least to the greatest.
        percent: 0 to 100.
    """
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
