"""Background responses: they go on without their client, and stop when they are told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.stateful import MemoryResponseStore, SQLiteResponseStore
from ds2api_asgi.stateful import background as background_module
from ds2api_asgi.testing.scripted import EVENT_STREAM, Break, Hang, Start, Wait
from stateful.stateless import SECRET, Nest, answer, events, frames, message, parsed, strange, stream, thought, whole

pytestmark = pytest.mark.anyio

ANSWER = answer(thought(), message("Hello"))
WHOLE = whole(json.dumps(ANSWER).encode())
URL = "/v1/responses/resp_1"


@asynccontextmanager
async def at_work(*scripts: Any, **options: Any) -> AsyncIterator[Nest]:
    nest = Nest(*scripts, **options)
    with anyio.fail_after(20):
        async with running(nest.part):
            yield nest


async def begin(nest: Nest, **request: Any) -> Any:
    return (await nest.create(background=True, input="hi", **request)).json()


async def get(nest: Nest, url: str = URL) -> Any:
    return (await nest.driver.request("GET", url)).json()


async def until(nest: Nest, *statuses: str, url: str = URL) -> Any:
    while (found := await get(nest, url))["status"] not in statuses:  # noqa: ASYNC110 - as clients poll
        await anyio.sleep(0.01)
    return found


async def asked(nest: Nest, count: int = 1) -> None:
    while len(nest.inner.requests) < count:  # noqa: ASYNC110 - scripts tell nobody that they were asked
        await anyio.sleep(0.01)


async def test_it_is_queued_works_and_ends(anyio_backend: str) -> None:
    go = anyio.Event()
    async with at_work([*WHOLE[:1], Wait(go), *WHOLE[1:]]) as nest:
        queued = await begin(nest, instructions="Be brief.", metadata={"a": "b"}, previous_response_id=None)
        assert queued["status"] == "queued"
        assert queued["output"] == []
        assert (queued["background"], queued["store"]) == (True, True)
        assert (queued["instructions"], queued["metadata"]) == ("Be brief.", {"a": "b"})
        await until(nest, "in_progress")
        go.set()
        done = await until(nest, "completed")
        assert done["id"] == "resp_1"
        assert done["background"] is True
        assert done["output"] == [{"type": "reasoning", "id": "rs_1", "summary": []}, message("Hello")]
        assert {"background", "previous_response_id"}.isdisjoint(nest.asked)
        assert nest.asked["store"] is False


async def test_others_wait_for_their_turn(anyio_backend: str) -> None:
    go = anyio.Event()
    slow = [*WHOLE[:1], Wait(go), *WHOLE[1:]]
    async with at_work(slow, WHOLE, max_background=1, max_queued=1) as nest:
        await begin(nest)
        await asked(nest)
        await begin(nest)
        full = await nest.create(background=True, input="hi")
        assert full.status == 503
        assert full.json()["error"]["code"] == "server_is_overloaded"
        assert (await get(nest, "/v1/responses/resp_2"))["status"] == "queued"
        assert len(nest.inner.requests) == 1
        refused = await nest.create(previous_response_id="resp_2", input="on")
        assert refused.status == 400
        assert "still queued" in refused.json()["error"]["message"]
        go.set()
        await until(nest, "completed", url="/v1/responses/resp_2")


@pytest.mark.parametrize("streams", [False, True])
async def test_cancelling_stops_the_app(anyio_backend: str, streams: bool) -> None:
    pieces = frames(events(ANSWER)[:4])
    async with at_work([*(stream(ANSWER, pieces) if streams else [*WHOLE[:1]]), Hang()]) as nest:
        if streams:
            async with nest.driver.open("POST", "/v1/responses", json={"background": True, "stream": True}) as response:
                while b"output_item" not in await anext(response):
                    pass
        else:
            await begin(nest)
        await until(nest, "in_progress")
        await asked(nest)
        cancelled = await nest.driver.request("POST", f"{URL}/cancel")
        assert cancelled.status == 200
        assert cancelled.json()["status"] == "cancelled"
        assert (await get(nest))["status"] == "cancelled"
        again = await nest.driver.request("POST", f"{URL}/cancel")
        assert again.json() == cancelled.json()
        if streams:
            assert cancelled.json()["output"] == [{"type": "reasoning", "id": "rs_1", "summary": []}]
            seen = parsed((await nest.driver.request("GET", f"{URL}?stream=true")).body)
            assert [event["type"].removeprefix("response.") for event in seen] == [
                "created", "queued", "in_progress", "output_item.added", "output_item.done",
            ]  # fmt: skip
        on = await nest.create(previous_response_id="resp_1", input="on")
        assert on.status == 500  # the script is over; what matters is that it was asked
        inputs = nest.asked["input"]
        assert inputs[-1]["content"] == [{"type": "input_text", "text": "on"}]
        # What had come by then is part of the conversation.
        assert inputs[0] == (
            thought() if streams else {**inputs[-1], "content": [{"type": "input_text", "text": "hi"}]}
        )


async def test_only_background_responses_can_be_cancelled(anyio_backend: str) -> None:
    nest = Nest(WHOLE)
    await nest.create(input="hi")
    refused = await nest.driver.request("POST", f"{URL}/cancel")
    assert refused.status == 400
    assert refused.json()["error"] == {
        "message": "Cannot cancel a synchronous response.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert (await get(nest))["status"] == "completed"
    assert (await nest.driver.request("POST", "/v1/responses/resp_9/cancel")).status == 404


async def test_deleting_stops_the_app_and_leaves_nothing(anyio_backend: str) -> None:
    async with at_work([*WHOLE[:1], Hang()]) as nest:
        await begin(nest)
        await asked(nest)
        assert (await nest.driver.request("DELETE", URL)).json() == {
            "id": "resp_1",
            "object": "response",
            "deleted": True,
        }
        await anyio.sleep(0.05)
        assert (await nest.driver.request("GET", URL)).status == 404
        assert nest.part._settings.workshop.get()._runs == {}


@pytest.mark.parametrize("what", ["cancel", "delete"])
async def test_another_process_stops_it_through_the_store(
    anyio_backend: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_module, "RENEWAL", 0.05)
    first, second = (SQLiteResponseStore(tmp_path / "state.db") for _ in range(2))
    async with at_work([*WHOLE[:1], Hang()], store=first) as nest, at_work(store=second) as other:
        await begin(nest)
        await asked(nest)
        if what == "cancel":
            assert (await other.driver.request("POST", f"{URL}/cancel")).json()["status"] == "cancelled"
        else:
            assert (await other.driver.request("DELETE", URL)).status == 200
        while nest.part._settings.workshop.get()._runs:  # noqa: ASYNC110 - nobody is told, on purpose
            await anyio.sleep(0.01)
        found = await nest.driver.request("GET", URL)
        assert found.status == (200 if what == "cancel" else 404)
        assert what == "delete" or found.json()["status"] == "cancelled"
    first.close()
    second.close()


async def test_another_process_streams_it_when_it_is_done(anyio_backend: str, tmp_path: Path) -> None:
    first, second = (SQLiteResponseStore(tmp_path / "state.db") for _ in range(2))
    go = anyio.Event()
    script = [Start(200, EVENT_STREAM), Wait(go), frames(events(ANSWER))]
    async with at_work(script, store=first) as nest, at_work(store=second) as other:
        async with nest.driver.open("POST", "/v1/responses", json={"background": True, "stream": True}) as response:
            await anext(response)
        async with other.driver.open("GET", f"{URL}?stream=true&starting_after=0") as response:
            go.set()
            seen = parsed((await response.read()).body)
        assert [event["sequence_number"] for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["type"] == "response.completed"
    first.close()
    second.close()


async def test_a_stream_goes_on_without_its_client_and_is_resumed(anyio_backend: str) -> None:
    go = anyio.Event()
    said = events(ANSWER)
    async with at_work([*stream(ANSWER, frames(said[:4])), Wait(go), frames(said[4:])]) as nest:
        body = b""
        async with nest.driver.open("POST", "/v1/responses", json={"background": True, "stream": True}) as response:
            while b"output_item.done" not in body:
                body += await anext(response)
            await response.disconnect()
        seen = parsed(body)
        last = seen[-1]["sequence_number"]
        async with nest.driver.open("GET", f"{URL}?stream=true&starting_after={last}") as response:
            go.set()
            rest = parsed((await response.read()).body)
        everything = [*seen, *rest]
        assert [event["sequence_number"] for event in everything] == list(range(len(everything)))
        assert everything[0]["response"]["status"] == "queued"
        assert everything[2]["response"]["status"] == "in_progress"
        assert everything[-1]["type"] == "response.completed"
        assert everything[-1]["response"]["id"] == "resp_1"
        assert SECRET not in json.dumps(everything)
        assert strange(everything) == []
        assert parsed((await nest.driver.request("GET", f"{URL}?stream=true")).body) == everything


async def test_a_whole_answer_is_streamed_to_who_asked_for_a_stream(anyio_backend: str) -> None:
    async with at_work(WHOLE) as nest:
        seen = parsed((await nest.create(background=True, stream=True)).body)
        assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
        assert seen[-1]["type"] == "response.completed"
        assert any(event["type"] == "response.output_text.delta" for event in seen)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (whole(b'{"error": {"message": "slow down"}}', status=429), "rate_limit_exceeded", "slow down"),
        (whole(b'{"error": {"message": "too long"}}', status=400), "invalid_prompt", "too long"),
        (whole(b"<h1>", status=503, kind=b"text/html"), "server_error", "answered 503"),
        (whole(b'{"not": "a response"}'), "server_error", "broke off"),
        (stream(ANSWER, frames(events(ANSWER)[:4])), "server_error", "broke off"),
        (stream(ANSWER, b'data: {"type": "error", "message": "overheated"}\n\n'), "server_error", "overheated"),
        ([Break()], "server_error", "broke off"),
        (whole(json.dumps(answer(message("x" * 5_000))).encode()), "server_error", "over the limit"),
        (stream(answer(*[message("x" * 300)] * 9)), "server_error", "over the limit"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_what_goes_wrong_ends_in_failure(
    anyio_backend: str, script: Any, code: str, words: str, streams: bool
) -> None:
    async with at_work(script, max_answer=4_000) as nest:
        if streams:
            seen = parsed((await nest.create(background=True, stream=True)).body)
            assert seen[-1]["type"] == "response.failed"
            assert seen[-1]["response"]["error"]["code"] == code
        else:
            await begin(nest)
        failed = await until(nest, "failed", "completed")
        if failed["status"] == "completed":  # not streamed, nothing is journalled: the answer itself is small enough
            assert "over" in words
            assert not streams
            return
        assert failed["error"]["code"] == code
        assert words in failed["error"]["message"]
        assert failed["id"] == "resp_1"


async def test_what_is_not_done_when_the_server_stops_has_failed(anyio_backend: str) -> None:
    store = MemoryResponseStore()
    async with at_work([*WHOLE[:1], Hang()], store=store) as nest:
        await begin(nest)
        await asked(nest)
    failed = await get(nest)
    assert failed["status"] == "failed"
    assert "stopped" in failed["error"]["message"]
    refused = await nest.create(background=True)
    assert refused.status == 400  # nobody works any more


async def test_what_a_dead_process_left_has_failed_once_its_lease_is_over(anyio_backend: str) -> None:
    now = 1_000.0
    store = MemoryResponseStore()
    async with at_work([*WHOLE[:1], Hang()], store=store, clock=lambda: now) as nest:
        await begin(nest)
        await until(nest, "in_progress")
        other = Nest(store=store, clock=lambda: now)
        assert (await get(other))["status"] == "in_progress"
        now += background_module.LEASE + 1
        found = await get(other)
        assert found["status"] == "failed"
        assert (await get(other)) == found
        await nest.driver.request("DELETE", URL)


async def test_a_deadline_of_the_clients_request_is_not_that_of_the_work(anyio_backend: str) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scopes.append(scope)
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": WHOLE[1]})

    async with at_work(app=app) as nest:
        driver = nest.client("k1", scope={"ds2api_asgi.exchange": object()})
        await driver.request("POST", "/v1/responses", json={"background": True})
        await until(nest, "completed")
        assert "ds2api_asgi.exchange" not in scopes[0]


async def test_the_lifespan_of_the_app_is_run_and_its_failure_told(anyio_backend: str) -> None:
    said: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            kind = (await receive())["type"]
            said.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async with at_work(app=app):
        assert said == ["lifespan.startup"]
    assert said == ["lifespan.startup", "lifespan.shutdown"]

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    with pytest.raises(Exception, match="no disk"):
        async with at_work(app=broken):
            pass


async def test_who_hears_of_the_end_may_continue_at_once(anyio_backend: str) -> None:
    class Slow(MemoryResponseStore):
        async def advance(self, client: str, response: Any) -> bool:
            await anyio.sleep(0.05)
            return await super().advance(client, response)

    never = anyio.Event()  # the app says its last word, and does not end
    background = {"background": True, "stream": True}
    async with (
        at_work([*stream(ANSWER), Wait(never)], stream(ANSWER), store=Slow()) as nest,
        nest.driver.open("POST", "/v1/responses", json=background) as response,
    ):
        body = b""
        while b"response.completed" not in body:
            body += await anext(response)
        assert (await nest.create(previous_response_id="resp_1", input="on")).status == 200
        assert (await response.read()).complete


async def test_a_silent_stream_is_kept_alive(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_module, "HEARTBEAT", 0.05)
    async with at_work([Start(200, EVENT_STREAM), Hang()]) as nest:
        async with nest.driver.open("POST", "/v1/responses", json={"background": True, "stream": True}) as response:
            while b": ping\n\n" not in await anext(response):
                pass
        await nest.driver.request("POST", f"{URL}/cancel")


async def test_a_store_that_fails_once_ends_no_work(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_module, "RENEWAL", 0.02)
    failed: list[int] = []

    class Moody(MemoryResponseStore):
        async def renew(self, client: str, id_: str, *, lease: float) -> bool:
            if not failed:
                failed.append(1)
                raise OSError("busy")
            return await super().renew(client, id_, lease=lease)

    go = anyio.Event()
    async with at_work([*WHOLE[:1], Wait(go), *WHOLE[1:]], store=Moody()) as nest:
        await begin(nest)
        while not failed:  # noqa: ASYNC110 - the store is the code under test
            await anyio.sleep(0.01)
        go.set()
        assert (await until(nest, "completed", "failed"))["status"] == "completed"
