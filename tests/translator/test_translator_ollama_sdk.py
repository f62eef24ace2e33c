"""The official Ollama SDK in front of the demo model, which speaks OpenAI Chat, over a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import ollama
import openai
import pytest
from pydantic import BaseModel

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import in_process_client, serve
from ds2api_asgi.translator import Translator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

MODEL = "demo-large"
HELLO = [{"role": "user", "content": "hello"}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _speaking_ollama() -> Translator:
    """An app that speaks nothing but Ollama."""
    return Translator(DemoModel(), speaks="openai-chat", clients=["ollama"])


@asynccontextmanager
async def _client(**options: Any) -> AsyncIterator[ollama.AsyncClient]:
    app = Translator(DemoModel(**options), speaks="openai-chat")
    async with serve(app) as url, ollama.AsyncClient(host=url) as client:
        yield client


@asynccontextmanager
async def _gpt() -> AsyncIterator[openai.AsyncOpenAI]:
    app = Translator(_speaking_ollama(), speaks="ollama")
    async with serve(app) as url, openai.AsyncOpenAI(base_url=url + "/v1", api_key="sk-a", max_retries=0) as client:
        yield client


async def test_whole_and_streamed_say_the_same() -> None:
    async with _client() as client:
        whole = await client.chat(MODEL, HELLO)
        parts = [part async for part in await client.chat(MODEL, HELLO, stream=True)]
    assert whole.done
    assert whole.done_reason == "stop"
    assert whole.message.content
    assert len(parts) > 2
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert parts[-1].prompt_eval_count == whole.prompt_eval_count
    assert parts[-1].eval_count == whole.eval_count
    assert whole.eval_count


async def test_a_bound_ends_the_answer_for_length() -> None:
    async with _client() as client:
        answer = await client.chat(MODEL, HELLO, options={"num_predict": 2, "temperature": 0})
    assert answer.done_reason == "length"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("named", [False, True])
async def test_tools_loop_to_an_answer_without_any_call_ids(*, streamed: bool, named: bool) -> None:
    """The SDK drops ids; LangChain's results have no name either: what pairs them is their order."""
    prompt = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
    messages: list[Any] = [{"role": "user", "content": prompt}]
    steps: list[list[str]] = []
    async with _client() as client:
        for _ in range(6):
            message = await _said(client, messages, streamed=streamed)
            messages.append(message)
            calls = message.tool_calls or ()
            if not calls:
                break
            steps.append([call.function.arguments["city"] for call in calls])
            for call in calls:
                result = {"role": "tool", "content": f"{call.function.arguments['city']}: sunny"}
                messages.append({**result, "tool_name": call.function.name} if named else result)
    assert sorted(city for step in steps for city in step) == ["Lima", "Paris", "Tokyo"]
    assert len(steps) > 1
    assert all(f"{city}: sunny" in (messages[-1].content or "") for city in ("Paris", "Tokyo", "Lima"))


async def _said(client: ollama.AsyncClient, messages: list[Any], *, streamed: bool) -> ollama.Message:
    if not streamed:
        return (await client.chat(MODEL, messages, tools=[WEATHER])).message
    content, calls = "", []
    async for part in await client.chat(MODEL, messages, tools=[WEATHER], stream=True):
        content += part.message.content or ""
        calls += part.message.tool_calls or ()
    return ollama.Message(role="assistant", content=content, tool_calls=calls or None)


class Verdict(BaseModel):
    answer: str
    score: int


async def test_the_shape_of_an_answer_is_kept() -> None:
    async with _client() as client:
        answer = await client.chat(MODEL, HELLO, format=Verdict.model_json_schema())
    Verdict.model_validate_json(answer.message.content or "")


async def test_a_thinking_model_thinks_aloud() -> None:
    async with _client() as client:
        parts = [part async for part in await client.chat("demo-thinker", HELLO, think="high", stream=True)]
        whole = await client.chat("demo-thinker", HELLO, think=True)
    thoughts = "".join(part.message.thinking or "" for part in parts)
    assert thoughts
    assert whole.message.thinking
    first = next(index for index, part in enumerate(parts) if part.message.content)
    assert all(not part.message.thinking for part in parts[first:])


