"""`Front`: the outermost app of a gateway, which answers what no protocol claims."""

from __future__ import annotations

from typing import Any

from .. import __version__
from ..asgi.headers import decode
from ..asgi.path import query, relative_path
from ..asgi.respond import respond
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..protocols import registry
from ..protocols.base import Operation

__all__ = ["Front", "first_page"]


class Front:
    """Pass on what a protocol claims; answer ``/`` with the endpoints and everything else with 404.

    Args:
        app: The gateway, which serves every protocol that is installed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch by the path."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = relative_path(scope)
        method = scope["method"]
        if registry.claim(method, path, decode(scope["headers"]), query(scope)) is not None:
            await self.app(scope, receive, send)
            return
        head = method == "HEAD"
        if path != "/":
            await respond(send, status=404, document=_error("not_found", "Nothing is here; see /."), head=head)
        elif method not in ("GET", "HEAD"):
            document = _error("method_not_allowed", f"{method} is not allowed here.")
            await respond(send, status=405, document=document, headers=((b"allow", b"GET, HEAD"),))
        else:
            await respond(send, status=200, document=first_page(), head=head)


def first_page() -> dict[str, Any]:
    """What is where: ``{"endpoints": {"anthropic": {"generate": "POST /v1/messages", …}, …}}``."""
    endpoints: dict[str, dict[str, str]] = {}
    for name in registry.names():
        protocol = registry.get(name)
        routes = endpoints[name] = {}
        for operation in (Operation.GENERATE, Operation.COUNT_TOKENS, Operation.LIST_MODELS):
            route = protocol.route(operation, stream=False, model="MODEL", dialect="")
            if route is not None:
                routes[operation.value] = f"{route.method} {route.path}"
    return {"name": "ds2api-asgi", "version": __version__, "endpoints": endpoints}


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}
