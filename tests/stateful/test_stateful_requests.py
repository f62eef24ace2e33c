"""What the app is asked: stateless requests, and of the client's own bytes each one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses import ResponseItemList

from conformity import problems
from dialogues import answer_in, responses_request
from ds2api_asgi import Translator
from ds2api_asgi.errors import ConfigurationError, InvalidDocument
from ds2api_asgi.stateful import StatefulResponses
from ds2api_asgi.stateful.members import elements, joined, listed, members, value
from ds2api_asgi.stateful.routes import Question, route_of
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from ds2api_asgi.universal import jsontext
from stateful.stateless import SECRET, Nest, answer, message, thought, whole

HELLO = {"role": "user", "content": "hi"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def said(*output: Any, **more: Any) -> Any:
    return whole(json.dumps(answer(*output, **more)).encode())


@given(st.dictionaries(st.text(), JSON))
def test_members_joined_again_are_the_object(found: dict[str, Any]) -> None:
    text = jsontext.dumps(found)
    assert joined(members(text)) == text
    assert jsontext.equal(value(joined(members(text))), found)


@given(st.lists(JSON))
def test_elements_listed_again_are_the_array(found: list[Any]) -> None:
    assert listed(elements(jsontext.dumps(found))) == jsontext.dumps(found)


@example(b'{"a": "\xff"}')
@example(b'["\xff"]')
@given(st.binary() | st.text().map(str.encode) | JSON.map(jsontext.dumps))
def test_anything_is_read_or_refused_as_jsontext_does(text: bytes) -> None:
    try:
        expected = jsontext.loads(text)
    except InvalidDocument:
        expected = None
    for read, kind in ((members, dict), (elements, list)):
        if type(expected) is kind:
            read(text)
        else:
            with pytest.raises(InvalidDocument):
                read(text)


def test_what_is_one_level_deep_keeps_its_text() -> None:
    text = b'{"a": 1.00, "b" :[1e5 , -0], "c":"\\u00e9", "a": 2.50}'
    assert members(text) == {"a": b"2.50", "b": b"[1e5 , -0]", "c": b'"\\u00e9"'}
    assert value(members(b'{"\\ud800": "\\udfff"}')["\ud800"]) == "\udfff"


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_paths_with_and_without_their_version(prefix: str) -> None:
    for method, path, question in (
        ("POST", "/responses", Question.CREATE),
        ("POST", "/responses/input_tokens", Question.COUNT),
        ("POST", "/responses/compact", Question.COUNT),
        ("GET", "/responses/resp_1", Question.GET),
        ("DELETE", "/responses/resp_1", Question.DELETE),
        ("POST", "/responses/resp_1/cancel", Question.CANCEL),
        ("GET", "/responses/resp_1/input_items", Question.INPUT_ITEMS),
    ):
        route = route_of(method, prefix + path)
        assert route is not None
        assert route.question is question
        assert route.id == ("resp_1" if "resp_1" in path else "")
    for path in ("/responsesx", "/chat/completions", "/responses/a/b", "/responses/a/b/c", "", "/responses//cancel"):
        assert route_of("POST", prefix + path if path else "") is None


@pytest.mark.anyio
async def test_the_app_is_asked_statelessly_and_in_the_clients_own_bytes(anyio_backend: str) -> None:
    first = b'{"id": "inner", "object": "response", "status": "completed", "output": [ {"type":"x", "n": 1.50e1} ]}'
    nest = Nest(whole(first), said(message("b")), said(message("c")))
    body = b'{"model":"m","instructions":"Be brief.","input":[ {"role" : "user","content":"\\u00e9","n":1.0} ],"x":1e0}'
    await nest.driver.request("POST", "/v1/responses", body=body)
    asked = nest.inner.requests[0].body
    assert members(asked) == {
        "model": b'"m"',
        "instructions": b'"Be brief."',
        "input": b'[ {"role" : "user","content":"\\u00e9","n":1.0} ]',
        "x": b"1e0",
        "store": b"false",
        "include": b'["reasoning.encrypted_content"]',
    }
    again = await nest.create(previous_response_id="resp_1", input="and?")
    asked = nest.inner.requests[1].body
    assert elements(members(asked)["input"]) == [
        b'{"role" : "user","content":"\\u00e9","n":1.0}',
        b'{"type":"x", "n": 1.50e1}',
        b'{"type":"message","role":"user","content":[{"type":"input_text","text":"and?"}]}',
    ]
    assert {"previous_response_id", "instructions"}.isdisjoint(members(asked))
    assert again.json()["previous_response_id"] == "resp_1"
    await nest.create(previous_response_id="resp_2", input=[])
    assert [item.get("type") for item in nest.asked["input"]] == [None, "x", "message", "message"]
    assert int(nest.inner.requests[2].header("content-length") or 0) == len(nest.inner.requests[2].body)


@pytest.mark.anyio
async def test_a_string_without_a_past_stays_one(anyio_backend: str) -> None:
    nest = Nest(said(message("a")))
    await nest.create(input="hi", include=["message.output_text.logprobs"], store=True, background=False)
    assert nest.asked == {
        "model": "m",
        "input": "hi",
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "store": False,
    }


@pytest.mark.anyio
async def test_what_is_not_stored_and_refers_to_nothing_passes_untouched(anyio_backend: str) -> None:
    seen: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive(), send))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"as it is", "more_body": False})

    body = b'{"model": "m", "store": false , "input": []}'
    answer_ = await Driver(StatefulResponses(inner)).request("POST", "/responses", body=body)
    assert answer_.body == b"as it is"
    assert seen[0][1]["body"] == body


@pytest.mark.anyio
async def test_what_is_not_stored_may_continue_what_is(anyio_backend: str) -> None:
    nest = Nest(said(message("a")), said(message("b")))
    await nest.create(input="hi")
    second = (await nest.create(input="on", previous_response_id="resp_1", store=False)).json()
    assert second["previous_response_id"] == "resp_1"
    assert second["store"] is False
    assert len(nest.asked["input"]) == 3
    assert "include" not in nest.asked
    assert (await nest.driver.request("GET", f"/v1/responses/{second['id']}")).status == 404


@pytest.mark.anyio
async def test_references_are_resolved_and_thoughts_come_back_whole(anyio_backend: str) -> None:
    nest = Nest(said(thought(), message("a")), said(message("b")), said(message("c")))
    shown = (await nest.create(input=[{**HELLO, "id": "msg_own"}])).json()
    assert shown["output"][0] == {"type": "reasoning", "id": "rs_1", "summary": []}
    references = [{"type": "item_reference", "id": id_} for id_ in ("msg_own", "rs_1")]
    await nest.create(input=[*references, {"id": "msg_1"}, HELLO])
    expected = [{**HELLO, "id": "msg_own"}, thought(), message("a"), HELLO]
    assert nest.asked["input"] == expected
    # As it was shown; and a thought that nobody knows stays what it is.
    await nest.create(input=[shown["output"][0], {"type": "reasoning", "id": "rs_x", "summary": []}])
    assert nest.asked["input"] == [thought(), {"type": "reasoning", "id": "rs_x", "summary": []}]
    listed_ = (await nest.driver.request("GET", "/v1/responses/resp_2/input_items?order=asc")).json()
    assert [item["id"] for item in listed_["data"]][:3] == ["msg_own", "rs_1", "msg_1"]
    assert SECRET not in json.dumps(listed_)


@pytest.mark.anyio
async def test_listed_items_can_be_referred_to(anyio_backend: str) -> None:
    nest = Nest(said(message("a")), said(message("b")))
    await nest.create(input=[{"role": "assistant", "content": "before"}, HELLO])
    item, before = (await nest.driver.request("GET", "/v1/responses/resp_1/input_items")).json()["data"]
    assert before["content"] == [{"type": "output_text", "annotations": [], "text": "before"}]
    assert item == {
        "id": item["id"],
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hi"}],
    }
    await nest.create(input=[{"type": "item_reference", "id": item["id"]}])
    assert nest.asked["input"] == [HELLO]


@pytest.mark.anyio
async def test_encrypted_thoughts_are_shown_to_who_asks(anyio_backend: str) -> None:
    nest = Nest(said(thought()), said(thought()))
    first = (await nest.create(input="hi", include=["reasoning.encrypted_content"])).json()
    assert first["output"] == [thought()]
    await nest.create(input="hi")
    for query, seen in (
        ("", False),
        ("?include[]=reasoning.encrypted_content", True),
        ("?include=reasoning.encrypted_content", True),
        ("?include[]=message.output_text.logprobs", False),
    ):
        found = await nest.driver.request("GET", f"/v1/responses/resp_2{query}")
        assert (SECRET in found.text) is seen


@pytest.mark.anyio
async def test_encrypted_thoughts_need_not_be_asked_for(anyio_backend: str) -> None:
    nest = Nest(said(thought()), ask_encrypted=False)
    await nest.create(input="hi")
    assert "include" not in nest.asked


@pytest.mark.anyio
async def test_counting_tokens_takes_a_conversation_and_keeps_nothing(anyio_backend: str) -> None:
    count = whole(b'{"object": "response.input_tokens", "input_tokens": 9}')
    nest = Nest(said(message("a")), count, count)
    await nest.create(input="hi")
    counted = await nest.create("/v1/responses/input_tokens", previous_response_id="resp_1", input="on")
    assert counted.json()["input_tokens"] == 9
    assert len(nest.asked["input"]) == 3
    assert set(nest.asked) == {"model", "input"}
    body = b'{"model": "m", "input":  "x"}'
    await nest.driver.request("POST", "/v1/responses/input_tokens", body=body)
    assert nest.inner.requests[-1].body == body


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_", "param", "words"),
    [
        ({"previous_response_id": 3}, "previous_response_id", "must be a string"),
        ({"store": "no"}, "store", "must be a boolean"),
        ({"background": 1}, "background", "must be a boolean"),
        ({"stream": "true"}, "stream", "must be a boolean"),
        ({"include": "x"}, "include", "must be an array of strings"),
        ({"include": [3]}, "include", "must be an array of strings"),
        ({"input": 3}, "input", "must be a string or an array"),
        ({"input": {}}, "input", "must be a string or an array"),
        ({"input": ["x"]}, "input[0]", "must be an object"),
        ({"input": [HELLO, {"type": "item_reference"}]}, "input[1].id", "must be a string"),
        ({"input": [{"type": "item_reference", "id": 3}]}, "input[0].id", "must be a string"),
        ({"conversation": "conv_1"}, "conversation", "use previous_response_id"),
        ({"background": True, "store": False}, "store", "must not be false"),
        ({"background": True}, "background", "lifespan"),
        ({"previous_response_id": "resp_9"}, "previous_response_id", "'resp_9' not found"),
    ],
)
async def test_bad_requests_are_refused_and_name_the_path(
    anyio_backend: str, request_: Any, param: str, words: str
) -> None:
    nest = Nest()
    refused = await nest.create(**request_)
    assert refused.status == 400
    error = refused.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert not nest.inner.requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'"x"', b'{"input": [1,]}', b'{"input": "\xff"}', b"[" * 9_000]
)
async def test_what_is_no_json_object_is_refused(anyio_backend: str, body: bytes) -> None:
    nest = Nest()
    refused = await nest.driver.request("POST", "/v1/responses", body=body)
    assert refused.status == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.anyio
async def test_bodies_and_methods_and_codings_that_are_not_taken(anyio_backend: str) -> None:
    nest = Nest(max_body=100)
    large = await nest.create(input="x" * 200)
    assert large.status == 413
    assert large.json()["error"]["code"] == "request_too_large"
    zipped = await nest.driver.request("POST", "/v1/responses", headers={"content-encoding": "gzip"}, body=b"x")
    assert zipped.status == 400
    for method, path, allowed in (
        ("GET", "/v1/responses", "POST"),
        ("PUT", "/v1/responses/resp_1", "GET, DELETE"),
        ("GET", "/responses/resp_1/cancel", "POST"),
        ("POST", "/responses/resp_1/input_items", "GET"),
    ):
        refused = await nest.driver.request(method, path)
        assert refused.status == 405
        assert refused.header("allow") == allowed
        assert refused.json()["error"]["code"] == "method_not_allowed"
    head = await nest.driver.request("HEAD", "/v1/responses/resp_1")
    assert (head.status, head.body) == (405, b"")


@pytest.mark.anyio
async def test_other_requests_pass_with_the_very_same_scope_receive_and_send(anyio_backend: str) -> None:
    seen: list[Any] = []

    async def inner(*arguments: Any) -> None:
        seen.append(arguments)

    def scope(type_: str, path: str, method: str = "POST", **more: Any) -> dict[str, Any]:
        return {"type": type_, "path": path, "method": method, "headers": [], "root_path": "", **more}

    preflight = [(b"access-control-request-method", b"POST")]
    part = StatefulResponses(inner)
    for wanted in (
        scope("http", "/v1/chat/completions"),
        scope("http", "/v1/responsesx"),
        scope("http", "/x/v1/responses"),
        scope("http", "/v1/responses", "OPTIONS", headers=preflight),
        scope("websocket", "/v1/realtime"),
        scope("other", "/v1/responses"),
    ):
        receive, send = object(), object()
        await part(wanted, receive, send)
        found = seen.pop()
        assert found[0] is wanted
        assert found[1] is receive
        assert found[2] is send


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "root"), [("/llm/v1/responses", "/llm"), ("/llm/responses", "/llm"), ("/v1/responses/", "")]
)
async def test_it_may_be_mounted(anyio_backend: str, path: str, root: str) -> None:
    nest = Nest(said(message("a")))
    driver = nest.client("k", scope={"root_path": root})
    assert (await driver.request("POST", path, json={"model": "m", "input": "hi"})).status == 200
    found = await driver.request("GET", f"{path.rstrip('/')}/resp_1")
    assert found.json()["output"] == [message("a")]


@pytest.mark.anyio
async def test_clients_are_told_apart_by_their_key_wherever_it_is(anyio_backend: str) -> None:
    nest = Nest(said(message("a")))
    await nest.create(input="hi")
    for headers, status in (
        ({"authorization": "Bearer k1"}, 200),
        ({"authorization": "bearer  k1"}, 200),
        ({"x-api-key": "k1"}, 200),
        ({"api-key": "k1"}, 200),
        ({"authorization": "Bearer k2"}, 404),
        ({}, 404),
    ):
        found = await nest.client(None).request("GET", "/v1/responses/resp_1", headers=headers)
        assert found.status == status


@pytest.mark.anyio
async def test_clients_may_be_told_apart_by_something_else(anyio_backend: str) -> None:
    nest = Nest(said(message("a")), client_of=lambda scope: scope["state"]["user"])
    ann, bob = (nest.client("k1", scope={"state": {"user": user}}) for user in ("ann", "bob"))
    await ann.request("POST", "/v1/responses", json={"model": "m", "input": "hi"})
    assert (await ann.request("GET", "/v1/responses/resp_1")).status == 200
    unknown = await ann.request("GET", "/v1/responses/resp_2")
    foreign = await bob.request("GET", "/v1/responses/resp_1")
    assert foreign.status == unknown.status == 404
    assert foreign.text == unknown.text.replace("resp_2", "resp_1")
    for path, json_ in (
        ("/v1/responses", {"model": "m", "previous_response_id": "resp_1"}),
        ("/v1/responses", {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]}),
    ):
        assert (await bob.request("POST", path, json=json_)).status in (400, 404)


@pytest.mark.anyio
async def test_within_a_pool_clients_cannot_be_told_apart(anyio_backend: str) -> None:
    nest = Nest()
    driver = nest.client("pool-key", scope={"ds2api_asgi.credential": "key-1"})
    with pytest.raises(ConfigurationError, match="KeyPool"):
        await driver.request("POST", "/v1/responses", json={"model": "m"})


@pytest.mark.parametrize(
    "options", [{"max_body": 0}, {"max_answer": 0}, {"max_background": 0}, {"max_queued": -1}, {"store": "state.db"}]
)
def test_values_that_cannot_work_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        StatefulResponses(Nest().inner, **options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=nothing", "after"),
    ],
)
async def test_bad_pages_are_refused(anyio_backend: str, query: str, param: str) -> None:
    nest = Nest(said(message("a")))
    await nest.create(input="hi")
    refused = await nest.driver.request("GET", f"/v1/responses/resp_1/input_items?{query}")
    assert refused.status == 400
    assert refused.json()["error"]["param"] == param


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["stream=maybe", "stream=true&starting_after=x", "starting_after=1"])
async def test_bad_queries_are_refused(anyio_backend: str, query: str) -> None:
    nest = Nest(said(message("a")))
    await nest.create(input="hi")
    assert (await nest.driver.request("GET", f"/v1/responses/resp_1?{query}")).status == 400


@given(st.integers(1, 12), st.integers(1, 5), st.sampled_from(["asc", "desc"]))
def test_pages_together_are_all_items_once(count: int, limit: int, order: str) -> None:
    import anyio

    async def read() -> list[str]:
        nest = Nest(said(message("a")))
        await nest.create(input=[{"role": "user", "content": str(at)} for at in range(count)])
        found: list[str] = []
        after = ""
        while True:
            path = f"/v1/responses/resp_1/input_items?limit={limit}&order={order}{after}"
            page = (await nest.driver.request("GET", path)).json()
            assert problems(page, ResponseItemList) == []
            assert page["first_id"] == page["data"][0]["id"]
            assert page["last_id"] == page["data"][-1]["id"]
            found += [item["content"][0]["text"] for item in page["data"]]
            if not page["has_more"]:
                return found
            after = f"&after={page['last_id']}"

    expected = [str(at) for at in range(count)]
    assert anyio.run(read) == (expected if order == "asc" else expected[::-1])


@pytest.mark.anyio
async def test_what_was_sent_twice_is_listed_once_so_that_pages_go_on(anyio_backend: str) -> None:
    nest = Nest(said(message("a")), said(message("b", "msg_2")))
    await nest.create(input=[{**HELLO, "id": "msg_x"}])
    await nest.create(input=[message("a"), {**HELLO, "id": "msg_x"}, HELLO], previous_response_id="resp_1")
    assert len(nest.asked["input"]) == 5  # the app is asked just that
    seen: list[str] = []
    after = ""
    for _ in range(3):
        page = (await nest.driver.request("GET", f"/v1/responses/resp_2/input_items?limit=1&order=asc{after}")).json()
        seen += [item["id"] for item in page["data"]]
        after = f"&after={page['last_id']}"
    assert seen[:2] == ["msg_x", "msg_1"]
    assert len(set(seen)) == 3
    assert not page["has_more"]


@pytest.mark.anyio
async def test_an_empty_input_is_an_empty_list(anyio_backend: str) -> None:
    nest = Nest(said(message("a")))
    await nest.create()
    page = (await nest.driver.request("GET", "/v1/responses/resp_1/input_items")).json()
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.anyio
@pytest.mark.parametrize("speaks", ["openai-chat", "anthropic", "gemini", "ollama"])
async def test_what_it_adds_to_each_request_is_lost_to_no_other_protocol(speaks: str, anyio_backend: str) -> None:
    upstream = ScriptedUpstream([json_script(answer_in(speaks))], repeat=True)
    app = StatefulResponses(Translator(upstream, speaks=speaks, on_loss="reject"))
    document = responses_request(max_output_tokens=64, truncation="disabled")
    first = await Driver(app).request("POST", "/v1/responses", json=document)
    assert first.status == 200, first.text
    document["previous_response_id"] = first.json()["id"]
    again = await Driver(app).request("POST", "/v1/responses", json=document)
    assert again.status == 200, again.text