async def test_images_reach_the_model() -> None:
    async with _client() as client:
        answer = await client.chat(MODEL, [{"role": "user", "content": "What is it?", "images": [PNG]}])
        told = await client.generate(MODEL, "What is it?", images=[PNG])
    assert answer.message.content
    assert told.response


async def test_a_prompt_is_answered_whole_and_streamed() -> None:
    async with _client() as client:
        whole = await client.generate(MODEL, "hello", system="Be brief.")
        parts = [part async for part in await client.generate(MODEL, "hello", system="Be brief.", stream=True)]
    assert whole.response
    assert "".join(part.response or "" for part in parts) == whole.response
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].done_reason == whole.done_reason == "stop"


async def test_an_empty_prompt_only_loads_the_model() -> None:
    async with _client() as client:
        loaded = await client.generate(MODEL)
        unloaded = await client.generate(MODEL, keep_alive=0)
        chat = await client.chat(MODEL, [])
    assert (loaded.response, loaded.done_reason) == ("", "load")
    assert unloaded.done_reason == "unload"
    assert chat.done_reason == "load"


async def test_texts_become_vectors_by_the_newer_path_and_the_older() -> None:
    async with _client() as client:
        several = await client.embed("demo-embed", ["hello", "world", "hello"], dimensions=8)
        one = await client.embed("demo-embed", "hello", dimensions=8)
        old = await client.embeddings("demo-embed", "hello")
    assert [len(vector) for vector in several.embeddings] == [8, 8, 8]
    assert several.embeddings[0] == several.embeddings[2] == one.embeddings[0] != several.embeddings[1]
    assert several.prompt_eval_count
    assert len(old.embedding) == 256


async def test_models_are_listed_and_shown_and_none_is_loaded() -> None:
    async with _client() as client:
        listed = await client.list()
        shown = await client.show(MODEL)
        running = await client.ps()
    assert MODEL in [model.model for model in listed.models]
    assert all(model.digest and model.modified_at for model in listed.models)
    assert "tools" in (shown.capabilities or ())
    assert running.models == []


async def test_an_error_is_the_sdks_own() -> None:
    async with _client() as client:
        with pytest.raises(ollama.ResponseError) as missing:
            await client.chat("no-such-model", HELLO)
        with pytest.raises(ollama.ResponseError) as streamed:
            [part async for part in await client.chat("no-such-model", HELLO, stream=True)]
        with pytest.raises(ollama.ResponseError) as shown:
            await client.show("no-such-model")
    assert missing.value.status_code == streamed.value.status_code == shown.value.status_code == 404
    assert "no-such-model" in missing.value.error


async def test_the_synchronous_client_is_served_alike() -> None:
    def ask(url: str) -> tuple[Any, list[Any], Any]:
        with ollama.Client(host=url) as client:
            whole = client.chat(MODEL, HELLO)
            stream: Iterator[Any] = client.chat(MODEL, HELLO, stream=True)
            return whole, list(stream), client.embed("demo-embed", "a")

    async with serve(Translator(DemoModel(), speaks="openai-chat")) as url:
        whole, parts, vectors = await anyio.to_thread.run_sync(ask, url)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert len(vectors.embeddings) == 1


