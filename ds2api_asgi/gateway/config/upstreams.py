"""``[upstreams.NAME]``: a provider, its keys, and what is done about its failures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from ...asgi.secret import Secret
from ...pool.strategies import STRATEGIES
from ...protocols import registry
from ...transforms.text_tools.dialects import DIALECTS
from ..providers.presets import PRESETS
from .base import Amount, Bytes, Count, Flag, HeaderName, OneOf, Seconds, Table, Whole
from .either import MARK, OrFalse, WordOrTable, tagged
from .resilience import RetryTable
from .secrets import FollowedFile, HiddenText, Reference, Text

__all__ = [
    "KeyTable",
    "LimitsTable",
    "TextToolsTable",
    "ThinkTagsTable",
    "TlsTable",
    "TokenTable",
    "TransformTable",
    "UpstreamTable",
]


_Preset = Annotated[str, OneOf("preset", lambda: PRESETS)]
_Protocol = Annotated[str, OneOf("protocol", registry.names)]
_Strategy = Annotated[str, OneOf("strategy", lambda: STRATEGIES)]
_TextDialect = Annotated[str, OneOf("dialect of tool calls", lambda: [dialect.name for dialect in DIALECTS])]


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
    weight: Annotated[Amount, Field(gt=0)] = 1.0
    """Its share compared with the others' (2.0: twice as much)."""
    quota_scope: str | None = None
    """Keys with the same label share their provider's limits (an organisation, a project)."""
    models: tuple[str, ...] | None = None
    """The only models it may be used for."""
    priority: Whole = 0
    """Keys of a higher priority are used first."""
    limits: LimitsTable = LimitsTable()
    """What may be asked of it, or of its quota scope as a whole."""
    model_limits: dict[str, LimitsTable] = {}
    """The same for single models, beside `limits`."""


class TokenTable(Table):
    """An access token in place of keys, which is fetched anew before it ends (Vertex AI, Azure)."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """A program that prints one, with its arguments (`["gcloud", "auth", "print-access-token"]`); without a shell."""
    lifetime: Seconds = 3_000.0
    """Seconds that a token is used, from when it was printed; one that is refused before is fetched anew."""


class TextToolsTable(Table):
    """Tools for a model that has none: it is told of them in words, and its text is read for calls."""

    type: Literal["text-tools"]
    """Which transform this is."""
    dialect: _TextDialect = "xml"
    """How the model is told to write calls."""
    recognise: tuple[_TextDialect, ...] | None = None
    """What is read as a call; missing: all dialects, since models fall back to the one that they were trained on."""
    reasoning: Flag = False
    """Whether calls count that stand in the model's thoughts."""
    eager: Flag = False
    """Whether arguments are streamed before their call is closed; one that breaks off has then begun already."""
    max_kept: Count = 1_048_576
    """Characters of one call that are kept until it is known to be one; a longer one is text."""


class ThinkTagsTable(Table):
    """Thoughts that a model prints between tags become reasoning."""

    type: Literal["think-tags"]
    """Which transform this is."""
    opening: str = "<think>"
    """What thoughts begin with."""
    closing: str = "</think>"
    """What thoughts end with."""
    inside: Flag = False
    """Whether answers begin within a thought."""


TransformTable = Annotated[
    Annotated[TextToolsTable, Tag(f"{MARK}text-tools")] | Annotated[ThinkTagsTable, Tag(f"{MARK}think-tags")],
    Discriminator(tagged),
]


class TlsTable(Table):
    """Certificates between the gateway and a provider, in files relative to this one, which are followed."""

    cafile: FollowedFile | None = None
    """The authorities that are trusted, in place of the system's (a private one, in PEM)."""
    certfile: FollowedFile | None = None
    """A certificate that the gateway shows, with `keyfile`."""
    keyfile: FollowedFile | None = None
    """Its private key."""


class UpstreamTable(Table):
    """A provider: where it is, what it speaks, and which keys there are for it."""

    preset: _Preset | None = None
    """A provider that is known by name (`openai`, `groq`, `ollama`, …): its address, protocol and dialect."""
    parameters: dict[str, Text] = {}
    """What the preset's address needs to know (`resource` of Azure, `project` of Vertex)."""
    protocol: _Protocol | None = None
    """What it speaks; needed without a preset, and to be left out with one."""
    base_url: Text | None = None
    """Where it is, as `https://api.openai.com` or `env:OLLAMA_URL`; needed without a preset, and in place of the
    preset's otherwise."""
    dialect: str | None = None
    """A server's own way with its protocol (`vllm`, `mistral`, …); the preset's unless it is said here."""
    headers: dict[HeaderName, HiddenText] = {}
    """Headers that are sent with every request, in place of the client's; values may be references (`env:NAME`)."""

    keys: tuple[WordOrTable[Reference, KeyTable], ...] = ()
    """Keys of the pool: references to them, or tables with a key and its settings; none: the provider is asked
    without."""
    token: TokenTable | None = None
    """An access token that ends, in place of keys; missing: there is none."""
    strategy: _Strategy = "least-used"
    """Which of the usable keys is next: the one least used, each in turn, the first as long as it can (`fill-first`),
    the fastest, or the one that its conversation had (`affinity`)."""
    max_concurrency: Count | None = None
    """Requests that a key may have at a time."""
    max_total: Count | None = None
    """Requests that all keys together may have at a time."""
    queue_timeout: Annotated[Amount, Field(ge=0)] = 10.0
    """Seconds that a request waits for a key at most."""
    max_queue: Annotated[Whole, Field(ge=0)] = 1000
    """Requests that may wait at a time."""
    resources: Flag = False
    """Whether requests about what accounts keep (files, batches, stored responses) get a key, too; all who may use the
    upstream share it then."""
    conversation_header: HeaderName | None = None
    """A header that names a request's conversation, for the strategy `affinity`."""

    proxy: Reference | None = None
    """A proxy that leads to the provider, as `http://proxy.example:3128` or `env:HTTPS_PROXY`; it may hold a password.
    The environment's is used only where it is named here."""
    tls: TlsTable = TlsTable()
    """Certificates."""
    connect_timeout: Seconds = 5.0
    """Seconds to connect."""
    write_timeout: Seconds = 30.0
    """Seconds between two writes of a request; with the extra `fast` there is no such bound."""
    first_byte_timeout: Seconds = 60.0
    """Seconds until a streamed answer must begin; of what is not translated (pictures) its headers are enough."""
    idle_timeout: Seconds = 60.0
    """Seconds without a byte in an answer."""
    total_timeout: Seconds = 600.0
    """Seconds for a call and its answer as a whole."""
    max_body: Bytes = 33_554_432
    """Bytes of a request's body."""
    websockets: Flag = False
    """Whether websockets are passed through (OpenAI's Realtime)."""

    retry: OrFalse[RetryTable] = RetryTable()
    """What is done about failures; `false`: nothing."""
    on_loss: Literal["allow", "warn", "reject"] = "warn"
    """What happens when a translation would lose something."""
    transforms: tuple[TransformTable, ...] = ()
    """What is done with every request and answer."""

    def secrets(self) -> list[Secret]:
        """The keys themselves, in the file's order."""
        return [key.secret if isinstance(key, KeyTable) else key for key in self.keys]
