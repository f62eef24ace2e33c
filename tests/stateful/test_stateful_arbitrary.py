"""Whatever clients ask and apps answer, there is an answer to the end, and nothing is raised."""

from __future__ import annotations

import json
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2api_asgi.testing.scripted import Start
from ds2api_asgi.universal import jsontext
from stateful.stateless import Nest, answer, events, frames, message, stream, thought, whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(
    ["message", "reasoning", "item_reference", "function_call", "response.completed", "response.output_item.done"]
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | JSON,
        "id": st.sampled_from(["msg_1", "rs_1", "resp_1"]) | JSON,
        "role": st.sampled_from(["user", "assistant"]) | JSON,
        "content": JSON | st.lists(st.fixed_dictionaries({"type": st.just("output_text") | JSON, "text": JSON})),
        "summary": JSON,
        "annotations": JSON,
        "encrypted_content": JSON,
    },
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "model": JSON,
        "input": JSON | st.lists(MEMBERS, max_size=3),
        "previous_response_id": st.sampled_from(["resp_1", "resp_2"]) | JSON,
        "store": st.booleans() | JSON,
        "stream": st.booleans() | JSON,
        "background": st.booleans() | JSON,
        "include": st.lists(st.text(max_size=3), max_size=2) | JSON,
        "conversation": JSON,
        "instructions": JSON,
    },
)
RESPONSES = st.fixed_dictionaries(
    {"output": st.lists(MEMBERS | JSON, max_size=3) | JSON},
    optional={
        "id": JSON,
        "object": st.just("response") | JSON,
        "status": st.sampled_from(["completed", "failed", "in_progress"]) | JSON,
        "error": JSON,
    },
)
EVENTS = st.fixed_dictionaries(
    {"type": TYPES | JSON}, optional={"response": RESPONSES | JSON, "item": MEMBERS | JSON, "sequence_number": JSON}
)
PATHS = [
    ("GET", "/v1/responses/resp_2"),
    ("GET", "/v1/responses/resp_2?stream=true"),
    ("GET", "/v1/responses/resp_2/input_items"),
    ("GET", "/v1/responses/resp_3/input_items?order=asc"),
    ("POST", "/v1/responses/resp_2/cancel"),
    ("DELETE", "/v1/responses/resp_2"),
]
FIRST = whole(json.dumps(answer(thought(), message("a"))).encode())


async def everything(nest: Nest, body: bytes) -> None:
    """Ask for a response after another one, continue it, and look at it in every way."""
    await nest.create(input="hi")
    said = await nest.driver.request("POST", "/v1/responses", body=body)
    assert said.complete
    assert said.status in (200, 400, 404, 502)
    assert (await nest.create(previous_response_id="resp_2", input="on")).complete
    for method, path in PATHS:
        said = await nest.driver.request(method, path)
        assert said.complete
        assert said.status in (200, 400, 404)


@given(REQUESTS)
@settings(max_examples=150)
def test_any_request_has_an_answer(request: dict[str, Any]) -> None:
    nest = Nest(FIRST, *[whole(json.dumps(answer(message("b"))).encode())] * 2)
    anyio.run(everything, nest, jsontext.dumps(request))


@given(RESPONSES, st.booleans())
@settings(max_examples=150)
def test_any_document_has_an_answer(document: dict[str, Any], streams: bool) -> None:
    nest = Nest(FIRST, *[whole(jsontext.dumps(document))] * 2)
    anyio.run(everything, nest, json.dumps({"stream": streams}).encode())


@given(st.lists(EVENTS, max_size=5), st.booleans())
@settings(max_examples=150)
def test_any_stream_has_an_answer(said: list[dict[str, Any]], streams: bool) -> None:
    body = b"".join(b"data: %b\n\n" % jsontext.dumps(event) for event in said)
    nest = Nest(FIRST, *[stream(answer(), b": hi\n\n", body)] * 2)
    anyio.run(everything, nest, json.dumps({"stream": streams}).encode())


@given(st.binary(), st.sampled_from([b"application/json", b"text/event-stream", b"text/plain", b""]), st.booleans())
def test_any_bytes_have_an_answer(body: bytes, kind: bytes, streams: bool) -> None:
    script = [Start(200, ((b"content-type", kind),)), body]
    nest = Nest(FIRST, script, script)
    anyio.run(everything, nest, json.dumps({"stream": streams}).encode())


@given(st.data())
def test_a_stream_cut_anywhere_has_an_end_for_the_client(data: st.DataObject) -> None:
    whole_stream = frames(events(answer(thought(), message("Hello"))))
    cut = whole_stream[: data.draw(st.integers(1, len(whole_stream)))]
    nest = Nest(FIRST, *[stream(answer(), cut)] * 2)
    anyio.run(everything, nest, b'{"stream": true}')
