"""`RenewedToken`: a credential that lives for an hour or so, and is fetched anew before it ends (Vertex AI, Azure).

Tokens are shown as RFC 6750 has it, ``authorization: Bearer``, also to providers that want their keys elsewhere.

| the token | a request |
|---|---|
| is good for longer than `ahead` | goes with it |
| ends within `ahead` | one fetches the next, all others go with this one |
| has ended, or was refused with 401 | one fetches the next, all others wait for that |

The one rule: at most one fetch at a time in an event loop, and a failed one is shared by all who waited for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from subprocess import DEVNULL
from typing import Final, TypeAlias

import anyio
from anyio.abc import Process
from anyio.lowlevel import RunVar
from msgspec import Struct

from ..asgi.denial import deny
from ..asgi.exchange import enter
from ..asgi.facts import Unreachable
from ..asgi.masking import masking, masking_socket
from ..asgi.respond import respond
from ..asgi.secret import Secret
from ..asgi.types import ASGIApp, Message, Receive, Scope, Send
from ..errors import ConfigurationError
from ..protocols import registry
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind
from .credentials import BEARER, with_credential

__all__ = ["RenewedToken", "Token", "TokenSource", "token_of_command"]

_ALIAS: Final = "token"
_PAUSE: Final = 5.0
"""Seconds between two fetches ahead of time, where the first has failed and the token is still good."""

_MAX_PRINTED: Final = 64 * 1024
"""Bytes that a command may print; tokens have some 2,000."""

_logger = logging.getLogger("ds2api_asgi.pool")


class Token(Struct, frozen=True, kw_only=True):
    """An access token.

    Attributes:
        secret: The token.
        expires_at: When it ends, in seconds since 1970; None: never, unless it is refused.
    """

    secret: Secret
    expires_at: float | None = None


TokenSource: TypeAlias = Callable[[], Awaitable[Token]]
"""Fetches a token, whatever that takes; what it raises is answered with 502 where no good token is left."""


class RenewedToken:
    """Show a token with every request that is fetched anew before it ends.

    ::

        async def fetch() -> Token:      # with google-auth
            await anyio.to_thread.run_sync(credentials.refresh, google.auth.transport.requests.Request())
            ends = credentials.expiry.replace(tzinfo=UTC).timestamp()
            return Token(secret=Secret(credentials.token), expires_at=ends)

        RenewedToken(Upstream(url, protocol="gemini"), protocol="gemini", fetch=fetch)
        preset("vertex").app(project="mine", token=fetch)

    It stands where a `KeyPool` would: other credentials are taken out of the request, and the token is masked in what
    the provider says of errors. Several accounts are several of it, in a `Failover` or a `Router`. A token that the
    provider refuses with 401 is not shown again; the refusal goes to the client, or to a `Retry` above.

    Args:
        app: The provider's app.
        protocol: Its protocol, in which a client is told that there is no token.
        fetch: Fetches a token; `token_of_command` makes one of a program.
        ahead: Seconds before its end at which the next one is fetched.
        timeout: Seconds that a fetch may take.
        clock: Seconds since 1970.

    Raises:
        ConfigurationError: An unknown protocol, or a number that cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        protocol: str,
        fetch: TokenSource,
        ahead: float = 300.0,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if ahead < 0 or not timeout > 0:
            raise ConfigurationError("ahead is 0 seconds or more, and timeout more than 0")
        self.app = app
        self._protocol = registry.get(protocol)
        self._fetch = fetch
        self._ahead = ahead
        self._timeout = timeout
        self._clock = clock
        self._token: Token | None = None
        self._fetches = 0
        self._failed_at: float | None = None
        self._lock: RunVar[anyio.Lock] = RunVar("ds2api_asgi.pool.token")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Equip a request or a websocket; everything else is the app's."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        token = await self._get()
        if token is None:
            exchange.note(Unreachable(reason="connect", processed=False))  # as far as the provider is concerned
            await self._refuse(scope, receive, send)
            return
        key = token.secret.reveal()
        scope = with_credential(scope, (b"authorization", b"Bearer " + key.encode("latin-1")), _ALIAS)
        scope[BEARER] = True
        masked = masking_socket(send, key) if scope["type"] == "websocket" else masking(send, key)

        async def watched(message: Message) -> None:
            if message.get("status") == 401 and self._token is token:
                self._token = None
            await masked(message)

        await self.app(scope, receive, watched)

    async def _get(self) -> Token | None:
        """A token that is good now; None: there is none to be had."""
        token, left = self._token, self._left()
        if token is not None and left > self._ahead:
            return token
        lock = self._own_lock()
        if token is not None and left > 0 and (lock.locked() or self._failed_lately()):
            return token
        fetches = self._fetches
        async with lock:
            if self._fetches == fetches:  # nobody did while we waited
                await self._renew()
        return self._token if self._left() > 0 else None

    def _left(self) -> float:
        """Seconds that the token is good for; 0: there is none."""
        if self._token is None:
            return 0.0
        end = self._token.expires_at
        return float("inf") if end is None else end - self._clock()

    def _own_lock(self) -> anyio.Lock:
        try:
            return self._lock.get()
        except LookupError:
            lock = anyio.Lock()
            self._lock.set(lock)
            return lock

    def _failed_lately(self) -> bool:
        return self._failed_at is not None and self._clock() - self._failed_at < _PAUSE

    async def _renew(self) -> None:
        try:
            with anyio.fail_after(self._timeout):
                self._token = await self._fetch()
            self._failed_at = None
        except Exception as error:  # noqa: BLE001 - whatever a source raises, requests are answered
            self._failed_at = self._clock()
            # What others raise may repeat a secret, so only its kind is told.
            told = error if isinstance(error, ConfigurationError) else type(error).__name__
            _logger.warning("no access token could be fetched: %s", told)
        self._fetches += 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure = Failure(kind=FailureKind.BAD_GATEWAY, message="no access token for the upstream is to be had")
        wire = self._protocol.encode_error(failure)
        if scope["type"] == "http":
            head = scope["method"] == "HEAD"
            await respond(send, status=502, document=wire.document, headers=wire.headers, head=head)
            return
        await receive()
        headers = [*wire.headers, (b"content-type", b"application/json")]
        await deny(scope, send, status=502, headers=headers, body=jsontext.dumps(wire.document))


