"""Write `mapping.md`: what each member of the universal format becomes in each protocol, and what is lost to whom.

Nothing here says how a protocol spells anything: every cell is what its encoder did with a specimen, set against what
it did without. So the page cannot be wrong; a test holds that it is what this program prints.

    python docs/mapping.py > docs/pages/mapping.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context, Operation, Protocol
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.content import (
    Base64,
    CacheMark,
    Citation,
    FileId,
    Media,
    OpaquePart,
    Part,
    Reasoning,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import Loss, LossKind
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import (
    FunctionTool,
    NamedTool,
    OpaqueTool,
    OutputFormat,
    Request,
    ToolSubset,
    Turn,
)
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage

__all__ = ["BASE", "PARTS", "REQUEST", "TOOLS", "TURNS", "WITHOUT", "Specimen", "page"]

_ABROAD: Final = Origin(protocol="elsewhere")
_ARGUMENTS: Final = JsonText('{"city": "Oslo"}')
_SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
_TOOL: Final = FunctionTool(name="weather", description="The weather", schema=_SCHEMA)
_PNG: Final = "iVBORw0KGgo="

Edit: TypeAlias = Callable[[Request], Request]


class Specimen(Struct, frozen=True):
    """One row: a request without a thing, and with it."""

    name: str
    edit: Edit
    without: Edit = lambda request: request


BASE: Final = Request(
    model="m",
    max_output_tokens=100,
    turns=(Turn(role="user", parts=(Text(text="Hello"),)),),
    origin=_ABROAD,
)


def _sets(**members: Any) -> Edit:
    return lambda request: replace(request, **members)


def _appends(*turns: Turn) -> Edit:
    return lambda request: replace(request, turns=(*request.turns, *turns))


def _says(*parts: Part, role: str = "user") -> Edit:
    """The request with parts in place of its one turn's."""
    if role == "user":
        return lambda request: replace(request, turns=(Turn(role="user", parts=parts),))
    asked = Turn(role="user", parts=(Text(text="go on"),))
    return lambda request: replace(request, turns=(*request.turns, Turn(role=role, parts=parts), asked))


def _tools(**members: Any) -> Edit:
    return lambda request: replace(request, tools=(_TOOL,), **members)


def _with_call(*results: Part, call: ToolCall | None = None) -> Edit:
    call = call or ToolCall(id="call_1", name="weather", arguments=_ARGUMENTS)
    answers = [Turn(role="tool", parts=(result,)) for result in results]
    said = (Turn(role="assistant", parts=(call,)), *answers)
    return lambda request: replace(request, tools=(_TOOL,), turns=(*request.turns, *said))


_TEXT: Final = _says(Text(text="a"))
_SAID: Final = _says(Text(text="a"), role="assistant")
_RESULT: Final = ToolResult(call_id="call_1", parts=(Text(text="sunny"),))

REQUEST: Final[dict[str, Edit]] = {
    "model": _sets(model="another"),
    "stream": _sets(stream=True),
    "stream_usage": _sets(stream=True, stream_usage=True),
    "stream_obfuscation": _sets(stream=True, stream_obfuscation=False),
    "max_output_tokens": _sets(max_output_tokens=200),
    "stop": _sets(stop=("END",)),
    "temperature": _sets(temperature=0.5),
    "top_p": _sets(top_p=0.9),
    "top_k": _sets(top_k=40),
    "presence_penalty": _sets(presence_penalty=1),
    "frequency_penalty": _sets(frequency_penalty=1),
    "seed": _sets(seed=7),
    "candidates": _sets(candidates=2),
    "logprobs": _sets(logprobs=True),
    "top_logprobs": _sets(logprobs=True, top_logprobs=3),
    "logit_bias": _sets(logit_bias={"50256": -100}),
    "reasoning_effort": _sets(reasoning_effort="high"),
    "reasoning_budget": _sets(reasoning_mode="enabled", reasoning_budget=2048, max_output_tokens=4096),
    "reasoning_mode": _sets(reasoning_mode="adaptive"),
    "reasoning_display": _sets(reasoning_mode="adaptive", reasoning_display="summarized"),
    "reasoning_ext": _sets(reasoning_ext={"context": "auto"}),
    "verbosity": _sets(verbosity="low"),
    "output_format": _sets(output_format=OutputFormat(kind="json_schema", name="weather", schema=_SCHEMA)),
    "modalities": _sets(modalities=("text", "audio")),
    "audio": _sets(audio={"voice": "alloy", "format": "wav"}),
    "prediction": _sets(prediction={"type": "content", "content": "a"}),
    "moderation": _sets(moderation={"input": "auto"}),
    "web_search": _sets(web_search={}),
    "user": _sets(user="u1"),
    "safety_identifier": _sets(safety_identifier="u1"),
    "metadata": _sets(metadata={"team": "a"}),
    "service_tier": _sets(service_tier="priority"),
    "speed": _sets(speed="fast"),
    "store": _sets(store=True),
    "cache_key": _sets(cache_key="k"),
    "cache_retention": _sets(cache_retention="24h"),
    "cache_options": _sets(cache_options={"mode": "explicit"}),
    "cache": _sets(cache=CacheMark()),
    "inference_geo": _sets(inference_geo="eu"),
    "container": _sets(container="c1"),
    "context_management": _sets(context_management={"edits": []}),
    "mcp_servers": _sets(mcp_servers=[{"type": "url", "url": "https://mcp.example", "name": "x"}]),
    "thread": _sets(thread={"type": "create"}),
    "previous_response_id": _sets(previous_response_id="resp_1"),
    "conversation": _sets(conversation="conv_1"),
    "prompt": _sets(prompt={"id": "pmpt_1"}),
    "background": _sets(background=True),
    "tool_choice": _tools(tool_choice="required"),
    "parallel_tools": _tools(parallel_tools=False),
}
"""By member of `Request`: a request that has it. A test holds that none is missing."""

