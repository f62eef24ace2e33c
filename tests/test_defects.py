"""Inputs on which others fail: each case does what its ``expect`` says, by the code and not by luck.

Every case file must have a check, or a reason why its protocols are not here; a case without one fails.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from ds2api_asgi import Converted, convert
from ds2api_asgi.framing.sse import SseParser, write_event
from ds2api_asgi.protocols import registry
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.diff import diff, patch
from ds2api_asgi.universal.events import Delta
from ds2api_asgi.universal.loss import Severity
from shared import SHARED, defects, needs_shared

OPENAI_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

NAMES = {
    "openai_chat": "openai-chat",
    "anthropic": "anthropic",
    "google": "gemini",
    "openai_responses": "openai-responses",
}
CASES = {case["id"]: case for case in defects(*NAMES)}

Check = Callable[[Any, Converted, dict[str, Any]], None]
CHECKS: dict[str, Check] = {}


def check(*ids: str) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        for name in ids:
            CHECKS[name] = function
        return function

    return register


def _stream_bytes(case: dict[str, Any]) -> bytes:
    out = b""
    for event in case["input"]:
        if isinstance(event, str):
            out += write_event(event.encode())
        else:
            name = event.get("type", "").encode() if case["upstream"] != "openai_chat" else b""
            out += write_event(json.dumps(event).encode(), name)
    return out


def _run(case: dict[str, Any]) -> tuple[Any, Converted]:
    client, upstream = NAMES[case["client"]], NAMES[case["upstream"]]
    if case["kind"] == "request":
        got = convert(json.dumps(case["input"]), kind="request", source=client, target=upstream, model="m")
    elif case["kind"] == "response":
        got = convert(json.dumps(case["input"]), kind="response", source=upstream, target=client)
    else:
        got = convert(_stream_bytes(case), kind="stream", source=upstream, target=client)
        parser = SseParser()
        events = parser.feed(got.body) + parser.close()
        return [json.loads(e.data) if e.data != b"[DONE]" else "[DONE]" for e in events], got
    return json.loads(got.body), got


def _back(case: dict[str, Any], got: Converted) -> Any:
    """The request that comes back from the upstream's protocol, with its residue put back."""
    client, upstream = registry.get(NAMES[case["client"]]), registry.get(NAMES[case["upstream"]])
    request = client.decode_request(client.parse(json.dumps(case["input"]).encode()))
    if request.model is UNSET:  # the path names it
        request = replace(request, model="m")
    detour = upstream.decode_request(upstream.parse(got.body))
    restored = patch(detour, diff(request, detour))
    return jsontext.loads(jsontext.dumps(client.encode_request(restored).document))


def _paths(got: Converted) -> set[str]:
    return {loss.path for loss in got.losses}


@needs_shared
@pytest.mark.parametrize("name", sorted(CASES))
def test_the_case_does_what_it_expects(name: str) -> None:
    case = CASES[name]
    document, got = _run(case)
    CHECKS[name](document, got, case)
    if case["kind"] == "request":
        assert _back(case, got) == case["input"]


BYTES = frozenset({"D91"})
"""Cases of framing, which have no client and no upstream; a test of their own each, below."""

ELSEWHERE: dict[str, str] = {}
"""Cases that concern only protocols that are not here (of Bedrock or Cohere, say), with the reason; none so far."""


@needs_shared
def test_every_case_file_has_a_check() -> None:
    assert SHARED is not None
    found = [json.loads(path.read_text()) for path in (SHARED / "defects").glob("*.json")]
    names = {case["id"] for case in found}
    assert len(names) == len(found) >= 65
    assert names == {*CHECKS, *BYTES, *ELSEWHERE}
    assert CASES.keys() == CHECKS.keys()


