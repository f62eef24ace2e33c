"""A request that was let in: its answer states the key's limits, and says what it cost."""

from __future__ import annotations

from collections.abc import Callable

from ..asgi.exchange import Exchange
from ..asgi.facts import Used
from ..asgi.headers import RawHeaders, media_type
from ..asgi.types import Message, Send
from ..protocols.base import Protocol
from .turnstile import Admission, stated
from .usage import Usage

__all__ = ["Admitted"]

_DOCUMENTS = (b"application/x-ndjson", b"application/jsonl")
_STREAMS = (b"text/event-stream", *_DOCUMENTS)
_RATE_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-", b"anthropic-priority-", b"ratelimit")


class Admitted:
    """Watches the answer to one request.

    Args:
        admission: What was taken.
        protocol: The client's.
        exchange: Where parts within note what was used.
        send: The client's.
        wall: Unix time.
        seems: What the request seems to cost without its answer, in tokens; None: tokens are not counted.
    """

    __slots__ = (
        "_admission",
        "_complete",
        "_exchange",
        "_mark",
        "_protocol",
        "_seems",
        "_send",
        "_status",
        "_usage",
        "_wall",
    )

    def __init__(
        self,
        admission: Admission,
        protocol: Protocol,
        exchange: Exchange,
        send: Send,
        *,
        wall: Callable[[], float],
        seems: int | None,
    ) -> None:
        self._admission = admission
        self._protocol = protocol
        self._exchange = exchange
        self._send = send
        self._wall = wall
        self._seems = seems
        self._mark = len(exchange)
        self._status = 0
        self._complete = False
        self._usage: Usage | None = None

    @property
    def watches(self) -> bool:
        """Whether the answer has to pass here at all."""
        return self._seems is not None or bool(self._admission.standings)

    async def send(self, message: Message) -> None:
        """Take a message; each passes at once."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            if self._seems is not None and self._status < 300:
                kind = media_type(message.get("headers", ()))
                self._usage = Usage(stream=kind in _STREAMS, documents=kind in _DOCUMENTS)
            if self._admission.standings:
                message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif kind == "http.response.body" and self._usage is not None:
            self._usage.feed(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        await self._send(message)

    @property
    def tokens(self) -> float | None:
        """What the request cost; None when nobody said it, and it may have cost something."""
        if self._seems is None:
            return None
        noted = sum(fact.total for fact in self._exchange.since(self._mark, Used))
        if self._status >= 300:
            return float(noted)
        # Who leaves before the answer begins has cost what it asked for: else leaving early would be free.
        if self._usage is None:
            return noted or None
        stated = noted or self._usage.tokens
        if self._complete and stated is not None:
            return stated
        written = self._usage.written
        guess = float(self._seems + written) if written else None
        # Anthropic's first event states the request, and only the last one the answer: who leaves between them would
        # have the answer for nothing.
        return guess if stated is None else max(stated, guess or 0.0)

    def _headers(self, headers: RawHeaders) -> RawHeaders:
        """The answer's headers with the key's limits in place of a provider's, which are about other keys."""
        limits = self._protocol.encode_limits(stated(self._admission.standings), now=self._wall())
        return [*(header for header in headers if not header[0].lower().startswith(_RATE_LIMITS)), *limits]