WITHOUT: Final[dict[str, Edit]] = {
    "stream_usage": _sets(stream=True),
    "stream_obfuscation": _sets(stream=True),
    "top_logprobs": _sets(logprobs=True),
    "reasoning_budget": _sets(max_output_tokens=4096),
    "reasoning_display": _sets(reasoning_mode="adaptive"),
    "tool_choice": _tools(),
    "parallel_tools": _tools(),
}

TURNS: Final = (
    Specimen("system, first", lambda r: replace(r, turns=(Turn(role="system", parts=(Text(text="s"),)), *r.turns))),
    Specimen("system, later", _appends(Turn(role="system", parts=(Text(text="s"),)), BASE.turns[0])),
    Specimen(
        "developer, first", lambda r: replace(r, turns=(Turn(role="developer", parts=(Text(text="s"),)), *r.turns))
    ),
    Specimen("assistant", _SAID),
    Specimen("name of a speaker", lambda r: replace(r, turns=(replace(r.turns[0], name="Ada"),))),
    Specimen("phase", lambda r: replace(_SAID(r), turns=(*r.turns, replace(_SAID(r).turns[1], phase="commentary"),
                                                         _SAID(r).turns[2])), _SAID),
)  # fmt: skip

PARTS: Final = (
    Specimen("two texts", _says(Text(text="a"), Text(text="b")), _TEXT),
    Specimen("cache mark", _says(Text(text="a", cache=CacheMark(ttl="5m"))), _TEXT),
    Specimen(
        "citation", _says(Text(text="a", citations=(Citation(kind="url_citation", url="https://x.example", title="x",
                                                             start=0, end=1),)), role="assistant"), _SAID
    ),
    Specimen("image, base64", _says(Text(text="a"), Media(kind="image", source=Base64(_PNG), mime="image/png")), _TEXT),
    Specimen("image, url", _says(Text(text="a"), Media(kind="image", source=Url("https://x.example/a.png"))), _TEXT),
    Specimen("image, file id", _says(Text(text="a"), Media(kind="image", source=FileId("file-1"))), _TEXT),
    Specimen("audio", _says(Text(text="a"), Media(kind="audio", source=Base64("UklGRg=="), mime="audio/wav")), _TEXT),
    Specimen(
        "document, base64",
        _says(Text(text="a"), Media(kind="document", source=Base64("JVBERi0="), mime="application/pdf", name="a.pdf")),
        _TEXT,
    ),
    Specimen("video", _says(Text(text="a"), Media(kind="video", source=Base64("AAAA"), mime="video/mp4")), _TEXT),
    Specimen("reasoning", _says(Reasoning(text="t"), Text(text="a"), role="assistant"), _SAID),
    Specimen("reasoning summary", _says(Reasoning(summary=("t",)), Text(text="a"), role="assistant"), _SAID),
    Specimen(
        "opaque payload of another provider",
        _says(
            Reasoning(text="t", opaque=(Opaque(kind="signature", value="c2ln", protocol="elsewhere"),)),
            Text(text="a"),
            role="assistant",
        ),
        _says(Reasoning(text="t"), Text(text="a"), role="assistant"),
    ),
    Specimen("refusal", _says(Text(text="a"), Refusal(text="no"), role="assistant"), _SAID),
    Specimen("tool call", _with_call(_RESULT), _tools()),
    Specimen(
        "call of a custom tool",
        _with_call(_RESULT, call=ToolCall(id="call_1", name="run", arguments=JsonText("ls"), kind="custom")),
        _tools(),
    ),
    Specimen("result that failed", _with_call(replace(_RESULT, is_error=True)), _with_call(_RESULT)),
    Specimen(
        "image in a result",
        _with_call(
            replace(_RESULT, parts=(Text(text="sunny"), Media(kind="image", source=Base64(_PNG), mime="image/png")))
        ),
        _with_call(_RESULT),
    ),
    Specimen(
        "call of a provider's own tool",
        _says(
            ServerCall(id="s1", kind="server_tool_use", name="web_search", arguments=JsonText("{}")),
            ServerResult(kind="web_search_tool_result", call_id="s1", content=[]),
            Text(text="a"),
            role="assistant",
        ),
        _SAID,
    ),
    Specimen("part nobody knows", _says(Text(text="a"), OpaquePart(json={"type": "x"}, protocol="elsewhere")), _TEXT),
)  # fmt: skip