@needs_shared
def test_text_with_line_separators_is_delivered() -> None:
    decoder = registry.get("openai-chat").stream_decoder()
    raw = "data: " + '{"choices":[{"index":0,"delta":{"content":"a\u2028b\u0085c"}}]}' + "\n\n"
    events = decoder.feed(raw.encode())
    assert [event.text for event in events if isinstance(event, Delta)] == ["a\u2028b\u0085c"]


@check("D05")
def _late_system(document: Any, got: Converted, case: Any) -> None:
    assert [message["role"] for message in document["messages"]] == ["system", "user", "assistant", "user", "system"]
    assert document["messages"][-1]["content"] == "op note"


@check("D06")
def _format(document: Any, got: Converted, case: Any) -> None:
    assert document["response_format"]["type"] == "json_schema"
    assert document["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert document["response_format"]["json_schema"]["name"]
    assert "strict" not in document["response_format"]["json_schema"]


@check("D09")
def _boundaries(document: Any, got: Converted, case: Any) -> None:
    content = document["messages"][1]["content"]
    assert [part["text"] for part in content] == ["c", "d"]


@check("D10")
def _effort(document: Any, got: Converted, case: Any) -> None:
    assert document["reasoning_effort"] == "max"


@check("D15")
def _trailing(document: Any, got: Converted, case: Any) -> None:
    assistant = document["messages"][1]
    assert assistant["tool_calls"][0]["id"] == "t1"
    text = assistant["content"]
    assert (text if isinstance(text, str) else text[0]["text"]) == "trailing"
    assert any(path.startswith("turns[1]") for path in _paths(got))


@check("D16")
def _raw_arguments(document: Any, got: Converted, case: Any) -> None:
    assert b'{ "n": 12345678901234567890, "f": 1.0 }' in got.body


@check("D17")
def _invalid_arguments(document: Any, got: Converted, case: Any) -> None:
    assert document["messages"][1]["content"][0]["input"] == {"_ds2_raw": '{"c": "unterminated'}
    assert any("arguments" in path for path in _paths(got))
    home = convert(got.body, kind="request", source="anthropic", target="openai-chat")
    call = json.loads(home.body)["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == '{"c": "unterminated'


@check("D18")
def _empty(document: Any, got: Converted, case: Any) -> None:
    blocks = document["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["tool_use"]
    assert blocks[0]["input"] == {}


@check("D19")
def _system_after_turns(document: Any, got: Converted, case: Any) -> None:
    assert "S2" in json.dumps(document["messages"])
    assert "S1" in json.dumps(document["system"])
    roles = [message["role"] for message in document["messages"]]
    at = roles.index("system")
    assert roles[at - 1] != "assistant"
    assert roles[at + 1 : at + 2] != ["user"]
    assert any(path.startswith("turns[3]") for path in _paths(got))


@check("D20")
def _sampling(document: Any, got: Converted, case: Any) -> None:
    lost = {"candidates", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "logprobs", "temperature"}
    assert lost <= _paths(got)
    assert document.get("temperature", 0) <= 1
    assert document["stop_sequences"] == ["X"]


@check("D21")
def _tool_parts(document: Any, got: Converted, case: Any) -> None:
    result = document["messages"][2]["content"][0]
    assert document["messages"][2]["role"] == "user"
    assert [block["text"] for block in result["content"]] == ["p1", "p2"]


@check("D22")
def _refusal_part(document: Any, got: Converted, case: Any) -> None:
    assert [message["role"] for message in document["messages"]] == ["user", "assistant", "user"]
    assert "no" in json.dumps(document["messages"][1])
    assert any(path.startswith("turns[1]") for path in _paths(got))


@check("D23")
def _response_format(document: Any, got: Converted, case: Any) -> None:
    found = document["output_config"]["format"]
    assert found["type"] == "json_schema"
    assert found["schema"] == {"type": "object", "properties": {}, "additionalProperties": False}


@check("D26")
def _file_and_audio(document: Any, got: Converted, case: Any) -> None:
    assert [block["type"] for block in document["messages"][0]["content"]] == ["text"]
    assert {"turns[0].parts[0]", "turns[0].parts[1]"} <= {path[:17] for path in _paths(got)}
    assert any(loss.severity is Severity.BLOCKING for loss in got.losses)


@check("D28")
def _legacy(document: Any, got: Converted, case: Any) -> None:
    call, result = document["messages"][1]["content"][0], document["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"]
    assert document["tools"][0]["name"] == "w"
    assert document["tool_choice"]["name"] == "w"


@check("D54")
def _usage(document: Any, got: Converted, case: Any) -> None:
    usage = document["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (
        50,
        900,
        50,
    )
    assert usage["output_tokens"] == 50


@check("D55")
def _pause(document: Any, got: Converted, case: Any) -> None:
    assert document["choices"][0]["finish_reason"] != "stop" or any(
        "stop" in loss.path and loss.severity in (Severity.SEMANTIC, Severity.BLOCKING) for loss in got.losses
    )


@check("D56")
def _context(document: Any, got: Converted, case: Any) -> None:
    assert document["choices"][0]["finish_reason"] == "length"


@check("D58")
def _server_tools(document: Any, got: Converted, case: Any) -> None:
    message = document["choices"][0]["message"]
    assert not message.get("tool_calls")
    assert document["choices"][0]["finish_reason"] == "stop"
    text = message["content"]
    assert text == "I cited"
    note = message["annotations"][0]
    assert note["type"] == "url_citation"
    cited = note["url_citation"]
    assert (cited["url"], cited["title"]) == ("https://r", "t")
    assert text[cited["start_index"] : cited["end_index"]] == "cited"


@check("D60")
def _truncated(document: Any, got: Converted, case: Any) -> None:
    assert document["stop_reason"] == "max_tokens"
    assert document["content"][0]["input"] == {"_ds2_raw": '{"a": '}
    assert got.losses


@check("D61")
def _choices(document: Any, got: Converted, case: Any) -> None:
    assert [block["text"] for block in document["content"]] == ["A"]
    assert any(path.startswith("candidates[1]") for path in _paths(got))


@check("D62")
def _filter(document: Any, got: Converted, case: Any) -> None:
    assert document["stop_reason"] == "refusal"


@check("D63")
def _thinking(document: Any, got: Converted, case: Any) -> None:
    thinking = document["content"][0]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "rc")
    assert isinstance(thinking["signature"], str)
    assert [block["type"] for block in document["content"]] == ["thinking", "tool_use"]


def _calls(document: Any) -> dict[int, dict[str, str]]:
    calls: dict[int, dict[str, str]] = {}
    for chunk in document:
        if chunk == "[DONE]":
            continue
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls") or ():
                found = calls.setdefault(call["index"], {"name": "", "arguments": ""})
                found["name"] += call["function"].get("name") or ""
                found["arguments"] += call["function"].get("arguments") or ""
    return calls


@check("D72")
def _no_deltas(document: Any, got: Converted, case: Any) -> None:
    assert [call["arguments"] for call in _calls(document).values()] == ["{}"]
    assert list(_calls(document)) == [0]
    assert document[-1] == "[DONE]"


@check("D73")
def _error_event(document: Any, got: Converted, case: Any) -> None:
    assert "[DONE]" not in document
    assert document[-1]["error"]["message"] == "Overloaded"


@check("D75")
def _nonempty_start(document: Any, got: Converted, case: Any) -> None:
    chunks = [chunk for chunk in document if chunk != "[DONE]"]
    text = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    assert text == "Hello"


def _blocks(document: Any) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for event in document:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            blocks[event["index"]]["json"] += delta.get("partial_json", "")
            blocks[event["index"]]["text"] = blocks[event["index"]].get("text", "") + delta.get("text", "")
    return blocks


@check("D77")
def _two_calls(document: Any, got: Converted, case: Any) -> None:
    found = [(block["id"], block["name"], json.loads(block["json"] or "{}")) for block in _blocks(document)]
    assert found == [("c1", "a", {"x": 1}), ("c2", "b", {})]
    assert document[-1]["type"] == "message_stop"


@check("D78")
def _error_chunk(document: Any, got: Converted, case: Any) -> None:
    assert document[-1]["type"] == "error"
    assert document[-1]["error"]["message"] == "boom"


@check("D79")
def _cut(document: Any, got: Converted, case: Any) -> None:
    assert document[-1]["type"] == "error"
    assert not any(event["type"] in ("message_stop", "message_delta") for event in document)


@check("D81")
def _refusal(document: Any, got: Converted, case: Any) -> None:
    assert "".join(block["text"] for block in _blocks(document)) == "I cannot"


@check("D82")
def _repeated_id(document: Any, got: Converted, case: Any) -> None:
    assert [json.loads(block["json"]) for block in _blocks(document)] == [{"x": 1}]


@check("D94")
def _none(document: Any, got: Converted, case: Any) -> None:
    assert document["tool_choice"] == "none"


@check("D95")
def _both(document: Any, got: Converted, case: Any) -> None:
    assert (document["temperature"], document["top_p"]) == (1, 0.5)


@check("D98")
def _tool_index(document: Any, got: Converted, case: Any) -> None:
    message = document["choices"][0]["message"]
    assert message["tool_calls"][0].get("index", 0) == 0
    details = message["reasoning_details"]
    assert [detail["type"] for detail in details[:2]] == ["reasoning.text", "reasoning.encrypted"]
    assert all(detail.get("signature", detail.get("data")).startswith("ds2.1.anthropic~") for detail in details)
    # The client echoes the message; the payloads reach their minter again.
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}, message, {"role": "tool", "tool_call_id": "t1", "content": "r"}],
    }
    again = json.loads(convert(json.dumps(request), kind="request", source="openai-chat", target="anthropic").body)
    blocks = again["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert (blocks[0]["signature"], blocks[1]["data"]) == ("SIG", "RD")


@check("D30")
def _schema(document: Any, got: Converted, case: Any) -> None:
    declared = document["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"] == case["input"]["tools"][0]["function"]["parameters"]
    assert "parameters" not in declared
    assert got.losses == ()


@check("D31")
def _swapped_results(document: Any, got: Converted, case: Any) -> None:
    assert [content["role"] for content in document["contents"]] == ["user", "model", "user"]
    results = [part["functionResponse"] for part in document["contents"][2]["parts"]]
    assert {result["id"]: result["response"] for result in results} == {
        "c1": {"output": "[1,2]"},
        "c2": {"output": "r2"},
    }
    home = json.loads(convert(got.body, kind="request", source="gemini", target="openai-chat", model="m").body)
    said = {m["tool_call_id"]: m["content"] for m in home["messages"] if m["role"] == "tool"}
    assert said == {"c1": "[1,2]", "c2": "r2"}


@check("D32")
def _remote_image(document: Any, got: Converted, case: Any) -> None:
    file = document["contents"][0]["parts"][0]["fileData"]
    assert file["fileUri"] == "https://e.example/x"
    assert file["mimeType"].startswith("image/")
    assert "turns[0].parts[0].mime" in _paths(got)


@check("D33")
def _one_function(document: Any, got: Converted, case: Any) -> None:
    config = document["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["w"]}
    assert "parallel_tools" in _paths(got)


@check("D34")
def _late_system_hoisted(document: Any, got: Converted, case: Any) -> None:
    assert [part["text"] for part in document["systemInstruction"]["parts"]] == ["S1", "S2"]
    assert [content["role"] for content in document["contents"]] == ["user", "model", "user"]
    assert any(loss.path == "turns[3]" and loss.severity is Severity.SEMANTIC for loss in got.losses)


@check("D36")
def _calls_without_ids(document: Any, got: Converted, case: Any) -> None:
    calls = document["messages"][1]["tool_calls"]
    ids = [call["id"] for call in calls]
    assert len(set(ids)) == 2
    answers = [(m["tool_call_id"], json.loads(m["content"])) for m in document["messages"][2:]]
    assert answers == [(ids[0], {"r": 1}), (ids[1], {"r": 2})]
    again, _ = _run(case)
    assert again == document


@check("D37")
def _signatures(document: Any, got: Converted, case: Any) -> None:
    assert b"U1Q=" not in got.body
    assert b"U0M=" not in got.body
    assert {"turns[1].parts[0].opaque[0]", "turns[1].parts[1].opaque[0]"} <= _paths(got)
    assert document["messages"][1]["tool_calls"][0]["id"] == "x1"
    assert document["messages"][2] == {"role": "tool", "tool_call_id": "x1", "content": '{"r":1}'}


@check("D38")
def _code(document: Any, got: Converted, case: Any) -> None:
    assert {"turns[1].parts[0]", "turns[1].parts[1]"} <= _paths(got)
    assert document["messages"][1] == {"role": "assistant", "content": "done"}


@check("D39")
def _older_schema(document: Any, got: Converted, case: Any) -> None:
    schema = document["response_format"]["json_schema"]["schema"]
    assert schema["type"] == "object"
    assert schema["properties"]["a"]["type"] == ["string", "null"]
    assert "nullable" not in schema["properties"]["a"]
    assert schema["properties"]["n"] == {"type": "integer", "minimum": 0}
    assert schema["required"] == ["n"]


@check("D41")
def _no_role(document: Any, got: Converted, case: Any) -> None:
    assert [message["role"] for message in document["messages"]] == ["user", "assistant", "tool"]
    assert document["messages"][2]["tool_call_id"] == document["messages"][1]["tool_calls"][0]["id"]
    assert document["messages"][2]["content"] == "r"


@check("D64")
def _stop_beside_calls(document: Any, got: Converted, case: Any) -> None:
    assert document["choices"][0]["finish_reason"] == "tool_calls"
    calls = document["choices"][0]["message"]["tool_calls"]
    assert len({call["id"] for call in calls}) == 2
    assert all(len(call["id"]) <= 40 for call in calls)
    usage = document["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 12)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7


@check("D65")
def _malformed(document: Any, got: Converted, case: Any) -> None:
    assert document["stop_reason"] == "refusal"
    assert any("stop" in loss.path and loss.severity is Severity.SEMANTIC for loss in got.losses)


@check("D67")
def _grounding(document: Any, got: Converted, case: Any) -> None:
    message = document["choices"][0]["message"]
    cited = message["annotations"][0]["url_citation"]
    assert (cited["url"], cited["start_index"], cited["end_index"]) == ("https://r", 6, 7)
    assert message["content"][cited["start_index"] : cited["end_index"]] == "x"


@check("D71")
def _to_a_gemini_client(document: Any, got: Converted, case: Any) -> None:
    thought, text, call = document["candidates"][0]["content"]["parts"]
    assert (thought["text"], thought["thought"], text["text"]) == ("th", True, "a")
    assert call["functionCall"] == {"id": "toolu_9", "name": "w", "args": {"a": 1}}
    # A signature of another provider is never one of ours: it goes in an envelope that says whose it is.
    assert base64.b64decode(thought["thoughtSignature"]).startswith(b"ds2.1.anthropic~")


@check("D83")
def _cumulative(document: Any, got: Converted, case: Any) -> None:
    chunks = [chunk for chunk in document if chunk != "[DONE]"]
    (usage,) = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 8, 18)
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]] == ["tool_calls"]
    assert [json.loads(call["arguments"]) for call in _calls(document).values()] == [{"a": 1}, {"a": 2}]


