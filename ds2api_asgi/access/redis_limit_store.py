"""The use of limits in Redis (or Valkey), for several processes and machines: what `gcra` and `budget` do, in Lua.

Time is the server's, so that machines need not agree. All keys of a client stand in one hash slot
(``{prefix:client}``), so a cluster serves as well. Every key expires by itself once it would say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import anyio

from ..errors import ConfigurationError
from .client_limits import Limit
from .limit_store import Standing, Take, Taken

__all__ = ["RedisLimitStore"]

LEASE_SECONDS: Final = 3600.0
"""How long the lease of a process that died counts as a request under way."""

TIMEOUT: Final = 1.0
"""Seconds that the server may take to answer."""

_LIMITS: Final = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local function text(number) return string.format('%.17g', number) end

-- How a limit stands: what is used of it, and how long until nothing is.
local function standing(key, limit)
  if limit.budget then
    local begun = math.floor(now / limit.seconds) * limit.seconds
    local saved = redis.call('HMGET', key, 'begun', 'used')
    local used = 0
    if saved[1] and tonumber(saved[1]) >= begun then begun = tonumber(saved[1]); used = tonumber(saved[2]) end
    return {begun = begun, used = used, reset = math.max(0, begun + limit.seconds - now)}
  end
  local rate = limit.amount / limit.seconds
  local tat = math.max(tonumber(redis.call('GET', key) or now), now)
  return {tat = tat, rate = rate, used = (tat - now) * rate, reset = tat - now}
end

local function write(key, limit, at, difference)
  if limit.budget then
    redis.call('HSET', key, 'begun', text(at.begun), 'used', text(math.max(0, at.used + difference)))
    redis.call('PEXPIRE', key, math.ceil(at.reset * 1000) + 1000)
  else
    local tat = at.tat + difference / at.rate
    if tat <= now then redis.call('DEL', key) else
      redis.call('SET', key, text(tat), 'PX', math.ceil((tat - now) * 1000) + 1000)
    end
  end
end
"""

_TAKE: Final = (
    _LIMITS
    + """
local lease, ttl, concurrency = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local leases = KEYS[1]
redis.call('ZREMRANGEBYSCORE', leases, '-inf', text(now))
local busy = concurrency and redis.call('ZCARD', leases) >= concurrency
local granted, rows, result = not busy, {}, {}
for number = 2, #KEYS do
  local base = 5 + (number - 2) * 4
  local limit = {amount = tonumber(ARGV[base]), seconds = tonumber(ARGV[base + 1]), budget = ARGV[base + 2] == '1'}
  local cost = tonumber(ARGV[base + 3])
  local at = standing(KEYS[number], limit)
  local wait = 0
  if cost > 0 and not busy then
    if cost > limit.amount then wait = math.huge
    elseif limit.budget then if at.used + cost > limit.amount then wait = at.reset end
    else
      local over = at.tat + cost / at.rate - now - limit.seconds
      if over > 1e-6 then wait = over end
    end
  end
  if wait > 0 then granted = false end
  rows[number] = {limit = limit, cost = cost, at = at, wait = wait}
end
for number = 2, #KEYS do
  local row = rows[number]
  local used, reset = row.at.used, row.at.reset
  if granted then
    if row.cost > 0 then write(KEYS[number], row.limit, row.at, row.cost) end
    used = used + row.cost
    if not row.limit.budget then reset = reset + row.cost / row.at.rate end
  end
  result[#result + 1] = text(math.max(0, row.limit.amount - used))
  result[#result + 1] = text(reset)
  result[#result + 1] = row.wait == math.huge and 'inf' or text(row.wait)
end
if granted then
  redis.call('ZADD', leases, text(now + ttl), lease)
  redis.call('PEXPIRE', leases, math.ceil(ttl * 1000))
end
return {granted and 1 or 0, busy and 1 or 0, text(now), result}
"""
)

_SETTLE: Final = (
    _LIMITS
    + """
if redis.call('ZREM', KEYS[1], ARGV[2]) == 0 then return 0 end
local taken_at = tonumber(ARGV[3])
for number = 2, #KEYS do
  local base = 4 + (number - 2) * 4
  local limit = {amount = tonumber(ARGV[base]), seconds = tonumber(ARGV[base + 1]), budget = ARGV[base + 2] == '1'}
  local difference = tonumber(ARGV[base + 3])
  if difference ~= 0 then
    local at = standing(KEYS[number], limit)
    local late = limit.budget and difference < 0 and taken_at > 0
      and math.floor(taken_at / limit.seconds) * limit.seconds < at.begun
    if not late then write(KEYS[number], limit, at, difference) end
  end
end
return 1
"""
)


