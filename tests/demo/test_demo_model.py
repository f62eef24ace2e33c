from __future__ import annotations

import json
import struct
from base64 import b64decode

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.demo import DemoModel, count_tokens
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(text="Hello", **members):
    return {"model": "demo-small", "messages": [{"role": "user", "content": text}], **members}


def events(answer):
    frames = answer.text.split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") for frame in frames)
    return [frame.removeprefix("data: ") for frame in frames]


async def stream(driver, document):
    """The chunks, after a check of what every stream must be."""
    answer = await driver.request("POST", CHAT, json={**document, "stream": True})
    assert answer.complete
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    *chunks, done = events(answer)
    assert done == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def folded(chunks, index=0):
    """What an SDK makes of the deltas of one choice."""
    message = {"content": "", "reasoning_content": "", "calls": {}, "finish": None}
    for choice in (choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index):
        assert message["finish"] is None, "nothing follows the finish chunk"
        delta = choice["delta"]
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        for call in delta.get("tool_calls", []):
            known = message["calls"].setdefault(call["index"], {"id": call.get("id"), "name": None, "arguments": ""})
            known["name"] = call["function"].get("name", known["name"])
            known["arguments"] += call["function"]["arguments"]
        message["finish"] = choice["finish_reason"]
    return message


async def test_same_body_gets_the_same_answer_whole_and_streamed():
    drivers = [Driver(DemoModel(clock=lambda: 1234.5)) for _ in range(2)]
    whole = [await driver.request("POST", CHAT, json=ask()) for driver in drivers]
    assert whole[0].body == whole[1].body
    assert whole[0].json()["created"] == 1234
    streams = [await driver.request("POST", CHAT, json=ask(stream=True)) for driver in drivers]
    assert streams[0].body == streams[1].body


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"reasoning_effort": "high"},
        {"max_tokens": 5},
        {"stop": "Hello"},
        {"n": 3},
        {"response_format": {"type": "json_object"}},
        {"tools": [WEATHER], "text": "get_weather in Paris and New York"},
        {"tools": [WEATHER], "text": "get_weather in Paris and New York", "max_completion_tokens": 9},
        {"tools": [WEATHER], "tool_choice": "required", "reasoning_effort": "low"},
    ],
)
async def test_stream_says_what_the_whole_answer_says(members):
    driver = Driver(DemoModel())
    document = ask(**members)
    whole = (await driver.request("POST", CHAT, json=document)).json()
    chunks = await stream(driver, {**document, "stream_options": {"include_usage": True}})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    for choice in whole["choices"]:
        message = choice["message"]
        said = folded(chunks, choice["index"])
        assert said["finish"] == choice["finish_reason"]
        assert said["content"] == (message["content"] or "")
        assert said["reasoning_content"] == message.get("reasoning_content", "")
        calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", [])]
        assert [(call["name"], call["arguments"]) for call in said["calls"].values()] == calls


