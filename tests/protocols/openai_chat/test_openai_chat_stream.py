"""Streams of OpenAI Chat: recorded ones at every cut, odd ones by rule, and what clients get from other protocols."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.openai_chat import PROTOCOL
from ds2api_asgi.universal.content import Citation, OpaquePart, Reasoning, Refusal, ServerCall, Text, ToolCall
from ds2api_asgi.universal.events import (
    Close,
    Delta,
    End,
    Error,
    Event,
    Extra,
    Open,
    Ping,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import JsonText, dumps
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Opaque
from ds2api_asgi.universal.response import Stop, StopReason, Usage
from shared import defects, needs_shared


def decode(raw: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    decoder = PROTOCOL.stream_decoder()
    events: list[Event] = []
    last = 0
    for cut in (*sorted(cuts), len(raw)):
        events += decoder.feed(raw[last:cut])
        last = cut
    events += decoder.close()
    lifecycle = Lifecycle()
    for event in events:
        lifecycle.step(event)
    return events


def encode(events: Iterable[Event], context: Context | None = None) -> bytes:
    return PROTOCOL.stream_encoder(context or Context()).write(events)


def frames(raw: bytes) -> list[Any]:
    """The chunks of a stream, and ``"[DONE]"``."""
    parser = SseParser()
    datas = [event.data for event in (*parser.feed(raw), *parser.close())]
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in datas]


def stream(*deltas: Any, done: bool = True, finish: str | None = "stop") -> bytes:
    """A stream of deltas of choice 0; a dict with ``choices`` or ``error`` is a whole chunk."""
    chunks: list[dict[str, Any]] = [
        delta if "choices" in delta or "error" in delta else {"choices": [{"index": 0, "delta": delta}]}
        for delta in deltas
    ]
    if finish is not None:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    envelope = {"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    raw = b"".join(b"data: " + dumps({**envelope, **chunk}) + b"\n\n" for chunk in chunks)
    return raw + (b"data: [DONE]\n\n" if done else b"")


def calls_of(raw: bytes) -> list[tuple[Any, str, str]]:
    turn = PROTOCOL.fold(decode(raw)).candidates[0].turns[0]
    return [(part.id, part.name, part.arguments.text) for part in turn.parts if isinstance(part, ToolCall)]


def text_of(raw: bytes) -> str:
    turn = PROTOCOL.fold(decode(raw)).candidates[0].turns[0]
    return "".join(part.text for part in turn.parts if isinstance(part, Text))


@needs_shared
def test_known_defects_of_others_are_not_ours() -> None:
    for case in defects("openai_chat"):
        if case.get("kind") == "stream":
            raw = b"".join(
                b"data: " + (b"[DONE]" if chunk == "[DONE]" else dumps(chunk)) + b"\n\n" for chunk in case["input"]
            )
            decode(raw)


ONE = {"name": "f", "arguments": '{"x"'}
MORE = {"arguments": ":1}"}


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        # as documented
        ([[{"index": 0, "id": "a", "function": ONE}], [{"index": 0, "function": MORE}]], [("a", "f", '{"x":1}')]),
        # two whole calls in one chunk, interleaved ones
        (
            [
                [{"index": 0, "id": "a", "function": ONE}, {"index": 1, "id": "b", "function": ONE}],
                [{"index": 1, "function": MORE}],
                [{"index": 0, "function": MORE}],
            ],
            [("a", "f", '{"x":1}'), ("b", "f", '{"x":1}')],
        ),
        # id repeated in every delta, and the name too
        ([[{"index": 0, "id": "a", "function": ONE}], [{"index": 0, "id": "a", "function": {**MORE, "name": "f"}}]],
         [("a", "f", '{"x":1}')]),
        # empty id afterwards (Qwen), null id and name
        ([[{"index": 0, "id": "a", "function": ONE}], [{"index": 0, "id": "", "function": MORE}]],
         [("a", "f", '{"x":1}')]),
        ([[{"index": 0, "id": "a", "function": ONE}], [{"index": 0, "id": None, "function": {**MORE, "name": None}}]],
         [("a", "f", '{"x":1}')]),
        # the same index for all
        ([[{"index": 0, "id": "a", "function": ONE}], [{"index": 0, "id": "b", "function": ONE}]],
         [("a", "f", '{"x"'), ("b", "f", '{"x"')]),
        # no index
        ([[{"id": "a", "function": ONE}], [{"function": MORE}], [{"id": "b", "function": ONE}]],
         [("a", "f", '{"x":1}'), ("b", "f", '{"x"')]),
        # neither index nor id, whole calls
        ([[{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": None}}]],
         [(UNSET, "f", "{}"), (UNSET, "g", "")]),
        # first index 1; arguments as an object
        ([[{"index": 1, "id": "a", "function": {"name": "f", "arguments": {"x": 1.0}}}]], [("a", "f", '{"x":1.0}')]),
        # the name comes late
        ([[{"index": 0, "id": "a", "function": {"arguments": "{"}}], [{"index": 0, "function": {"name": "f"}}],
          [{"index": 0, "function": {"arguments": "}"}}]], [("a", "f", "{}")]),
    ],
)  # fmt: skip
def test_a_call_is_new_if_its_index_is_or_its_id(deltas: Any, calls: Any) -> None:
    assert calls_of(stream(*({"tool_calls": delta} for delta in deltas), finish="tool_calls")) == calls


def test_the_legacy_call_is_a_call() -> None:
    raw = stream({"function_call": ONE}, {"function_call": MORE}, finish="function_call")
    assert calls_of(raw) == [(UNSET, "f", '{"x":1}')]
    assert calls_of(encode(decode(raw))) == [(UNSET, "f", '{"x":1}')]


@pytest.mark.parametrize(
    "raw",
    [
        stream({"content": "a"}, {"choices": [], "usage": {"prompt_tokens": 3}}),
        stream(
            {
                "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3},
            }
        ),
        stream({"choices": [{"index": 0, "delta": {"content": "a"}, "usage": {"prompt_tokens": 3}}]}),
        stream({"choices": [{"index": 0, "delta": {"content": "a"}}], "x_groq": {"usage": {"prompt_tokens": 3}}}),
    ],
)
def test_usage_is_found_in_all_its_places(raw: bytes) -> None:
    usage = PROTOCOL.fold(decode(raw)).usage
    assert usage is not UNSET
    assert usage.input_total == 3


def test_the_empty_first_chunk_of_azure_waits_for_the_real_first() -> None:
    prelude = {"choices": [], "id": "", "model": "", "object": "", "created": 0, "prompt_filter_results": [1]}
    events = decode(stream(prelude, {"content": "a"}))
    assert isinstance(events[0], Start)
    assert events[0].id == "i"
    assert events[0].ext == {"prompt_filter_results": [1]}


def test_padding_is_not_repeated() -> None:
    events = decode(
        stream(*({"choices": [{"index": 0, "delta": {"content": "a"}}], "obfuscation": "x" * n} for n in range(4)))
    )
    assert not [event for event in events if isinstance(event, Extra)]


def test_kinds_of_text_become_parts_in_their_order() -> None:
    raw = stream(
        {"role": "assistant", "content": ""},
        {"reasoning": "r1"},
        {"reasoning": "r2"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}], "closed": True}]},
        {"content": [{"type": "text", "text": "t1"}]},
        {"content": "t2"},
        {"refusal": "no"},
        {"content": [{"type": "image", "x": 1}]},
    )
    parts = PROTOCOL.fold(decode(raw)).candidates[0].turns[0].parts
    assert parts == (
        Reasoning(text="r1r2", form=("reasoning",)),
        Reasoning(text="m", form=("part:thinking",), ext={"closed": True}),
        Text(text="t1t2"),
        Refusal(text="no"),
        OpaquePart(json={"type": "image", "x": 1}, protocol="openai-chat"),
    )
    assert PROTOCOL.fold(decode(encode(decode(raw)))) == PROTOCOL.fold(decode(raw))


def test_log_probabilities_add_up() -> None:
    raw = stream(
        *({"choices": [{"index": 0, "delta": {"content": t}, "logprobs": {"content": [{"token": t}]}}]} for t in "ab")
    )
    assert PROTOCOL.fold(decode(raw)).candidates[0].logprobs == {"content": [{"token": "a"}, {"token": "b"}]}


def test_choices_may_interleave_and_each_needs_its_end() -> None:
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}}]} for index, text in ((0, "a"), (1, "x"), (0, "b"))
    ]
    one_end = stream(*chunks, done=False)
    assert isinstance(decode(one_end)[-1], Error)
    both = one_end + stream(
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]}, done=False, finish=None
    )
    events = decode(both)
    assert isinstance(events[-1], End)
    response = PROTOCOL.fold(events)
    assert [candidate.turns[0].parts for candidate in response.candidates] == [(Text(text="ab"),), (Text(text="x"),)]
    for raw, terminal in ((one_end, False), (both, True)):
        watch = PROTOCOL.stream_watch()
        for at in range(0, len(raw), 50):
            watch.feed(raw[at : at + 50])
        assert watch.terminal is terminal


def test_content_after_the_end_of_a_choice_is_kept() -> None:
    raw = stream({"content": "a"}, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"content": "b"})
    assert text_of(raw) == "ab"


def test_done_alone_is_believed_and_spelled_back() -> None:
    raw = stream({"content": "a"}, finish=None)
    events = decode(raw)
    assert isinstance(events[-1], End)
    assert all(chunk == "[DONE]" or chunk["choices"][0]["finish_reason"] is None for chunk in frames(encode(events)))


@pytest.mark.parametrize(
    "raw", [b"", b"data: [DONE]\n\n", b": hi\n\n", stream({"content": "a"}, done=False, finish=None)]
)
def test_a_stream_without_its_end_is_truncated(raw: bytes) -> None:
    last = decode(raw)[-1]
    assert isinstance(last, Error)
    assert last.failure.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize(
    "frame", [b"data: {\n\n", b"data: 7\n\n", b"data: \xff\n\n", b"data: " + b"x" * 2**21 + b"\n\n"]
)
def test_a_malformed_frame_fails_the_stream_and_nothing_comes_after(frame: bytes) -> None:
    events = decode(stream({"content": "a"}, done=False, finish=None) + frame + stream({"content": "b"}))
    assert isinstance(events[-1], Error)
    assert events[-1].failure.kind is FailureKind.SERVER
    assert sum(isinstance(event, Delta) for event in events) == 1


@pytest.mark.parametrize(
    "chunk",
    [
        b'data: {"error":{"message":"boom","code":429}}\n\n',
        b'event: error\ndata: {"error":{"message":"boom","code":429}}\n\n',
        b'data: {"object":"error","message":"boom","code":429}\n\n',
        b'data: {"id":"i","choices":[{"delta":{},"finish_reason":"error"}],"error":{"message":"boom","code":429}}\n\n',
    ],
)
def test_an_error_in_a_stream_is_an_error(chunk: bytes) -> None:
    raw = stream({"content": "a"}, done=False, finish=None) + chunk + b"data: [DONE]\n\n"
    last = decode(raw)[-1]
    assert isinstance(last, Error)
    assert (last.failure.kind, last.failure.message) == (FailureKind.RATE, "boom")
    written = frames(encode(decode(raw)))
    assert "error" in written[-1]
    watch = PROTOCOL.stream_watch()
    watch.feed(raw)
    assert watch.failure is not None
    assert not watch.terminal or watch.failure


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([stream({"content": "é"}), b'data: {"choices":[{}]}\n\n']), max_size=5
    )
)
def test_any_bytes_give_a_legal_stream(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    events = decode(raw)
    assert isinstance(events[-1], (End, Error))
    assert decode(raw, range(1, len(raw))) == events


KEYS = [
    *("choices", "index", "delta", "content", "role", "tool_calls", "function", "name"),
    *("arguments", "id", "finish_reason", "usage", "error"),
]
json_chunks = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@given(st.lists(json_chunks, max_size=4), st.lists(json_chunks, max_size=3))
def test_any_json_gives_a_legal_stream(chunks: list[Any], deltas: list[Any]) -> None:
    chunks += [{"id": "i", "choices": [{"delta": delta}]} for delta in deltas]
    raw = b"".join(b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    events = decode(raw)
    assert isinstance(events[-1], (End, Error))
    watch = PROTOCOL.stream_watch()
    watch.feed(raw)
    if isinstance(events[-1], End):
        decode(encode(events))


START = Start(protocol="elsewhere", id="i", model="m")


def accumulate(raw: bytes) -> Any:
    """What the official SDK makes of a stream."""
    state = ChatCompletionStreamState()
    for chunk in frames(raw):
        if chunk != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    return state.get_final_completion()


def test_the_official_sdk_reads_what_other_protocols_say() -> None:
    raw = encode(
        [
            START,
            Open(0, Reasoning(text="")),
            Delta(0, "th"),
            Close(0),
            Open(1, Text(text="Hel")),
            Delta(1, "lo"),
            Close(1),
            Open(2, ToolCall(id="t", name="f", arguments=JsonText(""))),
            Delta(2, '{"x":'),
            Delta(2, "1}"),
            Close(2),
            Open(3, ToolCall(id="u", name="g", arguments=JsonText(""))),
            Close(3),
            Ping(),
            StopEvent(Stop(reason=StopReason.TOOL)),
            UsageEvent(Usage(input_total=3, output_total=4)),
            End(),
        ]
    )
    completion = accumulate(raw)
    message = completion.choices[0].message
    assert (message.role, message.content, message.reasoning_content) == ("assistant", "Hello", "th")
    made = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert made == [("t", "f", '{"x":1}'), ("u", "g", "{}")]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage.total_tokens == 7
    assert frames(raw)[-1] == "[DONE]"
    indexes = [
        call["index"]
        for chunk in frames(raw)[:-1]
        for c in chunk["choices"]
        for call in c["delta"].get("tool_calls", ())
    ]
    assert indexes == [0, 0, 0, 1, 1]


def test_usage_goes_only_to_clients_that_asked() -> None:
    events = [
        START,
        Open(0, Text(text="a")),
        Close(0),
        UsageEvent(Usage(input_total=1)),
        StopEvent(Stop(reason=StopReason.END)),
        End(),
    ]
    for options, asked in (({}, False), ({"stream_options": {"include_usage": True}}, True)):
        request = PROTOCOL.decode_request({"model": "m", "messages": [], "stream": True, **options})
        chunks = frames(encode(events, Context(request=request)))
        assert any(chunk != "[DONE]" and "usage" in chunk for chunk in chunks) is asked


def test_an_error_ends_the_stream_without_done() -> None:
    raw = encode([START, Open(0, Text(text="a")), Error(Failure(kind=FailureKind.TRUNCATED, message="cut"))])
    assert frames(raw)[-1] == {
        "error": {"message": "cut", "type": "upstream_stream_error", "param": None, "code": "stream_interrupted"}
    }


def test_a_refusal_ends_with_stop_if_it_has_words() -> None:
    stop = StopEvent(Stop(reason=StopReason.REFUSAL))
    with_words = frames(encode([START, Open(0, Refusal(text="no")), Close(0), stop, End()]))
    without = frames(encode([START, stop, End()]))
    assert with_words[-2]["choices"][0]["finish_reason"] == "stop"
    assert without[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_tools_of_the_provider_and_payloads_are_not_shown() -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    raw = encoder.write(
        [
            START,
            Open(0, ServerCall(kind="server_tool_use", name="s", arguments=JsonText(""))),
            Delta(0, "secret"),
            Set(0, "ext", {"a": 1}),
            Close(0),
            Open(1, Text(text="a")),
            Set(1, "opaque", Opaque(kind="thought_signature", value="SIG", protocol="elsewhere")),
            Set(1, "citation", Citation(kind="web", url="u")),
            Close(1),
            Extra({"x": 1}),
            End(),
        ]
    )
    assert b"secret" not in raw
    assert b"SIG" not in raw
    paths = {loss.path for loss in encoder.losses}
    assert paths == {
        "candidates[0].turns[0].parts[0]",
        "candidates[0].turns[0].parts[1].opaque[0]",
        "candidates[0].turns[0].parts[1].citations[0]",
        "ext.x",
    }


def test_custom_tools_get_their_text_and_functions_their_call() -> None:
    events = [
        START,
        Open(0, ToolCall(id="t", name="patch", arguments=JsonText(""))),
        Delta(0, '{"inp'),
        Delta(0, 'ut":"a\\nb"}'),
        Close(0),
        StopEvent(Stop(reason=StopReason.TOOL)),
        End(),
    ]
    turn = PROTOCOL.fold(decode(encode(events, Context(custom_tools=frozenset({"patch"}))))).candidates[0].turns[0]
    assert turn.parts == (ToolCall(id="t", name="patch", arguments=JsonText("a\nb"), kind="custom"),)
    request = PROTOCOL.decode_request({"model": "m", "messages": [], "functions": [{"name": "patch"}]})
    folded = PROTOCOL.fold(decode(encode(events, Context(request=request)))).candidates[0]
    assert folded.turns[0].parts == (
        ToolCall(name="patch", arguments=JsonText('{"input":"a\\nb"}'), form=("function_call",)),
    )
    assert folded.stop == Stop(reason=StopReason.TOOL, native="function_call")


def test_streams_say_what_documents_say() -> None:
    document = {
        "id": "i",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "é😀\u2028",
                    "reasoning_content": "th",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "th", "signature": "S", "format": "ds2", "index": 0},
                        {"type": "reasoning.encrypted", "data": "D", "format": "ds2", "index": 1},
                    ],
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    response = PROTOCOL.decode_response(document)
    for chunk in (None, 1):
        folded = PROTOCOL.fold(decode(encode(unfold(response, chunk=chunk))))
        assert PROTOCOL.encode_response(folded, Context()).document == document


def test_the_watch_is_not_fooled_by_texts() -> None:
    watch = PROTOCOL.stream_watch()
    for text in ('"finish_reason":"stop"', "data: [DONE]", '{"error":{"message":"x"}}', '\n\ndata: {"error":{}}\n\n'):
        watch.feed(stream({"content": text}, done=False, finish=None))
    assert watch.content
    assert not watch.terminal
    assert watch.failure is None
    watch.feed(stream(done=False))
    assert watch.terminal


def test_the_watch_commits_at_content_and_not_before() -> None:
    watch = PROTOCOL.stream_watch()
    watch.feed(
        b": wait\n\n" + stream({"role": "assistant", "content": ""}, {"tool_calls": []}, done=False, finish=None)
    )
    assert not watch.content
    watch.feed(stream({"reasoning_content": "x"}, done=False, finish=None))
    assert watch.content
