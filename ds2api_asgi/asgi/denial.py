"""A websocket that is turned away before it is accepted: with an HTTP answer where the server can, else by closing it.

https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response (read 2026-11-28): uvicorn, granian and
hypercorn offer it. A server without it answers 403, whatever the code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .types import Scope, Send

__all__ = ["DENIAL", "close_code", "deny"]

DENIAL: Final = "websocket.http.response"
"""The extension's name."""

_LATER: Final = frozenset({408, 429, 503})


def close_code(status: int) -> int:
    """The code of RFC 6455 that comes nearest to an HTTP status: come later, not at all, or ask somebody else."""
    if status in _LATER:
        return 1013
    return 1008 if status < 500 else 1014


async def deny(
    scope: Scope, send: Send, *, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
) -> None:
    """Turn a websocket away.

    Args:
        scope: The connection's.
        send: The connection's; nothing was sent on it.
        status: HTTP status, 300 or more.
        headers: Lower-case names; ``content-length`` is stated here.
        body: All of it.
    """
    if DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": close_code(status), "reason": ""})
        return
    fields = [field for field in headers if field[0] != b"content-length"]
    fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": f"{DENIAL}.start", "status": status, "headers": fields})
    await send({"type": f"{DENIAL}.body", "body": body, "more_body": False})
