"""What follows from errors and limits: as in every protocol of OpenAI."""

from __future__ import annotations

from collections.abc import Mapping

from ...universal.failure import Failure, Verdict
from ..openai_shared.limits import encode_limits, limits
from ..openai_shared.rows import ROWS
from ..verdict import verdict_of
from .profile import NAME

__all__ = ["ROWS", "classify", "encode_limits", "limits"]


def classify(failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
    """See `base.Verdicts.classify`."""
    return verdict_of(failure, headers, rows=ROWS, limits=limits(headers, now=now), protocol=NAME, now=now)
