"""What workers ask each other for the console, and what they reply, as bytes.

A question is one of `Question`, a reply the one struct that belongs to it. What cannot be read is nobody's word.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from ...asgi.trace import Trace, printable
from ...observe.live import Ended, Running

__all__ = [
    "Changed",
    "Changes",
    "Done",
    "EndSession",
    "Find",
    "Found",
    "Known",
    "Learn",
    "Look",
    "Question",
    "Switch",
    "encode",
    "question_of",
    "reply_of",
]


class Look(Struct, frozen=True, tag="look"):
    """How does everything stand? A `Part`."""


class Changes(Struct, frozen=True, kw_only=True, tag="changes"):
    """Which requests have changed? `Changed`.

    Attributes:
        cursors: Where each worker that was asked before has said to go on; who is not among them, from now on.
    """

    cursors: dict[str, int]


class Changed(Struct, frozen=True, kw_only=True):
    """See `Live.since`."""

    cursor: int
    running: list[Running]
    ended: list[Ended]


class Find(Struct, frozen=True, kw_only=True, tag="find"):
    """Is there a trace of this request? `Found`."""

    id: str


class Found(Struct, frozen=True, kw_only=True):
    """A trace; None: there is none."""

    trace: Trace | None


class Switch(Struct, frozen=True, kw_only=True, tag="switch"):
    """Take a key out, or back in. `Done`."""

    pool: str
    alias: str
    on: bool


class EndSession(Struct, frozen=True, kw_only=True, tag="end"):
    """Somebody logs out. `Done`; see `Sessions.take`."""

    turn: int
    id: str
    expires: int


class Done(Struct, frozen=True, kw_only=True):
    """Whether it was done."""

    ok: bool


class Learn(Struct, frozen=True, tag="learn"):
    """What did operators do, which somebody who has just started does not know? `Known`."""


class Known(Struct, frozen=True, kw_only=True):
    """What operators did.

    Attributes:
        turn: See `Sessions.take`.
        ended: Sessions that were ended, and the Unix times of their ends.
        off: Pool and alias of each key that is switched off, where a worker knows that by itself.
    """

    turn: int
    ended: dict[str, int]
    off: list[tuple[str, str]]


Question = Look | Changes | Find | Switch | EndSession | Learn

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Question)

_Reply = TypeVar("_Reply", bound=Struct)


def encode(message: Struct) -> bytes:
    """A message's bytes; of texts that cannot be written, what can be."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:  # half a surrogate pair, in a name that a client made up
        return _encoder.encode(_writable(msgspec.to_builtins(message)))


def question_of(raw: bytes) -> Question:
    """A question.

    Raises:
        ValueError: It is none.
    """
    try:
        question: Question = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError("not a question") from error
    return question


def reply_of(raw: bytes, kind: type[_Reply]) -> _Reply | None:
    """A reply; None: it is none."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_writable(key): _writable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(one) for one in value]
    return value
