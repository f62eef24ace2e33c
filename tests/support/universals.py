"""Trees of the universal format, drawn bottom-up."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET

from documents import json_objects, json_values, names, texts
from ds2api_asgi.universal.content import (
    Base64,
    CacheMark,
    Citation,
    Inline,
    Media,
    OpaquePart,
    Part,
    PlainText,
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
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OutputFormat, Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """UNSET, or one of the values."""
    return st.one_of(st.just(UNSET), values)


exts = maybe(st.dictionaries(names, json_values, min_size=1, max_size=2))
forms = st.lists(st.sampled_from(["content:string", "x:y"]), max_size=2, unique=True).map(lambda f: tuple(sorted(f)))
caches = maybe(st.builds(CacheMark, ttl=maybe(st.sampled_from(["5m", "1h"])), ext=exts))
opaques = st.lists(
    st.builds(Opaque, kind=st.sampled_from(["signature", "encrypted"]), value=texts, protocol=st.just("p")), max_size=2
).map(tuple)
citations = st.builds(Citation, kind=names, url=maybe(texts), title=maybe(texts), ext=exts)
argument_texts = st.one_of(json_objects.map(lambda o: JsonText.of(o).text), texts).map(JsonText)

text_parts = st.builds(
    Text,
    text=texts,
    citations=maybe(st.lists(citations, max_size=2).map(tuple)),
    cache=caches,
    opaque=opaques,
    ext=exts,
)
refusals = st.builds(Refusal, text=texts, ext=exts)
reasonings = st.builds(
    Reasoning, text=maybe(texts), summary=st.lists(texts, max_size=2).map(tuple), opaque=opaques, ext=exts
)
tool_calls = st.builds(
    ToolCall,
    id=maybe(names),
    name=names,
    arguments=argument_texts,
    caller=maybe(json_objects),
    opaque=opaques,
    ext=exts,
)
server_calls = st.builds(ServerCall, kind=names, name=names, arguments=argument_texts, id=maybe(names))
server_results = st.builds(ServerResult, kind=names, content=json_values, call_id=maybe(names))
opaque_parts = st.builds(OpaquePart, json=json_objects, protocol=st.just("p"))
sources = st.one_of(
    st.builds(Url, texts),
    st.builds(Base64, texts),
    st.builds(PlainText, texts),
    st.builds(Inline, st.just((Text(text="x"),))),
)
media = st.builds(
    Media,
    kind=st.sampled_from(["image", "audio", "video", "document"]),
    source=sources,
    mime=maybe(texts),
    name=maybe(texts),
    cache=caches,
    ext=exts,
)
results = st.builds(
    ToolResult,
    call_id=maybe(names),
    parts=maybe(st.lists(st.one_of(text_parts, media), max_size=2).map(tuple)),
    is_error=maybe(st.booleans()),
    ext=exts,
)
answer_parts: st.SearchStrategy[Part] = st.one_of(
    text_parts, refusals, reasonings, tool_calls, server_calls, server_results, opaque_parts
)
parts: st.SearchStrategy[Part] = st.one_of(answer_parts, media, results)

turns = st.builds(
    Turn,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool", "critic"]),
    parts=st.lists(parts, max_size=3).map(tuple),
    name=maybe(names),
    ext=exts,
    form=forms,
)
tools = st.builds(
    FunctionTool,
    name=names,
    description=maybe(texts),
    schema=maybe(json_objects),
    strict=maybe(st.booleans()),
    ext=exts,
)
requests = st.builds(
    Request,
    model=names,
    turns=st.lists(turns, max_size=4).map(tuple),
    tools=maybe(st.lists(tools, max_size=2).map(tuple)),
    tool_choice=maybe(st.one_of(st.sampled_from(["auto", "none", "required"]), st.builds(NamedTool, name=names))),
    stop=maybe(st.lists(texts, max_size=2).map(tuple)),
    temperature=maybe(st.sampled_from([0, 0.5, 1, 1.0])),
    seed=maybe(st.integers()),
    output_format=maybe(
        st.builds(OutputFormat, kind=st.sampled_from(["text", "json", "json_schema"]), schema=maybe(json_objects))
    ),
    ext=exts,
    form=forms,
    origin=st.builds(Origin, protocol=st.sampled_from(["a", "b"])),
)

stops = st.builds(Stop, reason=st.sampled_from(list(StopReason)), sequence=maybe(texts), native=maybe(names), ext=exts)
counts = maybe(st.integers(0, 10**6))
usages = st.builds(Usage, input_total=counts, cache_read=counts, output_total=counts, reasoning=counts, ext=exts)


@st.composite
def _candidates(draw: st.DrawFn) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            turns=(Turn(role="assistant", parts=tuple(draw(st.lists(answer_parts, max_size=4)))),),
            stop=draw(stops),  # a candidate that says nothing at all leaves no trace in a stream
            index=index,
            logprobs=draw(maybe(json_objects)),
            ext=draw(exts),
        )
        for index in range(draw(st.integers(1, 2)))
    )


responses = st.builds(
    Response,
    id=maybe(names),
    model=maybe(names),
    created=maybe(st.integers(0, 2**31)),
    candidates=_candidates(),
    usage=maybe(usages),
    ext=exts,
    origin=st.just(Origin(protocol="p")),
)
