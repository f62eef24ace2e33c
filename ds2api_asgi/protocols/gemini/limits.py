"""Rate limits that an answer's headers state: the provider has no such headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..base import Limits

__all__ = ["encode_limits", "limits"]


def limits(headers: Mapping[str, str], *, now: float) -> list[Limits]:  # noqa: ARG001 - there is nothing in them
    """See `base.Verdicts.limits`; errors say how long to wait in their details: see `verdicts`."""
    return []


def encode_limits(found: Sequence[Limits], *, now: float) -> tuple[tuple[bytes, bytes], ...]:  # noqa: ARG001 - as above
    """See `base.Verdicts.encode_limits`: nothing can be said."""
    return ()
