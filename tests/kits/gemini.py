"""Google's Gemini API."""

from __future__ import annotations

import re
from typing import Any, Required, TypedDict

from google.genai import types
from hypothesis import strategies as st
from pydantic import TypeAdapter

from documents import base64_texts, documents_of, json_objects, members_of, names

from .kit import Kit, Overrides

__all__ = ["KIT"]


class GenerateContentRequest(TypedDict, total=False):
    """The body of a request; the SDK has types of its members only (https://ai.google.dev/api/generate-content)."""

    contents: Required[list[types.Content]]
    systemInstruction: types.Content
    tools: list[types.Tool]
    toolConfig: types.ToolConfig
    safetySettings: list[types.SafetySetting]
    generationConfig: types.GenerationConfig
    cachedContent: str
    labels: dict[str, str]
    serviceTier: types.ServiceTier
    store: bool


_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult")
_ASIDE = ("thought", "thoughtSignature", "mediaResolution", "partMetadata", "videoMetadata")


@st.composite
def _part(draw: st.DrawFn) -> dict[str, Any]:
    """A part as the API takes it, with one member that says what it is: the types allow all at once."""
    part = {(name := draw(st.sampled_from(_DATA))): draw(_values(name))}
    for name in draw(st.lists(st.sampled_from(_ASIDE), max_size=2, unique=True)):
        part[name] = draw(_values(name))
    return part


def _values(name: str) -> st.SearchStrategy[Any]:
    known = _OVERRIDES.get(("Part", name))
    return documents_of(members_of(types.Part)[name][0], overrides=_OVERRIDES) if known is None else known


def _with(kind: Any, **needed: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents of a type with members that the API demands: the types demand none."""
    drawn = st.deferred(lambda: documents_of(kind, overrides=_OVERRIDES))
    return st.builds(lambda document, more: {**document, **more}, drawn, st.fixed_dictionaries(needed))


_file = {"fileUri": st.sampled_from(["https://a.b/c.png", "gs://bucket/file", "files/é"])}
_OVERRIDES: Overrides = {
    ("Part", "functionCall"): _with(types.FunctionCall, name=names),
    ("Part", "functionResponse"): _with(types.FunctionResponse, name=names),
    ("Part", "inlineData"): _with(types.Blob, data=base64_texts),
    ("Part", "fileData"): _with(types.FileData, **_file),
    ("FunctionResponsePart", "inlineData"): _with(types.FunctionResponseBlob, data=base64_texts),
    ("FunctionResponsePart", "fileData"): _with(types.FunctionResponseFileData, **_file),
    ("Tool", "functionDeclarations"): st.lists(_with(types.FunctionDeclaration, name=names), max_size=2),
    ("Content", "parts"): st.lists(
        st.one_of(_part(), _part(), _part(), st.deferred(lambda: documents_of(types.Part, overrides=_OVERRIDES))),
        min_size=1,
        max_size=3,
    ),
    ("Content", "role"): st.sampled_from(["user", "model", "user", "model", "function", "odd"]),
    ("FunctionDeclaration", "parametersJsonSchema"): json_objects,
    ("GenerationConfig", "responseJsonSchema"): json_objects,
    ("GenerationConfig", "responseMimeType"): st.sampled_from(["application/json", "text/plain", "text/x.enum"]),
    ("GenerationConfig", "thinkingConfig"): st.one_of(
        st.fixed_dictionaries({"thinkingBudget": st.integers(-1, 30000)}),
        st.deferred(lambda: documents_of(types.ThinkingConfig)),
    ),
    ("Candidate", "index"): st.integers(0, 3),
    ("Blob", "mimeType"): st.sampled_from(["image/png", "audio/wav", "video/mp4", "application/pdf", "text/plain"]),
}


def _named(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer says something: what says nothing at all is none."""
    return answer if answer.keys() & {"candidates", "promptFeedback"} else {**answer, "modelVersion": "m"}


KIT = Kit(
    name="gemini",
    corpus="gemini",
    requests=(GenerateContentRequest,),
    response=types.GenerateContentResponse,
    answers=documents_of(types.GenerateContentResponse, overrides=_OVERRIDES).map(_named),
    events=TypeAdapter(types.GenerateContentResponse),
    call_id=re.compile(r"[!-~]{1,128}"),
    overrides=_OVERRIDES,
    needed={"contents": [{"parts": [{"text": "a"}]}]},
    framing=("sse", "json_array"),
    history="contents",
    path="/v1beta/models/m:generateContent",
    efforts=("low", "medium", "high"),
    uncounted=frozenset({"cache_write"}),
    open_ended=True,
    cannot={"parallel_tools": "the provider's models call as many tools at once as they like"},
    recorded=(140, 120, 35),
)