async def test_answer_quotes_the_user_and_counts_images():
    parts = [
        {"type": "text", "text": "Look!"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    answer = await Driver(DemoModel()).request("POST", CHAT, json=ask(parts))
    content = answer.json()["choices"][0]["message"]["content"]
    assert '"Look!"' in content
    assert "2 images" in content


async def test_usage_adds_up():
    answer = (await Driver(DemoModel()).request("POST", CHAT, json=ask(reasoning_effort="low"))).json()
    usage, message = answer["usage"], answer["choices"][0]["message"]
    assert usage["prompt_tokens"] == 4 + count_tokens("Hello") == 5
    assert usage["completion_tokens_details"]["reasoning_tokens"] == count_tokens(message["reasoning_content"]) > 0
    said = count_tokens(message["reasoning_content"]) + count_tokens(message["content"])
    assert (usage["completion_tokens"], usage["total_tokens"]) == (said, said + 5)


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_limit_cuts_after_that_many_tokens(limit):
    choice = (await Driver(DemoModel()).request("POST", CHAT, json=ask(max_tokens=limit))).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert count_tokens(choice["message"]["content"]) == limit


async def test_stop_sequence_ends_the_text_before_it():
    answer = await Driver(DemoModel()).request("POST", CHAT, json=ask(stop=["nothing of it", " I am"]))
    assert answer.json()["choices"][0]["message"]["content"] == 'You wrote: "Hello".'


@pytest.mark.parametrize(("model", "mixed"), [("demo-small", False), ("demo-interleave", True)])
async def test_arguments_of_parallel_calls_come_in_fragments(model, mixed):
    text = "get_weather in Paris-upon-the-Seine and Tokyo-upon-the-bay"
    chunks = await stream(Driver(DemoModel()), {**ask(text, tools=[WEATHER]), "model": model})
    order = [call["index"] for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert len(order) > 6
    assert (order != sorted(order)) == mixed
    calls = folded(chunks)["calls"].values()
    assert len({call["id"] for call in calls}) == 2
    cities = [json.loads(call["arguments"])["city"] for call in calls]
    assert cities == ["Paris-upon-the-Seine", "Tokyo-upon-the-bay"]


async def test_words_come_one_by_one():
    async with Driver(DemoModel()).open("POST", CHAT, json=ask(stream=True)) as response:
        parts = [part async for part in response]
    assert all(part.count(b"data: ") == 1 for part in parts)
    assert len(parts) > 10


async def test_client_that_leaves_stops_a_slow_answer():
    driver = Driver(DemoModel(pace=3600))
    with anyio.fail_after(20):
        async with driver.open("POST", CHAT, json=ask(stream=True)) as response:
            await anext(response)
        with anyio.move_on_after(0.05):
            await driver.request("POST", CHAT, json=ask())


async def test_models_are_listed_and_described_with_and_without_v1():
    driver = Driver(DemoModel(models=["mine"]))
    listed = (await driver.request("GET", "/models")).json()["data"]
    assert {"mine", "demo-fail-429"} <= {model["id"] for model in listed}
    for model in listed:
        assert (await driver.request("GET", f"/v1/models/{model['id']}")).json() == model


async def test_unknown_model_is_not_found_everywhere():
    driver = Driver(DemoModel())
    answers = [
        await driver.request("POST", CHAT, json={**ask(), "model": "gpt-9"}),
        await driver.request("POST", CHAT, json={**ask(), "model": "demo-fail-wish"}),
        await driver.request("POST", "/v1/embeddings", json={"model": "gpt-9", "input": "x"}),
        await driver.request("GET", "/v1/models/gpt-9"),
    ]
    assert [answer.status for answer in answers] == [404] * 4
    assert {answer.json()["error"]["code"] for answer in answers} == {"model_not_found"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/x", 405),
        ("GET", "/v1", 404),
        ("GET", "/v1/completions", 405),
        ("POST", "/v1/complete", 404),
        ("HEAD", "/v1/chat/completions/x", 404),
    ],
)
async def test_other_methods_and_paths_are_refused(method, path, status):
    answer = await Driver(DemoModel()).request(method, path)
    assert answer.status == status
    assert (answer.header("allow") is not None) == (status == 405)
    assert answer.body == b"" if method == "HEAD" else answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "magic"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"stop": list("abcde")}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"temperature": 3}, "temperature"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}}},
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_what_is_wrong_is_named(change, param):
    answer = await Driver(DemoModel()).request("POST", CHAT, json={**ask(), **change})
    assert answer.status == 400
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("answered", [[], ["c1"], ["c1", "c2", "c3"], ["c2", "c2"]])
async def test_every_call_needs_one_result(answered):
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ("c1", "c2")]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}]
    messages += [{"role": "tool", "tool_call_id": id_, "content": "r"} for id_ in answered]
    answer = await Driver(DemoModel()).request("POST", CHAT, json={**ask(), "messages": messages})
    assert answer.status == 400


def assert_error_shape(answer):
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)


NO_OBJECTS = st.binary(max_size=200).filter(lambda body: not body.strip().startswith(b"{"))
POSTS = st.sampled_from([CHAT, "/v1/completions", "/embeddings", "/v1/responses/input_tokens"])


