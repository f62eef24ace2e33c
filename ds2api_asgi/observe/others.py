"""`Others`: a line in the log for each request that is no protocol's: pages, health checks, scrapes, strangers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import TurnedAway
from ..asgi.trace import MAX_TEXT, printable
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Others"]

logger = logging.getLogger("ds2api_asgi.trace")


class Others:
    """Around an app; requests that somebody watches already (that have an exchange) pass.

    What is told: ``GET /health: 200 complete after 0.001 s``, and ``extra`` with ``ds2_other``, a dict of the same. The
    query is not, since some put keys there.

    Args:
        app: The app.
        level: Of the records; answers of 500 and more are warnings at least.
        clock: Monotonic seconds.
    """

    def __init__(self, app: ASGIApp, *, level: int = logging.INFO, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._level = level
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a request (the ASGI interface)."""
        if scope["type"] != "http" or KEY in scope or not logger.isEnabledFor(max(self._level, logging.WARNING)):
            await self.app(scope, receive, send)
            return
        began = self._clock()
        exchange = Exchange(started=began, clock=self._clock)  # a door within says why it turned somebody away
        status, complete, end = 0, False, "raised"

        async def seen(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                complete = True

        try:
            await self.app({**scope, KEY: exchange}, receive, seen)
            end = "gone" if not complete else "failed" if status >= 400 else "complete"
        except Exception:
            end = "cut" if status else "raised"
            raise
        except BaseException:
            end = "cancelled"
            raise
        finally:
            self._tell(scope, exchange, status, end, self._clock() - began)

    def _tell(self, scope: Scope, exchange: Exchange, status: int, end: str, took: float) -> None:
        level = max(self._level, logging.WARNING) if status >= 500 or end in ("cut", "raised") else self._level
        if not logger.isEnabledFor(level):
            return
        method, path = printable(scope["method"][:20]), printable(scope["path"][:MAX_TEXT])
        told = {"method": method, "path": path, "status": status, "end": end, "took": round(took, 6)}
        turned = exchange.last(TurnedAway)
        if turned is not None:
            told["why"] = f"turned away at the door: {turned.code or turned.status}"
        message = "%s %s: %d %s after %.3f s"
        logger.log(level, message, method, path, status, end, took, extra={"ds2_other": told})
