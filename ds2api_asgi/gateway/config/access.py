"""``[access]`` and ``[bounds]``: who may come in, and what is too large or odd."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .base import Bytes, Count, Seconds, Table
from .secrets import Reference

__all__ = ["AccessTable", "BoundsTable", "ClientKeyTable", "ClientLimitsTable"]

_Amount = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class ClientLimitsTable(Table):
    """How much a client may use; what is missing, it may use as much of as it wants."""

    rpm: _Amount | None = None
    """Requests in 60 seconds."""
    tpm: _Amount | None = None
    """Tokens in 60 seconds, of requests and answers together."""
    rpd: _Amount | None = None
    """Requests in 24 hours."""
    tpd: _Amount | None = None
    """Tokens in 24 hours."""
    concurrency: Count | None = None
    """Requests at a time."""
    budget: _Amount | None = None
    """Tokens in a period."""
    budget_period: Seconds = 86_400.0
    """Seconds of that period."""


class ClientKeyTable(Table):
    """A client's key with settings of its own; a plain string is one without."""

    key: Reference
    """The key, a reference to it, or its digest (`sha256:…`)."""
    name: str = ""
    """What the client is called in limits, logs and the console; empty: a name made of the digest."""
    models: tuple[str, ...] | None = None
    """The only models that it may use, exactly or with `*`."""
    limits: ClientLimitsTable = ClientLimitsTable()
    """How much it may use."""
    share: Annotated[float, Field(gt=0)] = 1.0
    """Its share of what is free, where a pool has a queue."""
    disabled: bool = False
    """Whether the key opens nothing for now."""
    expires_at: datetime | None = None
    """From when on it opens nothing, as `2027-01-31T00:00:00Z`."""


class AccessTable(Table):
    """Who may come in. Without this table everybody may, so the server then listens on this machine only."""

    keys: Annotated[tuple[Reference | ClientKeyTable, ...], Field(min_length=1)]
    """The clients' keys."""
    others: Literal["key", "refuse"] = "key"
    """What happens to requests that no protocol claims: they need a key as well, or are answered 404."""


class BoundsTable(Table):
    """What is too large or odd to be let in."""

    max_headers: Count = 128
    """Headers of a request."""
    max_header_bytes: Bytes = 65_536
    """Bytes of all its headers."""
    max_url: Bytes = 8_192
    """Bytes of its URL."""
    max_body: Bytes = 33_554_432
    """Bytes of its body."""
    max_depth: Count = 128
    """How deep its document may be nested."""
