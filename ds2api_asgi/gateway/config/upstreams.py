"""``[upstreams.NAME]``: a provider, its keys, and what is done about its failures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Bytes, Count, Seconds, Table
from .resilience import RetryTable
from .secrets import Reference

__all__ = ["KeyTable", "LimitsTable", "TextToolsTable", "ThinkTagsTable", "TransformTable", "UpstreamTable"]


class LimitsTable(Table):
    """How much may be asked of a key; what is missing, nobody counts."""

    rpm: Count | None = None
    """Requests in any 60 seconds."""
    tpm: Count | None = None
    """Tokens in any 60 seconds, of requests and answers together."""
    rpd: Count | None = None
    """Requests in any 24 hours."""
    tpd: Count | None = None
    """Tokens in any 24 hours."""
    concurrency: Count | None = None
    """Requests at a time."""


class KeyTable(Table):
    """A key with settings of its own; a plain string is one without."""

    secret: Reference
    """The key: `env:NAME`, `file:PATH`, or the key itself."""
    alias: str = ""
    """What logs, metrics and the console call it; empty: a name made of its digest."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share compared with the others' (2.0: twice as much)."""
    quota_scope: str | None = None
    """Keys with the same label share their provider's limits (an organisation, a project)."""
    models: tuple[str, ...] | None = None
    """The only models it may be used for."""
    priority: int = 0
    """Keys of a higher priority are used first."""
    limits: LimitsTable = LimitsTable()
    """What may be asked of it, or of its quota scope as a whole."""
    model_limits: dict[str, LimitsTable] = {}
    """The same for single models, beside `limits`."""


class TextToolsTable(Table):
    """Tools for a model that has none: it is told of them in words, and its text is read for calls."""

    type: Literal["text-tools"]
    """Which transform this is."""
    dialect: str = "xml"
    """How the model is asked to write calls: `xml`, `hermes`, `fence`, `invoke`, `llama`, `mistral`, …"""
    recognise: str | tuple[str, ...] = "auto"
    """What is taken for a call besides."""
    reasoning: bool = False
    """Whether calls count that stand in the model's thoughts."""
    eager: bool = False
    """Whether arguments are streamed before a call is closed."""


class ThinkTagsTable(Table):
    """Thoughts that a model prints between tags become reasoning."""

    type: Literal["think-tags"]
    """Which transform this is."""
    opening: str = "<think>"
    """What thoughts begin with."""
    closing: str = "</think>"
    """What thoughts end with."""
    inside: bool = False
    """Whether answers begin within a thought."""


TransformTable = Annotated[TextToolsTable | ThinkTagsTable, Field(discriminator="type")]


class UpstreamTable(Table):
    """A provider: where it is, what it speaks, and which keys there are for it."""

    preset: str | None = None
    """A provider that is known by name (`openai`, `groq`, `ollama`, …): its address, protocol and dialect."""
    parameters: dict[str, str] = {}
    """What the preset's address needs to know (`resource` of Azure, `project` of Vertex)."""
    protocol: str | None = None
    """What it speaks; needed without a preset: `openai-chat`, `openai-responses`, `anthropic`, `gemini`, `ollama`."""
    base_url: str | None = None
    """Where it is, as `https://api.openai.com`; needed without a preset, and in place of the preset's otherwise."""
    dialect: str | None = None
    """A server's own way with its protocol (`vllm`, `mistral`, …); the preset's unless it is said here."""
    headers: dict[str, str] = {}
    """Headers that are sent with every request."""

    keys: tuple[Reference | KeyTable, ...] = ()
    """Keys of the pool; none: the provider is asked without."""
    strategy: str = "least-used"
    """Which key is next: `round-robin`, `least-used`, `fill-first`, `latency`, `affinity`, `tiers`."""
    max_concurrency: Count | None = None
    """Requests that a key may have at a time."""
    max_total: Count | None = None
    """Requests that all keys together may have at a time."""
    queue_timeout: Annotated[float, Field(ge=0)] = 10.0
    """Seconds that a request waits for a key at most."""
    max_queue: Annotated[int, Field(ge=0)] = 1000
    """Requests that may wait at a time."""
    conversation_header: str | None = None
    """A header that names a request's conversation, for the strategy `affinity`."""

    connect_timeout: Seconds = 5.0
    """Seconds to connect."""
    first_byte_timeout: Seconds = 60.0
    """Seconds until an answer must begin."""
    idle_timeout: Seconds = 60.0
    """Seconds without a byte in an answer."""
    total_timeout: Seconds = 600.0
    """Seconds that an answer may take as a whole."""
    max_body: Bytes = 33_554_432
    """Bytes of a request's body."""
    websockets: bool = False
    """Whether websockets are passed through (OpenAI's Realtime)."""

    retry: RetryTable | Literal[False] = RetryTable()
    """What is done about failures; `false`: nothing."""
    on_loss: Literal["allow", "warn", "reject"] = "warn"
    """What happens when a translation would lose something."""
    transforms: tuple[TransformTable, ...] = ()
    """What is done with every request and answer."""
