from __future__ import annotations

import json

import anyio
import pytest

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.demo.faults import FAILING_MODELS, Fault, fault_of_key, fault_of_model
from ds2api_asgi.testing import BrokenResponse, Driver
from leaving import leave_waiting

CHAT = "/v1/chat/completions"


def ask(model="demo-small", **members):
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("sk-a+429", Fault(kind="429")),
        ("sk-a+429:30", Fault(kind="429", seconds=30)),
        ("sk-a+429:0.5!3", Fault(kind="429", seconds=0.5, count=3)),
        ("sk+a+hang", Fault(kind="hang")),
        ("sk-a", None),
        ("sk-a+", None),
        ("sk-a+200", None),
        ("sk-a+429x", None),
        ("429", None),
    ],
)
def test_fault_stands_behind_the_last_plus_of_a_key(key, fault):
    assert fault_of_key(key) == fault


def test_every_listed_model_fails():
    assert all(fault_of_model(model) for model in FAILING_MODELS)
    assert fault_of_model("demo-small") is None


STATUSES = {"quota": 429, "context": 400, "error": 500, "first": 500}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["401", "403", "404", "418", "429", "500", "503", "529", *STATUSES])
@pytest.mark.parametrize("by", ["model", "key"])
async def test_answer_is_the_error_that_was_asked_for(kind, by):
    model, key = (f"demo-fail-{kind}", "k") if by == "model" else ("demo-small", f"k+{kind}")
    answer = await Driver(DemoModel()).request(
        "POST", CHAT, json=ask(model), headers={"authorization": f"Bearer {key}"}
    )
    assert answer.status == STATUSES.get(kind) or int(kind)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.header("x-request-id")


@pytest.mark.anyio
async def test_rate_limit_says_when_to_come_back():
    answer = await Driver(DemoModel()).request("POST", CHAT, json=ask("demo-fail-429:1.5"))
    assert (answer.header("retry-after"), answer.header("retry-after-ms")) == ("2", "1500")
    assert answer.header("x-ratelimit-reset-requests") == "1.5s"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    quota = await Driver(DemoModel()).request("POST", CHAT, json=ask("demo-fail-quota"))
    assert quota.header("retry-after") is None
    assert quota.json()["error"]["code"] == "insufficient_quota"


@pytest.mark.anyio
async def test_counted_faults_end_and_are_counted_apart():
    driver = Driver(DemoModel())

    async def status(model, key):
        answer = await driver.request("POST", CHAT, json=ask(model), headers={"authorization": f"Bearer {key}"})
        return answer.status

    assert [await status("demo-fail-500!2", "k") for _ in range(4)] == [500, 500, 200, 200]
    assert [await status("demo-small", "a+401!1") for _ in range(2)] == [401, 200]
    assert await status("demo-small", "b+401!1") == 401


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("kind", "complete"), [("cut", False), ("eof", True)])
async def test_half_answers_break_or_end(kind, complete, streamed):
    driver = Driver(DemoModel())
    answer = await driver.request("POST", CHAT, json=ask(f"demo-fail-{kind}", stream=streamed))
    assert (answer.status, answer.complete) == (200, complete)
    assert answer.body
    assert b"[DONE]" not in answer.body
    assert b'"total_tokens"' not in answer.body


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "chunks_before"), [("error", True), ("first", False)])
async def test_errors_come_as_events_inside_a_stream(kind, chunks_before):
    answer = await Driver(DemoModel()).request("POST", CHAT, json=ask(f"demo-fail-{kind}", stream=True))
    assert (answer.status, answer.complete) == (200, True)
    *chunks, last = [json.loads(frame.removeprefix("data: ")) for frame in answer.text.split("\n\n")[:-1]]
    assert last["error"]["type"] == "server_error"
    assert bool(chunks) == chunks_before


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [True, False])
async def test_hang_answers_nothing_until_the_client_leaves(streamed):
    with anyio.move_on_after(0.05) as waited:
        await Driver(DemoModel()).request("POST", CHAT, json=ask("demo-fail-hang", stream=streamed))
    assert waited.cancelled_caught


@pytest.mark.anyio
async def test_stall_sends_half_and_ends_when_the_client_leaves():
    async with Driver(DemoModel()).open("POST", CHAT, json=ask("demo-fail-stall", stream=True)) as response:
        got = 0

        async def read():
            nonlocal got
            async for _ in response:
                got += 1

        await leave_waiting(read)
        assert got > 1
        assert not response.complete


@pytest.mark.anyio
async def test_cut_is_a_broken_response_for_who_streams():
    async with Driver(DemoModel()).open("POST", CHAT, json=ask("demo-fail-cut", stream=True)) as response:
        with pytest.raises(BrokenResponse):
            async for _ in response:
                pass
