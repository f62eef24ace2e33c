"""Streams of OpenAI Responses: recorded ones at every cut, odd ones by rule, and what clients get from others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import Omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.protocols.anthropic import PROTOCOL as ANTHROPIC
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.openai_chat import PROTOCOL as CHAT
from ds2api_asgi.protocols.openai_responses import PROTOCOL
from ds2api_asgi.universal.content import Citation, Reasoning, Refusal, ServerCall, Text, ToolCall
from ds2api_asgi.universal.diff import diff
from ds2api_asgi.universal.events import (
    Close,
    Delta,
    End,
    Error,
    Event,
    Open,
    Ping,
    Set,
    Start,
    StopEvent,
    UsageEvent,
)
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import fold
from ds2api_asgi.universal.jsontext import JsonText, dumps
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Opaque
from ds2api_asgi.universal.response import Stop, StopReason, Usage
from shared import corpus_items, corpus_stream_bytes, needs_shared

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FAILED = {"86ee556e3b99": "JSON without its last brace", "12cb7f64112e": "an error", "0fa7ac0bcd30": "an error"}


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


def encode(*events: Event, context: Context | None = None) -> bytes:
    return PROTOCOL.stream_encoder(context or Context(now=1)).write(events)


def frames(raw: bytes) -> list[Any]:
    parser = SseParser()
    events = parser.feed(raw) + parser.close()
    documents = [json.loads(event.data) for event in events]
    assert [event.name.decode() for event in events] == [document["type"] for document in documents]
    assert [document["sequence_number"] for document in documents] == list(range(len(documents)))
    return documents


def wire(*events: Any) -> bytes:
    """Events by type and members, ``response.`` left out."""
    documents = [{"type": kind if kind == "error" else f"response.{kind}", **rest} for kind, rest in events]
    return b"".join(b"data: " + dumps(document) + b"\n\n" for document in documents)


def sdk(raw: bytes) -> Any:
    """The answer that the official SDK makes of a stream; each event is one of its types."""
    state: Any = ResponseStreamState(input_tools=Omit(), text_format=Omit())
    for document in frames(raw):
        event = EVENTS.validate_python(document)
        state.handle_event(event)
    return state._completed_response


def start(**members: Any) -> Start:
    return Start(protocol="elsewhere", id="x-1", model="m", **members)


STREAMS = [(item["id"], corpus_stream_bytes(item)) for item in corpus_items("openai_responses", "stream")]


@needs_shared
def test_every_stream_of_the_corpus_is_the_same_however_it_is_cut() -> None:
    assert len(STREAMS) > 50
    chance = random.Random(7)
    for name, raw in STREAMS:
        whole = decode(raw)
        assert isinstance(whole[-1], Error if name in FAILED else End), name
        assert decode(raw, [chance.randrange(len(raw)) for _ in range(40)]) == whole, name
        if len(raw) < 6000:
            assert decode(raw, range(len(raw))) == whole, name


@needs_shared
def test_every_stream_of_the_corpus_survives_being_written_again() -> None:
    for name, raw in STREAMS:
        if name in FAILED:
            continue
        events = decode(raw)
        answer = PROTOCOL.fold(events)
        encoder = PROTOCOL.stream_encoder(Context())
        again = PROTOCOL.fold(decode(encoder.write(events)))
        assert diff(answer, again) == [], name
        assert encoder.losses == [], name


# Servers that say something else at the end than before.
UNEQUAL = {
    "216af33cc7db": "ids",
    "e30b967e6157": "ids",
    "ddb31b14a3a4": "fewer items",
    "77350aecb1e9": "deltas cut by the recorder",
}


@needs_shared
def test_a_stream_adds_up_to_what_its_last_event_says() -> None:
    seen = 0
    for name, raw in STREAMS:
        parser = SseParser()
        datas = [event.data for event in parser.feed(raw) + parser.close() if event.data.startswith(b"{")]
        if name in FAILED or name in UNEQUAL:
            continue
        last = json.loads(datas[-1])["response"]
        if not last.get("output"):
            continue
        whole, folded = PROTOCOL.decode_response(last), PROTOCOL.fold(decode(raw))
        paths = {change.path for change in diff(whole, folded, ignore=frozenset({"echo", "form"}))}
        # Some encrypt a thought anew in each event.
        assert {path for path in paths if not {"opaque", "encrypted_content", "fingerprint"} & set(path)} == set(), name
        seen += 1
    assert seen > 40


@needs_shared
def test_the_watch_sees_what_the_decoder_sees() -> None:
    for name, raw in STREAMS:
        watch, last = PROTOCOL.stream_watch(), decode(raw)[-1]
        for at in range(0, len(raw), 500):
            watch.feed(raw[at : at + 500])
        if isinstance(last, End):
            assert watch.content, name
            assert watch.terminal, name
            assert watch.ended, name
            assert watch.failure is None, name
        elif "malformed" not in last.failure.message:  # type: ignore[union-attr]
            assert not watch.terminal, name
            assert watch.failure == last.failure, name  # type: ignore[union-attr]


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}


def test_a_server_without_numbers_is_understood() -> None:
    call = {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    raw = wire(
        ("created", {"response": {"id": "r"}}),
        ("output_item.added", {"item": MESSAGE}),
        ("output_text.delta", {"delta": "Hi", "item_id": "msg_1"}),
        ("output_item.done", {"item": {**MESSAGE, "content": [{"type": "output_text", "text": "Hi!"}]}}),
        ("output_item.added", {"item": call}),
        ("function_call_arguments.delta", {"delta": "{}"}),
        ("output_item.done", {"item": {**call, "arguments": "{}"}}),
        ("completed", {"response": {"id": "r", "status": "completed", "output": []}}),
    )
    answer = PROTOCOL.fold(decode(raw))
    (text,), (tool,) = (turn.parts for turn in answer.candidates[0].turns)
    assert (text.text, tool.arguments.text) == ("Hi!", "{}")  # type: ignore[union-attr]
    assert answer.candidates[0].stop == Stop(reason=StopReason.TOOL)


def test_interleaved_items_keep_apart() -> None:
    calls = [
        {"id": f"fc_{n}", "type": "function_call", "name": "f", "call_id": f"c{n}", "arguments": ""} for n in (0, 1)
    ]
    deltas = (("{", 0), ("[", 1), ("}", 0))
    raw = wire(
        ("created", {"response": {"id": "r"}}),
        *(("output_item.added", {"item": call, "output_index": n}) for n, call in enumerate(calls)),
        *(("function_call_arguments.delta", {"delta": d, "output_index": n}) for d, n in deltas),
        ("function_call_arguments.done", {"arguments": "[]", "output_index": 1}),
        *(("output_item.done", {"item": {**call, "arguments": a}, "output_index": n})
          for n, (call, a) in enumerate(zip(calls, ("{}", "[]"), strict=True))),
        ("completed", {"response": {"id": "r", "status": "completed", "output": []}}),
    )  # fmt: skip
    turns = PROTOCOL.fold(decode(raw)).candidates[0].turns
    assert [turn.parts[0].arguments.text for turn in turns] == ["{}", "[]"]  # type: ignore[union-attr]
    assert [turn.id for turn in turns] == ["fc_0", "fc_1"]


def test_an_item_seen_at_the_end_only_is_told_then() -> None:
    item = {**MESSAGE, "status": "completed", "content": [{"type": "output_text", "text": "late", "annotations": []}]}
    raw = wire(("completed", {"response": {"id": "r", "status": "completed", "output": [item]}}))
    assert (
        PROTOCOL.fold(decode(raw)).candidates
        == PROTOCOL.decode_response({"status": "completed", "output": [item]}).candidates
    )


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (("error", {"code": "rate_limit_exceeded", "message": "slow"}), FailureKind.RATE, "slow"),
        (("error", {"error": {"type": "server_error", "message": "oh"}}), FailureKind.SERVER, "oh"),
        (("failed", {"response": {"error": {"code": "invalid_prompt", "message": "no"}}}), None, "no"),
        (("failed", {"response": None}), FailureKind.SERVER, "the upstream's answer says that it failed"),
        # Perplexity's
        (
            ("failed", {"error": {"type": "bad_gateway", "code": 502, "message": "gone"}}),
            FailureKind.BAD_GATEWAY,
            "gone",
        ),
    ],
)
def test_a_failed_stream_is_an_error(event: Any, kind: FailureKind | None, message: str) -> None:
    raw = wire(("created", {"response": {"id": "r"}}), event, ("completed", {"response": {}}))
    last = decode(raw)[-1]
    assert isinstance(last, Error)
    assert last.failure.message == message
    assert kind is None or last.failure.kind is kind
    watch = PROTOCOL.stream_watch()
    watch.feed(raw)
    assert watch.failure == last.failure


def test_a_stream_without_its_end_is_truncated() -> None:
    last = decode(wire(("created", {"response": {"id": "r"}})) + b"data: [DONE]\n\n")[-1]
    assert isinstance(last, Error)
    assert last.failure.kind is FailureKind.TRUNCATED


@given(st.binary(max_size=200))
def test_garbage_is_an_error_event(raw: bytes) -> None:
    assert isinstance(decode(raw)[-1], Error)


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(-1, 2), st.sampled_from(["", "x", "message", "completed"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["type", "id", "output", "content", "text", "summary", "error"]), inner),
    ),
    max_leaves=6,
)
KINDS = ["created", "output_item.added", "output_item.done", "content_part.added", "output_text.delta",
         "output_text.done", "output_text.annotation.added", "refusal.delta", "function_call_arguments.delta",
         "function_call_arguments.done", "reasoning_summary_part.added", "reasoning_summary_text.delta",
         "reasoning_text.delta", "completed", "failed", "error"]  # fmt: skip
MEMBERS = st.dictionaries(
    st.sampled_from(["item", "delta", "part", "response", "output_index", "content_index", "item_id", "text", "error"]),
    st.one_of(VALUES, st.just(MESSAGE), st.just({"type": "reasoning", "summary": []})),
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), MEMBERS), max_size=8))
def test_no_event_breaks_the_decoder(events: list[Any]) -> None:
    decode(wire(*events))


# --- from elsewhere


def test_the_sdk_reads_a_whole_answer_from_elsewhere() -> None:
    raw = encode(
        start(),
        Open(0, Reasoning()),
        Set(0, "summary", "s"),
        Delta(0, "!", "summary"),
        Delta(0, "thought"),
        Set(0, "opaque", Opaque(kind="signature", value="x", protocol="anthropic")),
        Close(0),
        Open(1, Text(text="")),
        Delta(1, "Hel"),
        Ping(),
        Delta(1, "lo"),
        Set(1, "citation", Citation(kind="x", url="https://x", cited_text="y")),
        Close(1),
        Open(2, Refusal(text="no")),
        Close(2),
        Open(3, ToolCall(id="c1", name="f", arguments=JsonText(""))),
        Open(4, ToolCall(id="c2", name="g", arguments=JsonText("{"))),
        Delta(4, "}"),
        Close(4),
        Close(3),
        StopEvent(Stop(reason=StopReason.TOOL)),
        UsageEvent(Usage(input_total=3, output_total=2)),
        End(),
    )
    answer = sdk(raw)
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call", "function_call"]
    assert answer.output[0].summary[0].text == "s!"
    assert answer.output[0].content[0].text == "thought"
    assert answer.output_text == "Hello"
    assert answer.output[1].content[0].annotations[0].end_index == 5
    assert answer.output[1].content[1].refusal == "no"
    assert [item.arguments for item in answer.output[2:]] == ["{}", "{}"]
    assert answer.usage.total_tokens == 5
    assert answer.status == "completed"


def test_a_stream_is_the_document_of_its_fold() -> None:
    events = [
        start(),
        Open(0, Text(text="")),
        Delta(0, "Hello"),
        Close(0),
        Open(1, ToolCall(id="c1", name="f", arguments=JsonText("{}"))),
        Close(1),
        StopEvent(Stop(reason=StopReason.LENGTH)),
        End(),
    ]
    last = frames(encode(*events))[-1]
    document = PROTOCOL.encode_response(fold(events, protocol="elsewhere"), Context(now=1)).document
    assert last["type"] == "response.incomplete"
    assert last["response"] == json.loads(dumps(document))


def test_a_failure_after_the_beginning_ends_the_answer() -> None:
    failure = Failure(kind=FailureKind.OVERLOADED, message="busy")
    *_, failed = frames(encode(start(), Open(0, Text(text="a")), Error(failure)))
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == "x-1"
    assert failed["response"]["error"] == {"code": "server_error", "message": "busy"}
    (alone,) = frames(encode(Error(failure)))
    assert alone["type"] == "error"
    assert EVENTS.validate_python(alone).message == "busy"
    assert frames(PROTOCOL.stream_error(failure)) == [alone]


def test_a_custom_tool_that_the_upstream_knows_as_a_function_is_itself_again() -> None:
    context = Context(now=1, custom_tools=frozenset({"sh"}))
    raw = encode(
        start(),
        Open(0, ToolCall(id="c1", name="sh", arguments=JsonText(""))),
        Delta(0, '{"input":"l'),
        Delta(0, 's"}'),
        Close(0),
        End(),
        context=context,
    )
    answer = sdk(raw)
    assert (answer.output[0].type, answer.output[0].input) == ("custom_tool_call", "ls")


def test_tools_of_another_provider_are_reported_not_said() -> None:
    encoder = PROTOCOL.stream_encoder(Context())
    call = ServerCall(kind="server_tool_use", name="web_search", arguments=JsonText("{}"))
    raw = encoder.write([start(), Open(0, call), Close(0), Open(1, Text(text="b"), 1), Close(1), End()])
    assert frames(raw)[-1]["response"]["output"] == []
    assert [loss.path for loss in encoder.losses] == ["candidates[0].turns[0].parts[0]", "candidates[1]"]


@needs_shared
@pytest.mark.parametrize("target", [CHAT, ANTHROPIC], ids=lambda codec: codec.name)
def test_every_recorded_stream_reaches_other_clients_whole(target: Any) -> None:
    for name, raw in STREAMS:
        events = decode(raw)
        decoder = target.stream_decoder()
        written = target.stream_encoder(Context(now=1)).write(events)
        got = decoder.feed(written) + decoder.close()
        assert isinstance(got[-1], Error if name in FAILED else End), name
        assert _text(events) == _text(got), name


def _text(events: list[Event]) -> str:
    keys = {event.key: event.part.text for event in events if isinstance(event, Open) and isinstance(event.part, Text)}
    said = [event.text for event in events if isinstance(event, Delta) and event.key in keys]
    return "".join([*keys.values(), *said])


@needs_shared
@pytest.mark.parametrize(("source", "corpus"), [(CHAT, "openai_chat"), (ANTHROPIC, "anthropic_messages")])
def test_every_recorded_stream_of_others_is_one_of_the_sdks(source: Any, corpus: str) -> None:
    for item in corpus_items(corpus, "stream")[:120]:
        decoder = source.stream_decoder()
        events = decoder.feed(corpus_stream_bytes(item)) + decoder.close()
        raw = encode(*events)
        if isinstance(events[-1], End) and frames(raw)[-1]["type"] == "response.completed":
            assert sdk(raw) is not None, item["id"]
        else:
            assert frames(raw)[-1]["type"] in ("response.incomplete", "response.failed", "error")


# --- as servers send it


def test_ids_that_change_from_event_to_event_name_one_item() -> None:
    """Copilot encrypts ids anew in each event; the place tells."""
    raw = wire(
        ("created", {"response": {"id": "a"}}),
        ("output_item.added", {"output_index": 0, "item": MESSAGE}),
        ("content_part.added", {"output_index": 0, "content_index": 0, "item_id": "x1", "part": TEXT}),
        ("output_text.delta",
         {"output_index": 0, "content_index": 0, "item_id": "x2", "delta": "Hi", "obfuscation": "zz"}),
        ("output_text.done", {"output_index": 0, "content_index": 0, "item_id": "x3", "text": "Hi!"}),
        ("output_item.done",
         {"output_index": 0, "item": {**MESSAGE, "id": "x4", "content": [{**TEXT, "text": "Hi!"}]}}),
        ("completed", {"response": {"id": "b", "status": "completed",
                                    "output": [{**MESSAGE, "id": "x5", "content": [{**TEXT, "text": "Hi!"}]}]}}),
    )  # fmt: skip
    answer = PROTOCOL.fold(decode(raw))
    assert [part.text for turn in answer.candidates[0].turns for part in turn.parts] == ["Hi!"]  # type: ignore[union-attr]


TEXT = {"type": "output_text", "text": "", "annotations": []}


def test_thoughts_in_the_open_are_read_with_and_without_their_parts() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "content": None}
    whole = {**thought, "content": [{"type": "reasoning_text", "text": "hm so"}]}
    added = (
        "content_part.added",
        {"output_index": 0, "content_index": 0, "part": {"type": "reasoning_text", "text": ""}},
    )
    for parts in ((), (added,)):
        raw = wire(
            ("created", {"response": {"id": "r"}}),
            ("output_item.added", {"output_index": 0, "item": thought}),
            *parts,
            ("reasoning_text.delta", {"output_index": 0, "content_index": 0, "delta": "hm"}),
            ("reasoning_text.delta", {"output_index": 0, "content_index": 0, "delta": " so"}),
            ("output_item.done", {"output_index": 0, "item": whole}),
            ("completed", {"response": {"id": "r", "status": "completed", "output": [whole]}}),
        )
        (turn,) = PROTOCOL.fold(decode(raw)).candidates[0].turns
        assert turn.parts[0].text == "hm so"  # type: ignore[union-attr]


def test_an_error_and_the_failure_that_follows_it_are_one() -> None:
    raw = wire(
        ("created", {"response": {"id": "r"}}),
        ("error", {"error": {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "long"}}),
        ("failed", {"response": {"id": "r", "error": {"code": "server_error", "message": "other"}}}),
    )
    errors = [event for event in decode(raw) if isinstance(event, Error)]
    assert [error.failure.message for error in errors] == ["long"]


def test_what_is_no_event_says_nothing() -> None:
    raw = (
        wire(("created", {"response": {"id": "r"}}))
        + b'event: keepalive\ndata: {"type": "keepalive", "sequence_number": 3}\n\n'
        + b": comment\n\n"
        + wire(
            ("web_search_call.searching", {"output_index": 0}),
            ("brand_new.event", {"x": 1}),
            ("completed", {"response": {"status": "completed", "output": []}}),
        )
        + b"data: [DONE]\n\n"
    )
    events = decode(raw)
    assert [type(event) for event in events] == [Start, Ping, StopEvent, End]


@pytest.mark.parametrize("start_", [start(), Start(protocol="openai-responses", id="resp_1", model="m")])
def test_the_snapshots_are_what_the_deltas_add_up_to(start_: Start) -> None:
    documents = frames(
        encode(
            start_,
            Open(0, Reasoning(text="")),
            Delta(0, "th"),
            Delta(0, "ought"),
            Close(0),
            Open(1, Text(text="")),
            Delta(1, "Hel"),
            Delta(1, "lo"),
            Close(1),
            Open(2, ToolCall(id="c", name="f", arguments=JsonText(""))),
            Delta(2, '{"a":'),
            Delta(2, "1}"),
            Close(2),
            StopEvent(Stop(reason=StopReason.TOOL)),
            End(),
        )
    )
    said: dict[tuple[int, str], str] = {}
    opened: list[int] = []
    for event in documents:
        kind = event["type"].removeprefix("response.")
        at = event.get("output_index", -1)
        if kind == "output_item.added":
            assert at == len(opened)
            opened.append(at)
        elif kind.endswith(".delta"):
            said[at, kind.removesuffix(".delta")] = said.get((at, kind.removesuffix(".delta")), "") + event["delta"]
        elif kind in ("output_text.done", "reasoning_text.done"):
            assert event["text"] == said[at, kind.removesuffix(".done")]
        elif kind == "function_call_arguments.done":
            assert event["arguments"] == said[at, kind.removesuffix(".done")]
    done = [event["item"] for event in documents if event["type"] == "response.output_item.done"]
    assert documents[-1]["response"]["output"] == done
    assert [item["type"] for item in done] == ["reasoning", "message", "function_call"]
    assert {0: done[0]["content"][0]["text"], 1: done[1]["content"][0]["text"], 2: done[2]["arguments"]} == {
        at: text for (at, _), text in said.items()
    }


@pytest.mark.parametrize("value", [True, "call_1", None, 7, [], {"status": "odd"}])
@pytest.mark.parametrize("protocol", ["openai-responses", "gemini"])
def test_a_member_without_a_name_is_no_member_of_an_item(protocol: str, value: Any) -> None:
    """What an item says late of itself travels under ``""``, and so may what a provider says."""
    call = ToolCall(id="c", name="f", arguments=JsonText("{}"), ext={"": value})
    said = frames(
        encode(Start(protocol=protocol), Open(0, call), Close(0), StopEvent(Stop(reason=StopReason.TOOL)), End())
    )
    (item,) = said[-1]["response"]["output"]
    assert (item["type"], item["call_id"], item["arguments"]) == ("function_call", "c", "{}")


@pytest.mark.parametrize("annotations", [None, {}, {"a": 1}, "x", 7, True])
def test_annotations_that_are_no_list_do_not_stop_a_text(annotations: Any) -> None:
    text = Text(text="", ext={"annotations": annotations})
    said = frames(
        encode(start(), Open(0, text), Delta(0, "hi"), Close(0), StopEvent(Stop(reason=StopReason.END)), End())
    )
    assert said[-1]["response"]["output"][0]["content"][0]["text"] == "hi"
