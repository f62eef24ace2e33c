"""Clients of httpx2 (or httpx) that talk to an app in the same process and really stream.

The official SDKs run on it without any server::

    async with in_process_client(app) as http:
        client = openai.AsyncOpenAI(http_client=http, base_url="http://app/v1", api_key="any")

``httpx2.ASGITransport`` joins the whole body before it returns; this transport holds nothing back: each part is taken
from the app when the client asks for it, closing a response disconnects, and an app that fails after its start is a
``RemoteProtocolError``, as it would be over a socket.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import ModuleType, TracebackType
from typing import Any, Self

import anyio
import httpx2
from anyio.abc import TaskGroup

from ..asgi.types import ASGIApp
from ..asgi.unwrapped import unwrapped
from .wire import BrokenResponse, NoResponse, Wire

__all__ = ["InProcessTransport", "in_process_client"]

GRACE = 1.0
"""Seconds that the app's unfinished exchanges get to end when the client is closed."""


_logger = logging.getLogger("ds2api_asgi.testing")


class InProcessTransport(httpx2.AsyncBaseTransport):
    """A transport for an ``AsyncClient``, which must be used in ``async with``: the app's tasks live there.

    Args:
        app: The app that answers.
        library: ``httpx2``, or ``httpx``: requests, responses and errors are its own.
        root_path: The ``root_path`` of the scopes; a URL's path must begin with it.
    """

    def __init__(self, app: ASGIApp, *, library: ModuleType = httpx2, root_path: str = "") -> None:
        self._app = app
        self._library: Any = library
        self._root_path = root_path
        # Clients insist on a stream of their own library's class.
        self._stream_class: Any = type("ResponseStream", (_ResponseStream, self._library.AsyncByteStream), {})
        self._open: set[Wire] = set()
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._stack.enter_context(unwrapped())
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Leave all exchanges and wait for the app, at most `GRACE` seconds."""
        for wire in self._open:
            wire.leave()
        if self._group is not None:
            self._group.cancel_scope.deadline = anyio.current_time() + GRACE
        self._group = None
        await self._stack.__aexit__(exc_type, exc_value, traceback)

    async def handle_async_request(self, request: Any) -> Any:
        """Make one request.

        Args:
            request: The library's ``Request``.

        Returns:
            The library's ``Response``, as soon as it has started.

        Raises:
            RuntimeError: The client is not used in ``async with``.
            RemoteProtocolError: (the library's) The app ended without a response; what it raised is the cause. The
                same comes out of the response's stream when the app ends in its middle.
        """
        if self._group is None:
            raise RuntimeError("use the client in `async with`: the app's tasks live there")
        wire = Wire(self._app, self._scope(request), request.stream)
        self._open.add(wire)
        self._group.start_soon(self._run, wire)
        try:
            status, headers = await wire.start()
        except NoResponse as error:
            wire.leave()
            raise self._broken("Server disconnected without sending a response.", request) from error.__cause__
        except BaseException:
            wire.leave()
            raise
        return self._library.Response(status, headers=headers, stream=self._stream_class(wire, request, self._broken))

    async def _run(self, wire: Wire) -> None:
        try:
            await wire.run()
        finally:
            self._open.discard(wire)
        if wire.error is not None and (wire.complete or wire.left):
            _logger.error("the app failed after its client was done with it", exc_info=wire.error)

    def _broken(self, message: str, request: Any) -> Any:
        return self._library.RemoteProtocolError(message, request=request)

    def _scope(self, request: Any) -> dict[str, Any]:
        url = request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": self._root_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 50000),
            "server": (url.host, url.port),
        }


class _ResponseStream:
    """The body of a response, taken from the app part by part."""

    def __init__(self, wire: Wire, request: Any, broken: Callable[[str, Any], Exception]) -> None:
        self._wire = wire
        self._request = request
        self._broken = broken

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._wire.chunk()
        except BrokenResponse as error:
            message = "peer closed connection without sending complete message body (incomplete chunked read)"
            raise self._broken(message, self._request) from error.__cause__
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._wire.leave()


@asynccontextmanager
async def in_process_client(
    app: ASGIApp, *, library: ModuleType = httpx2, root_path: str = "", **options: Any
) -> AsyncIterator[Any]:
    """Open a client of an app in the same process.

    Args:
        app: The app that answers, whatever host a URL names.
        library: ``httpx2`` or ``httpx``.
        root_path: The ``root_path`` of the scopes; a URL's path must begin with it.
        options: Further arguments of the library's ``AsyncClient``; ``base_url`` is ``http://app`` if not among them.

    Yields:
        The ``AsyncClient``, for an SDK's ``http_client``.
    """
    options.setdefault("base_url", "http://app")
    transport = InProcessTransport(app, library=library, root_path=root_path)
    make: Any = library
    async with make.AsyncClient(transport=transport, **options) as client:
        yield client
