"""`Line`: one upstream of a gateway, from what translates for it down to its connections.

::

    Translator(Retry(KeyPool(Metrics.calls(Telemetry.calls(Severable(preset.upstream(…)))))))

A line of the same tables and secrets is the same line: a gateway that reloads goes on with it, its pool, its breaker
and its connections. A line whose table has changed is a new one that begins where the old one is (`Line.inherit`), and
keeps the connections if how the provider is reached is the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ...asgi.secret import Secret
from ...asgi.types import ASGIApp
from ...errors import ConfigurationError
from ...observe.watching import Watchers
from ...pool import KeyPool, RedisKeyStore, SQLiteKeyStore
from ...pool.renewed_token import RenewedToken, token_of_command
from ...pool.store import KeyStore
from ...resilience import Retry
from ...transforms import Transform
from ...transforms.carry import CarryStore
from ...translator import Translator
from ...universal.digest import sha256
from ...upstream import Upstream
from ..config.resilience import RetryTable
from ..config.rules import RuleTable
from ..config.secrets import Referred
from ..config.server import StoreTable
from ..config.upstreams import UpstreamTable
from ..providers.presets import preset
from .certificates import client_context
from .parts import key_of, key_store_of, retry_arguments, rules_of, transform_of
from .resource import Resource, Severable

__all__ = ["Ground", "Line", "leaf_of", "line_of", "origin_of", "spoken_by"]

_FAMILY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REACHING: Final = (
    "preset",
    "parameters",
    "protocol",
    "base_url",
    "headers",
    "proxy",
    "tls",
    "connect_timeout",
    "write_timeout",
    "first_byte_timeout",
    "idle_timeout",
    "total_timeout",
    "max_body",
    "websockets",
    "token",
)
"""Members of an upstream's table that say how the provider is reached."""

# What OpenTelemetry calls providers, where presets call them otherwise.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure-deployment": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "openai-responses": "openai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}


class Ground(Struct, frozen=True, kw_only=True):
    """What all lines of a gateway stand on.

    Attributes:
        folder: What relative paths start from.
        store: Where keys live.
        watchers: See the calls of upstreams.
        rules: What failures mean, before all that is built in.
        carry: Where opaque state waits for clients that drop it.
        secret: Signs it, or None.
    """

    folder: Path
    store: StoreTable
    watchers: Watchers
    rules: tuple[RuleTable, ...]
    carry: CarryStore
    secret: Secret | None


class Line(Struct, kw_only=True, eq=False):
    """One upstream.

    Attributes:
        name: Its own.
        table: What it was made of; likewise `ground`.
        protocol: What it speaks.
        dialect: How.
        leaf: What reaches the provider.
        severable: What breaks its answers off.
        pool: Its keys; None: it has none.
        store: Where they live; None: as before.
        retry: What tries again; None: nobody does.
        app: The whole of it, but for the translator.
    """

    name: str
    table: UpstreamTable
    ground: Ground
    protocol: str
    dialect: str
    leaf: Resource
    severable: Severable
    pool: KeyPool | None
    store: KeyStore | None
    retry: Retry | None
    app: ASGIApp

    def translator(self, *more: Transform) -> Translator:
        """An app that speaks every protocol.

        Args:
            more: Transforms after the line's own.
        """
        table, ground = self.table, self.ground
        return Translator(
            self.app,
            speaks=self.protocol,
            dialect=self.dialect,
            on_loss=table.on_loss,
            transforms=(*map(transform_of, table.transforms), *more),
            max_body=table.max_body,
            origin=origin_of(self.name),
            secret=None if ground.secret is None else ground.secret.reveal(),
            carry_store=ground.carry,
        )

    def is_as(self, table: UpstreamTable, ground: Ground) -> bool:
        """Whether a line of these tables would be this very one."""
        return table == self.table and (ground is self.ground or _same_ground(ground, self.ground))

    async def inherit(self, before: Line) -> None:
        """Begin where another line of this name is; it has served nobody yet, and the other one serves on."""
        if self.pool is not None and before.pool is not None and self.ground.store == before.ground.store:
            await self.pool.inherit(before.pool)
        if self.retry is not None and before.retry is not None and self.leaf is before.leaf:
            self.retry.inherit(before.retry)

    async def close(self) -> None:
        """Let go of what the store holds open; the leaf closes by itself."""
        match self.store:
            case SQLiteKeyStore():
                self.store.close()
            case RedisKeyStore():
                await self.store.aclose()
            case _:
                pass


