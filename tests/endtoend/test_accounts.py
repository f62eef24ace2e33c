"""What one account has made is asked of that account: a pool of two organisations, over real sockets, by the SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import openai
import pytest

from accounts import Accounts, account_of
from ds2api_asgi import Key, KeyPool, Retry, Secret, Translator, Upstream
from ds2api_asgi.gateway.config import Config
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.testing import serve
from gateways import config_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

TURNS = 4
HELLO: Any = [{"role": "user", "content": "Hello"}]


@asynccontextmanager
async def gateway(protocol: str, *, tail: str = "", translated: bool = True) -> AsyncIterator[tuple[str, Accounts]]:
    """A gateway over a provider of two organisations with two keys each, that are used in turn."""
    provider = Accounts()
    async with serve(provider) as url:
        keys = [
            Key(secret=Secret(f"{account}-{n}{tail}"), quota_scope=account)
            for account in ("blue", "gold")
            for n in "12"
        ]
        pool = KeyPool(
            Upstream(url, protocol=protocol), protocol=protocol, keys=keys, strategy="round-robin", resources=True
        )
        app: Any = Retry(pool)
        async with serve(Translator(app, speaks=protocol) if translated else app) as front:
            yield front, provider


async def test_openais_files_are_read_named_and_deleted_where_they_were_made(anyio_backend: str) -> None:
    async with (
        gateway("openai-chat") as (url, provider),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        made = [await client.files.create(file=("a.txt", b"hello"), purpose="user_data") for _ in range(TURNS)]
        assert set(provider.owners.values()) == {"blue", "gold"}
        for file in made:
            for _ in range(TURNS):
                assert (await client.files.retrieve(file.id)).id == file.id
                await client.files.content(file.id)
                content: Any = [{"type": "file", "file": {"file_id": file.id}}]
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
        assert len(set(provider.keys)) == 4
        for file in made:
            assert (await client.files.delete(file.id)).deleted
            with pytest.raises(openai.NotFoundError):
                await client.files.retrieve(file.id)
        assert not provider.owners


async def test_openais_batches_go_where_their_file_is_and_so_does_what_comes_of_them(anyio_backend: str) -> None:
    async with (
        gateway("openai-chat", translated=False) as (url, provider),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        for _ in range(TURNS):
            file = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            assert provider.owners[batch.id] == provider.owners[file.id]
            done = await client.batches.retrieve(batch.id)
            assert done.output_file_id is not None
            await client.files.content(done.output_file_id)
            store = await client.vector_stores.create(file_ids=[file.id])
            await client.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
            await client.fine_tuning.jobs.create(model="m", training_file=file.id)
            await client.uploads.create(bytes=1, filename="a", mime_type="text/plain", purpose="batch")


async def test_openais_responses_conversations_and_containers_stay_together(anyio_backend: str) -> None:
    async with (
        gateway("openai-responses") as (url, provider),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        tools: Any = [{"type": "code_interpreter", "container": {"type": "auto"}}]
        for _ in range(TURNS):
            conversation = await client.conversations.create()
            first = await client.responses.create(model="m", input="a", conversation=conversation.id, tools=tools)
            call: Any = first.output[0]
            await client.containers.retrieve(call.container_id)
            held: Any = [{"type": "code_interpreter", "container": call.container_id}]
            second = await client.responses.create(model="m", input="b", tools=held)
            assert provider.owners[second.id] == provider.owners[first.id]
            await client.responses.create(model="m", input="c", previous_response_id=second.id)
            await client.responses.retrieve(second.id)
            await client.responses.delete(second.id)


async def test_anthropics_files_batches_and_containers_stay_with_their_workspace(anyio_backend: str) -> None:
    async with (
        gateway("anthropic", tail="ant") as (url, provider),
        anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as client,
    ):
        for _ in range(TURNS):
            file = await client.beta.files.upload(file=("a.txt", b"hello", "text/plain"))
            source: Any = {"type": "document", "source": {"type": "file", "file_id": file.id}}
            messages: Any = [{"role": "user", "content": [source]}]
            tools: Any = [{"type": "code_execution_20250825", "name": "code_execution"}]
            answer: Any = await client.beta.messages.create(model="m", max_tokens=9, messages=messages, tools=tools)
            assert provider.owners[answer.container.id] == provider.owners[file.id]
            await client.beta.messages.create(
                model="m", max_tokens=9, messages=HELLO, tools=tools, container=answer.container.id
            )
            params: Any = {"model": "m", "max_tokens": 9, "messages": messages}
            batch = await client.beta.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
            await client.beta.messages.batches.retrieve(batch.id)
            await client.beta.files.retrieve_metadata(file.id)
            await client.beta.files.delete(file.id)


async def test_geminis_caches_files_batches_and_videos_stay_with_their_project(anyio_backend: str) -> None:
    async with gateway("gemini") as (url, _), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        generate = "/v1beta/models/m:generateContent"
        headers = {"x-goog-api-key": "any"}

        async def ask(method: str, path: str, document: Any = None) -> Any:
            answer = await client.request(method, path, json=document, headers=headers)
            assert answer.status_code == 200, (method, path, answer.text)
            return answer.json()

        contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
        for _ in range(TURNS):
            cache = (await ask("POST", "/v1beta/cachedContents", {"model": "models/m"}))["name"]
            file = (await ask("POST", "/upload/v1beta/files?uploadType=multipart", {"file": {}}))["file"]["name"]
            uri = f"https://generativelanguage.googleapis.com/v1beta/{file}"
            batch = (await ask("POST", "/v1beta/models/m:batchGenerateContent", {"batch": {}}))["name"]
            video = (await ask("POST", "/v1beta/models/veo-3:predictLongRunning", {"instances": []}))["name"]
            for _ in range(TURNS):
                await ask("POST", generate, {"contents": contents, "cachedContent": cache})
                parts = [{"fileData": {"fileUri": uri, "mimeType": "text/plain"}}]
                await ask("POST", generate, {"contents": [{"role": "user", "parts": parts}]})
                await ask("GET", f"/v1beta/{batch}")
                await ask("GET", f"/v1beta/{file}")
                await ask("GET", f"/v1beta/{video}")
            await ask("POST", f"/v1beta/{batch}:cancel", {})
            await ask("DELETE", f"/v1beta/{file}")


async def test_where_its_account_rests_no_other_one_is_asked(anyio_backend: str) -> None:
    provider = Accounts()
    async with serve(provider) as url:
        keys = [Key(secret=Secret(f"{account}-1"), quota_scope=account) for account in ("blue", "gold")]
        pool = KeyPool(
            Upstream(url, protocol="openai-chat"),
            protocol="openai-chat",
            keys=keys,
            strategy="round-robin",
            queue_timeout=0,
            resources=True,
        )
        async with (
            serve(Retry(pool, wait_cap=0.0)) as front,
            openai.AsyncOpenAI(base_url=f"{front}/v1", api_key="any", max_retries=0) as client,
        ):
            file = await client.files.create(file=("a.txt", b"hello"), purpose="user_data")
            owner = provider.owners[file.id]
            provider.limited.add(f"{owner}-1")
            content: Any = [{"type": "file", "file": {"file_id": file.id}}]
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
            assert {account_of(key) for key in provider.keys} == {owner}
            await client.chat.completions.create(model="m", messages=HELLO)  # the other one serves all else


GATEWAY = """
[router]
default = "openai"

