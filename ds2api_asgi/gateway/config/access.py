"""``[access]`` and ``[bounds]``: who may come in, and what is too large or odd."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from .base import Amount, Bytes, Count, Flag, Seconds, Table
from .either import WordOrTable
from .secrets import Reference

__all__ = ["AccessTable", "BoundsTable", "ClientKeyTable", "ClientLimitsTable"]

_Allowed = Annotated[Amount, Field(ge=1)]


class ClientLimitsTable(Table):
    """How much a client may use; of what is missing, as much as it wants."""

    rpm: _Allowed | None = None
    """Requests in 60 seconds."""
    tpm: _Allowed | None = None
    """Tokens in 60 seconds, of requests and answers together."""
    rpd: _Allowed | None = None
    """Requests in 24 hours."""
    tpd: _Allowed | None = None
    """Tokens in 24 hours."""
    concurrency: Count | None = None
    """Requests at a time."""
    budget: _Allowed | None = None
    """Tokens in a period."""
    budget_period: Seconds = 86_400.0
    """Seconds of that period; one of 86,400 begins at midnight in UTC."""


class ClientKeyTable(Table):
    """A client's key with settings of its own; a plain string is one without."""

    key: Reference
    """A reference to the key, its digest (`sha256:` and 64 hexadecimal digits), or the key itself."""
    name: str = ""
    """What the client is called in limits, logs and the console; empty: a name made of the digest."""
    models: tuple[str, ...] | None = None
    """The only models that it may use, exactly or with `*`."""
    limits: ClientLimitsTable = ClientLimitsTable()
    """How much it may use."""
    share: Annotated[Amount, Field(gt=0)] = 1.0
    """Its share of what is free, where a pool has a queue."""
    disabled: Flag = False
    """Whether the key opens nothing for now."""
    expires_at: AwareDatetime | None = None
    """From when on it opens nothing, as `2027-01-31T00:00:00Z` (without quotes)."""


class AccessTable(Table):
    """Who may come in. Without this table everybody may, so the server then listens on this machine only."""

    keys: tuple[WordOrTable[Reference, ClientKeyTable], ...] = ()
    """The clients' keys: references to them, digests (`sha256:…`), or tables with a key and its settings."""
    open: Flag = False
    """Whether everybody may come in who reaches the port, from other machines too; then there are no keys."""
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
