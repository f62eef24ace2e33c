"""What the console's tests in a browser share: a gateway on a port, its console under a prefix, and visits to it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from threading import Thread
from typing import Any, Protocol

import httpx
from anyio.from_thread import BlockingPortal
from starlette.applications import Starlette
from starlette.routing import Mount

from browsing import Visit
from ds2api_asgi import Access, ClientKey, KeyPool, Retry, Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.console.component import Console
from ds2api_asgi.observe import Journal, Traced
from ds2api_asgi.observe.live import Live
from ds2api_asgi.pool import Key, Secret
from ds2api_asgi.testing import serve

PASSWORD = "correct-horse-battery"
CLIENT = "client-key-0123456789"
PREFIX = "/admin/console/"


def key(alias: str, secret: str | None = None, **options: Any) -> Key:
    """A key of the demo model; how it fails stands in its secret (``"sk-a+429:2!1"``)."""
    return Key(secret=Secret(secret or f"sk-{alias}-0000"), alias=alias, **options)


class Gateway:
    """The demo model behind a pool, with a console beside it, on a real port.

    Attributes:
        url: ``http://127.0.0.1:54321``.
        pool: The keys.
        demo: The model, which counts what it is asked.
    """

    def __init__(
        self,
        *keys: Key,
        pace: float = 0.0,
        caller: str = "alice",
        prefix: str = PREFIX,
        pools: Callable[[], dict[str, KeyPool]] | None = None,
        **console: Any,
    ) -> None:
        self.demo = DemoModel(pace=pace)
        self.journal, self.live = Journal(), Live()
        self.pool = KeyPool(self.demo, protocol="openai-chat", name="main", strategy="round-robin", keys=keys)
        inner = Access(
            Translator(Retry(self.pool, protocol="openai-chat", backoff=0.01), speaks="openai-chat"),
            keys=[ClientKey(CLIENT, name=caller)],
        )
        self.app = Traced(self.live.requests(inner), sinks=[self.journal], log=False)
        self.signing: bytes = console.setdefault("signing", secrets.token_bytes(32))
        self.console = Console(
            password=Secret(PASSWORD),
            pools=pools or (lambda: {"main": self.pool}),
            journal=self.journal,
            live=self.live,
            **console,
        )
        self._web = Starlette(routes=[Mount(prefix.rstrip("/"), self.console), Mount("/", self.app)])
        self._prefix = prefix
        self.url = ""

    @contextmanager
    def on(self, portal: BlockingPortal, **options: Any) -> Iterator[Gateway]:
        """On a port, until the end of the block."""
        with portal.wrap_async_context_manager(serve(self._web, **options)) as self.url:
            try:
                yield self
            finally:
                self.console.drain()

    @property
    def base(self) -> str:
        """The console's address."""
        return self.url + self._prefix

    def ask(self, model: str = "demo-small", *, protocol: str = "openai-chat", stream: bool = False) -> httpx.Response:
        """Ask for a word, as a client does."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        path = "/v1/chat/completions"
        if protocol == "anthropic":
            path = "/v1/messages"
            body["max_tokens"] = 100
        headers = {"authorization": f"Bearer {CLIENT}"}
        known = len(self.journal)
        answer = httpx.post(self.url + path, json=body, headers=headers, timeout=30)
        deadline = time.monotonic() + 10
        while len(self.journal) == known and time.monotonic() < deadline:
            time.sleep(0.002)  # its trace is written a moment after the last byte
        return answer

    def ask_beside(self, **options: Any) -> Thread:
        """The same in a thread."""
        thread = Thread(target=self.ask, kwargs=options, daemon=True)
        thread.start()
        return thread


class Seen(Protocol):
    """What can be visited."""

    @property
    def base(self) -> str:
        """The console's address, with its slash."""
        ...


class Stage:
    """What a test needs: gateways, and visits to them, which are checked and closed at its end."""

    def __init__(self, chrome: Any, portal: BlockingPortal, stack: ExitStack) -> None:
        self._chrome = chrome
        self._portal = portal
        self._stack = stack
        self.visits: list[Visit] = []

    @staticmethod
    def build(*keys: Key, **options: Any) -> Gateway:
        """A gateway without a port."""
        return Gateway(*(keys or (key("one"), key("two"))), **options)

    def gateway(self, *keys: Key, **options: Any) -> Gateway:
        """A gateway on a port of its own."""
        return self.serve(self.build(*keys, **options))

    def serve(self, gateway: Gateway) -> Gateway:
        """Put it on a port until the test's end."""
        return self._stack.enter_context(gateway.on(self._portal))

    def enter(self, manager: AbstractAsyncContextManager[Any]) -> Any:
        """Enter an asynchronous context until the test's end."""
        return self._stack.enter_context(self._portal.wrap_async_context_manager(manager))

    def serving(self, gateway: Gateway, **options: Any) -> Any:
        """Put it on a port until the block's end."""
        return gateway.on(self._portal, **options)

    def visit(self, gateway: Seen, view: str = "", *, logged_in: bool = True, **options: Any) -> Visit:
        """A browser window on its console."""
        visit = Visit(self._chrome, gateway.base, **options)
        self._stack.callback(visit.close)
        self.visits.append(visit)
        if logged_in:
            visit.log_in(PASSWORD, view)
        else:
            visit.go(view)
        return visit
