"""The official SDKs behind one face: what a user of each does for a word, a stream, a schema, tools, a picture.

Each method is written as the SDK's own documentation has it; nothing here knows which upstream answers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import anthropic
import ollama
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from pydantic import BaseModel

__all__ = ["CITY", "SDKS", "Sdk", "Verdict"]

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_LIMIT = 20
"""Steps that a loop may take before it is stuck."""


class Verdict(BaseModel):
    """What a user wants an answer parsed into."""

    answer: str
    score: int


Tool = Callable[[str], str]


class Sdk(Protocol):
    """One SDK, on one gateway.

    Attributes:
        errors: By what happened, the class that the SDK raises.
    """

    errors: ClassVar[dict[str, type[Exception]]]

    def __init__(self, url: str, key: str = "any") -> None: ...

    def close(self) -> None:
        """Let its connections go."""
        ...

    def say(self, text: str, *, model: str = "demo-small") -> str:
        """A whole answer."""
        ...

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        """A streamed one, piece by piece."""
        ...

    def parse(self, text: str) -> Verdict:
        """An answer in the shape of a class."""
        ...

    def see(self, text: str) -> str:
        """An answer about a picture."""
        ...

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        """Call a tool until the model has its answer.

        Returns:
            The cities of each step, and the answer.
        """
        ...

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        """A conversation with reasoning on, its history put together from the SDK's own objects.

        Returns:
            Thought and text of each answer.
        """
        ...


class OpenAIChat:
    errors: ClassVar[dict[str, type[Exception]]] = {
        "invalid": openai.BadRequestError,
        "missing": openai.NotFoundError,
        "limited": openai.RateLimitError,
        "overloaded": openai.InternalServerError,
        "stranger": openai.AuthenticationError,
    }

    def __init__(self, url: str, key: str = "any") -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self._completions = self._client.chat.completions

    def close(self) -> None:
        self._client.close()

    def say(self, text: str, *, model: str = "demo-small") -> str:
        messages: Any = [{"role": "user", "content": text}]
        return str(self._completions.create(model=model, messages=messages).choices[0].message.content)

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        messages: Any = [{"role": "user", "content": text}]
        for chunk in self._completions.create(model=model, messages=messages, stream=True):
            for choice in chunk.choices:
                yield choice.delta.content or ""

    def parse(self, text: str) -> Verdict:
        messages: Any = [{"role": "user", "content": text}]
        whole = self._completions.parse(model="demo-small", messages=messages, response_format=Verdict)
        parsed = whole.choices[0].message.parsed
        assert parsed is not None
        return parsed

    def see(self, text: str) -> str:
        url = f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        messages: Any = [{"role": "user", "content": parts}]
        return str(self._completions.create(model="demo-small", messages=messages).choices[0].message.content)

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
        messages: Any = [{"role": "user", "content": text}]
        steps: list[list[str]] = []
        while len(steps) < _LIMIT:
            options: Any = {"model": "demo-large", "messages": messages, "tools": [tool]}
            if streamed:
                with self._completions.stream(**options) as stream:
                    choice: Any = stream.get_final_completion().choices[0]
            else:
                choice = self._completions.create(**options).choices[0]
            messages.append(choice.message.to_dict())
            calls = choice.message.tool_calls
            assert choice.finish_reason == ("tool_calls" if calls else "stop")
            if not calls:
                return steps, str(choice.message.content)
            cities = [json.loads(call.function.arguments)["city"] for call in calls]
            steps.append(cities)
            messages.extend(
                {"role": "tool", "tool_call_id": call.id, "content": weather(city)}
                for call, city in zip(calls, cities, strict=True)
            )
        raise AssertionError("the loop does not end")

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        messages: Any = []
        said: list[tuple[str, str]] = []
        for text in texts:
            messages.append({"role": "user", "content": text})
            whole = self._completions.create(model="demo-large", messages=messages, reasoning_effort="high")
            message: Any = whole.choices[0].message
            messages.append(message.to_dict())
            said.append((message.reasoning_content, message.content))
        return said


class OpenAIResponses:
    errors: ClassVar[dict[str, type[Exception]]] = OpenAIChat.errors

    def __init__(self, url: str, key: str = "any") -> None:
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self._responses = self._client.responses

    def close(self) -> None:
        self._client.close()

    def say(self, text: str, *, model: str = "demo-small") -> str:
        return self._responses.create(model=model, input=text, store=False).output_text

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        with self._responses.stream(model=model, input=text, store=False) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta
            assert stream.get_final_response().status == "completed"

    def parse(self, text: str) -> Verdict:
        parsed = self._responses.parse(model="demo-small", input=text, text_format=Verdict, store=False).output_parsed
        assert parsed is not None
        return parsed

    def see(self, text: str) -> str:
        url = f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"
        parts = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": url, "detail": "auto"}]
        asked: Any = [{"role": "user", "content": parts}]
        return self._responses.create(model="demo-small", input=asked, store=False).output_text

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        tool: Any = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}
        items: Any = [{"role": "user", "content": text}]
        steps: list[list[str]] = []
        while len(steps) < _LIMIT:
            options: Any = {"model": "demo-large", "input": items, "tools": [tool], "store": False}
            if streamed:
                with self._responses.stream(**options) as stream:
                    stream.until_done()
                    answer: Any = stream.get_final_response()
            else:
                answer = self._responses.create(**options)
            items.extend(item.to_dict() for item in answer.output)
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                return steps, answer.output_text
            cities = [json.loads(call.arguments)["city"] for call in calls]
            steps.append(cities)
            items.extend(
                {"type": "function_call_output", "call_id": call.call_id, "output": weather(city)}
                for call, city in zip(calls, cities, strict=True)
            )
        raise AssertionError("the loop does not end")

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        items: Any = []
        said: list[tuple[str, str]] = []
        for text in texts:
            items.append({"role": "user", "content": text})
            answer = self._responses.create(
                model="demo-large",
                input=items,
                reasoning={"effort": "high", "summary": "auto"},
                include=["reasoning.encrypted_content"],
                store=False,
            )
            items.extend(item.to_dict() for item in answer.output)
            thoughts = [item for item in answer.output if item.type == "reasoning"]
            thought = "".join(part.text for item in thoughts for part in (*(item.content or ()), *item.summary))
            said.append((thought, answer.output_text))
        return said


class Anthropic:
    errors: ClassVar[dict[str, type[Exception]]] = {
        "invalid": anthropic.BadRequestError,
        "missing": anthropic.NotFoundError,
        "limited": anthropic.RateLimitError,
        "overloaded": anthropic.InternalServerError,
        "stranger": anthropic.AuthenticationError,
    }

    def __init__(self, url: str, key: str = "any") -> None:
        self._client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
        self._messages = self._client.messages

    def close(self) -> None:
        self._client.close()

    def say(self, text: str, *, model: str = "demo-small") -> str:
        messages: Any = [{"role": "user", "content": text}]
        block: Any = self._messages.create(model=model, max_tokens=500, messages=messages).content[-1]
        return str(block.text)

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        messages: Any = [{"role": "user", "content": text}]
        with self._messages.stream(model=model, max_tokens=500, messages=messages) as stream:
            yield from stream.text_stream
            assert stream.get_final_message().stop_reason == "end_turn"

    def parse(self, text: str) -> Verdict:
        messages: Any = [{"role": "user", "content": text}]
        whole = self._messages.parse(model="demo-small", max_tokens=500, messages=messages, output_format=Verdict)
        assert whole.parsed_output is not None
        return whole.parsed_output

    def see(self, text: str) -> str:
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(_PNG).decode()}
        parts = [{"type": "text", "text": text}, {"type": "image", "source": source}]
        messages: Any = [{"role": "user", "content": parts}]
        block: Any = self._messages.create(model="demo-small", max_tokens=500, messages=messages).content[-1]
        return str(block.text)

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        messages: Any = [{"role": "user", "content": text}]
        steps: list[list[str]] = []
        while len(steps) < _LIMIT:
            options: Any = {
                "model": "demo-large",
                "max_tokens": 500,
                "messages": messages,
                "tools": [{"name": "get_weather", "input_schema": CITY}],
            }
            if streamed:
                with self._messages.stream(**options) as stream:
                    message: Any = stream.get_final_message()
            else:
                message = self._messages.create(**options)
            messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            calls = [block for block in message.content if block.type == "tool_use"]
            assert message.stop_reason == ("tool_use" if calls else "end_turn")
            if not calls:
                return steps, str(message.content[-1].text)
            steps.append([call.input["city"] for call in calls])
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": weather(call.input["city"])}
                for call in calls
            ]
            messages.append({"role": "user", "content": results})
        raise AssertionError("the loop does not end")

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        messages: Any = []
        said: list[tuple[str, str]] = []
        for text in texts:
            messages.append({"role": "user", "content": text})
            thinking: Any = {"type": "enabled", "budget_tokens": 2048}
            message: Any = self._messages.create(
                model="demo-large", max_tokens=4096, messages=messages, thinking=thinking
            )
            messages.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            thoughts = [block.thinking for block in message.content if block.type == "thinking"]
            said.append(("".join(thoughts), message.content[-1].text))
        return said


class Gemini:
    errors: ClassVar[dict[str, type[Exception]]] = {
        "invalid": genai_errors.ClientError,
        "missing": genai_errors.ClientError,
        "limited": genai_errors.ClientError,
        "overloaded": genai_errors.ServerError,
        "stranger": genai_errors.ClientError,
    }

    def __init__(self, url: str, key: str = "any") -> None:
        retries = types.HttpRetryOptions(attempts=1)
        options = types.HttpOptions(base_url=url, retry_options=retries)
        self._client = genai.Client(api_key=key, http_options=options)
        self._models = self._client.models

    def close(self) -> None:
        self._client.close()

    def say(self, text: str, *, model: str = "demo-small") -> str:
        return str(self._models.generate_content(model=model, contents=text).text)

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        for chunk in self._models.generate_content_stream(model=model, contents=text):
            yield chunk.text or ""

    def parse(self, text: str) -> Verdict:
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Verdict)
        parsed = self._models.generate_content(model="demo-small", contents=text, config=config).parsed
        assert isinstance(parsed, Verdict)
        return parsed

    def see(self, text: str) -> str:
        parts: Any = [text, types.Part.from_bytes(data=_PNG, mime_type="image/png")]
        return str(self._models.generate_content(model="demo-small", contents=parts).text)

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        declared = types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY)
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        contents: Any = [types.Content(role="user", parts=[types.Part(text=text)])]
        steps: list[list[str]] = []
        while len(steps) < _LIMIT:
            options: Any = {"model": "demo-large", "contents": contents, "config": config}
            if streamed:
                chunks = list(self._models.generate_content_stream(**options))
                said: list[Any] = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
                said = [content for content in said if content is not None and content.parts]
            else:
                said = [self._models.generate_content(**options).candidates[0].content]  # type: ignore[index]
            contents.extend(said)  # one content a chunk, as the SDK's chats do
            calls = [part.function_call for content in said for part in content.parts if part.function_call]
            if not calls:
                return steps, "".join(part.text or "" for content in said for part in content.parts)
            steps.append([call.args["city"] for call in calls])
            results = [
                types.Part.from_function_response(name=call.name, response={"result": weather(call.args["city"])})
                for call in calls
            ]
            contents.append(types.Content(role="user", parts=results))
        raise AssertionError("the loop does not end")

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        contents: Any = []
        said: list[tuple[str, str]] = []
        for text in texts:
            contents.append(types.Content(role="user", parts=[types.Part(text=text)]))
            config = types.GenerateContentConfig(thinking_config=thinking)
            answer = self._models.generate_content(model="demo-large", contents=contents, config=config)
            content: Any = answer.candidates[0].content  # type: ignore[index]
            contents.append(content)
            thought = "".join(part.text or "" for part in content.parts if part.thought)
            said.append((thought, "".join(part.text or "" for part in content.parts if not part.thought)))
        return said


class Ollama:
    errors: ClassVar[dict[str, type[Exception]]] = dict.fromkeys(
        ["invalid", "missing", "limited", "overloaded", "stranger"], ollama.ResponseError
    )

    def __init__(self, url: str, key: str = "any") -> None:
        self._client = ollama.Client(host=url, headers={"authorization": f"Bearer {key}"})

    def close(self) -> None:
        self._client._client.close()  # the SDK has no word for it

    def say(self, text: str, *, model: str = "demo-small") -> str:
        return str(self._client.chat(model=model, messages=[{"role": "user", "content": text}]).message.content)

    def stream(self, text: str, *, model: str = "demo-small") -> Iterator[str]:
        for chunk in self._client.chat(model=model, messages=[{"role": "user", "content": text}], stream=True):
            yield chunk.message.content or ""

    def parse(self, text: str) -> Verdict:
        messages = [{"role": "user", "content": text}]
        answer = self._client.chat(model="demo-small", messages=messages, format=Verdict.model_json_schema())
        return Verdict.model_validate_json(answer.message.content or "")

    def see(self, text: str) -> str:
        messages = [{"role": "user", "content": text, "images": [_PNG]}]
        return str(self._client.chat(model="demo-small", messages=messages).message.content)

    def loop(self, text: str, weather: Tool, *, streamed: bool) -> tuple[list[list[str]], str]:
        tool = {"type": "function", "function": {"name": "get_weather", "description": "", "parameters": CITY}}
        messages: list[Any] = [{"role": "user", "content": text}]
        steps: list[list[str]] = []
        while len(steps) < _LIMIT:
            options: Any = {"model": "demo-large", "messages": messages, "tools": [tool]}
            said = list(self._client.chat(**options, stream=True)) if streamed else [self._client.chat(**options)]
            calls = [call for chunk in said for call in chunk.message.tool_calls or ()]
            whole = "".join(chunk.message.content or "" for chunk in said)
            messages.append(ollama.Message(role="assistant", content=whole, tool_calls=calls or None))
            if not calls:
                return steps, whole
            steps.append([str(call.function.arguments["city"]) for call in calls])
            messages.extend(
                {
                    "role": "tool",
                    "tool_name": call.function.name,
                    "content": weather(str(call.function.arguments["city"])),
                }
                for call in calls
            )
        raise AssertionError("the loop does not end")

    def talk(self, *texts: str) -> list[tuple[str, str]]:
        messages: list[Any] = []
        said: list[tuple[str, str]] = []
        for text in texts:
            messages.append({"role": "user", "content": text})
            answer = self._client.chat(model="demo-large", messages=messages, think="high")
            messages.append(answer.message)
            said.append((answer.message.thinking or "", answer.message.content or ""))
        return said


SDKS: dict[str, type[Sdk]] = {
    "openai-chat": OpenAIChat,
    "openai-responses": OpenAIResponses,
    "anthropic": Anthropic,
    "gemini": Gemini,
    "ollama": Ollama,
}
