"""Paths: which requests are this protocol's, and how an upstream is asked.

https://platform.openai.com/docs/api-reference (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UnsetType

from ..base import Claim, Operation, UpstreamRoute
from ..openai_shared.routes import Paths, authorize
from .profile import NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_PATHS: Final = Paths(
    NAME,
    {
        "/responses": ("POST", Operation.GENERATE),
        "/responses/input_tokens": ("POST", Operation.COUNT_TOKENS),
    },
    shared=frozenset({Operation.LIST_MODELS, Operation.GET_MODEL, Operation.EMBED, Operation.INFER}),
)


def claim(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:  # noqa: ARG001 - the interface's
    """Tell whether a request is this protocol's; never sure of paths that other protocols have too."""
    return _PATHS.claim(method, path)


def route(
    operation: Operation,
    *,
    stream: bool,  # noqa: ARG001 - the body says it
    model: str | UnsetType,
    dialect: str,  # noqa: ARG001 - the paths are the same in all
) -> UpstreamRoute | None:
    """How to ask an upstream; None for an operation that has no path."""
    return _PATHS.route(operation, model=model)


def dialect(headers: Mapping[str, str]) -> str:  # noqa: ARG001 - all clients speak the same
    """The dialect a client speaks: there is only one."""
    return ""
