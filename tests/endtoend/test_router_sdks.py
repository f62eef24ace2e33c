"""Official SDKs of all five protocols through a `Router`, over a real server: aliases, prefixes, failover, errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

import anthropic
import ollama
import openai
import pytest
from anyio.from_thread import start_blocking_portal
from google import genai

from ds2api_asgi import Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.routing.router import Router
from ds2api_asgi.gateway.routing.routes import Route, Target
from ds2api_asgi.testing import serve
from sdks import SDKS, Sdk

MODELS = ["smart", "demo-small", "chat/demo-small", "claude/demo-small", "shaky", "either", "chained"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Two apps that speak different protocols, behind names of their own."""
    demo = DemoModel()
    apps: dict[str, Any] = {
        "chat": Translator(demo, speaks="openai-chat"),
        "claude": Translator(Translator(demo, speaks="openai-chat", clients=["anthropic"]), speaks="anthropic"),
    }
    routes: dict[str, Any] = {
        "smart": Route(targets=("claude/demo-small",), rename_answers=True),
        "demo-*": "chat",
        "shaky": [Target(app="chat", model="demo-fail-503"), Target(app="claude", model="demo-small", priority=1)],
        "either": ["chat/demo-small", "claude/demo-small"],
        "chained": Route(targets=("claude/demo-fail-503",), fallbacks=("broken", "last")),
        "broken": "chat/demo-fail-503",
        "last": Route(targets=("chat/demo-small",), listed=False),
    }
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        yield stack.enter_context(portal.wrap_async_context_manager(serve(Router(apps, routes))))


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest, url: str) -> Iterator[Sdk]:
    """Each SDK on it."""
    found = SDKS[request.param](url)
    yield found
    found.close()


@pytest.mark.parametrize("model", MODELS)
def test_every_sdk_is_answered_whole_and_streamed_by_every_kind_of_name(sdk: Sdk, model: str) -> None:
    whole = sdk.say("Hello", model=model)
    pieces = [piece for piece in sdk.stream("Hello", model=model) if piece]
    assert 'You wrote: "Hello"' in whole
    assert "".join(pieces) == whole
    assert len(pieces) > 3


def test_an_unknown_model_raises_what_the_sdk_has_for_it(sdk: Sdk) -> None:
    with pytest.raises(sdk.errors["missing"]):
        sdk.say("Hello", model="nobody")


class Counted:
    """An app, and how often it was asked."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += scope["type"] == "http"
        await self.app(scope, receive, send)


@pytest.mark.parametrize("name", SDKS)
def test_what_a_request_needs_and_what_targets_weigh_is_seen_in_every_protocol(name: str) -> None:
    plain, able = (Counted(Translator(DemoModel(), speaks="openai-chat")) for _ in range(2))
    targets = [
        Target(app="plain", can=frozenset()),
        Target(app="able", can=frozenset({"vision", "tools", "reasoning"}), priority=1),
    ]
    shares = [Target(app="plain", model="demo-small", weight=3), Target(app="able", model="demo-small", weight=1)]
    routes: Any = {"demo-*": targets, "shared": shares}
    router = Router({"plain": plain, "able": able}, routes, per="request", rng=Random(7))
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serve(router)) as url,
    ):
        sdk = SDKS[name](url)
        try:
            sdk.say("Hello")
            assert (plain.asked, able.asked) == (1, 0)
            sdk.see("Describe this picture.")
            assert (plain.asked, able.asked) == (1, 1)
            sdk.loop("What is the weather in Paris?", lambda city: f"sunny in {city}", streamed=True)
            assert plain.asked == 1
            assert able.asked >= 3
            before = able.asked
            for _ in range(16):
                sdk.say("Hello", model="shared")
            assert 1 <= able.asked - before <= 8
            assert plain.asked - 1 + able.asked - before == 16
        finally:
            sdk.close()


@contextmanager
def local_client(url: str) -> Iterator[ollama.Client]:
    """Ollama's, which has no end of its own."""
    client = ollama.Client(host=url)
    try:
        yield client
    finally:
        client._client.close()


def test_answers_say_the_alias_in_every_sdk(url: str) -> None:
    messages: Any = [{"role": "user", "content": "Hello"}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as gpt:
        assert gpt.chat.completions.create(model="smart", messages=messages).model == "smart"
        chunks = list(gpt.chat.completions.create(model="smart", messages=messages, stream=True))
        assert {chunk.model for chunk in chunks} == {"smart"}
        assert gpt.responses.create(model="smart", input="Hello").model == "smart"
        events = list(gpt.responses.create(model="smart", input="Hello", stream=True))
        assert {event.response.model for event in events if hasattr(event, "response")} == {"smart"}
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as claude:
        assert claude.messages.create(model="smart", max_tokens=99, messages=messages).model == "smart"
        with claude.messages.stream(model="smart", max_tokens=99, messages=messages) as stream:
            assert stream.get_final_message().model == "smart"
    with genai.Client(api_key="any", http_options={"base_url": url}) as gemini:
        assert gemini.models.generate_content(model="smart", contents="Hello").model_version == "smart"
        streamed = list(gemini.models.generate_content_stream(model="smart", contents="Hello"))
        assert {chunk.model_version for chunk in streamed} == {"smart"}
    with local_client(url) as local:
        assert local.chat(model="smart", messages=messages).model == "smart"
        assert {part.model for part in local.chat(model="smart", messages=messages, stream=True)} == {"smart"}


def test_sdks_list_the_models_and_look_one_up(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as gpt:
        names = {model.id for model in gpt.models.list()}
        assert gpt.models.retrieve("smart").id == "smart"
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as claude:
        assert {model.id for model in claude.models.list()} == names
        assert claude.models.retrieve("smart").id == "smart"
    with genai.Client(api_key="any", http_options={"base_url": url}) as gemini:
        assert {str(model.name).removeprefix("models/") for model in gemini.models.list()} == names
        assert gemini.models.get(model="smart").name == "models/smart"
    with local_client(url) as local:
        tags = {str(model.model).removesuffix(":latest") for model in local.list().models}
    assert tags == {name.removesuffix(":latest") for name in names}
    assert {"smart", "shaky", "either", "demo-small", "claude/demo-small"} <= names
