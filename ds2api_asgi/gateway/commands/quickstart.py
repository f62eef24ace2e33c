"""Ready requests for every protocol of a gateway: lines for a shell, and code for the official SDKs."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

__all__ = ["Snippet", "snippets"]


class Snippet(Struct, frozen=True, kw_only=True):
    """Something to paste.

    Attributes:
        title: What it shows.
        language: ``"sh"`` or ``"python"``.
        text: The line or the code, without a line end.
    """

    title: str
    language: str
    text: str


def snippets(base_url: str, model: str) -> tuple[Snippet, ...]:
    """Requests that work as they stand.

    Args:
        base_url: ``"http://127.0.0.1:8000"``.
        model: The model that they ask.
    """
    chat: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    messages = {"model": model, "max_tokens": 100, "messages": chat["messages"]}
    stream = {"stream": True}
    return (
        _curl("OpenAI Chat Completions", f"{base_url}/v1/chat/completions", chat),
        _curl("OpenAI Chat Completions, streamed", f"{base_url}/v1/chat/completions", chat | stream),
        _curl("Anthropic Messages", f"{base_url}/v1/messages", messages),
        _curl("Anthropic Messages, streamed", f"{base_url}/v1/messages", messages | stream),
        _curl("OpenAI Responses", f"{base_url}/v1/responses", {"model": model, "input": "Hello"}),
        _curl("Gemini", f"{base_url}/v1beta/models/{model}:generateContent", _GEMINI_HELLO),
        _curl("Ollama", f"{base_url}/api/chat", chat | {"stream": False}),
        _curl("Models", f"{base_url}/v1/models"),
        *(
            Snippet(title=f"The package {name}", language="python", text=text.format(base_url=base_url, model=model))
            for name, text in _PACKAGES.items()
        ),
    )


def _curl(title: str, url: str, document: dict[str, Any] | None = None) -> Snippet:
    line = f"curl -sN {url}"
    if document is not None:
        line += f" -H 'content-type: application/json' -d '{json.dumps(document)}'"
    return Snippet(title=title, language="sh", text=line)


_GEMINI_HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}

_OPENAI = """\
from openai import OpenAI

client = OpenAI(base_url="{base_url}/v1", api_key="any")
messages = [{{"role": "user", "content": "Hello"}}]
print(client.chat.completions.create(model="{model}", messages=messages).choices[0].message.content)"""

_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(base_url="{base_url}", api_key="any")
messages = [{{"role": "user", "content": "Hello"}}]
print(client.messages.create(model="{model}", max_tokens=100, messages=messages).content[0].text)"""

_RESPONSES = """\
from openai import OpenAI

client = OpenAI(base_url="{base_url}/v1", api_key="any")
first = client.responses.create(model="{model}", input="Hello")
print(client.responses.create(model="{model}", input="Hello again", previous_response_id=first.id).output_text)"""

_GENAI = """\
from google import genai

client = genai.Client(api_key="any", http_options={{"base_url": "{base_url}"}})
print(client.models.generate_content(model="{model}", contents="Hello").text)"""

_OLLAMA = """\
from ollama import Client

client = Client(host="{base_url}")
print(client.chat(model="{model}", messages=[{{"role": "user", "content": "Hello"}}]).message.content)"""

_PACKAGES = {
    "openai": _OPENAI,
    "openai, Responses": _RESPONSES,
    "anthropic": _ANTHROPIC,
    "google-genai": _GENAI,
    "ollama": _OLLAMA,
}