@check("D84")
def _signature_at_the_end(document: Any, got: Converted, case: Any) -> None:
    assert [block["text"] for block in _blocks(document) if block["type"] == "text"] == ["hi"]
    assert document[-1]["type"] == "message_stop"
    (sealed,) = [block["data"] for block in _blocks(document) if block["type"] == "redacted_thinking"]
    assert sealed.startswith("ds2.1.gemini~")


@check("D96")
def _text_before_calls(document: Any, got: Converted, case: Any) -> None:
    said = document["contents"][1]["parts"]
    assert [next(iter(part)) for part in said] == ["text", "functionCall"]
    assert said[1]["functionCall"]["id"] == "c1"


@check("D44")
def _encrypted(document: Any, got: Converted, case: Any) -> None:
    _, assistant, result = document["messages"]
    assert assistant["reasoning_content"] == "s1s2"
    assert (assistant["tool_calls"][0]["id"], result["tool_call_id"]) == ("call_1", "call_1")
    assert "ENC" not in json.dumps(document)
    assert document["tools"][0]["function"]["strict"] is True
    assert {"turns[1].parts[0].opaque[0]", "turns[1].id"} <= _paths(got)


@check("D46")
def _reference(document: Any, got: Converted, case: Any) -> None:
    refused = [loss for loss in got.losses if loss.severity is Severity.BLOCKING]
    assert [loss.path for loss in refused] == ["turns[0].parts[0]"]
    assert "item_reference" in refused[0].reason
    assert document["messages"] == [{"role": "user", "content": "q"}]


