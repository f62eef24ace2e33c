"""What must hold in every simulation, whatever happens in it; each `Violation` is a bug of ours.

| rule | says |
|---|---|
| ``budget`` | no more upstream calls for a client's request than `max_calls` |
| ``rest`` | no call with a key that rests, or a second one beside the probe |
| ``concurrency`` | no more calls with a key, or with keys that share a limit, at a time than the pool allows |
| ``limit`` | no more calls in a minute than the pool was told |
| ``queue`` | nobody waits for a key for longer than the pool lets them |
| ``idle`` | nobody waits for a key while one works, is free and was not tried |
| ``refused`` | no "no key" while one works, is free and was not tried |
| ``gave up`` | no client hears of a key's fault while another key works, is free and was not tried |
| ``whole`` | what looks whole to a client is one provider's whole answer, and every word of it |
| ``shape`` | an error is said in the client's own protocol |
| ``answer`` | every client that stays gets one; nothing but `BrokenStream` comes out of our app |
| ``deadline`` | no request lasts longer than its deadline |
| ``leaving`` | our app ends within a tenth of a second after the client left |
| ``leak`` | at the end no key is in use and no call under way |
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Attempted, Judged, KeyLeased, PoolEmpty, Stopped
from ..errors import BrokenStream, InvalidDocument
from ..pool import KeyReport, RateLimits
from ..protocols import registry
from ..universal.failure import Fault
from ..universal.jsontext import loads
from . import wire
from .attempt import Attempt, looks_whole
from .call import Call, End
from .rests import Rests
from .world import Observer, Pooled, World

__all__ = ["Checker", "Violation"]

_TICK = 1e-6
_REMEMBERED = 62.0  # seconds: a minute, and the part of one by which the pool's windows are too coarse
_LEAVING = 0.13  # seconds: a grace of 0.02 before anybody listens, 0.1 to end, and some rounding
_KEYS_FAULTS = (Fault.KEY, Fault.RATE, Fault.QUOTA)


class Violation(Struct, frozen=True, kw_only=True):
    """Something that must not happen did.

    Attributes:
        at: When, in seconds since the start.
        rule: See the module.
        message: What happened.
    """

    at: float
    rule: str
    message: str


class _Crowd:
    """Keys that share a limit, and the calls that use them.

    Args:
        limits: What the pool was told.
        most_of_key: Calls that may use one key at a time; None: any number.
    """

    def __init__(self, limits: RateLimits, most_of_key: int | None) -> None:
        self.rpm = math.inf if limits.rpm is None else limits.rpm
        self.most = math.inf if limits.concurrency is None else limits.concurrency
        self.most_of_key = math.inf if most_of_key is None else most_of_key
        self.in_flight: Counter[str] = Counter()
        self._begun: deque[float] = deque()
        self._ended: dict[str, float] = {}

    def begin(self, key: str, now: float, *, counts: bool) -> None:
        self.in_flight[key] += 1
        if counts:
            self._begun.append(now)

    def end(self, key: str, now: float) -> None:
        self.in_flight[key] -= 1
        self._ended[key] = now

    def in_last(self, seconds: float, now: float) -> int:
        """Calls that began in the last so many seconds; asked for more than `_REMEMBERED` never."""
        while self._begun and self._begun[0] <= now - _REMEMBERED:
            self._begun.popleft()
        return sum(begun > now - seconds for begun in self._begun)

    def is_free(self, key: str, now: float) -> bool:
        """Whether it is sure that there is room for one more call."""
        if now in self._ended.values():  # the pool may not have it back yet
            return False
        room = self.in_flight[key] < self.most_of_key and self.in_flight.total() < self.most
        return room and (self.rpm == math.inf or self.in_last(_REMEMBERED, now) < self.rpm)


class _Waiter(Struct, frozen=True):
    pooled: Pooled
    model: str
    tried: set[str]
    since: float


class Checker(Observer):
    """Watches everything.

    Attributes:
        violations: What went wrong, oldest first.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._rests: dict[str, Rests] = {}
        self._calls: dict[int, Call] = {}
        self._of_client: dict[int, list[Call]] = defaultdict(list)
        self._crowds: dict[tuple[str, str], _Crowd] = {}
        self._in_pool: Counter[str] = Counter()
        self._freed: dict[str, float] = {}
        self._waiting: dict[int, _Waiter] = {}
        self._looked = 0.0
        self._max_calls = 0
        self._deadline = float("inf")

    def starts(self, world: World) -> None:
        """See `Observer.starts`."""
        self._world = world
        self._clock: Callable[[], float] = world.loop.time
        plan = world.plan
        self._max_calls = 0 if plan.retry is None else plan.retry.get("max_calls", 6)
        self._max_keys = 0 if plan.retry is None else plan.retry.get("max_keys_tried", 5)
        self._deadline = world.deadline
        for name, pooled in world.providers.items():
            scopes: dict[str, str] = {}
            crowds: dict[str, _Crowd] = {}
            for keys in pooled.settings.keys:
                for key in keys.names():
                    scopes[key] = keys.scope or key
                    crowd = crowds.setdefault(scopes[key], _Crowd(keys.limits(), pooled.max_concurrency))
                    self._crowds[name, key] = crowd
            if pooled.pool is not None:
                self._rests[name] = Rests(scopes)

    def asks(self, attempt: Attempt) -> None:
        """See `Observer.asks`."""
        attempt.exchange.observe(lambda fact: self._fact(attempt, attempt.exchange, fact))

    def begins(self, call: Call) -> None:
        """See `Ears.begins`."""
        self._look_for_idle()
        self._calls[call.number] = call
        calls = self._of_client[call.client]
        calls.append(call)
        if self._max_calls and len(calls) > self._max_calls:
            self._note("budget", f"request {call.client} costs {len(calls)} calls; {self._max_calls} are allowed")
        rests = self._rests.get(call.provider)
        if rests is None or not call.key:
            return
        wrong = rests.begins(call)
        if wrong is not None:
            self._note("rest", f"call {call.number} of request {call.client}: {wrong}")
        crowd = self._crowds[call.provider, call.key]
        crowd.begin(call.key, call.begun, counts=not call.refused)
        if crowd.in_flight[call.key] > crowd.most_of_key:
            self._note("concurrency", f"{crowd.in_flight[call.key]} calls use {call.key} at a time")
        if crowd.in_flight.total() > crowd.most:
            self._note("concurrency", f"{crowd.in_flight.total()} calls use the scope of {call.key} at a time")
        pooled = self._world.providers[call.provider]
        self._in_pool[call.provider] += 1
        if pooled.max_total is not None and self._in_pool[call.provider] > pooled.max_total:
            self._note("concurrency", f"{self._in_pool[call.provider]} calls use the keys of {call.provider} at a time")
        if crowd.in_last(60.0, call.begun) > crowd.rpm:
            self._note(
                "limit", f"{crowd.in_last(60.0, call.begun)} calls in a minute with {call.key}; told: {crowd.rpm}"
            )

    def content(self, call: Call) -> None:
        """See `Ears.content`."""
        rests = self._rests.get(call.provider)
        if rests is not None and call.key:
            self._look_for_idle()
            rests.serves(call, self._clock())

    def ends(self, call: Call) -> None:
        """See `Ears.ends`."""
        rests = self._rests.get(call.provider)
        if rests is None or not call.key:
            return
        self._look_for_idle()
        rests.ends(call, self._clock())
        self._crowds[call.provider, call.key].end(call.key, self._clock())
        self._in_pool[call.provider] -= 1
        self._freed[call.provider] = self._clock()

    def answered(self, attempt: Attempt) -> None:
        """See `Observer.answered`."""
        self._look_for_idle()
        self._waiting.pop(attempt.number, None)
        calls = self._of_client.pop(attempt.number, [])
        for call in calls:
            del self._calls[call.number]
            if call.ended is None:
                self._note("leak", f"call {call.number} outlives request {attempt.number}")
        name = f"request {attempt.number}"
        if attempt.killed:
            return
        if attempt.left is not None:
            if attempt.ended > attempt.left + _LEAVING:
                self._note("leaving", f"{name} goes on for {attempt.ended - attempt.left:.3f} s after its client left")
            return
        if attempt.ended - attempt.begun > self._deadline + _TICK:
            self._note("deadline", f"{name} took {attempt.ended - attempt.begun:.3f} s")
        # When its deadline passes while the last message is under way, nobody knows what of it arrived.
        broken = isinstance(attempt.error, BrokenStream) and bool(attempt.status)
        if isinstance(attempt.error, BrokenStream) and attempt.complete:
            broken = attempt.error.reason == "total"
        if attempt.error is not None and not broken:
            self._note("answer", f"{name} got {attempt.status} and raised {attempt.error!r}")
        elif not attempt.complete and not broken:
            self._note("answer", f"{name} got no {'end of its' if attempt.status else ''} answer")
        if attempt.status >= 400:
            self._check_error(attempt, name)
            self._check_effort(attempt, calls, name)
        elif looks_whole(attempt):
            self._check_whole(attempt, calls, name)

    def finished(self, provider: str, keys: Sequence[KeyReport]) -> None:
        """See `Observer.finished`."""
        pooled = self._world.providers[provider]
        for report in keys:
            if report.in_flight:
                self._note("leak", f"{report.alias} is in use {report.in_flight} times when all is over")
        if pooled.app.in_flight:
            self._note("leak", f"{provider} works on {pooled.app.in_flight} calls when all is over")

    def _note(self, rule: str, message: str) -> None:
        self.violations.append(Violation(at=self._clock(), rule=rule, message=message))

    def _usable(self, pooled: Pooled, model: str, tried: set[str]) -> str | None:
        """A key of which it is sure that it could have been used."""
        name = pooled.settings.name
        now = self._clock()
        if pooled.max_total is not None and (self._in_pool[name] >= pooled.max_total or self._freed.get(name) == now):
            return None
        for keys in pooled.settings.keys:
            if (keys.models is not None and model not in keys.models) or (keys.told and keys.tpm is not None):
                continue
            for key in keys.names():
                if (
                    key not in tried
                    and self._crowds[name, key].is_free(key, now)
                    and self._rests[name].works(key, model, now)
                ):
                    return key
        return None

    def _fact(self, attempt: Attempt, exchange: Exchange, fact: object) -> None:
        match fact:
            case Attempted():
                self._wait(attempt, exchange, fact.target)
            case KeyLeased():
                self._served(attempt, fact.pool)
            case Judged(by="retry"):  # nobody waits any more: the attempt has missed one of its bounds
                self._look_for_idle()
                self._waiting.pop(attempt.number, None)
            case PoolEmpty():
                self._served(attempt, fact.pool)
                if exchange.newest < exchange.clock():  # a second attempt's, told when it is over
                    return
                tried = _tried(exchange, fact.pool)
                key = self._usable(self._world.providers[fact.pool], attempt.model, tried)
                if key is not None:
                    self._note("refused", f"{fact.pool} has no key ({fact.reason}) while {key} works and is free")
            case _:
                pass

    def _wait(self, attempt: Attempt, exchange: Exchange, target: int) -> None:
        """An attempt begins: until it has a key, or none, it waits."""
        self._look_for_idle()
        providers = list(self._world.providers.values())
        if any(pooled.settings.retry is not None for pooled in providers):
            return  # whose target it is cannot be told
        pooled = providers[target]
        if pooled.pool is not None:
            tried = _tried(exchange, pooled.settings.name)
            self._waiting[attempt.number] = _Waiter(pooled, attempt.model, tried, self._clock())

    def _served(self, attempt: Attempt, pool: str) -> None:
        self._look_for_idle()
        waiter = self._waiting.pop(attempt.number, None)
        if waiter is None:
            return
        waited, most = self._clock() - waiter.since, self._world.providers[pool].queue_timeout
        if waited > most + _TICK:
            self._note("queue", f"request {attempt.number} waited {waited:.3f} s for a key; {most:g} are allowed")

    def _look_for_idle(self) -> None:
        """What stood like this since the last event: did somebody wait, and a key was free?"""
        now = self._clock()
        if now <= self._looked:
            return
        for number, waiter in self._waiting.items():
            key = self._usable(waiter.pooled, waiter.model, waiter.tried) if waiter.since < now else None
            if key is not None:
                since = max(self._looked, waiter.since)
                self._note("idle", f"request {number} waits from {since:.6f} on while {key} works and is free")
        self._looked = now

    def _check_error(self, attempt: Attempt, name: str) -> None:
        protocol = registry.get(attempt.protocol)
        try:
            document = loads(bytes(attempt.body))
        except InvalidDocument:
            document = None
        failure = protocol.decode_error(attempt.status, {}, bytes(attempt.body))
        if not isinstance(document, dict) or not failure.message:
            self._note("shape", f"{name} got {attempt.status} with {bytes(attempt.body[:80])!r}")
            return
        said = protocol.encode_error(failure).document
        if set(said) != set(document):
            self._note("shape", f"{name} got {attempt.status} with {bytes(attempt.body[:80])!r}")

    def _check_effort(self, attempt: Attempt, calls: list[Call], name: str) -> None:
        """A key's fault is nobody's business while another key works."""
        if not self._max_calls or len(self._world.providers) > 1 or not self._rests:
            return
        judged = [fact for _, fact in attempt.facts if isinstance(fact, Judged)]
        empty = any(isinstance(fact, PoolEmpty) for _, fact in attempt.facts)
        if empty or not judged or judged[-1].verdict.fault not in _KEYS_FAULTS:
            return
        if len(calls) >= min(self._max_calls, self._max_keys) or attempt.ended - attempt.begun >= self._deadline:
            return
        if any(isinstance(fact, Stopped) and fact.reason in ("breaker", "budget", "pace") for _, fact in attempt.facts):
            return
        pooled = next(iter(self._world.providers.values()))
        key = self._usable(pooled, calls[-1].model, {call.key for call in calls})
        if key is not None:
            self._note("gave up", f"{name} got {attempt.status} after {len(calls)} calls while {key} works and is free")

    def _check_whole(self, attempt: Attempt, calls: list[Call], name: str) -> None:
        pieces = wire.pieces_of(bytes(attempt.body))
        numbers = {call for call, _, _ in pieces}
        if len(numbers) != 1:
            self._note("whole", f"{name} got pieces of the calls {sorted(numbers)}")
            return
        call = next((call for call in calls if call.number in numbers), None)
        if call is None:
            self._note("whole", f"{name} got the answer of another request's call {numbers}")
            return
        if call.end is not End.SERVED:
            self._note("whole", f"{name} got an answer that looks whole of call {call.number}, which was {call.end}")
            return
        got, all_of_them = [number for _, number, _ in pieces], list(range(1, call.pieces + 1))
        # The last events of a Responses stream say all of it again.
        times = len(got) // call.pieces if attempt.protocol == "openai-responses" else 1
        if got != all_of_them * max(times, 1):
            self._note("whole", f"{name} got the pieces {got} of {call.pieces}")


def _tried(exchange: Exchange, pool: str) -> set[str]:
    return {fact.key for fact in exchange.all(KeyLeased) if fact.pool == pool}
