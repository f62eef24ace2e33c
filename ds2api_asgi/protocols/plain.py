"""The short way: usual requests and answers from bytes to bytes, with no document and no tree between.

A protocol declares ``plain``, a module of this name in its package. Each of its functions says None wherever it has a
doubt, and then the long way is taken, with the very same bytes: the short way says what the long one would, or nothing.
A member that it does not expect, a number that is spelled oddly, a value that the target would have to change: all of
these are doubts. What is lost all the same is what the long way loses, which is asked for it, once for each shape.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter, is_not
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..universal.content import Text
from ..universal.jsontext import may_be_too_deep, may_say_minus_zero, number
from ..universal.loss import Loss
from ..universal.node import Origin
from ..universal.plain import PlainAnswer, PlainRequest
from ..universal.request import Request, Turn
from ..universal.response import Candidate, Response, Stop, StopReason, Usage
from .base import Context, Protocol

__all__ = ["Plain", "ShortWay", "are_numbers", "reader", "said_of", "short_way"]

_SHAPES: Final = 256  # of which the losses are remembered; tiers are words of servers, so there is a bound
_STREAMS: Final = re.compile(rb'"stream": ?true')
_TAIL: Final = 200  # bytes
_ESCAPED: Final = b"\\u00"  # how letters of names may be spelled: what is counted instead would be a nested one's
_TURNS: Final = (Turn(role="user", parts=(Text(text="?"),)),)
_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name not in ("ext", "form"))
_counts: Final = attrgetter(*_COUNTS)
_UNSAID: Final = (UNSET,) * len(_COUNTS)
_NESTED: Final = frozenset({dict, list})

T = typing.TypeVar("T")


class Plain(typing.Protocol):
    """What a protocol's module ``plain`` has."""

    def read_request(self, body: bytes) -> PlainRequest | None:
        """A client's request; None: it says more, or is none."""
        ...

    def write_request(self, request: PlainRequest, dialect: str) -> bytes | None:
        """A request for an app that speaks a dialect; None: it would have to be changed."""
        ...

    def read_answer(self, body: bytes) -> PlainAnswer | None:
        """An app's answer; None: it says more, or is none."""
        ...

    def write_answer(self, answer: PlainAnswer, now: int) -> bytes | None:
        """An answer for a client, at a Unix time; None: it would have to be changed."""
        ...


def _ext(names: tuple[str, ...]) -> dict[str, Any] | UnsetType:
    return dict.fromkeys(names, 0) or UNSET


def reader(kind: type[T]) -> Callable[[bytes], T | None]:
    """A function that reads bytes as a struct; None for all that is not exactly one.

    Where it takes any value, numbers keep their spelling; but an integer ``-0`` is read as 0 everywhere, as
    `jsontext.may_say_minus_zero` tells.
    """
    decode = msgspec.json.Decoder(kind, float_hook=number).decode

    def read(body: bytes) -> T | None:
        try:
            return decode(body)
        except (ValueError, RecursionError):  # msgspec's errors are of the first kind
            return None

    return read


def are_numbers(body: bytes, *values: Any) -> bool:
    """Whether values that were read from a body are numbers, as they were spelled there, or are not there."""
    for value in values:
        if value is not UNSET and (
            not (type(value) is int or isinstance(value, float)) or (value == 0 and may_say_minus_zero(body))
        ):
            return False
    return True


def said_of(*names: str) -> Callable[[Struct, bytes], tuple[str, ...] | None]:
    """A function that tells which of these members of a struct are there and not null, in the order of the wire.

    None where this cannot be told from the bytes: a name stands in them more than once, or some name may be spelled
    with escapes. None also where one of them may be nested too deep.
    """
    values_of = attrgetter(*names)
    keys = {name: b'"%b"' % name.encode() for name in names}  # inside a text its quotes are escaped

    def said(node: Struct, body: bytes) -> tuple[str, ...] | None:
        values = values_of(node)
        if values.count(UNSET) + values.count(None) == len(values):
            return ()
        found = [name for name, value in zip(names, values, strict=True) if value is not UNSET and value is not None]
        if len(found) > 1:
            if _ESCAPED in body or any(body.count(keys[name]) != 1 for name in found):
                return None
            found.sort(key=lambda name: body.find(keys[name]))
        return tuple(found) if _NESTED.isdisjoint(map(type, values)) or not may_be_too_deep(body) else None

    return said


