"""What an `Upstream` needs of an HTTP client: very little, so that several can serve.

A sender sends one request over HTTP/1.1 (HTTP/2 clients do not reset abandoned streams, which then go on costing
tokens), follows no redirect, keeps no cookie, decodes nothing, and adds no header but ``host`` and ``content-length``.
Foreign exceptions never leave it: a failure before the response is a `TransportError`, one after it a `BrokenStream`.
"""

from __future__ import annotations

import ssl
import typing
from collections.abc import AsyncIterator, Sequence
from functools import cache

__all__ = ["KEEP_ALIVE", "RACE_WINDOW", "Sender", "UpstreamAnswer", "shared_ssl_context"]

KEEP_ALIVE = 55.0
"""Seconds that an idle connection is kept; under the 60 seconds after which most load balancers drop theirs."""

RACE_WINDOW = 1.0
"""Seconds: a reused connection that ends without an answer this soon was closed as the request arrived.

Such a request is sent once more over a fresh connection, and that is no attempt of anybody's. An upstream that
dies later had the request.
"""


class UpstreamAnswer(typing.Protocol):
    """An answer whose headers have arrived."""

    @property
    def status(self) -> int:
        """HTTP status; never 1xx."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw, in the upstream's own case and order."""
        ...

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, still content-encoded; each item is one read, never empty; raises `BrokenStream`."""
        ...

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, else close it; may be called twice."""
        ...


class Sender(typing.Protocol):
    """An HTTP client for one event loop."""

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> UpstreamAnswer:
        """Send a request and wait for the headers of the answer.

        Args:
            method: ``"POST"``.
            url: Absolute, already percent-encoded.
            headers: Lower-case names; without ``host`` and ``content-length``.
            body: The whole body.

        Returns:
            The answer, to be closed with `UpstreamAnswer.aclose` by the caller.

        Raises:
            TransportError: No answer.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """The TLS context of all that is given none of its own, made when first needed: each costs 50 ms and a megabyte."""
    return ssl.create_default_context()
