"""The official openai SDK on real uvicorn: `StatefulResponses` before a `Translator` before the demo model."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from ds2api_asgi import Translator
from ds2api_asgi.asgi.lifespan import lifespan
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.stateful import MemoryResponseStore, ResponseStore, SQLiteResponseStore, StatefulResponses
from ds2api_asgi.testing import ScriptedUpstream, serve
from ds2api_asgi.testing.scripted import EVENT_STREAM, Hang, Start

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

MODEL = "demo-small"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Verdict(BaseModel):
    answer: str
    score: int


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ResponseStore]:
    if request.param == "memory":
        yield MemoryResponseStore()
    else:
        with closing(SQLiteResponseStore(tmp_path / "state.db")) as opened:
            yield opened


@asynccontextmanager
async def client_of(store: ResponseStore, **options: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    app = StatefulResponses(Translator(DemoModel(), speaks="openai-chat"), store=store, **options)
    async with (
        serve(app, ws="websockets-sansio") as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k1", max_retries=0) as client,
    ):
        yield client


def outputs_of(response: Any) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"18 degrees in {item.arguments}"}
        for item in response.output
        if item.type == "function_call"
    ]


async def test_three_turns_with_tools_by_previous_response_id(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        create = client.responses.create
        first = await create(model=MODEL, input="Use get_weather for Paris and Tokyo, then for Lima.", tools=[WEATHER])
        assert len(outputs_of(first)) == 2
        second = await create(model=MODEL, previous_response_id=first.id, input=outputs_of(first), tools=[WEATHER])
        calls = [json.loads(item.arguments) for item in second.output if item.type == "function_call"]
        assert calls == [{"city": "Lima"}]
        third = await create(model=MODEL, previous_response_id=second.id, input=outputs_of(second), tools=[WEATHER])
        assert "Lima" in third.output_text
        assert "Paris" in third.output_text
        assert third.previous_response_id == second.id
        assert third.store is True
        items = [item async for item in client.responses.input_items.list(third.id, limit=2, order="asc")]
        result = ["function_call_output"]
        assert [item.type for item in items] == [
            "message", *["function_call"] * 2, *result * 2, "function_call", *result,
        ]  # fmt: skip
        assert all(item.id for item in items)
        again = [item async for item in client.responses.input_items.list(third.id, limit=3)]
        assert [item.id for item in again] == [item.id for item in reversed(items)]


async def test_streams_continue_and_are_continued(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        asked: Any = {"model": MODEL, "tools": [WEATHER]}
        async with client.responses.stream(input="Use get_weather for Paris, then for Lima.", **asked) as stream:
            seen = [event async for event in stream]
            first = await stream.get_final_response()
        assert seen[0].type == "response.created"
        assert seen[0].response.id == first.id
        async with client.responses.stream(previous_response_id=first.id, input=outputs_of(first), **asked) as stream:
            begun = await anext(aiter(stream))
            assert begun.type == "response.created"
            assert begun.response.previous_response_id == first.id
            assert begun.response.store is True
            second = await stream.get_final_response()
        assert [json.loads(i.arguments) for i in second.output if i.type == "function_call"] == [{"city": "Lima"}]
        kept = await client.responses.retrieve(second.id)
        assert [item.id for item in kept.output] == [item.id for item in second.output]
        assert kept.usage == second.usage


async def test_parsed_answers_continue(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Remember the number seven.")
        second = await client.responses.parse(
            model=MODEL, previous_response_id=first.id, input="Judge it.", text_format=Verdict
        )
        assert isinstance(second.output_parsed, Verdict)
        third = await client.responses.create(model=MODEL, previous_response_id=second.id, input="And now?")
        items = [item async for item in client.responses.input_items.list(third.id, order="asc")]
        assert [getattr(item, "role", None) for item in items] == ["user", "assistant", "user", "assistant", "user"]


async def test_two_branches_of_one_response(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello")
        found: dict[str, Any] = {}

        async def branch(text: str) -> None:
            found[text] = await client.responses.create(model=MODEL, previous_response_id=first.id, input=text)

        async with anyio.create_task_group() as group:
            for text in ("left", "right"):
                group.start_soon(branch, text)
        assert found["left"].id != found["right"].id
        for text, response in found.items():
            third = await client.responses.create(model=MODEL, previous_response_id=response.id, input="on")
            items: Any = [item async for item in client.responses.input_items.list(third.id, order="asc")]
            assert [item.content[0].text for item in items][2] == text


async def test_retrieve_delete_and_what_is_gone(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello")
        kept = await client.responses.retrieve(first.id)
        assert kept.output_text == first.output_text
        events = [event async for event in await client.responses.retrieve(first.id, stream=True)]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert said == first.output_text
        assert events[-1].type == "response.completed"
        rest = [event async for event in await client.responses.retrieve(first.id, stream=True, starting_after=3)]
        assert rest == events[4:]
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{first.id}' not found"):
            await client.responses.retrieve(first.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.delete(first.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model=MODEL, previous_response_id=first.id, input="on")
        assert caught.value.code == "previous_response_not_found"
        assert caught.value.param == "previous_response_id"


async def test_a_foreign_response_looks_like_none(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello")
        other = client.with_options(api_key="k2")
        for ask in (other.responses.retrieve, other.responses.delete, other.responses.cancel):
            with pytest.raises(openai.NotFoundError) as caught:
                await ask(first.id)
            assert caught.value.body == {
                "message": f"Response with id '{first.id}' not found.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        with pytest.raises(openai.BadRequestError):
            await other.responses.create(model=MODEL, previous_response_id=first.id, input="on")
        assert (await client.responses.retrieve(first.id)).id == first.id


async def test_item_references_stand_for_items(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        text = "Use get_weather for Paris."
        first = await client.responses.create(model=MODEL, input=text, tools=[WEATHER])
        call: Any = next(item for item in first.output if item.type == "function_call")
        again: list[Any] = [{"role": "user", "content": text}, {"type": "item_reference", "id": call.id}]
        second = await client.responses.create(model=MODEL, input=[*again, *outputs_of(first)], tools=[WEATHER])
        assert "18 degrees" in second.output_text
        with pytest.raises(openai.NotFoundError, match="Item with id 'fc_none' not found"):
            await client.responses.create(model=MODEL, input=[{"type": "item_reference", "id": "fc_none"}])


async def test_what_is_not_to_be_stored_is_not(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello", store=False)
        assert first.store is False
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)


async def until_done(client: openai.AsyncOpenAI, id_: str) -> Any:
    with anyio.fail_after(10):
        while (found := await client.responses.retrieve(id_)).status in ("queued", "in_progress"):  # noqa: ASYNC110
            await anyio.sleep(0.02)
        return found
    raise AssertionError("unreachable")


async def test_background_work_is_polled_and_continued(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello", background=True, temperature=0.5)
        assert first.status == "queued"
        assert first.background is True
        assert first.temperature == 0.5
        done = await until_done(client, first.id)
        assert done.status == "completed"
        assert done.id == first.id
        assert "Hello" in done.output_text
        same = await client.responses.cancel(first.id)
        assert same.status == "completed"
        second = await client.responses.create(model=MODEL, previous_response_id=first.id, input="on")
        assert second.previous_response_id == first.id


async def test_a_background_stream_is_resumed(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        stream = await client.responses.create(model=MODEL, input="Hello you", background=True, stream=True)
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if len(seen) == 4:
                break
        await stream.close()
        assert [event.type for event in seen[:2]] == ["response.created", "response.queued"]
        id_ = seen[0].response.id
        rest: Any = [event async for event in await client.responses.retrieve(id_, stream=True, starting_after=3)]
        assert [event.sequence_number for event in (*seen, *rest)] == list(range(len(seen) + len(rest)))
        assert rest[-1].type == "response.completed"
        again = [event async for event in await client.responses.retrieve(id_, stream=True)]
        assert [event.to_json() for event in again] == [event.to_json() for event in (*seen, *rest)]
        said = "".join(event.delta for event in again if event.type == "response.output_text.delta")
        assert said == rest[-1].response.output_text


async def test_a_waited_for_response_cannot_be_cancelled(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client:
        first = await client.responses.create(model=MODEL, input="Hello")
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
            await client.responses.cancel(first.id)


async def test_without_a_lifespan_background_is_refused(anyio_backend: str) -> None:
    app = StatefulResponses(Translator(DemoModel(), speaks="openai-chat"))
    async with (
        serve(app, lifespan="off") as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="lifespan") as caught:
            await client.responses.create(model=MODEL, input="Hello", background=True)
        assert caught.value.param == "background"


async def turn(connection: Any, **request: Any) -> list[Any]:
    """The events of one response over a websocket."""
    await connection.response.create(model=MODEL, **request)
    events = []
    with anyio.fail_after(10):
        while not events or events[-1].type not in ("response.completed", "error"):
            events.append(await connection.recv())
    return events


async def test_three_turns_over_a_websocket(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client, client.responses.connect() as socket:
        text = "Use get_weather for Paris, then for Lima."
        first = (await turn(socket, input=text, tools=[WEATHER], store=False))[-1].response
        assert first.store is False
        more: Any = {"input": outputs_of(first), "tools": [WEATHER], "store": False}
        second = await turn(socket, previous_response_id=first.id, **more)
        assert [event.sequence_number for event in second] == list(range(len(second)))
        last = second[-1].response
        end = await turn(socket, input=outputs_of(last), tools=[WEATHER], previous_response_id=last.id)
        third = end[-1].response
        assert "Lima" in third.output_text
        # What lasts is there for others, with the turns that were only remembered by the connection.
        fourth = await client.responses.create(model=MODEL, previous_response_id=third.id, input="And then?")
        items = [item async for item in client.responses.input_items.list(fourth.id, order="asc")]
        assert [item.type for item in items][:4] == [
            "message",
            "function_call",
            "function_call_output",
            "function_call",
        ]
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)


async def test_errors_lanes_and_warming_up_over_a_websocket(store: ResponseStore, anyio_backend: str) -> None:
    async with client_of(store) as client, client.responses.connect() as socket:
        lost = (await turn(socket, input="on", previous_response_id="resp_none"))[-1]
        assert lost.type == "error"
        assert lost.status == 400
        assert lost.error.code == "previous_response_not_found"
        assert {event.stream_id for event in await turn(socket, input="Hello", stream_id="lane")} == {"lane"}
        warm = (await turn(socket, input="My name is Ada.", generate=False))[-1].response
        assert warm.output == []
        on = (await turn(socket, input="on", previous_response_id=warm.id))[-1].response
        items: Any = [item async for item in client.responses.input_items.list(on.id, order="asc")]
        assert [item.content[0].text for item in items] == ["My name is Ada.", "on"]


async def test_in_a_framework_with_its_lifespan(anyio_backend: str) -> None:
    part = StatefulResponses(Translator(DemoModel(), speaks="openai-chat"))
    api = FastAPI(lifespan=lifespan(part))
    api.mount("/llm", part)
    async with (
        serve(api, ws="websockets-sansio") as url,
        openai.AsyncOpenAI(base_url=f"{url}/llm/v1", api_key="k", max_retries=0) as client,
    ):
        first = await client.responses.create(model=MODEL, input="Hello", background=True)
        assert (await until_done(client, first.id)).status == "completed"
        async with client.responses.connect() as socket:
            last = (await turn(socket, input="on", previous_response_id=first.id))[-1]
            assert last.response.previous_response_id == first.id


@pytest.mark.parametrize("over", ["http", "websocket"])
async def test_a_client_that_leaves_a_real_server_stops_the_app(anyio_backend: str, over: str) -> None:
    begin = b'data: {"type": "response.created", "response": {"id": "r", "output": []}}\n\n'
    inner = ScriptedUpstream([[Start(200, EVENT_STREAM), begin, Hang()]])
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        finally:
            if scope["type"] == "http":
                ended.set()

    async with (
        serve(StatefulResponses(app), ws="websockets-sansio") as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
    ):
        if over == "http":
            stream = await client.responses.create(model=MODEL, input="Hello", stream=True)
            assert (await anext(aiter(stream))).type == "response.created"
            await stream.close()
        else:
            async with client.responses.connect() as socket:
                await socket.response.create(model=MODEL, input="Hello")
                assert (await socket.recv()).type == "response.created"
        assert await anyio.to_thread.run_sync(ended.wait, 2.0)