class RedisLimitStore:
    """Counts in Redis or Valkey, for all processes that name the same prefix.

        store = RedisLimitStore(redis.asyncio.Redis.from_url("redis://localhost"))

    It needs ``pip install 'redis>=5'`` and asyncio, which that library knows only.

    Args:
        client: A ``redis.asyncio.Redis`` (or valkey's), which stays yours to close; or the address of a server.
        prefix: Put before the names of all keys.
        lease_seconds: How long a request may take and still count as under way; also how long the requests of a
            process that died do.
        timeout: Seconds that the server may take to answer.

    Raises:
        ConfigurationError: A value that is not above 0; an address, and redis-py is not installed.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "ds2api:limits",
        lease_seconds: float = LEASE_SECONDS,
        timeout: float = TIMEOUT,
    ) -> None:
        if not lease_seconds > 0 or not timeout > 0:
            raise ConfigurationError("lease_seconds and timeout are above 0")
        self._own: Any = None
        if isinstance(client, str):
            try:
                from redis.asyncio import Redis
            except ImportError as error:
                raise ConfigurationError("RedisLimitStore needs redis-py: pip install ds2api-asgi[redis]") from error
            try:
                client = self._own = Redis.from_url(client)
            except ValueError:  # its words repeat parts of the address, in which a password may be
                raise ConfigurationError("the address of Redis cannot be read") from None
        self._prefix = prefix
        self._lease_seconds = lease_seconds
        self._timeout = timeout
        self._take = client.register_script(_TAKE)
        self._settle = client.register_script(_SETTLE)
        self._now: float | None = None  # the server's; tests tell another

    def __repr__(self) -> str:
        return f"<RedisLimitStore {self._prefix!r}>"

    async def aclose(self) -> None:
        """Close its connections, but not those of a client that was given."""
        if self._own is not None:
            await self._own.aclose()

    async def take(self, client: str, lease: str, takes: Sequence[Take], concurrency: int | None) -> Taken:
        """See `LimitStore.take`."""
        limits = [take.limit for take in takes]
        arguments: list[Any] = [self._time(), lease, self._lease_seconds, "" if concurrency is None else concurrency]
        for take in takes:
            arguments += [*_told(take.limit), repr(float(take.cost))]
        keys = [self._key(client, "leases"), *(self._key(client, one.name) for one in limits)]
        granted, busy, at, numbers = await self._ask(self._take, keys, arguments)
        values = [float(number) for number in numbers]
        standings = tuple(
            Standing(limit, *values[3 * index : 3 * index + 3])  # remaining, reset, retry_after
            for index, limit in enumerate(limits)
        )
        return Taken(standings, granted=bool(granted), busy=bool(busy), at=float(at))

    async def settle(self, client: str, lease: str, taken: Sequence[Take], used: Sequence[float], at: float) -> None:
        """See `LimitStore.settle`."""
        arguments: list[Any] = [self._time(), lease, repr(float(at))]
        for take, amount in zip(taken, used, strict=True):
            arguments += [*_told(take.limit), repr(float(amount - take.cost))]
        keys = [self._key(client, "leases"), *(self._key(client, take.limit.name) for take in taken)]
        await self._ask(self._settle, keys, arguments)

    def _key(self, client: str, what: str) -> str:
        # Braces in a name would end the hash tag early.
        return f"{{{self._prefix}:{client.encode('utf-8', 'surrogatepass').hex()}}}:{what}"

    def _time(self) -> str:
        return "" if self._now is None else repr(self._now)

    async def _ask(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script.

        Raises:
            OSError: The server cannot be reached, refuses, or takes too long.
        """
        from redis.exceptions import RedisError

        try:
            with anyio.fail_after(self._timeout):
                return await script(keys=keys, args=arguments)
        except RedisError as error:
            # What it says may hold the address, with its password.
            raise ConnectionError(f"the limit store failed: {type(error).__name__}") from None


def _told(limit: Limit) -> list[Any]:
    return [repr(float(limit.amount)), repr(float(limit.seconds)), "1" if limit.budget else "0"]
