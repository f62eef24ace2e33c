"""Write `protocols/*.md`: a page for each protocol, and the table of dialects, as the codecs tell it themselves.

python docs/protocols.py        # writes the pages
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import mapping
from msgspec.structs import replace

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Operation, Protocol
from ds2api_asgi.protocols.openai_chat.dialects import DIALECTS, Dialect
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.loss import Loss, Severity
from ds2api_asgi.universal.node import Origin

__all__ = ["FOLDER", "pages"]

FOLDER: Final = Path(__file__).resolve().parent / "pages" / "protocols"

_TITLES: Final = {
    "openai-chat": "OpenAI Chat Completions",
    "openai-responses": "OpenAI Responses",
    "anthropic": "Anthropic Messages",
    "gemini": "Gemini",
    "ollama": "Ollama",
}
_SDKS: Final = {
    "openai-chat": 'OpenAI(base_url="http://127.0.0.1:8000/v1", api_key=KEY)',
    "openai-responses": 'OpenAI(base_url="http://127.0.0.1:8000/v1", api_key=KEY)',
    "anthropic": 'Anthropic(base_url="http://127.0.0.1:8000", api_key=KEY)',
    "gemini": 'genai.Client(api_key=KEY, http_options={"base_url": "http://127.0.0.1:8000"})',
    "ollama": 'Client(host="http://127.0.0.1:8000")',
}
_CALLS: Final = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/fim/completions"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("POST", "/v1/images/variations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/translations"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1beta/models/MODEL:generateContent"),
    ("POST", "/v1beta/models/MODEL:streamGenerateContent?alt=sse"),
    ("POST", "/v1beta/models/MODEL:countTokens"),
    ("POST", "/v1beta/models/MODEL:embedContent"),
    ("POST", "/v1beta/models/MODEL:batchEmbedContents"),
    ("POST", "/v1beta/models/MODEL:predict"),
    ("GET", "/v1beta/models"),
    ("GET", "/v1beta/models/MODEL"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/MODEL"),
    ("POST", "/api/chat"),
    ("POST", "/api/generate"),
    ("POST", "/api/embed"),
    ("POST", "/api/embeddings"),
    ("GET", "/api/tags"),
    ("POST", "/api/show"),
    ("GET", "/api/ps"),
    ("GET", "/api/version"),
)
_WORDS: Final = {
    Operation.GENERATE: "answer, whole or streamed",
    Operation.COUNT_TOKENS: "count tokens",
    Operation.LIST_MODELS: "list models",
    Operation.GET_MODEL: "look at a model",
    Operation.EMBED: "embed",
    Operation.INFER: "passes untranslated",
    Operation.ABOUT: "the server itself; no upstream is asked",
}
_OWN_HEADERS: Final = {
    "anthropic": {"anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": "k"},
}
_ORDER: Final = (Severity.BLOCKING, Severity.SEMANTIC, Severity.DEGRADED, Severity.COSMETIC)


def pages() -> dict[str, str]:
    """All pages by the names of their files."""
    written = {f"{name}.md": "\n".join(_page(registry.get(name))) for name in _TITLES}
    return {"index.md": _index(), "dialects.md": _dialects(), **written}


_INDEX: Final = """\
# Protocols

Each is spoken to clients and to upstreams, in every combination. Written by `docs/protocols.py` from the codecs.

| protocol | `speaks=`, `protocol =` | client's base URL | key to an upstream |
|---|---|---|---|
"""

_AFTER_INDEX: Final = """\

What becomes of each member in each of them: [what becomes of what](../mapping.md). How recorded traffic crosses every
pair: [recorded traffic](../corpus.md). Vendors of OpenAI's protocol: [dialects](dialects.md).
"""

_UNVERSIONED: Final = """\
Paths work without their version, too. `/v1/models` belongs to several protocols: headers of the client decide, else it
is OpenAI's.
"""

_LOSSES: Final = """\
## What its clients lose in front of another protocol

