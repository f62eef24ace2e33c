"""``[server]``, ``[reload]``, ``[store]``, ``[responses]``, ``[carry]``: the process and what it remembers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Count, Flag, RootPath, Seconds, Table, Whole
from .secrets import Reference

__all__ = ["CarryTable", "ReloadTable", "ResponsesTable", "ServerTable", "StoreTable"]


class ServerTable(Table):
    """Where the gateway listens."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """A name or an address; any but this machine's own needs `[access]`, or `open = true` in it."""
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8000
    """0: any that is free."""
    server: Literal["uvicorn", "granian"] = "uvicorn"
    """What serves; granian is an extra."""
    workers: Count = 1
    """Processes; several need a `[store]` to share the health and limits of keys."""
    graceful_timeout: Seconds = 30.0
    """Seconds that running requests get to end after SIGTERM."""
    max_connections: Count | None = None
    """Connections at a time (granian: requests); more are answered 503."""
    root_path: RootPath = ""
    """The prefix that a proxy in front takes away (`/llm`)."""
    trust_forwarded: tuple[str, ...] = ()
    """Addresses of proxies whose `x-forwarded-for` is believed."""
    certfile: str | None = None
    """A TLS certificate, with `keyfile`; relative to this file. Under uvicorn both are followed."""
    keyfile: str | None = None
    """Its private key."""


class ReloadTable(Table):
    """When a changed file is taken over. SIGHUP always does it."""

    watch: Flag = True
    """Whether a change of the file, or of one that it refers to (`file:`), is enough."""
    interval: Seconds = 1.0
    """Seconds between two looks at them."""


class StoreTable(Table):
    """Where the health, leases and limits of keys live."""

    type: Literal["memory", "sqlite", "redis"] = "memory"
    """`memory`: in each process; `sqlite`: shared by a machine's workers; `redis`: by machines, clients' limits too."""
    path: str | None = None
    """The file of `sqlite`; relative to this file."""
    url: Reference | None = None
    """The server of `redis`, as `redis://127.0.0.1:6379/0`; a reference, for it may hold a password."""
    on_failure: Literal["local", "refuse"] = "local"
    """While a shared store cannot be reached: go on alone, or refuse."""
    timeout: Seconds | None = None
    """Seconds that a shared store may take to answer; without: 0.5 for keys, 1 for the limits of clients."""


class ResponsesTable(Table):
    """State of OpenAI Responses (`previous_response_id`, `background`). Without this table there is none."""

    type: Literal["memory", "sqlite"] = "memory"
    """Where responses are kept."""
    path: str | None = None
    """The file of `sqlite`; relative to this file."""
    ttl: Seconds = 2_592_000.0
    """Seconds that they are kept."""


class CarryTable(Table):
    """Opaque state of providers (signed or encrypted thoughts) in the clients' history."""

    secret: Reference | None = None
    """Signs it, so that clients cannot change it."""
