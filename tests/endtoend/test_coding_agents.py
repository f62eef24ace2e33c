"""What coding agents send, in the middle of their work, through the translator to every upstream protocol.

The requests have what was seen on the wire of Codex 0.169, Claude Code 2.1 and Gemini CLI 0.61: ids that the agent made
up, nulls, tools of no other provider, system messages in the middle, a content for each chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver
from ds2api_asgi.translator import Translator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

MODELS = ("gpt-5.5", "claude-sonnet-5", "gemini-3.1-pro-preview")
PATCH = "*** Begin Patch"
Call = tuple[str, Any]


def app_of(speaks: str, asked: list[bytes]) -> Any:
    """A translator in front of an upstream of each protocol, which is the demo model behind another translator.

    Args:
        speaks: The upstream's protocol.
        asked: Gets what the upstream is asked.
    """
    demo = DemoModel(models=MODELS)
    upstream = demo if speaks == "openai-chat" else Translator(demo, speaks="openai-chat")

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        replay = await read_body(receive)
        asked.append(replay.body)
        await upstream(scope, replay, send)

    return Translator(listening, speaks=speaks)


def violations(speaks: str, body: bytes) -> list[str]:
    """What the upstream's provider would refuse the request for."""
    profile = import_module(f"ds2api_asgi.protocols.{speaks.replace('-', '_')}.profile")
    found: list[str] = profile.violations(json.loads(body))
    return found


# -- Codex

LARK = 'start: begin_patch hunk+ end_patch\nbegin_patch: "*** Begin Patch" LF\nend_patch: "*** End Patch" LF?\n'
COMMAND = {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}


def codex(text: str) -> tuple[str, Any, dict[str, str]]:
    def message(role: str, said: str) -> Any:
        kind = "output_text" if role == "assistant" else "input_text"
        return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}

    document = {
        "model": "gpt-5.5",
        "instructions": "You are Codex, a coding agent.",
        "input": [
            message("developer", "<permissions instructions>Sandbox: workspace-write.</permissions instructions>"),
            message("user", "<environment_context><cwd>/repo</cwd></environment_context>"),
            message("user", "Read the marker."),
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAAAB"},
            {"type": "function_call", "id": "fc_1", "name": "exec_command", "call_id": "call_1",
             "arguments": '{"cmd":"cat marker.txt"}'},
            {"type": "function_call_output", "id": "fco_019a", "call_id": "call_1", "output": "marker\n"},
            {"type": "custom_tool_call", "id": "ctc_1", "status": "completed", "call_id": "call_2",
             "name": "apply_patch", "input": f"{PATCH}\n*** Add File: out.txt\n+x\n*** End Patch\n"},
            {"type": "custom_tool_call_output", "id": "ctco_019b", "call_id": "call_2", "output": "Success."},
            {"type": "function_call", "id": "fc_2", "name": "spawn_agent", "namespace": "multi_agent",
             "call_id": "call_3", "arguments": '{"message":"look"}'},
            {"type": "function_call_output", "id": "fco_019c", "call_id": "call_3",
             "output": [{"type": "input_text", "text": "agent 1"}]},
            {**message("assistant", "Done so far."), "id": "msg_1", "phase": "final_answer"},
            message("user", text),
        ],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs a command.", "strict": False,
             "parameters": COMMAND},
            {"type": "custom", "name": "apply_patch", "description": "Edits files.",
             "format": {"type": "grammar", "syntax": "lark", "definition": LARK}},
            {"type": "web_search", "external_web_access": False},
            {"type": "tool_search", "execution": "client", "description": "Searches tools.",
             "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
            {"type": "namespace", "name": "multi_agent", "description": "Other agents.", "tools": [
                {"type": "function", "name": "spawn_agent", "description": "Spawns an agent.", "strict": False,
                 "parameters": {"type": "object", "properties": {"message": {"type": "string"}},
                                "required": ["message"]}}]},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a-thread",
        "client_metadata": {"x-codex-installation-id": "i"},
        "text": {"verbosity": "low"},
    }  # fmt: skip
    return "/v1/responses", document, {"authorization": "Bearer k", "session-id": "s", "originator": "codex_exec"}


def codex_calls(events: list[Any]) -> list[Call]:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == items
    calls: list[Call] = []
    for item in items:
        if item["type"] == "custom_tool_call":
            calls.append((item["name"], item["input"]))
        elif item["type"] == "function_call":
            calls.append((".".join(filter(None, (item.get("namespace"), item["name"]))), json.loads(item["arguments"])))
    return calls


# -- Claude Code


