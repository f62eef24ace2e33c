"""What an answer's payloads wait in when the client keeps none: a bounded store, by what the client does keep.

Ollama's clients drop whatever they do not know, ids of calls included. What comes back of an answer is what can be
seen of it: `key_of` is a digest of that, of the turn before it (so that two answers "OK" are two), and of whose client
it is. The value is the answer's parts, exactly; nothing but payloads and ids is taken from it.
"""

from __future__ import annotations

import hashlib
import time
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from ...errors import ConfigurationError
from ...universal.capsule import Minter
from ...universal.content import Part, Reasoning, Text, ToolCall, ToolResult
from ...universal.ids import call_id_of
from ...universal.jsontext import JsonText
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.request import Request, Turn

__all__ = ["MAX_STORED", "CarryStore", "MemoryCarryStore", "key_of", "recall", "remember"]

MAX_STORED: Final = 1024 * 1024
"""Bytes of the largest answer that is kept."""


class CarryStore(typing.Protocol):
    """Keeps answers for a while. Both methods are quick and never raise: what is lost is only state."""

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; one that is there already is replaced."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value, or None when it is not there any more."""
        ...


class MemoryCarryStore:
    """A store in this process: the least recently used goes first.

    Args:
        max_bytes: Bytes of all keys and values; at least 1.
        ttl: Seconds that a value lives after it was put or last asked for.
        clock: Seconds that only go up.

    Raises:
        ConfigurationError: A bound that cannot work.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        ttl: float = 3 * 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_bytes < 1 or ttl <= 0:
            raise ConfigurationError("max_bytes is at least 1, ttl more than 0")
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._clock = clock
        self._values: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()  # the oldest use first
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    def put(self, key: bytes, value: bytes) -> None:
        """See `CarryStore.put`; a value that is larger than the store is not kept."""
        self._drop(key)
        size = len(key) + len(value)
        if size > self._max_bytes:
            return
        now = self._clock()
        while self._values:
            oldest, (expires, _) = next(iter(self._values.items()))
            if expires > now and self._size + size <= self._max_bytes:
                break
            self._drop(oldest)
        self._values[key] = (now + self._ttl, value)
        self._size += size

    def get(self, key: bytes) -> bytes | None:
        """See `CarryStore.get`."""
        found = self._values.get(key)
        if found is None:
            return None
        now = self._clock()
        if found[0] <= now:
            self._drop(key)
            return None
        self._values[key] = (now + self._ttl, found[1])
        self._values.move_to_end(key)
        return found[1]

    def _drop(self, key: bytes) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._size -= len(key) + len(found[1])


class _Stored(Struct, array_like=True):
    """One part of a stored answer: its kind, its texts, its payloads, and a call's name and id."""

    kind: str
    texts: list[str]
    payloads: list[tuple[str, str, str, str, str]] = []  # msgspec copies it
    name: str = ""
    id: str = ""
    told: bool = False


_NO_ARGUMENTS: Final = JsonText("{}")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(list[_Stored]).decode


def key_of(owner: bytes, before: Turn | None, parts: Iterable[Part]) -> bytes:
    """The key of an answer.

    Args:
        owner: Digest of the client's credential.
        before: The turn that was answered.
        parts: Of the answer, whole or as the client gave them back.
    """
    digest = hashlib.sha256(owner)
    seen = [*([] if before is None else _visible(before.parts)), "=>", *_visible(parts)]
    for text in seen:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.digest()


def _visible(parts: Iterable[Part]) -> list[str]:
    """What every client shows and sends back: texts as one, calls and results in order; not thoughts."""
    texts: list[str] = []
    others: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolCall):
            # The id's digest is one of name and arguments, whatever their spelling.
            others.append(call_id_of(0, 0, part.name, part.arguments if part.arguments.text else _NO_ARGUMENTS))
        elif isinstance(part, ToolResult):
            others += _visible(part.parts or ())
    return ["".join(texts), *others]


def remember(
    store: CarryStore, owner: bytes, before: Turn | None, parts: Sequence[Part], minter: Minter
) -> Loss | None:
    """Keep an answer's payloads.

    Args:
        store: Where.
        owner: Digest of the client's credential.
        before: The turn that was answered.
        parts: Of the answer, names and ids as the client knows them.
        minter: Who answered.

    Returns:
        That it was kept, or that it is too large; None when there is nothing in it to keep.
    """
    if not any(getattr(part, "opaque", ()) for part in parts):
        return None
    stored = [kept for part in parts if (kept := _store(part, minter)) is not None]
    try:
        value = _ENCODE(stored)
    except UnicodeEncodeError:  # half a character, which only JSON can spell
        return _loss("candidates[0].turns[0]", LossKind.DROPPED, "it cannot be kept for the next turn")
    if len(value) > MAX_STORED:
        return _loss("candidates[0].turns[0]", LossKind.DROPPED, "too large to be kept for the next turn")
    store.put(key_of(owner, before, parts), value)
    return _loss("candidates[0].turns[0]", LossKind.STATEFUL, "its payloads are kept here for a client that drops them")


