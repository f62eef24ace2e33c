"""The ASGI lifespan protocol, driven by us: frameworks do not run it for what they mount.

`lifespan` is handed to a host framework, `running` is for any other program, and `Mounted` puts an app under a path of
another where the framework has no mounts (Quart, Django, Falcon, Sanic).

The one rule: an app's startup and shutdown happen in one task, so that it may hold task groups open in between.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from ..errors import ConfigurationError
from .path import percent_encode
from .types import ASGIApp, Message, Receive, Scope, Send
from .unwrapped import unwrapped

__all__ = ["SHUTDOWN_GRACE", "Mounted", "lifespan", "lifespan_of", "running"]

SHUTDOWN_GRACE = 10.0
"""Seconds that an app's shutdown may take, also when its host is being cancelled."""

_logger = logging.getLogger("ds2api_asgi.asgi")


def lifespan(*apps: ASGIApp) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
    """Run the lifespan of mounted apps with that of the host that mounts them.

    ::

        FastAPI(lifespan=lifespan(llm))
        Litestar(lifespan=[lifespan(llm)])

    Args:
        apps: The apps; started in this order, stopped in the opposite one.

    Returns:
        What the frameworks take: called with the host, it gives an async context manager. Entering it raises
        ConfigurationError when an app fails to start; it yields the apps' lifespan state, or None when there is none.

    Raises:
        ConfigurationError: What is given is no app, such as a list of apps.
    """
    if not all(map(callable, apps)):
        raise ConfigurationError("lifespan takes apps, as in lifespan(one, other)")

    @asynccontextmanager
    async def run(host: Any = None) -> AsyncIterator[dict[str, Any] | None]:  # noqa: ARG001 - the frameworks pass it
        state: dict[str, Any] = {}
        async with AsyncExitStack() as stack:
            for app in apps:
                await stack.enter_async_context(running(app, state=state))
            yield state or None

    return run


@asynccontextmanager
async def running(app: ASGIApp, *, state: dict[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
    """Start an app by its lifespan, and stop it on the way out.

    An app that knows no lifespan is left alone.

    Args:
        app: Any ASGI app.
        state: The lifespan state that the app may write to; a fresh one by default.

    Yields:
        The lifespan state.

    Raises:
        ConfigurationError: The app said that it failed to start.
    """
    session = _Session(app, {} if state is None else state)
    with unwrapped():
        async with anyio.create_task_group() as group:
            group.start_soon(session.run)
            try:
                await session.start()
                yield session.state
            finally:
                session.stop()


class _Session:
    """One app's lifespan: the app's side runs in its own task, the host's side waits for it."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self.state = state
        self._app = app
        self._scope = anyio.CancelScope(shield=True)  # a host that is cancelled still lets the app shut down
        self._asked = 0
        self._begun = anyio.Event()
        self._stopping = anyio.Event()
        self._started = False
        self._failure: str | None = None

    async def start(self) -> None:
        try:
            await self._begun.wait()
        except BaseException:
            self._scope.cancel()
            raise
        if self._failure is not None:
            raise ConfigurationError(f"the app failed to start: {self._failure}")

    def stop(self) -> None:
        self._stopping.set()
        self._scope.deadline = anyio.current_time() + SHUTDOWN_GRACE

    async def run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            with self._scope:
                await self._app(scope, self._receive, self._send)
        except Exception:  # as servers do: an app that raises before it started does not know the protocol
            if self._started:
                raise
            _logger.debug("an app does not support the ASGI lifespan protocol", exc_info=True)
        finally:
            self._begun.set()

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        if self._asked == 2:
            await self._stopping.wait()
            return {"type": "lifespan.shutdown"}
        self._scope.cancel()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._started = True
                self._begun.set()
            case "lifespan.startup.failed":
                self._failure = message.get("message", "")
                self._begun.set()
            case "lifespan.shutdown.failed":
                _logger.error("an app failed to shut down: %s", message.get("message", ""))
            case _:
                pass


async def lifespan_of(
    apps: Iterable[ASGIApp], scope: Scope, receive: Receive, send: Send, *, ending: Callable[[], None] | None = None
) -> None:
    """Answer a ``lifespan`` scope for an app over several apps: all of them start, or the start has failed.

    Args:
        apps: Started in this order and ended in the opposite one; one that is listed twice starts once.
        scope: The lifespan's.
        receive: Its ``receive``.
        send: Its ``send``.
        ending: Called when the host begins to end.

    Raises:
        ConfigurationError: An app's end failed.
    """
    await receive()
    started = False
    try:
        async with AsyncExitStack() as stack:
            for app in {id(app): app for app in apps}.values():
                await stack.enter_async_context(running(app, state=scope.get("state")))
            started = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if ending is not None:
                ending()
    except ConfigurationError as error:
        if started:
            raise
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})


class Mounted:
    """An app, and another one under a path of it; for frameworks without mounts.

    ::

        quart.asgi_app = Mounted(quart.asgi_app, "/llm", llm)
        application = Mounted(get_asgi_application(), "/llm", llm)

    The lifespans of both run; the server hears of a completed shutdown only after both have ended, since it may stop
    the event loop then. An app that knows no lifespan (Django) is served all the same.

    Args:
        app: The app around.
        path: Where the other is mounted: begins with ``/``, does not end with one.
        mounted: The app under the path.

    Raises:
        ConfigurationError: The path is not of that form.
    """

    def __init__(self, app: ASGIApp, path: str, mounted: ASGIApp) -> None:
        if not path.startswith("/") or path.endswith("/"):
            raise ConfigurationError(f"a mount path begins with / and does not end with one, not {path!r}")
        self._app = app
        self._path = path
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch by the path; a lifespan goes to both."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        inner = self._inner(scope) if "path" in scope else None
        if inner is None:
            await self._app(scope, receive, send)
        else:
            await self._mounted(inner, receive, send)

    def _inner(self, scope: Scope) -> Scope | None:
        """The scope for the mounted app in the form of the ASGI specification, or None when it is not the app's."""
        path: str = scope["path"]
        root = (scope.get("root_path") or "").rstrip("/")
        prefixed = bool(root) and (path == root or path.startswith(root + "/"))
        relative = path[len(root) :] if prefixed else path
        if relative != self._path and not relative.startswith(self._path + "/"):
            return None
        inner: Scope = {**scope, "root_path": root + self._path}
        inner.setdefault("app_root_path", root)
        if root and not prefixed:  # hypercorn, granian and daphne do not put the root path before the path
            inner["path"] = root + path
            if scope.get("raw_path"):
                inner["raw_path"] = percent_encode(root).encode("ascii") + scope["raw_path"]
        return inner

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await lifespan_of((self._mounted, self._app), scope, receive, send)
