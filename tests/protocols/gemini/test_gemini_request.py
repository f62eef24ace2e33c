"""Requests: spellings, pairing of calls and results, schemas, and conversations from elsewhere."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi import convert
from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.gemini import PROTOCOL
from ds2api_asgi.protocols.gemini.profile import SKIP_SIGNATURE, violations
from ds2api_asgi.universal.content import Base64, FileId, Media, OpaquePart, Reasoning, Text, ToolCall, ToolResult, Url
from ds2api_asgi.universal.jsontext import JsonText, dumps, equal, loads
from ds2api_asgi.universal.loss import LossKind, Severity
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, OutputFormat, Request, ToolSubset, Turn
from shared import corpus_items, needs_shared

USER = {"role": "user", "parts": [{"text": "hi"}]}
ELSEWHERE = Origin(protocol="elsewhere")


def decode(document: dict[str, Any], **options: Any) -> Request:
    return PROTOCOL.decode_request(PROTOCOL.parse(dumps(document)), **options)


def back(document: dict[str, Any]) -> Any:
    encoded = PROTOCOL.encode_request(decode(document))
    assert encoded.losses == ()
    return loads(dumps(encoded.document))


def foreign(**members: Any) -> Request:
    return Request(**{"turns": (Turn(role="user", parts=(Text(text="hi"),)),), "origin": ELSEWHERE, **members})


def encode(request: Request) -> dict[str, Any]:
    document = loads(dumps(PROTOCOL.encode_request(request).document))
    assert isinstance(document, dict)
    return document


def config(**members: Any) -> dict[str, Any]:
    return {"contents": [USER], "generationConfig": members}


# -- spelling


@pytest.mark.parametrize(
    "document",
    [
        {"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "aQ=="}}]}]},
        {"contents": [USER], "system_instruction": {"parts": {"text": "s"}}},
        {"contents": USER},
        {"contents": [{"role": "user"}, {"role": "user", "parts": []}, {"parts": [{}]}]},
        {"contents": [USER], "generation_config": {"max_output_tokens": 3, "topK": 1, "thinking_config": {}}},
        {"contents": [USER], "generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 2}},
        {"contents": [USER], "generationConfig": None, "tools": None, "toolConfig": {}, "systemInstruction": None},
        {"contents": [USER], "tools": [{"function_declarations": [{"name": "f"}], "google_search": {}}, {"x": 1}]},
        {"contents": [USER], "tools": [{"functionDeclarations": []}, {"functionDeclarations": [{"name": "f"}]}]},
        {
            "contents": [USER],
            "toolConfig": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        },
        {"contents": [USER], "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "x": 1}, "y": 2}},
        {"contents": [USER], "model": "models/gemini-2.5-pro", "safetySettings": [{"category": "C"}], "x": {"y": None}},
        {"contents": [{"role": "system", "parts": [{"text": "s"}]}, {"role": "assistant", "parts": [{"text": "a"}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "a", "thought": False, "videoMetadata": None}]}]},
        {"contents": [{"role": "model", "parts": [{"thoughtSignature": "cw=="}, {"thought": True}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "a", "functionCall": {"name": "f"}}]}]},
    ],
)
def test_every_spelling_comes_back(document: dict[str, Any]) -> None:
    assert equal(back(document), document)


@pytest.mark.parametrize(
    ("part", "want"),
    [
        ({"text": "a"}, Text),
        ({"text": "a", "thought": True, "thoughtSignature": "cw=="}, Reasoning),
        ({"inlineData": {"mimeType": "audio/wav", "data": "aQ=="}}, Media),
        ({"executableCode": {"code": "1", "language": "PYTHON"}}, OpaquePart),
        ({"toolCall": {"id": "1"}}, OpaquePart),
        ({"somethingNew": {}}, OpaquePart),
    ],
)
def test_parts_are_what_they_say(part: dict[str, Any], want: type) -> None:
    assert isinstance(decode({"contents": [{"parts": [part]}]}).turns[0].parts[0], want)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "contents"),
        ({"contents": "x"}, "contents"),
        ({"contents": [1]}, "contents[0]"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [USER], "generationConfig": {"topK": "x"}}, "generationConfig.topK"),
        ({"contents": [USER], "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"contents": [USER], "toolConfig": {"functionCallingConfig": 1}}, "toolConfig.functionCallingConfig"),
    ],
)
def test_wrong_types_are_refused_with_their_path(document: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        decode(document)
    assert caught.value.path == path


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidDocument):
        PROTOCOL.decode_request(PROTOCOL.parse(body))


def test_numbers_and_arguments_keep_their_text() -> None:
    body = (
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f",'
        b'"args":{"n" :1.0, "big":12345678901234567890'
        b'}}}]}],"generationConfig":{"temperature":1.0}}'
    )
    request = PROTOCOL.decode_request(PROTOCOL.parse(body))
    call = request.turns[0].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments.text == '{"n" :1.0, "big":12345678901234567890}'
    again = dumps(PROTOCOL.encode_request(request).document)
    assert b'{"n" :1.0, "big":12345678901234567890}' in again
    assert b'"temperature":1.0' in again


# -- calls and results


def test_calls_without_ids_pair_by_name_then_order() -> None:
    document = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": n, "args": {"x": i}}} for i, n in enumerate("ffg")]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": n, "response": {"output": o}}} for n, o in ("g3", "f1", "f2")],
            },
        ]
    }
    request = decode(document)
    ids = [part.id for part in request.turns[0].parts if isinstance(part, ToolCall)]
    results = [part for part in request.turns[1].parts if isinstance(part, ToolResult)]
    assert len({*ids}) == 3
    assert [result.call_id for result in results] == [ids[2], ids[0], ids[1]]
    assert all(result.name is UNSET for result in results)
    assert equal(back(document), document)


def test_ids_stay_when_a_conversation_grows() -> None:
    step = [
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]
    short, long = decode({"contents": step}), decode({"contents": step + step})
    assert long.turns[:2] == short.turns
    assert len({turn.parts[0].id for turn in long.turns[::2]}) == 2  # type: ignore[union-attr]


def test_results_with_ids_of_their_own_belong_to_the_call_of_their_name() -> None:
    document = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "made-up", "name": "f", "response": {"a": 1}}}]},
        ]
    }
    request = decode(document)
    call, result = request.turns[0].parts[0], request.turns[1].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert result.call_id == call.id
    assert equal(back(document), document)


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"output": "x"}, "x", UNSET),
        ({"result": "x"}, "x", UNSET),
        ({"error": "x"}, "x", True),
        ({"output": [1, 2.0]}, "[1,2.0]", UNSET),
        ({"error": {"code": 1}}, '{"code":1}', True),
        ({"name": "f", "content": "x"}, "x", UNSET),
        ({"name": "f", "content": 1}, '{"name":"f","content":1}', UNSET),
        ({}, "{}", UNSET),
    ],
)
def test_results_become_texts_and_come_back(response: Any, text: str, failed: Any) -> None:
    document = {
        "contents": [{"role": "function", "parts": [{"functionResponse": {"name": "f", "response": response}}]}]
    }
    result = decode(document).turns[0].parts[0]
    assert isinstance(result, ToolResult)
    assert result.parts == (Text(text=text),)
    assert result.is_error is failed
    assert equal(back(document), document)


def agents() -> Request:
    call = JsonText('{"c":1}')
    return foreign(
        model="gemini-3-pro",
        turns=(
            Turn(role="system", parts=(Text(text="s"),)),
            Turn(role="user", parts=(Text(text="q"),)),
            Turn(
                role="assistant",
                parts=(
                    ToolCall(id="a", name="f", arguments=call),
                    ToolCall(id="b", name="bad name!", arguments=JsonText("not json")),
                ),
            ),
            Turn(role="tool", parts=(ToolResult(call_id="b", parts=(Text(text="rb"),), is_error=True),)),
            Turn(
                role="tool",
                parts=(
                    ToolResult(
                        call_id="a",
                        parts=(Text(text="ra"), Media(kind="image", source=Base64("aQ=="), mime="image/png")),
                    ),
                ),
            ),
            Turn(role="system", parts=(Text(text="late"),)),
            Turn(role="user", parts=(Text(text="go"), Text(text="on"))),
        ),
    )


def test_a_tool_loop_from_elsewhere_is_put_in_order() -> None:
    encoded = PROTOCOL.encode_request(agents())
    document = loads(dumps(encoded.document))
    assert violations(document) == []
    assert document["systemInstruction"] == {"parts": [{"text": "s"}, {"text": "late"}]}
    assert [content["role"] for content in document["contents"]] == ["user", "model", "user"]
    calls = [part["functionCall"] for part in document["contents"][1]["parts"]]
    assert calls[1]["args"] == {"_ds2_raw": "not json"}
    results = document["contents"][2]["parts"]
    assert results[0] == {
        "functionResponse": {
            "id": "a",
            "name": "f",
            "response": {"output": "ra"},
            "parts": [{"inlineData": {"data": "aQ==", "mimeType": "image/png"}}],
        }
    }
    assert results[1]["functionResponse"]["response"] == {"error": "rb"}
    assert results[1]["functionResponse"]["name"] == calls[1]["name"]
    assert results[2:] == [{"text": "go"}, {"text": "on"}]
    late = [loss for loss in encoded.losses if loss.path == "turns[5]"]
    assert [(loss.kind, loss.severity) for loss in late] == [(LossKind.RELOCATED, Severity.SEMANTIC)]


def test_the_first_call_of_a_step_has_the_signature_that_new_models_demand() -> None:
    parts = encode(agents())["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [SKIP_SIGNATURE, None]
    older = Request(
        **{n: getattr(agents(), n) for n in agents().__struct_fields__ if n != "model"}, model="gemini-2.5-pro"
    )
    assert all("thoughtSignature" not in part for part in encode(older)["contents"][1]["parts"])


def test_signatures_go_to_their_minter_only() -> None:
    own = Opaque(kind="thought_signature", value="cw==", protocol="gemini")
    other = Opaque(kind="signature", value="x", protocol="anthropic")
    call = ToolCall(id="a", name="f", arguments=JsonText("{}"), opaque=(other, own))
    encoded = PROTOCOL.encode_request(foreign(turns=(Turn(role="assistant", parts=(call,)),)))
    assert encoded.document["contents"][0]["parts"][0]["thoughtSignature"] == "cw=="
    assert [loss.kind for loss in encoded.losses if "opaque" in loss.path] == [LossKind.ORIGIN_MISMATCH]


# -- media


@pytest.mark.parametrize(
    ("part", "source", "kind"),
    [
        ({"fileData": {"fileUri": "gs://b/x.mp4", "mimeType": "video/mp4"}}, FileId("gs://b/x.mp4"), "video"),
        ({"fileData": {"fileUri": "https://a.example/x.png"}}, Url("https://a.example/x.png"), "image"),
        ({"inlineData": {"mimeType": "application/pdf", "data": "aQ=="}}, Base64("aQ=="), "document"),
    ],
)
def test_media_are_read(part: dict[str, Any], source: Any, kind: str) -> None:
    media = decode({"contents": [{"parts": [part]}]}).turns[0].parts[0]
    assert isinstance(media, Media)
    assert (media.source, media.kind) == (source, kind)


def test_a_foreign_file_is_refused_and_a_data_url_is_taken_apart() -> None:
    media = Media(kind="image", source=FileId("file-1"))
    encoded = PROTOCOL.encode_request(foreign(turns=(Turn(role="user", parts=(Text(text="a"), media)),)))
    assert [loss.severity for loss in encoded.losses] == [Severity.BLOCKING]
    media = Media(kind="image", source=Url("data:image/png;base64,aQ=="))
    document = encode(foreign(turns=(Turn(role="user", parts=(media,)),)))
    assert document["contents"][0]["parts"] == [{"inlineData": {"data": "aQ==", "mimeType": "image/png"}}]


# -- settings


def test_the_older_schemas_become_json_schema() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {
            "n": {"type": "STRING", "nullable": True, "enum": ["a"]},
            "type": {"type": "ARRAY", "items": {"type": "INTEGER"}},
        },
        "required": ["n"],
    }
    document = {"contents": [USER], "tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]}
    tool = (decode(document).tools or ())[0]
    assert isinstance(tool, FunctionTool)
    assert tool.schema == {
        "type": "object",
        "properties": {
            "n": {"type": ["string", "null"], "enum": ["a", None]},
            "type": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["n"],
    }
    assert equal(back(document), document)
    assert tool.ext is UNSET


@pytest.mark.parametrize(
    ("members", "want"),
    [
        ({"responseMimeType": "application/json"}, OutputFormat(kind="json")),
        ({"responseMimeType": "text/plain"}, OutputFormat(kind="text")),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            OutputFormat(kind="json_schema", schema={"type": "object"}),
        ),
        (
            {"responseSchema": {"type": "OBJECT"}},
            OutputFormat(kind="json_schema", schema={"type": "object"}, form=("mime:absent", "openapi")),
        ),
        (
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "OBJECT", "properties": {"n": {"type": "STRING", "nullable": True}}},
            },
            OutputFormat(
                kind="json_schema",
                schema={"type": "object", "properties": {"n": {"type": ["string", "null"]}}},
                form=("json:openapi",),
            ),
        ),
        (
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "properties": {"n": {"type": "STRING"}}},
            },
            OutputFormat(kind="json_schema", schema={"type": "object", "properties": {"n": {"type": "STRING"}}}),
        ),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}, UNSET),
    ],
)
def test_shapes_of_answers_are_read_and_come_back(members: dict[str, Any], want: Any) -> None:
    assert decode(config(**members)).output_format == want
    assert equal(back(config(**members)), config(**members))


@pytest.mark.parametrize(
    ("thinking", "want"),
    [
        ({"thinkingBudget": 512}, {"reasoning_budget": 512}),
        ({"thinkingBudget": -1}, {"reasoning_mode": "adaptive"}),
        (
            {"thinkingLevel": "HIGH", "includeThoughts": True},
            {"reasoning_effort": "high", "reasoning_display": "summarized"},
        ),
        (
            {"thinkingLevel": "low", "include_thoughts": False},
            {"reasoning_effort": "low", "reasoning_display": "omitted"},
        ),
        ({"thinkingLevel": "NEW"}, {"reasoning_ext": {"thinkingLevel": "NEW"}}),
        ({}, {"reasoning_ext": UNSET}),
    ],
)
def test_thinking_is_read_and_comes_back(thinking: dict[str, Any], want: dict[str, Any]) -> None:
    request = decode(config(thinkingConfig=thinking))
    assert {name: getattr(request, name) for name in want} == want
    assert equal(back(config(thinkingConfig=thinking)), config(thinkingConfig=thinking))


@pytest.mark.parametrize(
    ("members", "want"),
    [
        ({"reasoning_effort": "high"}, {"thinkingLevel": "HIGH"}),
        ({"reasoning_effort": "max"}, {"thinkingLevel": "XHIGH"}),
        ({"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ({"reasoning_mode": "disabled"}, {"thinkingBudget": 0}),
        ({"reasoning_mode": "enabled", "reasoning_budget": 2000}, {"thinkingBudget": 2000}),
        ({"reasoning_mode": "adaptive"}, {"thinkingBudget": -1}),
        ({"reasoning_mode": "adaptive", "reasoning_effort": "low"}, {"thinkingLevel": "LOW"}),
        ({"reasoning_effort": "low", "model": "gemini-2.5-flash"}, {"thinkingBudget": 2048}),
    ],
)
def test_how_much_to_think_is_said_once(members: dict[str, Any], want: dict[str, Any]) -> None:
    assert encode(foreign(**members))["generationConfig"]["thinkingConfig"] == want


@pytest.mark.parametrize(
    ("calling", "want"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "ANY"}, "required"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, NamedTool(name="f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolSubset(mode="required", names=("f", "g"))),
        ({"mode": "VALIDATED"}, "auto"),
        ({"mode": "validated", "allowedFunctionNames": ["f"]}, ToolSubset(mode="auto", names=("f",))),
        ({"mode": "OTHER"}, UNSET),
    ],
)
def test_choices_are_read_and_come_back(calling: dict[str, Any], want: Any) -> None:
    document = {"contents": [USER], "toolConfig": {"functionCallingConfig": calling}}
    assert decode(document).tool_choice == want
    assert equal(back(document), document)


def test_tools_of_other_providers_are_dropped_and_own_ones_kept() -> None:
    tools = (
        OpaqueTool(json={"type": "web_search"}, protocol="anthropic"),
        OpaqueTool(json={"googleSearch": {}}, protocol="gemini"),
        FunctionTool(name="f", schema={"type": "object"}),
    )
    encoded = PROTOCOL.encode_request(foreign(tools=tools))
    assert encoded.document["tools"] == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]},
        {"googleSearch": {}},
    ]
    assert [(loss.path, loss.severity) for loss in encoded.losses] == [("tools[0]", Severity.SEMANTIC)]


def test_a_json_schema_with_types_in_capitals_is_understood_and_comes_back() -> None:
    """Gemini CLI spells the schemas of its own questions so."""
    function = {"name": "f", "parametersJsonSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}
    document = {"contents": [USER], "tools": [{"functionDeclarations": [function]}]}
    (tool,) = decode(document).tools or ()
    assert isinstance(tool, FunctionTool)
    assert tool.schema == {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert equal(back(document), document)


KINDS = st.sampled_from(["object", "OBJECT", "string", "STRING", "array", "ARRAY", "Integer", ["string", "null"]])
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": KINDS, "nullable": st.booleans(), "enum": st.just(["a", None])}),
    lambda inner: st.fixed_dictionaries(
        {"type": KINDS},
        optional={
            "properties": st.dictionaries(st.sampled_from(["type", "n"]), inner, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_every_json_schema_comes_back_as_it_was_spelled(schema: dict[str, Any]) -> None:
    function = {"name": "f", "parametersJsonSchema": schema}
    for document in (
        {"contents": [USER], "tools": [{"functionDeclarations": [function]}]},
        config(responseMimeType="application/json", responseJsonSchema=schema),
    ):
        assert equal(back(document), document)


# -- counting tokens


def test_a_count_is_read_in_both_forms_and_comes_back() -> None:
    bare = {"contents": [USER]}
    wrapped = {"generateContentRequest": {"model": "models/gemini-2.5-pro", **bare, "tools": [{"googleSearch": {}}]}}
    for document in (bare, wrapped):
        request = decode(document, operation=Operation.COUNT_TOKENS)
        assert request.turns[0].parts == (Text(text="hi"),)
        assert equal(loads(dumps(PROTOCOL.encode_request(request).document)), document)
    assert decode(wrapped, operation=Operation.COUNT_TOKENS).model == "gemini-2.5-pro"


@needs_shared
def test_recorded_counts_come_back() -> None:
    items = [
        i
        for i in corpus_items("other", "request")
        if i.get("sub") == "count_tokens" and "contents" in json.dumps(i["body"])
    ]
    for item in items:
        request = decode(item["body"], operation=Operation.COUNT_TOKENS)
        assert equal(loads(dumps(PROTOCOL.encode_request(request).document)), item["body"]), item["id"]


def test_base64_is_padded_and_what_is_none_is_refused() -> None:
    def sent(data: str) -> Any:
        media = Media(kind="image", source=Base64(data), mime="image/png")
        return PROTOCOL.encode_request(foreign(turns=(Turn(role="user", parts=(Text(text="hi"), media)),)))

    for data in ("aQ", "aQ=", "aQ=="):
        (_, part) = sent(data).document["contents"][0]["parts"]
        assert part["inlineData"]["data"] == "aQ=="
    for data in ("a", "a b=", "é123", "aQ=a"):
        encoded = sent(data)
        assert len(encoded.document["contents"][0]["parts"]) == 1
        assert any(loss.severity is Severity.BLOCKING for loss in encoded.losses)


def test_results_are_paired_by_order_where_nothing_else_fits() -> None:
    calls = [{"functionCall": {"name": "a", "args": {"n": n}}} for n in range(2)]
    results = [{"functionResponse": {"name": name, "response": {"output": name}}} for name in ("x", "y")]
    document = {"contents": [USER, {"role": "model", "parts": calls}, {"role": "user", "parts": results}]}
    request = decode(document)
    called, answered = request.turns[1].parts, request.turns[2].parts
    assert [part.call_id for part in answered] == [part.id for part in called]  # type: ignore[union-attr]
    assert back(document) == document


def test_parallel_calls_in_contents_of_their_own_are_one_step() -> None:
    """As a streamed chat of google-genai sends them back: one content for each chunk, the last without a word."""
    calls = [{"functionCall": {"id": f"c{n}", "name": "w", "args": {}}} for n in range(2)]
    said = [*({"role": "model", "parts": [call]} for call in calls), {"role": "model", "parts": [{"text": ""}]}]
    results = [{"functionResponse": {"id": f"c{n}", "name": "w", "response": {"output": str(n)}}} for n in range(2)]
    document = {"contents": [USER, *said, {"role": "user", "parts": results}]}
    chat = convert(document, kind="request", source="gemini", target="openai-chat", model="m").document["messages"]
    assert [message["role"] for message in chat] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in chat[1]["tool_calls"]] == ["c0", "c1"]
    claude = convert(document, kind="request", source="gemini", target="anthropic", model="m").document["messages"]
    assert [len(message["content"]) for message in claude] == [1, 2, 2]
    assert back(document) == document
