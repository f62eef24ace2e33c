"""Opaque state through a `Translator`: what clients are given, what upstreams are asked, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dialogues import events_of
from ds2api_asgi.asgi.exchange import enter
from ds2api_asgi.asgi.facts import AccountGroup
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from ds2api_asgi.transforms.carry import MemoryCarryStore
from ds2api_asgi.translator import Translator
from ds2api_asgi.universal.capsule import MAX_CAPSULE, Minter, read
from ds2api_asgi.universal.loss import Loss, LossKind
from minters import MintingUpstream, answer_of, stream_of

pytestmark = pytest.mark.anyio

THOUGHT: list[Any] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "SIG"},
    {"type": "redacted_thinking", "data": "RED"},
    {"type": "text", "text": "So."},
]
ASKED = {"model": "m", "messages": [{"role": "user", "content": "q"}]}


def upstream_of(*answers: Any) -> ScriptedUpstream:
    return ScriptedUpstream([json_script(answer_of("anthropic", answer, 0)) for answer in answers])


async def chat(app: Any, messages: list[Any], **more: Any) -> Any:
    document = {"model": "m", "messages": messages, **more}
    return await Driver(app).request("POST", "/v1/chat/completions", json=document)


def carried(message: Any) -> list[Any]:
    return [detail.get("signature", detail.get("data")) for detail in message["reasoning_details"]]


async def test_a_chat_clients_details_are_public_in_form_and_ours_in_content() -> None:
    answer = await chat(Translator(upstream_of(THOUGHT), speaks="anthropic", origin="eu/blue"), ASKED["messages"])
    message = answer.json()["choices"][0]["message"]
    first, second = message["reasoning_details"]
    assert {**first, "signature": ""} == {
        "type": "reasoning.text", "text": "Hm.", "signature": "", "format": "ds2", "index": 0,
    }  # fmt: skip
    assert {**second, "data": ""} == {"type": "reasoning.encrypted", "data": "", "format": "ds2", "index": 1}
    assert message["reasoning_content"] == "Hm."
    for value in carried(message):
        capsule = read(value)
        assert capsule is not None
        assert capsule.minter == Minter.of("anthropic", "eu", "blue")


async def test_each_capsule_comes_in_one_piece_of_a_stream() -> None:
    """Anthropic's SDK overwrites a signature with each that comes, OpenAI's joins what it does not know."""
    stream = stream_of("anthropic", answer_of("anthropic", THOUGHT, 0), chunk=1)
    for path, marks in (
        ("/v1/chat/completions", [b'"signature":"ds2.1.', b'"data":"ds2.1.']),
        ("/v1/responses", [b'"encrypted_content":"ds2.1.']),
    ):
        upstream = ScriptedUpstream([[_start(), stream]])
        app = Translator(upstream, speaks="anthropic")
        document: dict[str, Any] = {**ASKED, "stream": True}
        if "responses" in path:
            document = {"model": "m", "input": "q", "stream": True}
        answer = await Driver(app).request("POST", path, json=document)
        frames = [frame for frame in answer.body.split(b"\n\n") if b"ds2.1." in frame]
        if "responses" in path:  # said when an item is done, and again in the whole answer
            assert sum(b"response.output_item.done" in frame for frame in frames) == 2
            assert len(frames) == 3
        else:
            assert [sum(mark in frame for frame in frames) for mark in marks] == [1, 1]


async def test_an_anthropic_client_gets_one_signature_for_each_thought() -> None:
    items = [
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "ENC",
         "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "So.", "annotations": []}]},
    ]  # fmt: skip
    stream = stream_of("openai-responses", answer_of("openai-responses", items, 0), chunk=1)
    app = Translator(ScriptedUpstream([[_start(), stream]]), speaks="openai-responses")
    answer = await Driver(app).request("POST", "/v1/messages", json={**ASKED, "max_tokens": 9, "stream": True})
    signed = [event["index"] for event in events_of(answer.body) if _is_signature(event)]
    assert signed == [0, 1]  # each summary is a thought of its own, and clients drop those without a signature
    assert answer.body.count(b'"type":"redacted_thinking"') == 1  # the id of the message that the thought led to


def _is_signature(event: dict[str, Any]) -> bool:
    delta: dict[str, Any] = event.get("delta", {})
    return delta.get("type") == "signature_delta" and delta["signature"].startswith("ds2.1.")


def _start() -> Any:
    from ds2api_asgi.testing.scripted import EVENT_STREAM, Start

    return Start(200, EVENT_STREAM)


async def test_a_client_that_made_a_capsule_up_is_believed_only_without_a_secret() -> None:
    for secret, reaches in ((None, True), ("secret", False)):
        upstream = upstream_of(THOUGHT, THOUGHT)
        plain = Translator(upstream, speaks="anthropic")
        message = (await chat(plain, ASKED["messages"])).json()["choices"][0]["message"]
        again = [*ASKED["messages"], message, *ASKED["messages"]]
        await chat(Translator(upstream, speaks="anthropic", secret=secret), again)
        assert (b"SIG" in upstream.requests[1].body) is reaches
        assert b"ds2.1." not in upstream.requests[1].body


async def test_the_account_group_of_a_part_beneath_stamps_what_is_minted() -> None:
    upstream = upstream_of(THOUGHT, THOUGHT, THOUGHT)

    async def pooled(scope: Any, receive: Any, send: Any) -> None:
        scope, exchange = enter(scope)
        exchange.note(AccountGroup(group="blue"))
        await upstream(scope, receive, send)

    message = (await chat(Translator(pooled, speaks="anthropic"), ASKED["messages"])).json()["choices"][0]["message"]
    again = [*ASKED["messages"], message, *ASKED["messages"]]
    losses: list[Loss] = []

    def note(found: Any) -> Any:
        losses[:] = found
        return "allow"

    # Whose account answers is not known before: only who was told that it is blue's may be given blue's.
    await chat(Translator(pooled, speaks="anthropic", on_loss=note), again)
    assert b"SIG" not in upstream.requests[1].body
    assert {loss.kind for loss in losses if "blue" not in loss.reason} >= {LossKind.ORIGIN_MISMATCH}
    await chat(Translator(pooled, speaks="anthropic", origin="anthropic/blue", on_loss=note), again)
    assert b"SIG" in upstream.requests[2].body
    assert not [loss for loss in losses if loss.kind is LossKind.ORIGIN_MISMATCH]


async def test_a_payload_that_is_too_large_is_reported_and_the_answer_is_whole() -> None:
    huge = [{"type": "thinking", "thinking": "Hm.", "signature": "S" * MAX_CAPSULE}, {"type": "text", "text": "So."}]
    answer = await chat(Translator(upstream_of(huge), speaks="anthropic"), ASKED["messages"])
    message = answer.json()["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("So.", "Hm.")
    assert "reasoning_details" not in message


async def test_a_body_without_a_capsule_passes_byte_for_byte_and_one_with_is_rid_of_it() -> None:
    minting = Translator(upstream_of(THOUGHT), speaks="anthropic", origin="eu")
    message = (await chat(minting, ASKED["messages"])).json()["choices"][0]["message"]
    upstream = ScriptedUpstream([json_script(answer_of("openai-chat", {"content": "x"}, 0))] * 3)
    app = Translator(upstream, speaks="openai-chat", origin="openai")
    odd = b'{ "model" : "m",  "messages": [{"role":"user","content":"q"}], "seed": 1e0 }'
    driver = Driver(app)
    await driver.request("POST", "/v1/chat/completions", body=odd)
    assert upstream.requests[0].body == odd
    losses: list[Loss] = []

    def note(found: Any) -> Any:
        losses[:] = found
        return "allow"

    document = {"model": "m", "messages": [*ASKED["messages"], message, *ASKED["messages"]], "seed": 1}
    await driver.request("POST", "/v1/chat/completions", json=document)
    got = json.loads(upstream.requests[1].body)
    assert "reasoning_details" not in got["messages"][1]
    assert got["messages"][1]["content"] == "So."
    assert got["seed"] == 1
    assert b"ds2.1." not in upstream.requests[1].body
    # A text about capsules is no capsule.
    prose = json.dumps({"model": "m", "messages": [{"role": "user", "content": "what is ds2.1.x?"}]}).encode()
    await driver.request("POST", "/v1/chat/completions", body=prose)
    assert upstream.requests[2].body == prose


async def test_without_an_origin_a_client_of_the_apps_own_protocol_is_not_even_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert receive is given
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def given() -> Any:
        raise AssertionError("nobody asked for the body")

    async def send(_: Any) -> None: ...

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": [], "query_string": b""}
    await Translator(app, speaks="anthropic")(scope, given, send)


@pytest.mark.parametrize(
    "options",
    [{"origin": "a b"}, {"origin": "ä/x"}, {"origin": "x" * 65}, {"carry_store_clients": "ollama"}, {"secret": ""}],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Translator(upstream_of(), speaks="anthropic", **options)


async def test_a_store_serves_other_clients_only_where_it_is_told_to() -> None:
    """A framework that keeps roles and texts, and nothing else."""
    for clients, reaches in ((("ollama",), False), (("openai-chat",), True)):
        upstream = upstream_of(THOUGHT, THOUGHT)
        store = MemoryCarryStore()
        app = Translator(upstream, speaks="anthropic", carry_store=store, carry_store_clients=clients)
        answer = (await chat(app, ASKED["messages"])).json()["choices"][0]["message"]
        kept = {"role": "assistant", "content": answer["content"]}
        await chat(app, [*ASKED["messages"], kept, *ASKED["messages"]])
        assert (b"SIG" in upstream.requests[1].body) is reaches
        assert (store.size > 0) is reaches


async def test_the_use_of_a_store_is_reported() -> None:
    upstream = upstream_of(THOUGHT, THOUGHT)
    kinds: list[list[LossKind]] = []

    def note(found: Any) -> Any:
        kinds.append([loss.kind for loss in found])
        return "allow"

    driver = Driver(Translator(upstream, speaks="anthropic", on_loss=note))
    answer = await driver.request("POST", "/api/chat", json={**ASKED, "stream": False})
    kept = {"role": "assistant", "content": answer.json()["message"]["content"]}
    messages = [*ASKED["messages"], kept, *ASKED["messages"]]
    await driver.request("POST", "/api/chat", json={"model": "m", "messages": messages, "stream": False})
    assert b"SIG" in upstream.requests[1].body
    assert any(LossKind.STATEFUL in found for found in kinds)


@pytest.mark.parametrize(
    ("path", "document", "asks"),
    [
        ("/v1/chat/completions", {"reasoning_effort": "high"}, True),
        ("/v1/chat/completions", {"reasoning_effort": "none"}, False),
        ("/v1/chat/completions", {}, False),  # models that do not think refuse it
        ("/v1/messages", {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ("/v1/messages", {"max_tokens": 2000, "thinking": {"type": "disabled"}}, False),
        ("/api/chat", {"think": True, "stream": False}, True),
        ("/api/chat", {"think": False, "stream": False}, False),
    ],
)
async def test_a_responses_upstream_is_asked_for_its_state_where_it_thinks(
    path: str, document: Any, asks: bool
) -> None:
    upstream = ScriptedUpstream([json_script(answer_of("openai-responses", [], 0))])
    app = Translator(upstream, speaks="openai-responses")
    await Driver(app).request("POST", path, json={**ASKED, **document})
    asked = json.loads(upstream.requests[0].body)
    assert asked.get("include") == (["reasoning.encrypted_content"] if asks else None)


@pytest.mark.parametrize("harm", ["missing", "altered", "moved"])
async def test_the_minters_of_these_tests_refuse_what_is_missing_altered_or_moved(harm: str) -> None:
    minting = MintingUpstream("anthropic", [THOUGHT, THOUGHT])
    blocks: list[Any] = json.loads(json.dumps(THOUGHT))
    if harm == "missing":
        del blocks[0]
    elif harm == "altered":
        blocks[0]["signature"] = "SIH"
    else:
        blocks.append(blocks.pop(0))
    messages = [*ASKED["messages"], {"role": "assistant", "content": blocks}, *ASKED["messages"]]
    answer = await Driver(minting).request("POST", "/v1/messages", json={"model": "m", "messages": messages})
    assert answer.status == 400
    assert minting.problems