async def test_what_changes_a_server_passes_untouched() -> None:
    seen: list[tuple[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with in_process_client(Translator(app, speaks="openai-chat")) as http:
        for method, path in (
            ("POST", "pull"),
            ("POST", "push"),
            ("POST", "create"),
            ("POST", "copy"),
            ("DELETE", "delete"),
        ):
            assert (await http.request(method, f"http://app/api/{path}")).status_code == 418
    assert len(seen) == 5


@pytest.mark.parametrize("path", ["tags", "version", "ps"])
async def test_head_answers_as_get_does_without_a_body(path: str) -> None:
    async with in_process_client(Translator(DemoModel(), speaks="openai-chat")) as http:
        got = await http.get(f"http://app/api/{path}")
        head = await http.head(f"http://app/api/{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


# -- in front of an upstream that speaks Ollama ----------------------------------------------------------------------


async def test_openai_whole_and_streamed_say_the_same_through_ollama() -> None:
    async with _gpt() as client:
        options: Any = {"model": MODEL, "messages": HELLO}
        whole = await client.chat.completions.create(**options)
        stream = await client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


async def test_openai_vectors_and_models_come_through_ollama() -> None:
    async with _gpt() as client:
        vectors = await client.embeddings.create(model="demo-embed", input=["a", "b"], dimensions=4)
        plain = await client.embeddings.create(
            model="demo-embed", input=["a", "b"], dimensions=4, encoding_format="float"
        )
        models = [model.id async for model in client.models.list()]
        model = await client.models.retrieve(MODEL)
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(model="demo-embed", input=[[1, 2]])
    assert [item.index for item in vectors.data] == [0, 1]
    assert vectors.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
    assert MODEL in models
    assert model.id == MODEL


@pytest.mark.parametrize(
    ("path", "headers", "member"),
    [
        ("/v1/models?limit=1&after_id=demo-large", {"anthropic-version": "2023-06-01"}, "data"),
        ("/v1beta/models?pageSize=1&pageToken=x", {}, "models"),
        ("/v1/models?limit=1", {}, "data"),
        ("/api/tags?limit=1", {}, "models"),
    ],
)
async def test_a_list_of_models_is_complete_whatever_page_is_asked_for(path: str, headers: Any, member: str) -> None:
    async with in_process_client(Translator(_speaking_ollama(), speaks="ollama")) as http:
        document = (await http.get("http://app" + path, headers=headers)).json()
        listed = (await http.get("http://app/v1/models")).json()["data"]
    assert len(document[member]) == len(listed) > 1
    assert not document.get("has_more")
    assert not document.get("nextPageToken")


async def test_a_count_of_tokens_in_front_of_ollama_says_that_it_is_a_guess() -> None:
    async with in_process_client(Translator(_speaking_ollama(), speaks="ollama")) as http:
        body = {"model": MODEL, "messages": HELLO}
        answer = await http.post("http://app/v1/messages/count_tokens", json=body)
        other = await http.post(
            f"http://app/v1beta/models/{MODEL}:countTokens", json={"contents": [{"parts": [{"text": "a"}]}]}
        )
    assert answer.json()["input_tokens"] > 0
    assert other.json()["totalTokens"] > 0
    assert answer.headers["x-ds2-estimate"] == other.headers["x-ds2-estimate"] == "true"


async def test_embeddings_in_front_of_anthropic_are_not_found_in_the_clients_words() -> None:
    claude = Translator(DemoModel(), speaks="openai-chat", clients=["anthropic"])
    async with in_process_client(Translator(claude, speaks="anthropic")) as http:
        gpt = await http.post("http://app/v1/embeddings", json={"model": "m", "input": "a"})
        llama = await http.post("http://app/api/embed", json={"model": "m", "input": "a"})
        gemini = await http.post(
            "http://app/v1beta/models/m:embedContent", json={"content": {"parts": [{"text": "a"}]}}
        )
    assert (gpt.status_code, llama.status_code, gemini.status_code) == (404, 404, 404)
    assert "embeddings" in gpt.json()["error"]["message"]
    assert "embeddings" in llama.json()["error"]
    assert gemini.json()["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize("batch", [False, True])
async def test_gemini_clients_get_vectors_from_an_openai_server(*, batch: bool) -> None:
    entry = {"content": {"parts": [{"text": "hello"}]}, "outputDimensionality": 4}
    async with in_process_client(Translator(DemoModel(), speaks="openai-chat")) as http:
        verb, body = ("batchEmbedContents", {"requests": [entry, entry]}) if batch else ("embedContent", entry)
        answer = (await http.post(f"http://app/v1beta/models/demo-embed:{verb}", json=body)).json()
    found = answer["embeddings"] if batch else [answer["embedding"]]
    assert [len(vector["values"]) for vector in found] == [4] * (2 if batch else 1)
