"""Keys, and an app that remembers what reached it."""

from __future__ import annotations

from typing import Any

from ds2api_asgi import Access, ClientKey, Translator
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver

ALICE = "sk-alice-5f0c7a1be2d94a3c"
BOB = "sk-bob-91d2ab77c0e54f18"
STRANGER = "sk-stranger-0b8e6d1f3a7c"


class Behind:
    """The demo model, and all that it was asked."""

    def __init__(self, app: Any = None) -> None:
        self._app = Translator(DemoModel(), speaks="openai-chat") if app is None else app
        self.scopes: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.scopes.append(dict(scope))
            if scope["method"] not in ("GET", "HEAD"):
                receive = await read_body(receive)
                self.bodies.append(receive.body)
        await self._app(scope, receive, send)


class Hello:
    """Answers anything with ``hello``."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def guarded(app: Any = None, *, models: Any = None, limits: Any = None, **options: Any) -> tuple[Access, Behind]:
    """An app that knows Alice."""
    behind = Behind(app)
    more = {} if limits is None else {"limits": limits}
    return Access(behind, keys=[ClientKey(ALICE, name="alice", models=models, **more)], **options), behind


def alice(app: Any, **options: Any) -> Driver:
    return Driver(app, headers=bearer(ALICE), **options)
