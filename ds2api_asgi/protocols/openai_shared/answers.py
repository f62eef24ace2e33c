"""Envelopes of answers in OpenAI's protocols: what they demand and other protocols' answers have not.

https://platform.openai.com/docs/api-reference (read 2026-11-23).
"""

from __future__ import annotations

from msgspec import UNSET

from ...universal.digest import sha256
from ...universal.loss import Severity
from ...universal.response import Response
from ..base import Context
from ..scope import Scope

__all__ = ["answer_digest", "created_of", "model_of", "report_rest"]


def answer_digest(response: Response) -> str:
    """What ids of answers that have none are made of, 32 digits: the same for the same answer."""
    text = repr((response.model, response.created, response.candidates))
    return sha256(text).hex()[:32]


def created_of(response: Response, context: Context) -> int:
    """When an answer was made, in whole seconds."""
    return context.now if response.created is UNSET else int(response.created)


def model_of(response: Response, context: Context) -> str:
    """The model that answered, or else the one that was asked for."""
    model = response.model
    if model is UNSET and context.request is not UNSET:
        model = context.request.model
    return "" if model is UNSET else model


def report_rest(response: Response, scope: Scope) -> None:
    """Note what no envelope here has a place for."""
    scope.ext(response.ext, "")
    for name in ("container", "context_management"):
        if getattr(response, name) is not UNSET:
            scope.lacks(name, Severity.DEGRADED, name)