@check("D47")
def _item_order(document: Any, got: Converted, case: Any) -> None:
    _, assistant, results = document["messages"]
    assert [block["type"] for block in assistant["content"]] == ["text", "tool_use", "text"]
    assert [block.get("text") for block in assistant["content"]] == ["let me look", None, "tail"]
    assert results["content"][0]["tool_use_id"] == assistant["content"][1]["id"] == "call_1"
    assert {"turns[1].phase", "turns[3].phase"} <= _paths(got)


@check("D48")
def _custom(document: Any, got: Converted, case: Any) -> None:
    assert document["messages"][1]["content"][0]["input"] == {"input": "raw"}
    assert document["tools"][0]["name"] == "c"
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        "content": [{"type": "tool_use", "id": "t1", "name": "c", "input": {"input": "xx"}}],
    }  # fmt: skip
    back = convert(answer, kind="response", source="anthropic", target="openai-responses", context=got.context)
    (item,) = json.loads(back.body)["output"]
    assert (item["type"], item["call_id"], item["name"], item["input"]) == ("custom_tool_call", "t1", "c", "xx")


@check("D49")
def _developer(document: Any, got: Converted, case: Any) -> None:
    assert [block["text"] for block in document["system"]] == ["I", "D"]
    assert document["messages"] == [{"role": "user", "content": "q"}]


