"""The official SDKs as clients that send back what they were given: how each puts an answer into its history."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
from google import genai
from google.genai import types

from ds2api_asgi.testing import InProcessTransport, in_process_client

__all__ = ["CLIENTS", "Client", "client_of"]

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
NAME = "get_weather"


class Client:
    """A conversation through one SDK.

    Args:
        sdk: The SDK's client.
        streams: Whether it asks for streams, and puts together what comes.

    Attributes:
        history: As the SDK's users keep it.
    """

    def __init__(self, sdk: Any, *, streams: bool) -> None:
        self.sdk = sdk
        self.streams = streams
        self.history: list[Any] = []

    def say(self, text: str) -> None:
        """The user says something."""
        self.history.append({"role": "user", "content": text})

    async def answer(self) -> list[tuple[Any, str]]:
        """Ask, keep the answer; gives the calls in it: what names each, and its arguments as JSON."""
        raise NotImplementedError

    def result(self, call: Any, text: str) -> None:
        """What a tool answered."""
        raise NotImplementedError


class Chat(Client):
    async def answer(self) -> list[tuple[Any, str]]:
        tool: Any = {"type": "function", "function": {"name": NAME, "parameters": SCHEMA}}
        asked: Any = {"model": "m", "messages": self.history, "tools": [tool], "reasoning_effort": "high"}
        if self.streams:
            async with self.sdk.chat.completions.stream(**asked) as stream:
                message = (await stream.get_final_completion()).choices[0].message
        else:
            message = (await self.sdk.chat.completions.create(**asked)).choices[0].message
        self.history.append(message.to_dict())
        return [(call.id, call.function.arguments) for call in message.tool_calls or ()]

    def result(self, call: Any, text: str) -> None:
        self.history.append({"role": "tool", "tool_call_id": call, "content": text})


class Responses(Client):
    async def answer(self) -> list[tuple[Any, str]]:
        tool: Any = {"type": "function", "name": NAME, "parameters": SCHEMA, "strict": False}
        asked: Any = {
            "model": "m",
            "input": self.history,
            "tools": [tool],
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "high"},
        }
        if self.streams:
            async with self.sdk.responses.stream(**asked) as stream:
                response = await stream.get_final_response()
        else:
            response = await self.sdk.responses.create(**asked)
        self.history += [item.to_dict() for item in response.output]
        return [(item.call_id, item.arguments) for item in response.output if item.type == "function_call"]

    def result(self, call: Any, text: str) -> None:
        self.history.append({"type": "function_call_output", "call_id": call, "output": text})


class Messages(Client):
    async def answer(self) -> list[tuple[Any, str]]:
        asked: Any = {
            "model": "m",
            "max_tokens": 4096,
            "messages": self.history,
            "tools": [{"name": NAME, "input_schema": SCHEMA}],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        }
        if self.streams:
            async with self.sdk.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await self.sdk.messages.create(**asked)
        self.history.append({"role": "assistant", "content": message.content})
        return [(block.id, json.dumps(block.input)) for block in message.content if block.type == "tool_use"]

    def result(self, call: Any, text: str) -> None:
        block = {"type": "tool_result", "tool_use_id": call, "content": text}
        if self.history[-1]["role"] == "user":
            self.history[-1]["content"].append(block)
        else:
            self.history.append({"role": "user", "content": [block]})


class Gemini(Client):
    def say(self, text: str) -> None:
        self.history.append(types.Content(role="user", parts=[types.Part(text=text)]))

    async def answer(self) -> list[tuple[Any, str]]:
        function = types.FunctionDeclaration(name=NAME, parameters_json_schema=SCHEMA)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[function])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024),
        )
        asked: Any = {"model": "m", "contents": self.history, "config": config}
        if self.streams:
            # A chat of this SDK keeps one content for each chunk.
            chunks = [chunk async for chunk in await self.sdk.aio.models.generate_content_stream(**asked)]
            contents = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
        else:
            contents = [(await self.sdk.aio.models.generate_content(**asked)).candidates[0].content]
        kept = [content for content in contents if content is not None and content.parts]
        self.history += kept
        calls = [part.function_call for content in kept for part in content.parts or () if part.function_call]
        return [(call, json.dumps(call.args)) for call in calls]

    def result(self, call: Any, text: str) -> None:
        response = types.FunctionResponse(id=call.id, name=call.name, response={"output": text})
        part = types.Part(function_response=response)
        if self.history[-1].role == "user":
            self.history[-1].parts.append(part)
        else:
            self.history.append(types.Content(role="user", parts=[part]))


class Ollama(Client):
    async def answer(self) -> list[tuple[Any, str]]:
        tool = {"type": "function", "function": {"name": NAME, "description": "", "parameters": SCHEMA}}
        asked: Any = {"model": "m", "messages": self.history, "tools": [tool], "think": True}
        if self.streams:
            content = thinking = ""
            calls: list[Any] = []
            async for chunk in await self.sdk.chat(**asked, stream=True):
                content += chunk.message.content or ""
                thinking += chunk.message.thinking or ""
                calls += chunk.message.tool_calls or ()
            message = ollama.Message(role="assistant", content=content, thinking=thinking, tool_calls=calls or None)
        else:
            message = (await self.sdk.chat(**asked)).message
        self.history.append(message)
        return [(call.function.name, json.dumps(dict(call.function.arguments))) for call in message.tool_calls or ()]

    def result(self, call: Any, text: str) -> None:
        self.history.append({"role": "tool", "tool_name": call, "content": text})


CLIENTS: dict[str, type[Client]] = {
    "anthropic": Messages,
    "gemini": Gemini,
    "ollama": Ollama,
    "openai-chat": Chat,
    "openai-responses": Responses,
}


@asynccontextmanager
async def client_of(protocol: str, app: Any, *, streams: bool) -> AsyncIterator[Client]:
    """The SDK of a protocol as a client of an app in this process."""
    make = CLIENTS[protocol]
    if protocol == "gemini":
        async with in_process_client(app, library=httpx) as http:
            options = types.HttpOptions(base_url="http://app", httpx_async_client=http)
            yield make(genai.Client(api_key="key", http_options=options), streams=streams)
        return
    if protocol == "ollama":
        client = ollama.AsyncClient(host="http://app", transport=InProcessTransport(app, library=httpx))
        async with client._client:
            yield make(client, streams=streams)
        return
    async with in_process_client(app, library=httpx2) as http:
        sdk: Any
        if protocol == "anthropic":
            sdk = anthropic.AsyncAnthropic(http_client=http, base_url="http://app", api_key="key", max_retries=0)
        else:
            sdk = openai.AsyncOpenAI(http_client=http, base_url="http://app/v1", api_key="key", max_retries=0)
        yield make(sdk, streams=streams)
