"""`Pages`: what a gateway answers beside its protocols, in front of everything else.

| path | who answers | for whom |
|---|---|---|
| ``/`` | the endpoints as JSON (`Front`) | everybody |
| ``/health`` | 200 while the process works | everybody |
| ``/ready`` | 200 while requests are welcome; 503 before the start and from the beginning of the end | everybody |
| as configured | console, metrics | who shows their password, their token |
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..asgi.headers import find
from ..asgi.path import relative_path
from ..asgi.respond import respond
from ..asgi.secret import Secret
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ConfigurationError
from .front import first_page

__all__ = ["HEALTH", "READY", "Guarded", "Pages"]

HEALTH: Final = "/health"
READY: Final = "/ready"

_NO_STORE: Final = ((b"cache-control", b"no-store"),)
_GETS: Final = frozenset({"GET", "HEAD"})


class Pages:
    """Answer a few paths, and pass on all others.

    Args:
        app: The gateway itself.
        mounts: Apps by the path that they answer, with all paths beneath it.
        ready: Whether requests are welcome now.

    Raises:
        ConfigurationError: Two of them have one path, or one is beneath another's.
    """

    def __init__(self, app: ASGIApp, *, mounts: Mapping[str, ASGIApp], ready: Callable[[], bool]) -> None:
        self.app = app
        self._mounts = dict(mounts)
        self._ready = ready
        paths = [HEALTH, READY, *mounts]
        for index, path in enumerate(paths):
            for other in paths[index + 1 :]:
                if path == other or path.startswith(other + "/") or other.startswith(path + "/"):
                    raise ConfigurationError(f"two pages want the path {other}")
        # Nearly every request is for none of them: one look at a path's first piece tells.
        self._first = frozenset(path.split("/", 2)[1] for path in paths) | {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch by the path."""
        path = relative_path(scope) if scope["type"] in ("http", "websocket") else None
        pieces = () if path is None else path.split("/", 2)
        if len(pieces) < 2 or pieces[1] not in self._first:
            await self.app(scope, receive, send)
            return
        assert path is not None
        for mount, app in self._mounts.items():
            if path == mount or path.startswith(mount + "/"):
                await app(_beneath(scope, mount), receive, send)
                return
        if scope["type"] != "http" or path not in ("/", HEALTH, READY):
            await self.app(scope, receive, send)
        elif scope["method"] not in _GETS:
            document = {"error": {"type": "method_not_allowed", "message": f"{scope['method']} is not allowed here."}}
            await respond(send, status=405, document=document, headers=((b"allow", b"GET, HEAD"),))
        else:
            status, answer = self._answer(path)
            await respond(send, status=status, document=answer, headers=_NO_STORE, head=scope["method"] == "HEAD")

    def _answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/":
            return 200, first_page()
        if path == HEALTH or self._ready():
            return 200, {"status": "ok"}
        return 503, {"status": "unavailable"}


class Guarded:
    """Pass on who shows a token as ``authorization: Bearer``; everybody else gets 401.

    Args:
        app: What is guarded.
        token: What to show; compared in constant time.
    """

    def __init__(self, app: ASGIApp, token: Secret) -> None:
        self.app = app
        self._token = token.reveal().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the token of a request."""
        if scope["type"] == "http" and not self._knows(scope):
            document = {"error": {"type": "unauthorized", "message": "A bearer token is needed here."}}
            headers = ((b"www-authenticate", b"Bearer"), *_NO_STORE)
            await respond(send, status=401, document=document, headers=headers, head=scope["method"] == "HEAD")
            return
        await self.app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        scheme, _, shown = (find(scope["headers"], b"authorization") or b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(shown.strip(), self._token)


def _beneath(scope: Scope, mount: str) -> Scope:
    """The scope for an app under a path, in the form of the ASGI specification."""
    root = (scope.get("root_path") or "").rstrip("/")
    path: str = scope["path"]
    inner: Scope = {**scope, "root_path": root + mount}
    inner.setdefault("app_root_path", root)
    if root and path != root and not path.startswith(root + "/"):  # servers that do not put the root before the path
        inner["path"] = root + path
        if scope.get("raw_path"):
            inner["raw_path"] = root.encode("latin-1", "replace") + scope["raw_path"]
    return inner
