"""`Live`: the requests that run now, those that just ended, and the last ten minutes in steps.

It is in front of a nest, as `Metrics` is, and keeps little of each request and of all of them. Nobody is told when
something changes: who wants to know asks with a cursor for what has changed since (`Live.since`), so a slow reader
costs nothing, and misses only what was in between.

How many tokens a running stream has is told only at its end, by whoever answers. Until then it is guessed from the
bytes of its text, which are found without parsing it.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from ..asgi.facts import Caller, KeyLeased, Used
from ..asgi.trace import MAX_TEXT, printable, why_of
from ..errors import ConfigurationError
from ..protocols.base import Operation
from ..universal.estimate import BYTES_PER_TOKEN
from .cost import Price, Pricing
from .seen import SWITCHED, RequestSeen
from .series import Point, Series, Step
from .watching import Watcher

__all__ = ["MAX_SHOWN", "Ended", "Live", "Running", "text_bytes"]

MAX_SHOWN: Final = 500
"""Running requests that are told, the newest ones; all are counted."""

_STRING: Final = rb'"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_TEXTS: Final[dict[str, re.Pattern[bytes]]] = {
    name: re.compile(rb'"(?:' + members + rb")" + _STRING, re.DOTALL)
    for name, members in {
        Operation.INFER: b"text|content|delta",
        "anthropic": b"text|thinking|partial_json",
        "gemini": b"text",
        "ollama": b"content|thinking|response",
        "openai-chat": b"content|reasoning_content|reasoning|refusal|arguments",
        "openai-responses": b"delta",
    }.items()
}
"""Where the deltas of a stream have their text, by the stream's protocol; those that are not translated are alike."""


def text_bytes(protocol: str, chunk: bytes, operation: Operation = Operation.GENERATE) -> int:
    """How many bytes of text a part of a stream has, as JSON spells it; what stands across two parts is not found.

    Args:
        protocol: The stream's.
        chunk: Any bytes.
        operation: What it answers.
    """
    pattern = _TEXTS.get(operation if operation is Operation.INFER else protocol)
    return 0 if pattern is None else sum(len(text) for text in pattern.findall(chunk))


class Running(Struct, frozen=True, kw_only=True):
    """A request that is not over.

    Attributes:
        id: As its trace will have it, where a `Traced` is around; else an id of its own.
        began: Unix time.
        protocol: The client's.
        operation: What is asked for (``"generate"``).
        model: The model that is asked for; None: not known yet.
        caller: The client key's alias; None: nobody's.
        phase: ``"waiting"`` until content comes or a websocket is accepted, then ``"streaming"``.
        pool: The pool whose key is used now; None: none yet.
        key: The key's alias.
        first: Seconds to the first content; None: none yet.
        output: Tokens so far; None: nobody knows.
        estimated: Whether `output` is a guess.
        per_second: Tokens a second since the first content; None: too early to tell.
    """

    id: str
    began: float
    protocol: str
    operation: str
    model: str | None
    caller: str | None
    phase: str
    pool: str | None
    key: str | None
    first: float | None
    output: int | None
    estimated: bool
    per_second: float | None


class Ended(Struct, frozen=True, kw_only=True):
    """A request that is over.

    Attributes:
        id: As in `Running`; likewise those that are called alike.
        when: Unix time of its beginning.
        took: Seconds.
        status: What the client saw; 0: nothing.
        end: As in `asgi.trace.Trace`.
        why: Why it did not end well; None: it did.
        protocol: The client's.
        operation: What was asked for.
        model: The model that was asked for.
        caller: The client key's alias.
        pool: The pool whose key was used last.
        key: That key's alias.
        first: Seconds to the first content of a stream.
        input: Tokens of the request; None: nobody said.
        output: Tokens of the answer.
        per_second: Tokens a second after the first content.
        cost: US dollars; None: nobody knows.
    """

    id: str
    when: float
    took: float
    status: int
    end: str
    why: str | None
    protocol: str
    operation: str
    model: str | None
    caller: str | None
    pool: str | None
    key: str | None
    first: float | None
    input: int | None
    output: int | None
    per_second: float | None
    cost: float | None


