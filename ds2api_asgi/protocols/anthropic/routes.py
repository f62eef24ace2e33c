"""Which requests are this protocol's, how an upstream is asked, and how a key is shown.

It follows https://docs.anthropic.com/en/api/overview (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from msgspec import UNSET, UnsetType

from ..base import Claim, Operation, UpstreamRoute
from .profile import DEFAULT_DIALECT, NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_POSTS = {"/messages": Operation.GENERATE, "/messages/count_tokens": Operation.COUNT_TOKENS}


def claim(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:  # noqa: ARG001 - the interface's
    """See `Protocol.claim`; ``/models`` is shared with others and sure only if a header of ours is there."""
    prefix = "/v1" if path.startswith("/v1/") else ""
    own = path[len(prefix) :].rstrip("/")
    if own in _POSTS:
        return Claim(protocol=NAME, operation=_POSTS[own], prefix=prefix, method_allowed=method == "POST")
    if own != "/models" and not own.startswith("/models/"):
        return None
    model = own[len("/models/") :]
    return Claim(
        protocol=NAME,
        operation=Operation.GET_MODEL if model else Operation.LIST_MODELS,
        prefix=prefix,
        model=model or UNSET,
        sure="anthropic-version" in headers or "x-api-key" in headers,
        method_allowed=method == "GET",
    )


def route(operation: Operation, *, stream: bool, model: str | UnsetType, dialect: str) -> UpstreamRoute | None:  # noqa: ARG001 - the interface's
    """See `Protocol.route`; ``stream`` is said in the body."""
    headers = ((b"anthropic-version", (dialect or DEFAULT_DIALECT).encode("latin-1", "replace")),)
    if operation is Operation.GENERATE:
        return UpstreamRoute(method="POST", path="/v1/messages", headers=headers)
    if operation is Operation.COUNT_TOKENS:
        return UpstreamRoute(method="POST", path="/v1/messages/count_tokens", headers=headers)
    if operation is Operation.LIST_MODELS:
        return UpstreamRoute(method="GET", path="/v1/models", headers=headers)
    if operation is Operation.GET_MODEL and model:
        return UpstreamRoute(method="GET", path=f"/v1/models/{quote(model, safe='')}", headers=headers)
    return None


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header of a key: ``x-api-key``; the provider takes ``authorization: Bearer`` too, relays often do not."""
    return b"x-api-key", secret.encode("latin-1")


def dialect(headers: Mapping[str, str]) -> str:
    """What ``anthropic-version`` says; clients that leave it out speak the oldest."""
    return headers.get("anthropic-version") or DEFAULT_DIALECT