Of what a request can say here without loss. *blocking*: refused; *semantic*: it no longer means quite the same;
*degraded*: the answer may be a little different; *cosmetic*: no effect on the answer. Names are those of
[what becomes of what](../mapping.md).

| upstream | lost | said another way |
|---|---|---|
"""

_FAILURES: Final = """\

## How failures are said

| failure | status | error |
|---|---|---|
"""

_DIALECTS: Final = """\
# Dialects of OpenAI Chat

What vendors take otherwise than OpenAI, as data: `Translator(app, speaks="openai-chat", dialect="groq")`, or
`dialect = "groq"` of an upstream in a gateway's file. What a vendor lacks is taken out of requests and reported as a
loss; what it calls otherwise is renamed. Answers need no dialect. Written by `docs/protocols.py`.

| dialect | at | output bound | reasoning effort | thoughts in history | takes not | otherwise |
|---|---|---|---|---|---|---|
"""

_AFTER_DIALECTS: Final = """\

Without a dialect requests are as OpenAI documents them. `strict` sends nothing that OpenAI does not document,
`compatible` is for servers that only know `max_tokens` and take `top_k`.
"""


def _index() -> str:
    rows = []
    for name, title in _TITLES.items():
        header, value = registry.get(name).authorize("KEY")
        base = "http://127.0.0.1:8000" + ("/v1" if name.startswith("openai") else "")
        rows.append(f"| [{title}]({name}.md) | `{name}` | `{base}` | `{header.decode()}: {value.decode()}` |\n")
    return _INDEX + "".join(rows) + _AFTER_INDEX


def _page(protocol: Protocol) -> Iterator[str]:
    yield f"# {_TITLES[protocol.name]}"
    yield ""
    yield f"`{protocol.name}`. Written by `docs/protocols.py` from the codec. The official SDK needs only an address:"
    yield ""
    yield f"    {_SDKS[protocol.name]}"
    yield ""
    yield "## What its clients can call"
    yield ""
    yield "| path | |"
    yield "|---|---|"
    for method, path in _CALLS:
        bare, _, query = path.partition("?")
        found = protocol.claim(method, bare, _OWN_HEADERS.get(protocol.name, {}), query)
        if found is not None and found.method_allowed:
            yield f"| `{method} {path}` | {_WORDS[found.operation]} |"
    yield ""
    if any(protocol.claim(method, _bare(path), {}, "") for method, path in _CALLS if path.startswith("/v1")):
        yield _UNVERSIONED
    header, value = protocol.authorize("KEY")
    yield f"Upstreams are shown keys as `{header.decode()}: {value.decode()}`; a stream is `{protocol.stream_type()}`."
    dialects = [f"`{one}`" for one in protocol.dialects if one]
    if dialects:
        yield f"Dialects: {', '.join(dialects)}."
    yield ""
    yield _LOSSES.rstrip("\n")
    for other in _TITLES:
        if other != protocol.name:
            lost, other_way = _lost(protocol, registry.get(other))
            yield f"| [{other}]({other}.md) | {lost} | {other_way} |"
    yield _FAILURES.rstrip("\n")
    for kind in FailureKind:
        if kind not in (FailureKind.CLIENT_CLOSED, FailureKind.TRUNCATED):
            said = protocol.encode_error(Failure(kind=kind, message="…"))
            yield f"| {kind.value} | {said.status} | `{_plain(said.document)}` |"
    yield ""
    yield "A stream that breaks off after its first content ends with:"
    yield ""
    broken = protocol.stream_error(Failure(kind=FailureKind.TRUNCATED, message="…"))
    yield from (f"    {line}".rstrip() for line in broken.decode().rstrip().splitlines())
    yield ""


def _bare(path: str) -> str:
    """A path without version and query."""
    return "/" + path.partition("?")[0].split("/", 2)[2]


def _plain(document: object) -> str:
    return jsontext.dumps(document).decode().replace("|", "\\|")


def _specimens() -> Iterator[mapping.Specimen]:
    for name, edit in mapping.REQUEST.items():
        yield mapping.Specimen(name, edit, mapping.WITHOUT.get(name, lambda request: request))
    yield from mapping.TURNS
    yield from mapping.PARTS
    yield from mapping.TOOLS


def _news(protocol: Protocol, specimen: mapping.Specimen, origin: str) -> list[Loss]:
    """The losses that a specimen adds."""
    base = replace(mapping.BASE, origin=Origin(protocol=origin))
    before = {(loss.path, loss.kind, loss.reason) for loss in protocol.encode_request(specimen.without(base)).losses}
    after = protocol.encode_request(specimen.edit(base)).losses
    return [loss for loss in after if (loss.path, loss.kind, loss.reason) not in before]


def _lost(source: Protocol, target: Protocol) -> tuple[str, str]:
    """What a direction loses, by severity; and what it says another way."""
    gone: dict[Severity, list[str]] = {}
    otherwise = []
    for specimen in _specimens():
        if _news(source, specimen, source.name):
            continue  # its clients cannot say it
        losses = _news(target, specimen, source.name)
        dropped = [loss for loss in losses if loss.kind in ("dropped", "stateful", "origin_mismatch")]
        if dropped:
            worst = min((loss.severity for loss in dropped), key=_ORDER.index)
            gone.setdefault(worst, []).append(f"`{specimen.name}`")
        elif losses:
            kinds = ", ".join(sorted({loss.kind.value for loss in losses}))
            otherwise.append(f"`{specimen.name}` ({kinds})")
    words = [f"*{severity.value}*: {', '.join(gone[severity])}" for severity in _ORDER if severity in gone]
    return "; ".join(words) or "nothing", ", ".join(otherwise) or "nothing"


def _dialects() -> str:
    return _DIALECTS + "".join(_dialect(name, one) for name, one in DIALECTS.items()) + _AFTER_DIALECTS


def _dialect(name: str, one: Dialect) -> str:
    cells = [f"`{name}`" if name else "none", _at(one), f"`{one.bound}`", _effort(one), _thoughts(one)]
    return f"| {' | '.join([*cells, _refused(one), _notes(one)])} |\n"


def _at(one: Dialect) -> str:
    return f"`{one.base_url}`" if one.base_url else "its own server" if one.name else "-"


def _effort(one: Dialect) -> str:
    said = f"`{one.effort.member}`"
    if one.effort.budget:
        said += f", budget `{one.effort.budget}`"
    return said


def _thoughts(one: Dialect) -> str:
    return f"`{one.thoughts}`" if one.thoughts else "nowhere"


_MEMBERS: Final = (
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "n", "stop", "logprobs",
    "logit_bias", "parallel_tool_calls", "tool_choice", "response_format", "service_tier", "user", "metadata",
    "prediction", "modalities", "prompt_cache_key", "verbosity", "store", "web_search_options",
)  # fmt: skip


def _refused(one: Dialect) -> str:
    lacks = [f"`{member}`" for member in _MEMBERS if not one.takes(member)]
    lacks += [] if one.strict else ["`strict` tools"]
    lacks += [] if one.custom else ["tools of free text"]
    return ", ".join(lacks) or "-"


def _notes(one: Dialect) -> str:
    notes = [f"`{old}` is `{new}`" for old, new in one.renamed.items()]
    if not one.developer:
        notes.append("`developer` is `system`")
    if not one.names:
        notes.append("no names of speakers")
    if one.required != "required":
        notes.append(f"`tool_choice` `required` is `{one.required}`")
    if one.media is not None:
        notes.append("media: " + ", ".join(sorted(one.media)))
    if one.formats != Dialect().formats:
        notes.append("formats: " + ", ".join(f"`{kind}`" for kind in sorted(one.formats)))
    if one.max_stop != Dialect().max_stop:
        notes.append(f"{one.max_stop} stop sequences")
    if one.id_length:
        notes.append(f"call ids of {one.id_length} characters")
    return ", ".join(notes) or "-"


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
