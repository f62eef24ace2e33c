"""Paths: which requests are this protocol's, and how an upstream is asked.

https://docs.ollama.com/api (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UnsetType

from ..base import Claim, Operation, UpstreamRoute
from .profile import NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_PREFIX: Final = "/api"

_PATHS: Final = {
    "/chat": ("POST", Operation.GENERATE),
    "/tags": ("GET", Operation.LIST_MODELS),
    "/show": ("POST", Operation.GET_MODEL),  # the body names the model
    "/embed": ("POST", Operation.EMBED),
    "/embeddings": ("POST", Operation.EMBED),
    "/version": ("GET", Operation.ABOUT),
}
_ABOUT: Final = {"version": "0.13.0"}
"""A server of this age has all that we translate; clients compare it with what they need."""


def claim(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:  # noqa: ARG001 - the interface's
    """Tell whether a request is this protocol's; its paths are nobody else's, so it is always sure."""
    prefix, _, rest = path.rstrip("/").partition(_PREFIX)
    known = _PATHS.get(rest)
    if prefix or known is None:
        return None
    allowed, operation = known
    return Claim(
        protocol=NAME,
        operation=operation,
        prefix=_PREFIX,
        method_allowed=method == allowed,
        about=_ABOUT if operation is Operation.ABOUT else None,
    )


def route(
    operation: Operation,
    *,
    stream: bool,  # noqa: ARG001 - the body says it
    model: str | UnsetType,
    dialect: str,  # noqa: ARG001 - there is only one
) -> UpstreamRoute | None:
    """How to ask an upstream; None for token counts, which the protocol has not."""
    if operation is Operation.GET_MODEL:
        return UpstreamRoute(method="POST", path=_PREFIX + "/show", document={"model": model or ""})
    for path, (method, known) in _PATHS.items():
        if known is operation:
            return UpstreamRoute(method=method, path=_PREFIX + path)
    return None


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header of a key; only ollama.com wants one (https://docs.ollama.com/api/authentication)."""
    return b"authorization", b"Bearer " + secret.encode()


def dialect(headers: Mapping[str, str]) -> str:  # noqa: ARG001 - there is only one
    """``""``: there is only one."""
    return ""
