"""What must hold in every simulation, whatever happens in it; each `Violation` is a bug of ours.

| rule | says |
|---|---|
| ``budget`` | no more upstream calls for a client's request than `max_calls` |
| ``rest`` | no call with a key that rests, or a second one beside the probe |
| ``concurrency`` | no more calls with a key at a time than the pool allows |
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

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Judged, KeyLeased, PoolEmpty
from ..errors import BrokenStream, InvalidDocument
from ..pool import KeyReport
from ..protocols import registry
from ..universal.failure import Fault
from ..universal.jsontext import loads
from . import wire
from .client import Attempt, looks_whole
from .provider import Call, End
from .rests import Rests
from .world import Observer, Pooled, World

__all__ = ["Checker", "Violation"]

_TICK = 1e-6
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
        self._in_flight: dict[tuple[str, str], int] = defaultdict(int)
        self._freed: dict[tuple[str, str], float] = {}
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
            scopes = {
                key: keys.scope or key for keys in pooled.settings.keys for key in keys.names()
            }  # fmt: skip
            if pooled.pool is not None:
                self._rests[name] = Rests(scopes)

    def asks(self, attempt: Attempt) -> None:
        """See `Observer.asks`."""
        exchange, model = attempt.exchange, attempt.model
        exchange.observe(lambda fact: self._empty(exchange, model, fact) if isinstance(fact, PoolEmpty) else None)

    def begins(self, call: Call) -> None:
        """See `Ears.begins`."""
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
        name = (call.provider, call.key)
        self._in_flight[name] += 1
        most = self._world.providers[call.provider].max_concurrency
        if most is not None and self._in_flight[name] > most:
            self._note("concurrency", f"{self._in_flight[name]} calls use {call.key}; {most} are allowed")

    def content(self, call: Call) -> None:
        """See `Ears.content`."""
        rests = self._rests.get(call.provider)
        if rests is not None and call.key:
            rests.serves(call, self._clock())

    def ends(self, call: Call) -> None:
        """See `Ears.ends`."""
        rests = self._rests.get(call.provider)
        if rests is None or not call.key:
            return
        rests.ends(call, self._clock())
        name = (call.provider, call.key)
        self._in_flight[name] -= 1
        self._freed[name] = self._clock()

    def answered(self, attempt: Attempt) -> None:
        """See `Observer.answered`."""
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
        broken = isinstance(attempt.error, BrokenStream) and attempt.status and not attempt.complete
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
        for keys in pooled.settings.keys:
            if keys.models is not None and model not in keys.models:
                continue
            if keys.told or keys.told_concurrency:  # it may have reached a limit
                continue
            for key in keys.names():
                in_flight = self._in_flight[name, key]
                full = pooled.max_concurrency is not None and in_flight >= pooled.max_concurrency
                if key in tried or full or self._freed.get((name, key)) == now:
                    continue
                if self._rests[name].works(key, model):
                    return key
        return None

    def _empty(self, exchange: Exchange, model: str, fact: PoolEmpty) -> None:
        tried = {old.key for old in exchange.all(KeyLeased) if old.pool == fact.pool}
        key = self._usable(self._world.providers[fact.pool], model, tried)
        if key is not None:
            self._note("refused", f"{fact.pool} has no key ({fact.reason}) while {key} works and is free")

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
        elif call.end is not End.SERVED:
            self._note("whole", f"{name} got an answer that looks whole of call {call.number}, which was {call.end}")
            return
        got, all_of_them = [number for _, number, _ in pieces], list(range(1, call.pieces + 1))
        times = len(got) // call.pieces if attempt.protocol == "openai-responses" else 1  # its last events say all again
        if got != all_of_them * max(times, 1):
            self._note("whole", f"{name} got the pieces {got} of {call.pieces}")
