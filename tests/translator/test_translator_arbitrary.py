"""Whatever bytes a client or an app sends, the client gets an answer or error of its protocol and nothing else."""

from __future__ import annotations

import json
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from dialogues import (
    CONTENT,
    HEADERS,
    PATHS,
    answer_in,
    anthropic_request,
    ended_well,
    error_of,
    events_of,
    frames_in,
    is_error,
    openai_request,
    request_in,
)
from ds2api_asgi.testing import EVENT_STREAM, Driver, ScriptedUpstream, Start, json_script
from ds2api_asgi.translator import Translator

NAMES = ("anthropic", "openai-chat", "openai-responses")
PAIRS = st.sampled_from([(client, speaks) for client in NAMES for speaks in NAMES if client != speaks])
JSON = ((b"content-type", b"application/json"),)

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_NAMES = (
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "tools",
    "name",
    "input",
    "input_schema",
    "function",
    "arguments",
    "tool_calls",
    "id",
    "tool_use_id",
    "system",
    "stream",
    "max_tokens",
    "choices",
    "delta",
    "index",
    "finish_reason",
    "error",
    "message",
    "usage",
    "source",
    "input",
    "output",
    "response",
    "item",
    "call_id",
    "arguments",
    "summary",
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
_TYPES = ("text", "tool_use", "tool_result", "image", "thinking", "function", "user", "assistant", "tool", "system")


@st.composite
def _broken(draw: st.DrawFn, whole: dict[str, Any]) -> bytes:
    """A document with one value anywhere replaced by another, or removed."""
    document = json.loads(json.dumps(whole))
    node, places = document, []
    while isinstance(node, (dict, list)) and node:
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        places.append((node, key))
        node = node[key]
        if draw(st.booleans()):
            break
    parent, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        parent[key] = draw(_values | st.sampled_from(_TYPES))
    else:
        del parent[key]
    return json.dumps(document).encode()


_RICH_ANTHROPIC = anthropic_request(
    system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    messages=[
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]},
    ],
    tools=[{"name": "f", "input_schema": {"type": "object"}}],
    tool_choice={"type": "auto"},
    thinking={"type": "enabled", "budget_tokens": 1024},
)
_RICH_OPENAI = openai_request(
    messages=[
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ],
    tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    response_format={"type": "json_object"},
    stop=["x"],
)
_RICH_RESPONSES = request_in(
    "openai-responses",
    stream=False,
    instructions="be kind",
    input=[
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "s"}],
            "encrypted_content": "E",
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    ],
    tools=[
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g", "parameters": {}}]},
    ],
    tool_choice={"type": "function", "name": "f"},
    text={"format": {"type": "text"}},
    reasoning={"effort": "low"},
)
_BODIES = {
    client: st.binary(max_size=60) | _values.map(lambda value: json.dumps(value).encode()) | _broken(whole)
    for client, whole in (
        ("anthropic", _RICH_ANTHROPIC),
        ("openai-chat", _RICH_OPENAI),
        ("openai-responses", _RICH_RESPONSES),
    )
}


def _run(client: str, speaks: str, app: Any, body: bytes) -> Any:
    async def ask() -> Any:
        driver = Driver(Translator(app, speaks=speaks, on_loss="allow"), headers=HEADERS[client])
        return await driver.request("POST", PATHS[client], body=body)

    return anyio.run(ask)


@given(st.data(), PAIRS)
def test_any_request_is_answered_or_refused_in_the_clients_protocol(data: st.DataObject, pair: tuple[str, str]) -> None:
    client, speaks = pair
    upstream = ScriptedUpstream([json_script(answer_in(speaks))])
    answer = _run(client, speaks, upstream, data.draw(_BODIES[client]))
    assert answer.complete
    if answer.status == 200:
        (asked,) = upstream.requests
        assert isinstance(asked.json(), dict)
    else:
        assert answer.status == 400
        assert not upstream.requests
        assert error_of(client, answer.json())["type"] == "invalid_request_error"


@st.composite
def _answers(draw: st.DrawFn, speaks: str) -> bytes:
    return draw(
        st.binary(max_size=60) | _values.map(lambda value: json.dumps(value).encode()) | _broken(answer_in(speaks))
    )


@given(st.data(), PAIRS, st.booleans(), st.integers(200, 599))
def test_any_whole_answer_becomes_one_of_the_clients_protocol(
    data: st.DataObject, pair: tuple[str, str], stream: bool, status: int
) -> None:
    client, speaks = pair
    script = [Start(status, JSON), data.draw(_answers(speaks))]
    answer = _run(client, speaks, ScriptedUpstream([script]), _request(client, stream=stream))
    _is_an_answer_or_error(client, answer, stream=stream)
    assert answer.status == 200 or answer.status >= 400
    if status >= 300:
        assert answer.status >= 400


@given(st.data(), PAIRS, st.booleans())
def test_any_stream_becomes_an_answer_of_the_clients_protocol(
    data: st.DataObject, pair: tuple[str, str], stream: bool
) -> None:
    client, speaks = pair
    frames = frames_in(speaks, "Hi", " there")
    index = data.draw(st.integers(0, len(frames) - 1))
    garbage = data.draw(st.binary(max_size=40) | _broken_frame(frames[index]))
    changed = [*frames[:index], garbage, *frames[index + data.draw(st.integers(0, 1)) :]]
    script = [Start(200, EVENT_STREAM), *(frame for frame in changed if frame)]
    answer = _run(client, speaks, ScriptedUpstream([script]), _request(client, stream=stream))
    _is_an_answer_or_error(client, answer, stream=stream)


def _broken_frame(frame: bytes) -> st.SearchStrategy[bytes]:
    name, _, data = frame.rpartition(b"data: ")
    if data.startswith(b"[DONE]"):
        return st.just(b"data: [DONE]\n\n")
    return _broken(json.loads(data)).map(lambda body: name + b"data: " + body + b"\n\n")


def _request(client: str, *, stream: bool) -> bytes:
    return json.dumps(request_in(client, stream=stream)).encode()


def _is_an_answer_or_error(client: str, answer: Any, *, stream: bool) -> None:
    assert answer.complete
    if answer.status != 200:
        error_of(client, answer.json())
    elif stream:
        assert answer.header("content-type") == "text/event-stream"
        last = events_of(answer.body)[-1]
        assert ended_well(client, answer.body) is not is_error(last)
    else:
        assert answer.json()[CONTENT[client]] is not None
