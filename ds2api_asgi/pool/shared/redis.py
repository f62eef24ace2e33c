"""A ledger in Redis or Valkey, for several processes on several machines.

A step is one Lua script (``ledger.lua``), one round trip, and takes the time of the server. All keys of a pool begin
with ``{ds2api:pool:NAME}`` and so lie in one slot of a cluster; each of them expires. Aliases of API keys and names of
models are written there, secrets never.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from functools import cache
from importlib import resources
from random import Random
from typing import Any

import anyio
import msgspec
from anyio.lowlevel import RunVar

from ...asgi.loop import asyncio_loop
from ...errors import ConfigurationError
from .ledger import KEEP, LedgerDown, Seen, Step
from .store import DEFAULT_LEASE_TTL, DEFAULT_RETRY, DEFAULT_TIMEOUT, OnFailure, SharedStore

__all__ = ["RedisKeyStore", "RedisLedger"]

_PLACES = ("meta", "lanes", "probes", "versions", "leases", "held", "counts", "sums", "windows")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Seen)
_CONNECTIONS = 32  # of a loop; more would only wait in the server
_KEEP = str(int(KEEP * 1000))


class RedisLedger:
    """See the module.

    Args:
        server: Its address, or a client of redis-py's asyncio kind.
        clock: For tests: the time in place of the server's.
        timeout: Seconds that a connection may take, and an answer.
    """

    def __init__(self, server: Any, *, clock: Callable[[], float] | None = None, timeout: float) -> None:
        self._url = server if isinstance(server, str) else None
        self._given = None if isinstance(server, str) else server
        if self._given is not None and _decodes(self._given):
            raise ConfigurationError("the Redis client decodes answers: it must be made with decode_responses=False")
        self.clock = clock
        self._timeout = timeout
        self._keys: tuple[str, ...] = ()
        self._opened: RunVar[_Opened | None] = RunVar("ds2api_asgi.pool.shared.redis", None)

    def open(self, pool: str) -> None:
        """Say which pool it is for; see `Ledger.open`."""
        self._keys = tuple(f"{{ds2api:pool:{pool}}}:{place}" for place in _PLACES)

    def at_once(self, step: Step) -> Seen | None:  # noqa: ARG002 - the server must be waited for
        """See `Ledger.at_once`."""
        return None

    async def step(self, step: Step) -> Seen:
        """Do a step; see `Ledger.step`."""
        if self.clock is not None:
            step = msgspec.structs.replace(step, now=self.clock())
        code, digest = _script()
        arguments = (*self._keys, _ENCODER.encode(step), _KEEP)
        client = await self._client()
        from redis.exceptions import NoScriptError, RedisError

        try:
            try:
                answer = await client.evalsha(digest, len(self._keys), *arguments)
            except NoScriptError:  # a server that was started, or emptied, since
                answer = await client.eval(code, len(self._keys), *arguments)
        except (RedisError, OSError) as error:
            raise LedgerDown(str(error)) from error
        return _DECODER.decode(answer)

    async def aclose(self) -> None:
        """Close the running loop's connections, but not those of a client that was given."""
        opened = self._opened.get()
        if opened is not None:
            await opened.closing.aclose()

    async def _client(self) -> Any:
        """The running loop's client: connections belong to the loop and the process that made them."""
        if asyncio_loop() is None:
            raise ConfigurationError("RedisKeyStore needs asyncio, since redis-py does: it does not work on trio")
        if self._given is not None:
            return self._given
        opened = self._opened.get()
        if opened is None or opened.process != os.getpid():
            client = self._connect()
            opened = _Opened(client, self._until_the_end(client))
            self._opened.set(opened)
            await anext(opened.closing)
        return opened.client

    def _connect(self) -> Any:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        assert self._url is not None
        try:
            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=_CONNECTIONS,
                timeout=self._timeout,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                decode_responses=False,
                retry=Retry(NoBackoff(), 0),  # who cannot reach it says so, and the store knows what to do then
            )
        except ValueError:  # its words repeat parts of the address, in which a password may be
            raise ConfigurationError("the address of Redis cannot be read") from None
        return Redis.from_pool(pool)

    async def _until_the_end(self, client: Any) -> AsyncGenerator[None, None]:
        """Closes the client when the loop ends: loops close all async generators."""
        try:
            yield
        finally:
            self._opened.set(None)  # the loop's registry would keep the client, and the client the loop
            with anyio.move_on_after(self._timeout, shield=True):
                await client.aclose()


class _Opened:
    __slots__ = ("client", "closing", "process")

    def __init__(self, client: Any, closing: AsyncGenerator[None, None]) -> None:
        self.client = client
        self.closing = closing
        self.process = os.getpid()


@cache
def _script() -> tuple[str, str]:
    """The script and the digest by which a server knows it."""
    code = resources.files(__package__).joinpath("ledger.lua").read_text()
    return code, hashlib.sha1(code.encode(), usedforsecurity=False).hexdigest()


def _decodes(client: Any) -> bool:
    encoder = getattr(client, "get_encoder", None)
    return encoder is not None and bool(encoder().decode_responses)


class RedisKeyStore(SharedStore):
    """Keeps the health of keys in Redis or Valkey: several processes on several machines use them as one.

    Cooldowns, probes, limits and the number of requests in flight hold for all together, survive restarts of the
    processes, and return when a process dies: its leases end after `lease_ttl`. An acquire is one round trip, and
    giving back another. It needs asyncio and the extra ``redis``.

    When the server cannot be reached for `timeout` seconds, the store goes on with what it knows, alone, as a
    `MemoryStore` would: cooldowns stay, limits hold for each process by itself. It logs this once, tries again every
    few seconds, and then tells the server what it learned meanwhile. With ``on_failure="refuse"`` requests are refused
    with 503 until then.

        KeyPool(app, protocol="openai-chat", keys=KEYS, store=RedisKeyStore("redis://cache.internal:6379/0"))

    Args:
        server: Its address (``redis://``, ``rediss://`` or ``unix://``), or a client of `redis.asyncio` for the loop
            that asks, which stays its owner's to close.
        name: What the pool is called there. None: a digest of its keys' aliases, so that pools never mix; a pool with
            a name keeps what it knows when keys are added.
        lease_ttl: Seconds after which the leases of a process that died are given back.
        timeout: Seconds that an operation may wait for the server.
        on_failure: ``"local"`` or ``"refuse"``.
        retry_every: Seconds between two attempts to reach it again.
        clock: For tests: the time in place of the server's.
        rng: Where strategies take their chance from; None: one of its own.

    Raises:
        ConfigurationError: redis-py is not installed, a client that decodes answers, a time that is not positive; from
            the first operation on: the loop is trio's.
    """

    def __init__(
        self,
        server: Any,
        *,
        name: str | None = None,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        timeout: float = DEFAULT_TIMEOUT,
        on_failure: OnFailure = "local",
        retry_every: float = DEFAULT_RETRY,
        clock: Callable[[], float] | None = None,
        rng: Random | None = None,
    ) -> None:
        try:
            import redis.asyncio  # noqa: F401 - says now what would fail later
        except ImportError as error:
            raise ConfigurationError("RedisKeyStore needs redis-py: pip install ds2api-asgi[redis]") from error
        self._redis = RedisLedger(server, clock=clock, timeout=timeout)
        super().__init__(
            self._redis,
            name=name,
            lease_ttl=lease_ttl,
            timeout=timeout,
            on_failure=on_failure,
            retry_every=retry_every,
            rng=rng,
        )

    async def aclose(self) -> None:
        """Close the running loop's connections; the next operation opens others. Ended loops close theirs."""
        await self._redis.aclose()
