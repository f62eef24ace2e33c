"""Paths: which requests are this protocol's, and how an upstream is asked.

Those that change what a server holds (``/api/pull``, ``/push``, ``/create``, ``/copy``, ``/delete``, ``/blobs``) are
not ours: they pass untouched.

https://docs.ollama.com/api (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UnsetType

from ..base import Claim, Operation, UpstreamRoute
from .profile import GENERATE, LEGACY, NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_PREFIX: Final = "/api"

_PATHS: Final = {
    "/chat": ("POST", Operation.GENERATE),
    "/generate": ("POST", Operation.GENERATE),
    "/tags": ("GET", Operation.LIST_MODELS),
    "/show": ("POST", Operation.GET_MODEL),  # the body names the model
    "/embed": ("POST", Operation.EMBED),
    "/embeddings": ("POST", Operation.EMBED),
    "/version": ("GET", Operation.ABOUT),
    "/ps": ("GET", Operation.ABOUT),
}
_DIALECTS: Final = {"/generate": GENERATE, "/embeddings": LEGACY}
_ABOUT: Final[dict[str, dict[str, Any]]] = {
    "/version": {"version": "0.13.0"},  # a server of this age has all that we translate; clients compare it
    "/ps": {"models": []},  # no model is loaded here: they are elsewhere
}
"""What answers questions about the server itself."""


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
        dialect=_DIALECTS.get(rest, ""),
        method_allowed=method == allowed or (method == "HEAD" and allowed == "GET"),
        about=_ABOUT.get(rest),
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
        return UpstreamRoute(method="POST", path=_PREFIX + "/show", document={"model": model or ""})
    for path, (method, known) in _PATHS.items():
        if known is operation and _DIALECTS.get(path, "") == (dialect if operation is Operation.GENERATE else ""):
            return UpstreamRoute(method=method, path=_PREFIX + path)
    return None


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header of a key; only ollama.com wants one (https://docs.ollama.com/api/authentication)."""
    return b"authorization", b"Bearer " + secret.encode()


def dialect(headers: Mapping[str, str]) -> str:  # noqa: ARG001 - the path tells it
    """``""``: paths tell the others."""
    return ""