class ShortWay:
    """From a client's protocol to an app's and back.

    Args:
        client: What the client speaks, and its module.
        upstream: What the app speaks, and its module.
        dialect: The app's.
    """

    def __init__(self, client: tuple[Protocol, Plain], upstream: tuple[Protocol, Plain], dialect: str) -> None:
        (source, client_side), (target, upstream_side) = client, upstream
        self._read_request = client_side.read_request
        self._write_request = upstream_side.write_request
        self._read_answer = upstream_side.read_answer
        self._write_answer = client_side.write_answer
        self._dialect = dialect

        @lru_cache(_SHAPES)
        def lost_of_request(bounded: bool) -> tuple[Loss, ...]:
            bound = 1 if bounded else UNSET
            sample = Request(model="?", turns=_TURNS, max_output_tokens=bound, origin=Origin(protocol=source.name))
            return tuple(target.encode_request(sample, dialect=dialect).losses)

        @lru_cache(_SHAPES)
        def lost_of_answer(
            tier: str | UnsetType,
            ext: tuple[str, ...],
            text_ext: tuple[str, ...],
            usage_ext: tuple[str, ...],
            cited: bool,
            counted: tuple[bool, ...],
        ) -> tuple[Loss, ...]:
            text = Text(text="?", citations=() if cited else UNSET)
            counts: dict[str, Any] = {name: 0 for name, said in zip(_COUNTS, counted, strict=True) if said}
            turn = Turn(role="assistant", parts=(text,))
            sample = Response(
                id="?",
                model="?",
                candidates=(Candidate(turns=(turn,), stop=Stop(reason=StopReason.END), ext=_ext(text_ext)),),
                usage=Usage(ext=_ext(usage_ext), **counts),
                service_tier=tier,
                ext=_ext(ext),
                origin=Origin(protocol=target.name),
            )
            return tuple(source.encode_response(sample, Context()).losses)

        self._lost_of_request = lost_of_request
        self._lost_of_answer = lost_of_answer

    def request(self, body: bytes) -> tuple[PlainRequest, bytes, tuple[Loss, ...]] | None:
        """A client's request, what the app is asked for it, and what that does not say; None: not a plain one."""
        if _STREAMS.search(body, max(0, len(body) - _TAIL)):  # most say it last: nothing needs to be read for it
            return None
        request = self._read_request(body)
        asked = None if request is None else self._write_request(request, self._dialect)
        if request is None or asked is None:
            return None
        return request, asked, self._lost_of_request(request.max_output_tokens is not UNSET)

    def answer(self, body: bytes, now: int) -> tuple[bytes, tuple[Loss, ...]] | None:
        """What the client is told for an app's answer, and what that does not say; None: not a plain one.

        Args:
            body: The app's.
            now: Unix time of the request.
        """
        answer = self._read_answer(body)
        told = None if answer is None else self._write_answer(answer, now)
        if answer is None or told is None:
            return None
        counted = tuple(map(is_not, _counts(answer.usage), _UNSAID))
        exts = answer.ext, answer.text_ext, answer.usage_ext
        return told, self._lost_of_answer(answer.service_tier, *exts, answer.cited, counted)


def short_way(client: Protocol, upstream: Protocol, dialect: str) -> ShortWay | None:
    """The short way between two protocols that have one; None: there is none."""
    client_side: Plain | None = getattr(client, "plain", None)
    upstream_side: Plain | None = getattr(upstream, "plain", None)
    if client_side is None or upstream_side is None or client.name == upstream.name:
        return None
    return ShortWay((client, client_side), (upstream, upstream_side), dialect)
