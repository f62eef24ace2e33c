"""What a file says of models, each with a real request: rules, transforms, needs, weights, fallbacks, lists."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.testing import Driver, serve
from gateways import HELLO, chat, gateway_of, table

pytestmark = pytest.mark.anyio

PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Provider:
    """Speaks Chat Completions: says its name, keeps what it was asked, fails where it is told to.

    Attributes:
        asked: The documents.
        status: What it answers.
        says: The text of its answers.
    """

    def __init__(self, name: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.says = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked.append(json.loads((await read_body(receive)).body))
        message = {"role": "assistant", "content": self.says}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        document: Any = {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage}
        document["model"] = self.asked[-1].get("model")
        if self.status != 200:
            document = {"error": {"message": "no", "type": "server_error", "code": None}}
        await respond(send, status=self.status, document=document)


class Nest:
    """A gateway over three providers, which `FILE` calls a, b and c."""

    def __init__(self, gateway: Any, providers: list[Provider]) -> None:
        self.gateway = gateway
        self.a, self.b, self.c = providers

    async def ask(self, model: str, **more: Any) -> str:
        """The text of an answer."""
        answer = await chat(self.gateway, model, **more)
        assert answer.status == 200, answer.body
        return str(answer.json()["choices"][0]["message"]["content"])


@asynccontextmanager
async def nest(models: str) -> AsyncIterator[Nest]:
    providers = [Provider(name) for name in "abc"]
    async with serve(providers[0]) as a, serve(providers[1]) as b, serve(providers[2]) as c:
        retry = "retry = { max_attempts = 1 }"
        upstreams = "".join(
            table(name, url, keys=(f"sk-{name}-0000000000",), more=retry)
            for name, url in zip("abc", (a, b, c), strict=True)
        )
        async with gateway_of(upstreams + models + "\n[failover]\nbackoff = 0.001\n") as gateway:
            yield Nest(gateway, providers)


async def test_rules_of_parameters_reach_the_provider_in_its_own_protocol() -> None:
    models = """
[models.strict]
targets = ["a/gpt"]
default = { temperature = 0.5, max_tokens = 7 }
override = { top_p = 0.25 }
remove = ["stop", "user"]
"""
    async with nest(models) as one:
        await one.ask("strict", temperature=0.1, top_p=1, stop=["x"], user="u")
        told = one.a.asked[-1]
        assert (told["model"], told["temperature"], told["max_tokens"], told["top_p"]) == ("gpt", 0.1, 7, 0.25)
        assert not {"stop", "user"} & told.keys()
        # By another protocol, whose members have the same names, and are translated afterwards.
        document = {"model": "strict", "max_tokens": 3, "messages": HELLO, "stop_sequences": ["x"], "top_p": 1}
        answer = await Driver(one.gateway).request("POST", "/v1/messages", json=document)
        assert answer.json()["content"][0]["text"] == "a"
        told = one.a.asked[-1]
        assert (told["temperature"], told["top_p"], told["stop"]) == (0.5, 0.25, ["x"])
        assert 3 in (told.get("max_tokens"), told.get("max_completion_tokens"))


async def test_a_models_transforms_read_its_text_and_no_other_models() -> None:
    models = """
[models.thinker]
targets = ["a/gpt"]
[[models.thinker.transforms]]
type = "think-tags"
[models.caller]
targets = ["a/gpt"]
[[models.caller.transforms]]
type = "text-tools"
dialect = "hermes"
[models.plain]
targets = ["a/gpt"]
"""
    async with nest(models) as one:
        one.a.says = "<think>hm</think>yes"
        assert await one.ask("thinker") == "yes"
        assert await one.ask("plain") == "<think>hm</think>yes"
        one.a.says = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>'
        answer = await chat(one.gateway, "caller", tools=[TOOL])
        (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        assert "tools" not in one.a.asked[-1]
        assert "weather" in json.dumps(one.a.asked[-1]["messages"])
        await chat(one.gateway, "plain", tools=[TOOL])
        assert one.a.asked[-1]["tools"][0]["function"]["name"] == "weather"


async def test_what_a_request_needs_decides_where_it_goes() -> None:
    models = """
[models.able]
targets = [
  { upstream = "a", model = "text", can = [] },
  { upstream = "b", model = "eyes", can = ["vision"], priority = 1 },
  { upstream = "c", model = "hands", can = ["tools", "reasoning"], priority = 2 },
]
"""
    async with nest(models) as one:
        assert await one.ask("able") == "a"
        assert await one.ask("able", messages=[{"role": "user", "content": PICTURE}]) == "b"
        assert await one.ask("able", tools=[TOOL]) == "c"
        assert await one.ask("able", reasoning_effort="high") == "c"
        both = await chat(one.gateway, "able", messages=[{"role": "user", "content": PICTURE}], tools=[TOOL])
        assert both.status == 400
        assert "tools, vision" in both.json()["error"]["message"]
        assert [asked["model"] for asked in one.c.asked] == ["hands"] * 2


async def test_fallbacks_are_asked_in_their_order_and_no_others() -> None:
    models = """
[models.first]
targets = ["a/one", { upstream = "b", model = "spare", priority = 1 }]
fallbacks = ["second"]
[models.second]
targets = ["c/two"]
"""
    async with nest(models) as one:
        assert await one.ask("first") == "a"
        one.a.status = 503
        assert await one.ask("first") == "b"
        one.b.status = 503
        assert await one.ask("first") == "c"
        assert one.c.asked[-1]["model"] == "two"
        one.c.status = 503
        assert (await chat(one.gateway, "first")).status == 503
        one.a.status, one.b.status = 200, 200
        assert (await chat(one.gateway, "second")).status == 503  # whose chain has nobody else


async def test_weights_share_requests_where_conversations_do_not_bind_them() -> None:
    models = """
[models.shared]
targets = [{ upstream = "a", model = "m", weight = 3 }, { upstream = "b", model = "m" },
           { upstream = "c", model = "m", weight = 0 }]
[router]
per = "request"
"""
    async with nest(models) as one:
        said = [await one.ask("shared") for _ in range(60)]
        assert said.count("c") == 0
        assert 30 < said.count("a") < 58
        one.a.status = one.b.status = 503
        assert await one.ask("shared") == "c"


async def test_wildcards_aliases_and_renamed_answers() -> None:
    models = """
[models."claude-*"]
targets = ["a"]
[models."claude-old-*"]
targets = ["b/claude-new"]
rename_answers = true
listed = false
[models.hidden]
targets = ["c/x"]
listed = false
[router]
prefixes = false
"""
    async with nest(models) as one:
        answer = (await chat(one.gateway, "claude-5")).json()
        assert (answer["choices"][0]["message"]["content"], answer["model"]) == ("a", "claude-5")
        answer = (await chat(one.gateway, "claude-old-1")).json()
        assert (answer["choices"][0]["message"]["content"], answer["model"]) == ("b", "claude-old-1")
        assert one.b.asked[-1]["model"] == "claude-new"
        assert await one.ask("hidden") == "c"
        assert (await chat(one.gateway, "c/x")).status == 404  # prefixes are off
        listed = (await Driver(one.gateway).request("GET", "/v1/models")).json()["data"]
        assert "hidden" not in {row["id"] for row in listed}
