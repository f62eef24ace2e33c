"""A real uvicorn on a free port of 127.0.0.1, in a thread of its own: for tests in which sockets matter.

::

    async with serve(app) as base_url:
        client = openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="any")

The app runs on asyncio whatever the caller runs on. It needs the extra ``serve``.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread

from ..asgi.types import ASGIApp

__all__ = ["serve"]

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_POLL = 0.005


@asynccontextmanager
async def serve(app: ASGIApp, *, lifespan: str = "auto", port: int = 0, **options: Any) -> AsyncIterator[str]:
    """Serve an app.

    Args:
        app: The app.
        lifespan: ``auto``, ``on`` or ``off``, as for uvicorn.
        port: The port; 0: any that is free.
        options: Further members of ``uvicorn.Config``.

    Yields:
        The base URL: ``http://127.0.0.1:54321``.

    Raises:
        OSError: The port is not free.
        RuntimeError: The app's startup failed.
        TimeoutError: It took more than a minute.
    """
    import uvicorn

    settings: dict[str, Any] = {
        "lifespan": lifespan,
        "loop": "asyncio",
        "log_config": None,
        "log_level": "critical",
        "ws": "none",
        "timeout_graceful_shutdown": 1,
        "timeout_keep_alive": 3600,  # no request meets a connection that is just being closed
        **options,
    }
    with socket.create_server(("127.0.0.1", port)) as listener:
        # asyncio does not do it for sockets of `create_server`, and answers in two writes would take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(uvicorn.Config(app, **settings))

        def run() -> None:
            with suppress(SystemExit):  # uvicorn's way to say that the startup failed
                server.run(sockets=[listener])

        thread = threading.Thread(target=run, name="uvicorn", daemon=True)
        thread.start()
        try:
            await _until_started(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.join, STOP_SECONDS)


async def _until_started(server: Any, thread: threading.Thread) -> None:
    with anyio.fail_after(START_SECONDS):
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("uvicorn ended before it had started: did the app's startup fail?")
            await anyio.sleep(_POLL)
