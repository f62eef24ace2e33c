"""What all requests of a `Translator` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from ..asgi.types import ASGIApp
from ..protocols.base import Operation, Protocol
from ..protocols.plain import ShortWay
from ..transforms.base import Transform
from .carrying import Carriage
from .losses import Losses

__all__ = ["TRANSFORMED", "Settings"]

TRANSFORMED = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS})
"""Operations that transforms have to do with."""


class Settings(Struct, frozen=True, kw_only=True):
    """What all requests of a `Translator` share; see there."""

    app: ASGIApp
    upstream: Protocol
    losses: Losses
    dialect: str
    transforms: tuple[Transform, ...]
    max_body: int
    max_answer: int
    clock: Callable[[], float]
    carriage: Carriage
    short_ways: Mapping[str, ShortWay] = {}
