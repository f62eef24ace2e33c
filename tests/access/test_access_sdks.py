"""Official SDKs at the door, over real sockets: they raise the classes that their users catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import anyio.from_thread
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from access_kit import ALICE, BOB, STRANGER
from ds2api_asgi import Access, ClientKey, ClientLimits, Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve

HELLO: Any = [{"role": "user", "content": "hello"}]


@contextmanager
def openai_chat(url: str, key: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client, lambda model: client.chat.completions.create(model=model, messages=HELLO)


@contextmanager
def openai_responses(url: str, key: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client, lambda model: client.responses.create(model=model, input="hello", store=False)


@contextmanager
def claude(url: str, key: str) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        yield client, lambda model: client.messages.create(model=model, max_tokens=100, messages=HELLO)


@contextmanager
def gemini(url: str, key: str) -> Iterator[Any]:
    options = types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key=key, http_options=options)
    try:
        yield client, lambda model: client.models.generate_content(model=model, contents="hello")
    finally:
        client.close()


@contextmanager
def llama(url: str, key: str) -> Iterator[Any]:
    client = ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"})
    try:
        yield client, lambda model: client.chat(model=model, messages=HELLO)
    finally:
        client._client.close()  # the SDK has no word for it


Sdk = Callable[[str, str], Any]
SDKS: list[tuple[Sdk, dict[int, type[Exception]]]] = [
    *(
        (
            sdk,
            {
                401: openai.AuthenticationError,
                403: openai.PermissionDeniedError,
                429: openai.RateLimitError,
                400: openai.BadRequestError,
            },
        )
        for sdk in (openai_chat, openai_responses)
    ),
    (
        claude,
        {
            401: anthropic.AuthenticationError,
            403: anthropic.PermissionDeniedError,
            429: anthropic.RateLimitError,
            400: anthropic.BadRequestError,
        },
    ),
    (gemini, dict.fromkeys((400, 401, 403, 429), genai_errors.ClientError)),
    (llama, dict.fromkeys((400, 401, 403, 429), ollama.ResponseError)),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    keys = [
        ClientKey(ALICE, name="alice", models=["demo-small"]),
        ClientKey(BOB, name="bob", limits=ClientLimits(rpm=1, tpm=1_000_000)),
    ]
    app = Access(Translator(DemoModel(), speaks="openai-chat"), keys=keys)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(app)) as address,
    ):
        app_of[address] = app
        yield address


app_of: dict[str, Access] = {}


def status_of(error: Any) -> int:
    return int(getattr(error, "status_code", None) or error.code)


@pytest.mark.parametrize(("sdk", "errors"), SDKS)
def test_sdks_raise_what_their_users_catch(sdk: Sdk, errors: dict[int, type[Exception]], url: str) -> None:
    with sdk(url, STRANGER) as (_, say), pytest.raises(errors[401]) as unknown:
        say("demo-small")
    assert status_of(unknown.value) == 401
    with sdk(url, ALICE) as (_, say):
        say("demo-small")
        with pytest.raises(errors[403]) as forbidden:
            say("demo-large")
    assert status_of(forbidden.value) == 403
    name = f"client-{sdk.__name__}"
    limited = f"sk-limited-{sdk.__name__}-0123456789"
    keys = [
        ClientKey(ALICE, name="alice", models=["demo-small"]),
        ClientKey(limited, name=name, limits=ClientLimits(rpm=1)),
    ]
    app_of[url].replace(keys)
    with sdk(url, limited) as (_, say):
        say("demo-small")
        with pytest.raises(errors[429]) as reached:
            say("demo-small")
    assert status_of(reached.value) == 429
    assert "not the provider's limit" in str(reached.value)


@pytest.mark.parametrize("sdk", [openai_chat, claude, gemini, llama])
def test_sdks_list_what_their_key_may_use(sdk: Sdk, url: str) -> None:
    app_of[url].replace([ClientKey(ALICE, name="alice", models=["demo-small", "demo-large"])])
    with sdk(url, ALICE) as (client, _):
        if sdk is llama:
            names = [model.model for model in client.list().models]
        else:
            names = [getattr(model, "id", None) or model.name for model in client.models.list()]
    assert sorted(name.removeprefix("models/").removesuffix(":latest") for name in names) == [
        "demo-large",
        "demo-small",
    ]


def test_openais_client_reads_the_limits_that_are_stated(url: str) -> None:
    app_of[url].replace([ClientKey(BOB, name="bob-2", limits=ClientLimits(rpm=9, tpm=90_000))])
    with openai.OpenAI(base_url=f"{url}/v1", api_key=BOB, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="demo-small", messages=HELLO)
    assert raw.headers["x-ratelimit-remaining-requests"] == "8"
    with anthropic.Anthropic(base_url=url, api_key=BOB, max_retries=0) as other:
        answer = other.messages.with_raw_response.create(model="demo-small", max_tokens=9, messages=HELLO)
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "7"


def test_sdks_that_retry_wait_as_long_as_they_are_told(url: str) -> None:
    import time

    app_of[url].replace([ClientKey(BOB, name="bob-3", limits=ClientLimits(rpm=120, concurrency=50))])
    with openai.OpenAI(base_url=f"{url}/v1", api_key=BOB, max_retries=2) as client:
        for _ in range(120):
            client.with_options(max_retries=0).models.list()
        started = time.monotonic()
        client.chat.completions.create(model="demo-small", messages=HELLO)
        assert time.monotonic() - started < 30


def test_what_is_too_odd_is_a_bad_request_to_sdks(url: str) -> None:
    app_of[url].replace([ClientKey(BOB, name="bob-4")])
    deep: Any = "x"
    for _ in range(130):
        deep = [deep]
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=BOB, max_retries=0) as client,
        pytest.raises(openai.BadRequestError),
    ):
        client.chat.completions.create(model="demo-small", messages=HELLO, extra_body={"metadata": deep})