def claude_code(text: str) -> tuple[str, Any, dict[str, str]]:
    cached = {"cache_control": {"type": "ephemeral"}}
    document = {
        "model": "claude-sonnet-5",
        "max_tokens": 64000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330"},
            {"type": "text", "text": "You are Claude Code.", **cached},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>r</system-reminder>"},
                                         {"type": "text", "text": "Read the marker.", **cached}]},
            {"role": "system", "content": "Available agent types: general-purpose."},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": "EqQB"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "cat marker.txt"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "ls"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "marker", "is_error": False},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "a b"}]}]},
            {"role": "system", "content": [{"type": "text", "text": "The user changed a file."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Done so far."}]},
            {"role": "user", "content": [{"type": "text", "text": text, **cached}]},
        ],
        "tools": [
            {"name": "Bash", "description": "Runs a command.", "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
                "required": ["command"], "additionalProperties": False}},
            {"name": "DeferredToolPlaceholder", "description": "None.", "defer_loading": True,
             "input_schema": {"type": "object", "properties": {}}},
        ],
        "thinking": {"type": "adaptive", "display": "updates"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": '{"device_id":"d","session_id":"s"}'},
    }  # fmt: skip
    betas = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24"
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01", "anthropic-beta": betas}
    return "/v1/messages?beta=true", document, headers


def claude_code_calls(events: list[Any]) -> list[Call]:
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    names = {e["index"]: e["content_block"]["name"] for e in events
             if e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use"}  # fmt: skip
    pieces = dict.fromkeys(names, "")
    for event in events:
        if event["type"] == "content_block_delta" and event["index"] in names:
            pieces[event["index"]] += event["delta"]["partial_json"]
    assert events[-2]["delta"]["stop_reason"] == ("tool_use" if names else "end_turn")
    return [(name, json.loads(pieces[index])) for index, name in names.items()]


# -- Gemini CLI


def gemini_cli(text: str) -> tuple[str, Any, dict[str, str]]:
    def call(command: str, **more: Any) -> Any:
        args = {"command": command, "description": "d"}
        return {"role": "model", "parts": [{"functionCall": {"name": "run_shell_command", "args": args}, **more}]}

    def answer(id_: str, output: str) -> Any:
        return {"functionResponse": {"id": id_, "name": "run_shell_command", "response": {"output": output}}}

    document = {
        "contents": [
            {"role": "user", "parts": [{"text": "<session_context>/repo</session_context>"}]},
            {"role": "user", "parts": [{"text": "Read the marker."}]},
            {"role": "model", "parts": [{"text": "I look ", "thought": True}]},
            {"role": "model", "parts": [{"text": "I "}]},
            {"role": "model", "parts": [{"text": "look."}]},
            call("cat marker.txt", thoughtSignature="c2ln"),
            call("ls"),
            {"role": "user", "parts": [answer("run_shell_command_1764_0", "marker"),
                                       answer("run_shell_command_1764_1", "a b")]},
            {"role": "model", "parts": [{"text": "Done so far."}]},
            {"role": "user", "parts": [{"text": text}]},
        ],
        "systemInstruction": {"role": "user", "parts": [{"text": "You are Gemini CLI."}]},
        "tools": [{"functionDeclarations": [
            {"name": "run_shell_command", "description": "Runs a command.", "parametersJsonSchema": {
                "type": "object", "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
                "required": ["command"]}},
            {"name": "read_file", "description": "Reads.", "parametersJsonSchema": {
                "type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}},
        ]}],
        "generationConfig": {"temperature": 1, "topP": 0.95, "topK": 64,
                             "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"}},
    }  # fmt: skip
    path = "/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse"
    return path, document, {"x-goog-api-key": "k", "x-goog-api-client": "google-genai-sdk/1.30.0"}


def gemini_cli_calls(events: list[Any]) -> list[Call]:
    candidates = [candidate for event in events for candidate in event["candidates"]]
    assert [candidate["finishReason"] for candidate in candidates if "finishReason" in candidate] == ["STOP"]
    parts = [part for candidate in candidates for part in candidate["content"]["parts"]]
    found = [part["functionCall"] for part in parts if "functionCall" in part]
    return [(call["name"], call["args"]) for call in found]


Asks = Callable[[str], tuple[str, Any, dict[str, str]]]
Reads = Callable[[list[Any]], list[Call]]
CASES: list[tuple[Asks, Reads, str, list[Call]]] = [
    (codex, codex_calls, "Use exec_command with `seq 42`.", [("exec_command", {"cmd": "seq 42"})]),
    (codex, codex_calls, f"Use apply_patch with `{PATCH}`.", [("apply_patch", PATCH)]),
    (
        codex,
        codex_calls,
        "Use multi_agent__spawn_agent with `look`.",
        [("multi_agent.spawn_agent", {"message": "look"})],
    ),
    (codex, codex_calls, "Good, thanks.", []),
    (claude_code, claude_code_calls, "Use Bash with `seq 42`.", [("Bash", {"command": "seq 42"})]),
    (claude_code, claude_code_calls, "Good, thanks.", []),
    (
        gemini_cli,
        gemini_cli_calls,
        "Use run_shell_command with `seq 42`.",
        [("run_shell_command", {"command": "seq 42"})],
    ),
    (gemini_cli, gemini_cli_calls, "Good, thanks.", []),
]


@pytest.mark.parametrize("speaks", registry.names())
@pytest.mark.parametrize(("asks", "reads", "text", "calls"), CASES)
async def test_an_agent_gets_its_call_from_every_upstream(
    asks: Asks, reads: Reads, text: str, calls: list[Call], speaks: str
) -> None:
    path, document, headers = asks(text)
    asked: list[bytes] = []
    answer = await Driver(app_of(speaks, asked)).request(
        "POST", path, json=document, headers=[(name.encode(), value.encode()) for name, value in headers.items()]
    )
    assert answer.status == 200, answer.body
    assert answer.complete
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    parser = SseParser()
    events = [json.loads(event.data) for event in parser.feed(answer.body) + parser.close()]
    assert len(events) > 2
    assert reads(events) == calls
    if registry.get(speaks).claim("POST", path.partition("?")[0], []) is None:  # its own protocol passes untouched
        assert [violations(speaks, body) for body in asked] == [[]]
        assert all(word in asked[0] for word in (b"cat marker.txt", b"Read the marker.", text.encode()[:3]))