def _store(part: Part, minter: Minter) -> _Stored | None:
    if not isinstance(part, (Reasoning, Text, ToolCall)):
        return None
    payloads = [
        (each.kind, each.value, each.position, minter.protocol, each.origin or minter.token) for each in part.opaque
    ]
    match part:
        case Reasoning():
            texts = [*part.summary, *(() if part.text is UNSET else (part.text,))]
            return _Stored("thought", texts, payloads, told=part.text is not UNSET)
        case Text():
            return _Stored("text", [part.text], payloads)
    return _Stored("call", [part.arguments.text], payloads, name=part.name, id=part.id or "")


def recall(store: CarryStore, owner: bytes, request: Request) -> tuple[Request, list[Loss]]:
    """A client's request with the payloads, and the ids of calls, that its answers had.

    Args:
        store: Where.
        owner: Digest of the client's credential.
        request: As the client's decoder gave it; answers that have payloads already stay as they are.

    Returns:
        The request, the same object when nothing was found; and what was taken from the store.
    """
    turns: list[Turn] = []
    losses: list[Loss] = []
    waiting: list[ToolCall] = []
    index = 0
    while index < len(request.turns):
        end = index
        while end < len(request.turns) and request.turns[end].role == "assistant":
            end += 1
        if end == index:
            turns.append(_paired(request.turns[index], waiting))
            index += 1
            continue
        run = request.turns[index:end]
        parts = [part for turn in run for part in turn.parts]
        found = None
        if not any(getattr(part, "opaque", ()) for part in parts):
            value = store.get(key_of(owner, request.turns[index - 1] if index else None, parts))
            found = None if value is None else _restored(value, parts)
        waiting = []
        if found is None:
            turns += run
        else:
            waiting = [part for part in found if isinstance(part, ToolCall)]
            others = [part for part in parts if not isinstance(part, (Reasoning, Text, ToolCall))]
            losses.append(_loss(f"turns[{len(turns)}]", LossKind.STATEFUL, "its payloads were kept here"))
            turns.append(replace(run[0], parts=(*found, *others)))
        index = end
    return (replace(request, turns=tuple(turns)) if losses else request), losses


def _restored(value: bytes, parts: Iterable[Part]) -> list[Part] | None:
    """The stored parts; calls are the client's own, which differ in spelling only, with what it dropped."""
    try:
        stored = _DECODE(value)
    except msgspec.MsgspecError:  # a shared store may hold anything
        return None
    calls = iter([part for part in parts if isinstance(part, ToolCall)])
    return [_part(each, calls) for each in stored]


def _part(stored: _Stored, calls: Iterator[ToolCall]) -> Part:
    opaque = tuple(
        Opaque(kind=kind, value=value, position=position, protocol=protocol, origin=origin)
        for kind, value, position, protocol, origin in stored.payloads
    )
    texts = list(stored.texts)
    match stored.kind:
        case "text":
            return Text(text="".join(texts), opaque=opaque)
        case "call":
            call = next(calls, None) or ToolCall(name=stored.name, arguments=JsonText("".join(texts)))
            return replace(call, id=stored.id or UNSET, opaque=opaque)
    told: Any = texts.pop() if stored.told and texts else UNSET
    return Reasoning(text=told, summary=tuple(texts), opaque=opaque)


def _paired(turn: Turn, waiting: list[ToolCall]) -> Turn:
    """The turn with the ids of the calls that its results answer: the first of their name, else the first."""
    if not waiting:
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult) and waiting and not any(part.call_id == call.id for call in waiting):
            call = next((call for call in waiting if call.name == part.name), waiting[0])
            waiting.remove(call)
            parts.append(replace(part, call_id=call.id))
        else:
            parts.append(part)
    return replace(turn, parts=tuple(parts))


def _loss(path: str, kind: LossKind, reason: str) -> Loss:
    severity = Severity.COSMETIC if kind is LossKind.STATEFUL else Severity.DEGRADED
    return Loss(path=path, kind=kind, severity=severity, reason=reason)