def line_of(name: str, table: UpstreamTable, ground: Ground, before: Line | None) -> Line:
    """A line, or the one before where nothing about it has changed.

    Args:
        name: The upstream's.
        table: Its table.
        ground: What it stands on.
        before: The line of this name so far.

    Raises:
        ConfigurationError: See the parts.
    """
    if before is not None and before.is_as(table, ground):
        return before
    protocol, dialect, provider, address = spoken_by(table)
    if before is not None and _reaching(before.table) == _reaching(table):
        leaf, severable = before.leaf, before.severable
    else:
        severable = Severable(leaf_of(table, protocol, ground.folder))
        leaf = Resource(severable)
    app = ground.watchers.calls(severable, name=name, provider=provider, base_url=address)
    rules = rules_of(ground.rules, name)
    pool: KeyPool | None = None
    store: KeyStore | None = None
    if table.keys:
        store = key_store_of(ground.store, name, ground.folder)
        app = pool = KeyPool(
            app,
            protocol=protocol,
            keys=[key_of(key) for key in table.keys],
            strategy=table.strategy,
            name=name,
            max_concurrency=table.max_concurrency,
            max_total=table.max_total,
            queue_timeout=table.queue_timeout,
            max_queue=table.max_queue,
            store=store,
            resources=table.resources,
            conversation_header=table.conversation_header,
            max_body=table.max_body,
            rules=rules,
        )
    retry: Retry | None = None
    if isinstance(table.retry, RetryTable):
        arguments = retry_arguments(table.retry)
        app = retry = Retry(app, protocol=protocol, max_body=table.max_body, rules=rules, **arguments)
    line = Line(
        name=name,
        table=table,
        ground=ground,
        protocol=protocol,
        dialect=dialect,
        leaf=leaf,
        severable=severable,
        pool=pool,
        store=store,
        retry=retry,
        app=app,
    )
    line.translator()  # so that what it is told is checked now
    return line


def origin_of(name: str) -> str:
    """What an upstream's opaque state says that it comes from: its name, as a word."""
    if _FAMILY.fullmatch(name):
        return name
    return base64.b32encode(sha256(name)).decode().lower().rstrip("=")


def _same_ground(one: Ground, other: Ground) -> bool:
    same = (one.folder, one.store, one.secret, one.rules) == (other.folder, other.store, other.secret, other.rules)
    return same and one.watchers is other.watchers and one.carry is other.carry


def _reaching(table: UpstreamTable) -> list[Any]:
    return [getattr(table, member) for member in _REACHING]


def spoken_by(table: UpstreamTable) -> tuple[str, str, str | None, str]:
    """Protocol, dialect, the provider as OpenTelemetry calls it, and where it is.

    Raises:
        ConfigurationError: Nobody says what it speaks, or two say different things.
    """
    if table.preset is None:
        if table.protocol is None or table.base_url is None:
            raise ConfigurationError("without a preset, protocol and base_url are needed")
        return table.protocol, table.dialect or "", None, table.base_url
    known = preset(table.preset)
    if table.protocol not in (None, known.protocol):
        raise ConfigurationError(f"the preset {known.name} speaks {known.protocol}, not {table.protocol}")
    dialect = known.dialect if table.dialect is None else table.dialect
    address = known.url(**table.parameters) if table.base_url is None else table.base_url
    return known.protocol, dialect, _PROVIDERS.get(known.name, known.name), address


def leaf_of(table: UpstreamTable, protocol: str, folder: Path) -> ASGIApp:
    """What reaches an upstream's provider, for requests in its own protocol.

    Args:
        table: The upstream's.
        protocol: As `spoken_by` tells it.
        folder: What relative paths start from.

    Raises:
        ConfigurationError: See `Upstream` and `Preset.upstream`.
    """
    options: dict[str, Any] = {
        "headers": table.headers,
        # The scheme of an ``authorization`` is no secret, and too short to be masked.
        "secrets": [part for value in table.headers.values() if isinstance(value, Referred) for part in value.split()],
        "proxy": None if table.proxy is None else table.proxy.reveal(),
        "ssl_context": client_context(table.tls, folder),
        "connect_timeout": table.connect_timeout,
        "write_timeout": table.write_timeout,
        "first_byte_timeout": table.first_byte_timeout,
        "idle_timeout": table.idle_timeout,
        "total_timeout": table.total_timeout,
        "max_body": table.max_body,
        "websockets": table.websockets,
    }
    if table.preset is not None:
        make: Callable[..., ASGIApp] = preset(table.preset).upstream
        leaf = make(base_url=table.base_url, **table.parameters, **options)
    elif table.parameters:
        raise ConfigurationError("parameters are a preset's")
    else:
        assert table.base_url is not None
        leaf = Upstream(table.base_url, protocol=protocol, **options)
    if table.token is None:
        return leaf
    if table.keys:
        raise ConfigurationError("keys and token exclude each other")
    fetch = token_of_command(table.token.command, lifetime=table.token.lifetime)
    return RenewedToken(leaf, protocol=protocol, fetch=fetch)