@check("D50")
def _text_format(document: Any, got: Converted, case: Any) -> None:
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert document["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert (document["verbosity"], document["reasoning_effort"]) == ("low", "xhigh")
    assert "reasoning" not in document


@check("D52")
def _file_url(document: Any, got: Converted, case: Any) -> None:
    (block,) = document["messages"][0]["content"]
    assert (block["type"], block["source"]) == ("document", {"type": "url", "url": "https://e/a.pdf"})
    assert [loss.path for loss in got.losses if loss.severity is Severity.BLOCKING] == ["turns[0].parts[1]"]


@check("D68")
def _items(document: Any, got: Converted, case: Any) -> None:
    (choice,) = document["choices"]
    assert choice["message"]["content"] == "AB"
    assert choice["finish_reason"] == "tool_calls"
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["call_1"]
    # The client echoes the message; the payload reaches its minter again.
    messages = [
        {"role": "user", "content": "q"},
        choice["message"],
        {"role": "tool", "tool_call_id": "call_1", "content": "r"},
    ]
    request = json.dumps({"model": "m", "messages": messages})
    again = json.loads(convert(request, kind="request", source="openai-chat", target="openai-responses").body)
    assert [item.get("encrypted_content") for item in again["input"] if item.get("type") == "reasoning"] == ["ENC"]


@check("D70")
def _call_id(document: Any, got: Converted, case: Any) -> None:
    # What carries ids of items for the way back is a thought that nobody sees.
    assert [block["type"] for block in document["content"]] == ["thinking", "tool_use", "redacted_thinking"]
    assert document["content"][1]["id"] == "call_1"
    assert document["stop_reason"] == "tool_use"
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": document["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "r"}]},
    ]
    request = json.dumps({"model": "m", "max_tokens": 9, "messages": messages})
    again = json.loads(convert(request, kind="request", source="anthropic", target="openai-responses").body)
    _, thought, call, result = again["input"]
    assert (thought["encrypted_content"], thought["summary"][0]["text"]) == ("ENC", "s1")
    assert (call["call_id"], result["call_id"]) == ("call_1", "call_1")


