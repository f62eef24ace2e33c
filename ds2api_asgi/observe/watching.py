"""`Watcher`, beneath `Metrics`, `Telemetry` and `Traced`; and `Watchers`, several that watch from the same place.

A watcher makes two kinds of component. `Watcher.requests` goes around the whole nest and sees each request of a client;
`Watcher.calls` goes around each `Upstream` and sees each call of a provider. In between, facts are seen as parts note
them. Both kinds let everything pass as it is, and what goes wrong in a watcher is logged and never a request's affair.

::

    client ── requests(…) ── Translator ── Retry ── KeyPool ── calls(…) ── Upstream ── provider
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..asgi.types import ASGIApp, Message
from .calls import Calls
from .requests import Requests
from .seen import CallSeen, RequestSeen

__all__ = ["CallSeen", "Hook", "RequestSeen", "Watcher", "Watchers"]

logger = logging.getLogger("ds2api_asgi.observe")

_numbers = itertools.count()


class Hook(Protocol):
    """What a watcher does when it is told something."""

    def __call__(self, *args: Any) -> None:
        """Take note."""
        ...


class Watcher:
    """Makes the components, and is told what they see; each hook may be left as it is.

    Attributes:
        wants_usage: Whether `Used` is to be noted of each answer.
        wants_streams: Whether it is shown the bytes of streams that clients get (`passed`).
        key: The key of scopes under which its calls find their request.
    """

    wants_usage = False
    wants_streams = False

    def __init__(self) -> None:
        self.key = f"ds2api_asgi.observe.{next(_numbers)}"

    def requests(self, app: ASGIApp) -> ASGIApp:
        """A component around an app, which sees the requests that are a protocol's; everything else passes.

        Args:
            app: The whole nest, what lets clients in among it.
        """
        return Requests(self, app)

    def calls(self, app: ASGIApp, *, name: str, provider: str | None = None, base_url: str | None = None) -> ASGIApp:
        """A component around an app, which sees the calls of a provider, and notes each (`asgi.facts.Called`).

        Args:
            app: An `Upstream`, or what stands for one.
            name: What it is called.
            provider: As OpenTelemetry calls it (``"openai"``, ``"gcp.gemini"``), by which costs are told too; None: not
                said.
            base_url: Where it is, to be told with its calls; None: not told.
        """
        return Calls(self, app, name, provider, base_url)

    def tell(self, hook: Hook, *args: Any) -> None:
        """Call a hook; what it raises is logged."""
        try:
            hook(*args)
        except Exception:
            logger.exception("%s could not take note", type(self).__name__)

    def alter(self, hook: Callable[[RequestSeen, Message], Message], request: RequestSeen, message: Message) -> Message:
        """Call a hook that may change a message; what it raises is logged, and the message stays as it is."""
        try:
            return hook(request, message)
        except Exception:
            logger.exception("%s could not change an answer's start", type(self).__name__)
            return message

    def began(self, request: RequestSeen) -> None:
        """A request began."""

    def noted(self, request: RequestSeen, fact: object) -> None:
        """A part noted a fact."""

    def starting(self, request: RequestSeen, message: Message) -> Message:
        """An answer starts to be sent; the message that is sent instead."""
        del request
        return message

    def passed(self, request: RequestSeen, chunk: bytes) -> None:
        """A part of a stream goes to the client."""

    def ended(self, request: RequestSeen) -> None:
        """A request is over."""

    def call_began(self, call: CallSeen) -> None:
        """A call begins."""

    def call_ended(self, call: CallSeen) -> None:
        """A call is over."""


class Watchers(Watcher):
    """Several watchers that share one pair of components, which costs less than a pair for each.

    ::

        watchers = Watchers([metrics, telemetry])
        pool = KeyPool(watchers.calls(Upstream("https://api.openai.com"), name="openai"), protocol="openai-chat", ...)
        app = Traced(Translator(Retry(pool), speaks="openai-chat"), watchers=watchers)

    Without any it still notes the calls, for a `Traced` around.

    Args:
        watchers: Told of beginnings in this order, and of ends in the opposite one.
    """

    def __init__(self, watchers: Iterable[Watcher] = ()) -> None:
        super().__init__()
        self._watchers = tuple(watchers)
        self.wants_usage = any(watcher.wants_usage for watcher in self._watchers)
        self._passed = self._with("passed")
        self.wants_streams = bool(self._passed)
        self._began = self._with("began")
        self._noted = self._with("noted")
        self._starting = self._with("starting")
        self._ended = self._with("ended")[::-1]
        self._call_began = self._with("call_began")
        self._call_ended = self._with("call_ended")[::-1]

    def _with(self, hook: str) -> tuple[tuple[Watcher, Callable[..., Any]], ...]:
        """Those that do something then."""
        return tuple(
            (watcher, getattr(watcher, hook))
            for watcher in self._watchers
            if getattr(type(watcher), hook) is not getattr(Watcher, hook)
        )

    def among(self, first: Watcher) -> Watchers:
        """These and one more, which begins before them and ends after them, and finds the calls that these see."""
        both = Watchers([first, *self._watchers])
        both.key = self.key
        return both

    def began(self, request: RequestSeen) -> None:
        """Tell all of them; likewise the others."""
        for watcher, hook in self._began:
            watcher.tell(hook, request)

    def noted(self, request: RequestSeen, fact: object) -> None:
        """See `Watcher`."""
        for watcher, hook in self._noted:
            watcher.tell(hook, request, fact)

    def starting(self, request: RequestSeen, message: Message) -> Message:
        """See `Watcher`."""
        for watcher, hook in self._starting:
            message = watcher.alter(hook, request, message)
        return message

    def passed(self, request: RequestSeen, chunk: bytes) -> None:
        """See `Watcher`."""
        for watcher, hook in self._passed:
            watcher.tell(hook, request, chunk)

    def ended(self, request: RequestSeen) -> None:
        """See `Watcher`."""
        for watcher, hook in self._ended:
            watcher.tell(hook, request)

    def call_began(self, call: CallSeen) -> None:
        """See `Watcher`."""
        for watcher, hook in self._call_began:
            watcher.tell(hook, call)

    def call_ended(self, call: CallSeen) -> None:
        """See `Watcher`."""
        for watcher, hook in self._call_ended:
            watcher.tell(hook, call)