[upstreams.openai]
protocol = "openai-chat"
base_url = "{url}"
strategy = "round-robin"
resources = true
keys = [
    {{ secret = "blue-1", quota_scope = "blue"{more} }},
    {{ secret = "gold-1", quota_scope = "gold" }},
]

[[access.keys]]
name = "alice"
key = "sk-alice-0123456789"
"""


async def test_a_gateway_sends_them_to_its_default_upstream_and_knows_them_after_a_reload(anyio_backend: str) -> None:
    provider = Accounts()
    async with serve(provider) as url:
        texts = iter(["", ', alias = "first"'])

        def read() -> Config:
            return config_of(GATEWAY.format(url=url, more=next(texts)))

        gateway = Gateway(read(), read=read)
        async with (
            serve(gateway) as front,
            openai.AsyncOpenAI(base_url=f"{front}/v1", api_key="sk-alice-0123456789", max_retries=0) as client,
            openai.AsyncOpenAI(base_url=f"{front}/v1", api_key="sk-mallory-0123456789", max_retries=0) as stranger,
        ):
            files = [await client.files.create(file=("a.txt", b"hello"), purpose="user_data") for _ in range(TURNS)]
            assert await gateway.reload()
            for file in files:
                for _ in range(TURNS):
                    content: Any = [{"type": "file", "file": {"file_id": file.id}}]
                    await client.chat.completions.create(
                        model="openai/m", messages=[{"role": "user", "content": content}]
                    )
                    await client.files.retrieve(file.id)
            with pytest.raises(openai.AuthenticationError):
                await stranger.files.retrieve(files[0].id)