@check("D86")
def _to_chat(document: Any, got: Converted, case: Any) -> None:
    choices = [choice for chunk in document if chunk != "[DONE]" for choice in chunk["choices"]]
    assert {choice["index"] for choice in choices} == {0}
    assert list(_calls(document).items()) == [(0, {"name": "w", "arguments": '{"a":1}'})]
    opened = next(choice["delta"]["tool_calls"] for choice in choices if "tool_calls" in choice["delta"])
    assert opened[0]["id"] == "call_1"
    assert "".join(choice["delta"].get("reasoning_content") or "" for choice in choices) == "s1s2"
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert document[-1] == "[DONE]"


@check("D87")
def _to_anthropic(document: Any, got: Converted, case: Any) -> None:
    open_at = None
    for event in document:
        if event["type"] == "content_block_start":
            assert open_at is None
            open_at = event["index"]
        elif event["type"] == "content_block_stop":
            assert open_at == event["index"]
            open_at = None
    blocks = _blocks(document)
    seen = [block for block in blocks if block["type"] != "redacted_thinking"]  # which carry ids for the way back
    assert [block["type"] for block in seen] == ["thinking", "thinking", "text", "tool_use"]
    assert (seen[3]["id"], json.loads(seen[3]["json"])) == ("call_1", {"a": 1})
    signatures = [event["delta"]["signature"] for event in document if event.get("delta", {}).get("signature")]
    assert all(signature.startswith("ds2.1.openai-responses~") for signature in signatures)
    assert signatures
    assert document[-1]["type"] == "message_stop"