TOOLS: Final = (
    Specimen("function", _tools()),
    Specimen("strict", lambda r: replace(r, tools=(replace(_TOOL, strict=True),)), _tools()),
    Specimen("custom (free text)", lambda r: replace(r, tools=(FunctionTool(name="run", kind="custom"),))),
    Specimen(
        "provider's own", lambda r: replace(r, tools=(OpaqueTool(json={"type": "web_search"}, protocol="elsewhere"),))
    ),
    Specimen("choice: auto", _tools(tool_choice="auto"), _tools()),
    Specimen("choice: none", _tools(tool_choice="none"), _tools()),
    Specimen("choice: required", _tools(tool_choice="required"), _tools()),
    Specimen("choice: one tool", _tools(tool_choice=NamedTool(name="weather")), _tools()),
    Specimen(
        "choice: some tools",
        lambda r: replace(
            r,
            tools=(_TOOL, replace(_TOOL, name="time")),
            tool_choice=ToolSubset(mode="auto", names=("time",)),
        ),
        lambda r: replace(r, tools=(_TOOL, replace(_TOOL, name="time"))),
    ),
    Specimen("format: json", _sets(output_format=OutputFormat(kind="json"))),
    Specimen("format: strict schema", _sets(output_format=OutputFormat(
        kind="json_schema", name="weather", schema=_SCHEMA, strict=True)),
        _sets(output_format=OutputFormat(kind="json_schema", name="weather", schema=_SCHEMA))),
)  # fmt: skip


def page() -> str:
    """The whole page."""
    lines = [
        "# What becomes of what",
        "",
        "This page is written by `docs/mapping.py`, which asks the codecs themselves: a cell says what a protocol's",
        "encoder adds to a document for the universal member of its row, and what it reports as a loss.",
        "",
        "- `` `path` `` is where the value stands in the request or answer; `[0]` counts places in the document;",
        "- **-** means that it has no place there and is gone, which the report says with the severity in brackets;",
        "- other words (approximated, relocated, textualised, invented, stateful) are the kind of a partial loss;",
        "- *at home* is how a document that was born in the protocol says it, where others' documents may not.",
        "",
    ]
    for title, rows in (
        ("Members of a request", [Specimen(name, edit, WITHOUT.get(name, _same)) for name, edit in REQUEST.items()]),
        ("Turns", TURNS),
        ("Parts", PARTS),
        ("Tools and formats", TOOLS),
    ):
        lines += [f"## {title}", "", *_table(_request_rows(rows)), ""]
    lines += ["## Why an answer ended", "", *_table(_stop_rows()), ""]
    lines += ["## Usage", "", *_table(_usage_rows()), ""]
    return "\n".join(lines)


def _same(request: Request) -> Request:
    return request


def _protocols() -> list[Protocol]:
    return [registry.get(name) for name in sorted(registry.names())]


def _table(rows: Iterator[tuple[str, list[str]]]) -> list[str]:
    names = [protocol.name for protocol in _protocols()]
    head = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    return [*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)]


def _request_rows(specimens: Sequence[Specimen]) -> Iterator[tuple[str, list[str]]]:
    for specimen in specimens:
        yield f"`{specimen.name}`", [_request_cell(protocol, specimen) for protocol in _protocols()]


def _request_cell(protocol: Protocol, specimen: Specimen) -> str:
    abroad = _spoken(protocol, specimen, _ABROAD)
    home = _spoken(protocol, specimen, Origin(protocol=protocol.name))
    if abroad.startswith("-") and home.startswith("`"):
        return f"{abroad}; at home {home}"
    return abroad


def _spoken(protocol: Protocol, specimen: Specimen, origin: Origin) -> str:
    base = replace(BASE, origin=origin)
    route = [_route(protocol, edit(base)) for edit in (specimen.without, specimen.edit)]
    before, after = (protocol.encode_request(edit(base)) for edit in (specimen.without, specimen.edit))
    paths = _added(before.document, after.document)
    if not paths and route[0] != route[1]:
        paths = ["(the path)"]
    return _cell(paths, before.losses, after.losses)