@given(body=NO_OBJECTS, path=POSTS)
def test_any_bytes_get_a_400_in_openais_shape(body, path):
    async def run():
        answer = await Driver(DemoModel()).request("POST", path, body=body)
        assert answer.status in (400, 404)
        assert_error_shape(answer)

    anyio.run(run)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=8)
    | st.sampled_from(["user", "text", "function"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "function", "name", "parameters", "id", "anyOf", "$ref"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = ["messages", "tools", "tool_choice", "response_format", "stop", "n", "stream", "stream_options", "input"]


@given(members=st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=4))
def test_any_json_gets_an_answer_or_a_400(members):
    async def run():
        for path in (CHAT, "/v1/embeddings"):
            answer = await Driver(DemoModel()).request("POST", path, json={**ask(), **members})
            assert answer.status in (200, 400)
            if answer.status == 400:
                assert_error_shape(answer)

    anyio.run(run)


async def test_body_over_the_bound_is_refused_while_it_comes():
    sent = []

    def parts():
        for _ in range(64):
            sent.append(1)
            yield b" " * (1 << 20)

    answer = await Driver(DemoModel()).request("POST", CHAT, body=parts())
    assert answer.status == 413
    assert_error_shape(answer)
    assert len(sent) == 33


async def test_only_the_given_keys_are_accepted():
    driver = Driver(DemoModel(keys=["sk-good"]))
    bearers = ["Bearer sk-good", "bearer sk-good", "Bearer sk-bad", "Basic sk-good", "Bearer ", None]
    statuses = []
    for bearer in bearers:
        headers = {} if bearer is None else {"authorization": bearer}
        answer = await driver.request("POST", CHAT, json=ask(), headers=headers)
        statuses.append(answer.status)
        if answer.status == 401:
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert b"sk-bad" not in answer.body
    assert statuses == [200, 200, 401, 401, 401, 401]
    answer = await driver.request("POST", CHAT, json=ask(), headers={"authorization": "Bearer sk-good+429"})
    assert answer.status == 429


async def test_requests_are_counted_by_key_and_model():
    model = DemoModel()
    driver = Driver(model)
    for key, name in [("a", "demo-small"), ("a", "demo-large"), ("b", "demo-small"), ("b", "gpt-9")]:
        await driver.request("POST", CHAT, json={**ask(), "model": name}, headers={"authorization": f"Bearer {key}"})
    counts = model.requests
    assert (counts.total, counts.of(key="a"), counts.of(model="demo-small")) == (4, 2, 2)
    assert counts.of(key="b", model="gpt-9") == 1
    assert repr(counts) == "<RequestCounts of 4 requests>"


async def test_embeddings_are_unit_vectors_and_the_same_in_both_formats():
    driver = Driver(DemoModel())
    request = {"model": "demo-embed", "input": ["the cat sat", "the cat ran", "else"], "dimensions": 64}
    floats = (await driver.request("POST", "/v1/embeddings", json=request)).json()
    packed = (await driver.request("POST", "/v1/embeddings", json={**request, "encoding_format": "base64"})).json()
    vectors = [item["embedding"] for item in floats["data"]]
    for vector, item in zip(vectors, packed["data"], strict=True):
        assert sum(part * part for part in vector) == pytest.approx(1)
        assert struct.unpack("<64f", b64decode(item["embedding"])) == pytest.approx(vector, abs=1e-6)

    def likeness(a, b):
        return sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True))

    assert likeness(0, 1) > likeness(0, 2)
    assert floats["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]], "text", ["a", "b"]])
async def test_embeddings_take_texts_and_token_ids(given):
    answer = await Driver(DemoModel()).request("POST", "/v1/embeddings", json={"model": "demo-embed", "input": given})
    assert answer.status == 200


async def test_counted_tokens_are_those_of_the_answers_usage():
    driver = Driver(DemoModel())
    document = ask("What is the weather?", tools=[WEATHER])
    counted = (await driver.request("POST", "/v1/responses/input_tokens", json=document)).json()
    answer = (await driver.request("POST", CHAT, json=document)).json()
    assert counted == {"object": "response.input_tokens", "input_tokens": answer["usage"]["prompt_tokens"]}


async def test_lifespan_is_answered():
    said = []
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive():
        return incoming.pop(0)

    async def send(message):
        said.append(message["type"])

    await DemoModel()({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