@check("D88")
def _failed(document: Any, got: Converted, case: Any) -> None:
    assert document[-1]["type"] == "error"
    assert document[-1]["error"]["message"] == "boom"
    assert not any(event["type"] in ("message_stop", "message_delta") for event in document)


@check("D89")
def _from_anthropic(document: Any, got: Converted, case: Any) -> None:
    assert [event["sequence_number"] for event in document] == list(range(len(document)))
    for event in document:
        OPENAI_EVENTS.validate_python(event)
    done = [(event["type"], event.get("output_index"), event.get("content_index")) for event in document
            if event["type"].endswith(".done")]  # fmt: skip
    assert len(set(done)) == len(done)
    items = [event["item"] for event in document if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "reasoning", "message", "function_call"]
    assert all(item["encrypted_content"].startswith("ds2.1.anthropic~") for item in items[:2])
    assert items[3]["arguments"] == "{}"
    assert document[-1]["response"]["output"] == items
    # The client sends the items back; the payloads reach their minter again.
    request = json.dumps({"model": "m", "input": [{"role": "user", "content": "q"}, *items,
        {"type": "function_call_output", "call_id": "toolu_1", "output": "r"}]})  # fmt: skip
    again = json.loads(convert(request, kind="request", source="openai-responses", target="anthropic").body)
    blocks = again["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert (blocks[0]["signature"], blocks[1]["data"]) == ("SIG", "RD")
