"""Paths: which requests are this protocol's, and how an upstream is asked.

https://platform.openai.com/docs/api-reference (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ..base import Claim, Operation, UpstreamRoute
from .dialects import dialect as dialect_of
from .profile import NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_PREFIX: Final = "/v1"

_PATHS: Final = {
    "/chat/completions": ("POST", Operation.GENERATE),
    "/embeddings": ("POST", Operation.EMBED),
    "/models": ("GET", Operation.LIST_MODELS),
}
_ROUTES: Final = {
    operation: UpstreamRoute(method=method, path=_PREFIX + path) for path, (method, operation) in _PATHS.items()
}
_SHARED: Final = frozenset({Operation.LIST_MODELS, Operation.GET_MODEL})


def claim(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:  # noqa: ARG001 - the interface's
    """Tell whether a request is this protocol's; never sure of the model paths, which other protocols have too."""
    prefix = _PREFIX if path == _PREFIX or path.startswith(_PREFIX + "/") else ""
    path = path[len(prefix) :].rstrip("/")
    known = _PATHS.get(path)
    model: str | UnsetType = UNSET
    if known is None:
        _, found, name = path.partition("/models/")
        if not found or not name or not path.startswith("/models/"):
            return None
        known = ("GET", Operation.GET_MODEL)
        model = unquote(name)
    allowed, operation = known
    return Claim(
        protocol=NAME,
        operation=operation,
        prefix=prefix,
        model=model,
        sure=operation not in _SHARED,
        method_allowed=method == allowed,
    )


def route(
    operation: Operation,
    *,
    stream: bool,  # noqa: ARG001 - the body says it
    model: str | UnsetType,
    dialect: str,
) -> UpstreamRoute | None:
    """How to ask an upstream; None for token counts, which the protocol has not."""
    if operation is Operation.GET_MODEL:
        found = UpstreamRoute(method="GET", path=f"{_PREFIX}/models/{quote(model or '', safe='/:')}")
    elif operation in _ROUTES:
        found = _ROUTES[operation]
    else:
        return None
    prefix = dialect_of(dialect).prefix
    return found if prefix == _PREFIX else replace(found, path=prefix + found.path[len(_PREFIX) :])


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header that carries an API key: ``authorization: Bearer sk-…``."""
    return b"authorization", b"Bearer " + secret.encode()


def dialect(headers: Mapping[str, str]) -> str:  # noqa: ARG001 - all clients speak the same
    """The dialect a client speaks: there is only one."""
    return ""
