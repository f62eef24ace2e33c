"""What follows from errors and limits: as in every protocol of OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.failure import Failure, Verdict
from ..openai_shared.errors import stated_status
from ..openai_shared.limits import encode_limits, limits
from ..openai_shared.rows import ROWS
from ..verdict import verdict_of
from .profile import NAME

__all__ = ["ROWS", "classify", "encode_limits", "limits"]

_MIN_ERROR: Final = 400


def classify(failure: Failure, headers: Mapping[str, str], *, now: float) -> Verdict:
    """See `base.Verdicts.classify`; under a success status the one that the error states counts."""
    if failure.status is UNSET or failure.status < _MIN_ERROR:
        failure = replace(failure, status=stated_status(failure.code, failure.details))
    return verdict_of(failure, headers, rows=ROWS, limits=limits(headers, now=now), protocol=NAME, now=now)