def token_of_command(command: Sequence[str], *, lifetime: float = 3000.0) -> TokenSource:
    """Fetch tokens from a program that prints one, such as ``gcloud auth print-access-token``.

    Args:
        command: The program and its arguments; no shell reads them.
        lifetime: Seconds that a token is good for, from when it is printed. Google's live for an hour, but programs
            print the one that they have, which may be older.

    Returns:
        A source. It raises ConfigurationError when the program cannot be started, fails, or prints what is no token.

    Raises:
        ConfigurationError: No program is named, or the lifetime is not more than 0.
    """
    words = tuple(command)
    if not words or not lifetime > 0:
        raise ConfigurationError("a command has a name, and a lifetime is more than 0 seconds")

    async def start() -> Process:
        # What it says of failures goes nowhere: it may show what it was told, and nobody can be asked a question.
        try:
            return await anyio.open_process(words, stdin=DEVNULL, stderr=DEVNULL)
        except OSError as error:
            raise ConfigurationError(f"the command cannot be started: {error.strerror or 'no program'}") from None

    async def fetch() -> Token:
        async with await start() as process:
            assert process.stdout is not None
            printed = bytearray()
            async for part in process.stdout:
                printed += part
                if len(printed) > _MAX_PRINTED:
                    process.kill()
                    raise ConfigurationError("the command prints more than a token")
            if await process.wait() != 0:
                raise ConfigurationError("the command failed")
        return Token(secret=Secret(printed.decode("ascii", "replace").strip()), expires_at=time.time() + lifetime)

    return fetch