class _Entry:
    """A running request, as it is kept."""

    __slots__ = ("changed", "id", "key", "pool", "protocol", "request", "text", "when")

    def __init__(self, name: str, when: float, request: RequestSeen) -> None:
        self.id = name
        self.when = when
        self.request = request
        self.protocol = request.claim.protocol
        self.pool: str | None = None
        self.key: str | None = None
        self.text = 0
        self.changed = 0


class Live(Watcher):
    """Watch requests, and tell how they are.

    ::

        live = Live()
        app = Traced(live.requests(Translator(Retry(pool), speaks="openai-chat")), sinks=[journal])

    `Watcher.calls` around upstreams is of no need, but lets costs be told by the model that was asked in the end.

    Args:
        recent: Requests that are remembered when they are over.
        step: Seconds of a point of the series.
        steps: Points of the series.
        cost: Whether to tell what answers cost (extra ``cost``, unless `prices` has all).
        prices: Prices of one's own by model; they come before the list.
        wall: Unix time.
        ids: Makes the ids of requests that have none.

    Raises:
        ConfigurationError: genai-prices is not installed though costs are asked for; a price below 0; or a bound below
            1.
    """

    wants_usage = True
    wants_streams = True

    def __init__(
        self,
        *,
        recent: int = 100,
        step: float = 5.0,
        steps: int = 120,
        cost: bool = False,
        prices: Mapping[str, Price] | None = None,
        wall: Callable[[], float] = time.time,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        super().__init__()
        if recent < 1:
            raise ConfigurationError("recent is 1 at least")
        self._pricing = Pricing(prices) if cost else None
        self._wall = wall
        self._ids = ids
        self._running: OrderedDict[_Entry, None] = OrderedDict()  # who changed last is at the end
        self._recent: deque[tuple[int, Ended]] = deque(maxlen=recent)
        self._series = Series(step=step, steps=steps)
        self._stirred: dict[_Entry, None] = {}  # who changed since somebody looked
        self._version = 0
        self._lock = threading.Lock()

    def price(self, pricing: Pricing | None) -> None:
        """Tell costs by other prices from now on; None: tell none."""
        self._pricing = pricing

    @property
    def in_flight(self) -> int:
        """How many requests run now."""
        return len(self._running)

    @property
    def step(self) -> float:
        """Seconds of a point of the series."""
        return self._series.step

    @property
    def cursor(self) -> int:
        """Where `since` begins for who knows everything up to now."""
        with self._lock:
            self._settle()
            return self._version

    def running(self) -> list[Running]:
        """The requests that run now, newest first, `MAX_SHOWN` at most."""
        with self._lock:
            entries = heapq.nlargest(MAX_SHOWN, self._running, key=_by_age)
        return [self._tell(entry) for entry in entries]

    def recent(self) -> list[Ended]:
        """Those that are over, newest first."""
        with self._lock:
            return [ended for _, ended in reversed(self._recent)]

    def steps(self) -> list[Step]:
        """What the last minutes count, for who adds up what several processes do."""
        with self._lock:
            return [
                structs.replace(step, took=dict(step.took), first=dict(step.first)) for step in self._series.steps()
            ]

    def points(self, others: Iterable[Step] = ()) -> list[Point]:
        """The last minutes, oldest first.

        Args:
            others: `steps` of others that count in such steps.
        """
        with self._lock:
            return self._series.points(self._wall(), others)

    def since(self, cursor: int) -> tuple[int, list[Running | Ended]]:
        """What has changed, each request once and as it is now.

        Args:
            cursor: From the last call, or `cursor`.

        Returns:
            The next cursor, and the requests that changed: `MAX_SHOWN` of the running ones at most, and those that
            ended as far as they are remembered; oldest change first.
        """
        with self._lock:
            self._settle()
            version = self._version
            changed: list[_Entry] = []
            for entry in reversed(self._running):
                if entry.changed <= cursor or len(changed) == MAX_SHOWN:
                    break
                changed.append(entry)
            ended = [(at, one) for at, one in self._recent if at > cursor]
        told: list[tuple[int, Running | Ended]] = [(entry.changed, self._tell(entry)) for entry in changed]
        return version, [one for _, one in sorted([*told, *ended], key=lambda pair: pair[0])]

    def began(self, request: RequestSeen) -> None:
        """See `Watcher.began`; likewise the others."""
        entry = request.kept[self] = _Entry(request.exchange.id or self._ids(), self._wall(), request)
        with self._lock:
            self._running[entry] = None
            self._touch(entry)

    def noted(self, request: RequestSeen, fact: object) -> None:
        """Keep whose key is used."""
        entry: _Entry | None = request.kept.get(self)
        if entry is None:  # what goes on in the background is noted when the request is long over
            return
        if isinstance(fact, KeyLeased):
            entry.pool, entry.key = fact.pool, fact.key
        elif not isinstance(fact, Caller):
            return
        with self._lock:
            self._touch(entry)

    def passed(self, request: RequestSeen, chunk: bytes) -> None:
        """Count the text."""
        entry: _Entry = request.kept[self]
        entry.text += text_bytes(entry.protocol, chunk, entry.request.claim.operation)
        self._stirred[entry] = None  # in one step, without the lock: this is done for each part of each stream

    def ended(self, request: RequestSeen) -> None:
        """Keep how it went."""
        entry: _Entry = request.kept.pop(self)  # each holds the other: no garbage in cycles shall be left
        with self._lock:  # before anything is told of it, which may go wrong
            self._running.pop(entry, None)
            self._stirred.pop(entry, None)
        told = self._ended(entry, request)
        with self._lock:
            self._version += 1
            self._recent.append((self._version, told))
            self._series.add(
                self._wall(),
                took=told.took if _is_telling(request) else None,
                failed=told.end != "complete",
                first=told.first,
                output=told.output or 0,
            )

    def _settle(self) -> None:
        stirred, self._stirred = self._stirred, {}
        for entry in list(stirred):
            self._touch(entry)

    def _touch(self, entry: _Entry) -> None:
        if entry in self._running:
            self._version += 1
            entry.changed = self._version
            self._running.move_to_end(entry)

    def _tell(self, entry: _Entry) -> Running:
        request = entry.request
        used = request.exchange.last(Used)
        output = -(-entry.text // BYTES_PER_TOKEN) if used is None else used.output
        first = None if request.first is None else request.first - request.began
        since = 0.0 if request.first is None else request.exchange.clock() - request.first
        return Running(
            id=entry.id,
            began=round(entry.when, 3),
            protocol=entry.protocol,
            operation=request.claim.operation.value,
            model=_short(request.look()),
            caller=_caller(request),
            phase="waiting" if request.first is None and request.status != SWITCHED else "streaming",
            pool=_short(entry.pool),
            key=_short(entry.key),
            first=_rounded(first),
            output=output if request.first is not None or used is not None else None,
            estimated=used is None,
            per_second=round(output / since, 1) if since >= _SOONEST and output else None,
        )

    def _ended(self, entry: _Entry, request: RequestSeen) -> Ended:
        uses = list(request.exchange.all(Used))
        used = uses[-1] if uses else None
        streamed = None if request.first is None else request.ended - request.first
        fast = None
        if used is not None and used.output > 1 and streamed is not None and streamed > 0:
            fast = round((used.output - 1) / streamed, 1)
        return Ended(
            id=entry.id,
            when=round(entry.when, 3),
            took=round(request.ended - request.began, 6),
            status=request.status,
            end=request.end,
            why=why_of(request.exchange, request.end),
            protocol=entry.protocol,
            operation=request.claim.operation.value,
            model=_short(request.model),
            caller=_caller(request),
            pool=_short(entry.pool),
            key=_short(entry.key),
            first=_rounded(None if request.first is None else request.first - request.began),
            input=None if used is None else used.input,
            output=None if used is None else used.output,
            per_second=fast,
            cost=None if self._pricing is None else self._pricing.of_request(request),
        )


_TELLING: Final = frozenset({Operation.GENERATE, Operation.EMBED, Operation.INFER})
_SOONEST: Final = 0.1  # seconds of a stream before its speed says anything


def _is_telling(request: RequestSeen) -> bool:
    """Whether its time says how fast answers are: lists of models are faster, and sessions are as long as wanted."""
    return not request.is_websocket and request.claim.operation in _TELLING


def _by_age(entry: _Entry) -> float:
    return entry.when


def _caller(request: RequestSeen) -> str | None:
    caller = request.exchange.last(Caller)
    return None if caller is None else _short(caller.name)


def _short(text: str | None) -> str | None:
    return None if text is None else printable(text[:MAX_TEXT])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
