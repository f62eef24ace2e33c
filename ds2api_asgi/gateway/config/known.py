"""What a file has by name, whether it is right or not: `Known`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from msgspec import Struct

from .guess import near
from .places import Path

__all__ = ["Found", "Known", "meant"]

Found: TypeAlias = tuple[Path, str]
"""A place, and what is wrong there."""


class Known(Struct, frozen=True, kw_only=True):
    """Names in a file.

    Attributes:
        tables: Of the file's own members.
        upstreams: Of the upstreams.
        models: Of the models.
    """

    tables: frozenset[str]
    upstreams: tuple[str, ...]
    models: tuple[str, ...]

    @staticmethod
    def of(document: dict[str, Any]) -> Known:
        """The names in a document."""
        upstreams, models = (document.get(name, {}) for name in ("upstreams", "models"))
        return Known(
            tables=frozenset(document),
            upstreams=tuple(upstreams) if isinstance(upstreams, dict) else (),
            models=tuple(models) if isinstance(models, dict) else (),
        )


def meant(value: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not there: ``; did you mean "openai"?``, or nothing."""
    found = near(value, known)
    return f'; did you mean "{found}"?' if found else ""
