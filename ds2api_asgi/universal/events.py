"""An answer as a stream of events; `lifecycle` has the order they may come in, `fold` what they add up to.

A *key* is the number of an open part, given by the decoder from 0 upwards, never used twice in a stream. Text comes as
`Delta`, whole values as `Set`. Usage events are snapshots: the last one counts, member by member, nothing is summed.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from .content import Part
from .failure import Failure
from .response import Stop, Usage

__all__ = [
    "Close",
    "Delta",
    "End",
    "Error",
    "Event",
    "Extra",
    "Open",
    "Ping",
    "Set",
    "Start",
    "StopEvent",
    "UsageEvent",
]


class Start(Struct, frozen=True, kw_only=True):
    """The answer begins; comes first, once.

    Attributes:
        id: The answer's id.
        model: The model that answers.
        created: Unix time in seconds.
        service_tier: The tier that serves it.
        echo: What the envelope only repeats of the request, verbatim.
        ext: Unknown members of the wire's envelope.
        protocol: Whose ``ext`` it is.
    """

    protocol: str
    id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    created: int | float | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    echo: dict[str, Any] | UnsetType = UNSET
    ext: dict[str, Any] | UnsetType = UNSET


class Open(Struct, frozen=True):
    """A part begins.

    Attributes:
        key: Its number.
        part: What is known of it by now; its text, arguments or reasoning are what came so far (often nothing).
        choice: The candidate it belongs to.
    """

    key: int
    part: Part
    choice: int = 0


class Delta(Struct, frozen=True, gc=False):
    """More text of an open part.

    Attributes:
        key: The part.
        text: The text to append; may be empty only if the wire's was.
        channel: ``"text"`` is the part's main text (of a call: its arguments; of reasoning: the thought);
            ``"summary"`` is a reasoning summary.
    """

    key: int
    text: str
    channel: Literal["text", "summary"] = "text"


class Set(Struct, frozen=True):
    """A whole value of an open part.

    Attributes:
        key: The part.
        field: ``"opaque"``, ``"citation"`` (both append), ``"summary"`` (begins the next summary), ``"ext"`` (merges).
        value: An `Opaque`, a `Citation`, the summary's first text, or a dict of unknown members.
    """

    key: int
    field: Literal["opaque", "citation", "summary", "ext"]
    value: Any


class Close(Struct, frozen=True):
    """A part is complete."""

    key: int


class UsageEvent(Struct, frozen=True):
    """What the answer has cost so far: a snapshot; members that are UNSET keep their last value."""

    usage: Usage


class StopEvent(Struct, frozen=True):
    """A candidate is complete."""

    stop: Stop
    choice: int = 0


class Extra(Struct, frozen=True):
    """Members of the wire that have no place.

    Attributes:
        ext: Verbatim.
        at: ``"response"``, ``"candidate"`` or ``"turn"``.
        choice: The candidate, when it is about one.
    """

    ext: dict[str, Any]
    at: Literal["response", "candidate", "turn"] = "response"
    choice: int = 0


class Error(Struct, frozen=True):
    """The stream failed; nothing comes after it."""

    failure: Failure


class Ping(Struct, frozen=True):
    """A sign of life."""


class End(Struct, frozen=True):
    """The stream is complete; nothing comes after it."""


Event: TypeAlias = Start | Open | Delta | Set | Close | UsageEvent | StopEvent | Extra | Error | Ping | End