def _route(protocol: Protocol, request: Request) -> str:
    found = protocol.route(Operation.GENERATE, stream=request.stream is True, model=request.model, dialect="")
    return found.path if found else ""


def _cell(paths: Sequence[str], before: Sequence[Loss], after: Sequence[Loss]) -> str:
    known = [(loss.path, loss.kind, loss.reason) for loss in before]
    new = [loss for loss in after if (loss.path, loss.kind, loss.reason) not in known]
    partial = sorted({loss.kind.value for loss in new if loss.kind is not LossKind.DROPPED})
    gone = max((loss.severity.value for loss in new if loss.kind is LossKind.DROPPED), default="")
    said = ", ".join(f"`{path}`" for path in paths[:3])
    if len(paths) > 3:
        said += " …"
    notes = [*partial, *([f"in part dropped ({gone})"] if gone and said else [])]
    if not said:
        words = [*partial, *([gone] if gone else [])]
        return f"- ({', '.join(words)})" if words else "the same"
    return f"{said} ({', '.join(notes)})" if notes else said


def _added(before: Any, after: Any, path: str = "") -> list[str]:
    """Paths of what is new or other in a document."""
    before, after = _plain(before), _plain(after)
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key, value in after.items():
            inner = f"{path}.{key}" if path else key
            if key not in before:
                found.append(inner + _leaf(value))
            else:
                found += _added(before[key], value, inner)
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = []
        for index, value in enumerate(after):
            inner = f"{path}[{index}]"
            if index >= len(before):
                found.append(inner + _leaf(value))
            else:
                found += _added(before[index], value, inner)
        return found
    return [] if before == after else [path]


def _leaf(value: Any) -> str:
    """The way on while there is only one."""
    value = _plain(value)
    if isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        return f".{key}{_leaf(value[key])}"
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        return f" {value['type']}"
    if isinstance(value, str) and 0 < len(value) < 20 and value.replace("_", "").isalpha():
        return f" = {value}"
    return ""


def _plain(value: Any) -> Any:
    return json.loads(value.text) if isinstance(value, JsonText) and value.text[:1] in "{[" else value


def _answer(reason: StopReason = StopReason.END, usage: Any = UNSET) -> Response:
    stop = Stop(reason=reason, sequence="END" if reason is StopReason.SEQUENCE else UNSET)
    parts: tuple[Part, ...] = (Text(text="a"),)
    if reason is StopReason.TOOL:
        parts = (ToolCall(id="call_1", name="weather", arguments=_ARGUMENTS),)
    candidate = Candidate(turns=(Turn(role="assistant", parts=parts),), stop=stop)
    return Response(id="x_1", model="m", created=1, candidates=(candidate,), usage=usage, origin=_ABROAD)


_STOP_MEMBERS: Final = ("finish_reason", "stop_reason", "finishReason", "done_reason", "status", "incomplete_details")


def _stop_rows() -> Iterator[tuple[str, list[str]]]:
    for reason in StopReason:
        cells = []
        for protocol in _protocols():
            encoded = protocol.encode_response(_answer(reason), Context(now=1))
            words = [f"`{name} = {jsontext.dumps(value).decode()}`" for name, value in _found(encoded.document)]
            kinds = sorted({loss.kind.value for loss in encoded.losses if ".stop" in loss.path})
            cells.append(", ".join(words) + (f" ({', '.join(kinds)})" if kinds else ""))
        yield f"`{reason.value}`", cells


def _found(node: Any) -> Iterator[tuple[str, Any]]:
    """Members that say how the answer ended; items of an answer have a status of their own, which is not it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _STOP_MEMBERS and value is not None:
                yield key, value
            elif key in ("choices", "candidates"):
                for item in value:
                    yield from _found(item)


_COUNTERS: Final = (
    "input_total",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "output_total",
    "reasoning",
    "audio_input",
    "audio_output",
    "accepted_prediction",
    "rejected_prediction",
    "server_tools",
)


def _usage_rows() -> Iterator[tuple[str, list[str]]]:
    whole = Usage(input_total=100, output_total=50)
    for name in _COUNTERS:
        cells = []
        for protocol in _protocols():
            more = {name: {"web_search_requests": 1} if name == "server_tools" else 10}
            if name.startswith("cache_write_"):
                more["cache_write"] = 10
            base = replace(whole, cache_write=10) if "cache_write" in more and name != "cache_write" else whole
            base = replace(base, **{name: UNSET}) if name in ("input_total", "output_total") else base
            before = protocol.encode_response(_answer(usage=base), Context(now=1))
            after = protocol.encode_response(_answer(usage=replace(whole, **more)), Context(now=1))
            cells.append(_cell(_added(before.document, after.document), before.losses, after.losses))
        yield f"`{name}`", cells


if __name__ == "__main__":
    print(page(), end="")
