"""Providers that pages name, played by the demo model on this machine: no page's code reaches any other host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ds2api_asgi import Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve

__all__ = ["HOSTS", "models_of", "provided", "provider", "replaced"]

HOSTS = re.compile(
    r"https://(?:[\w-]+\.)*(?:openai\.com|anthropic\.com|googleapis\.com|mistral\.ai|groq\.com|deepseek\.com"
    r"|openrouter\.ai/api|x\.ai|example|example\.com)(?![\w.-])|http://(?:127\.0\.0\.1|localhost):(?:8080|11434|9000)"
)
"""Addresses of providers in pages; ``http://127.0.0.1:8000`` is the gateway's own."""

_MODEL = re.compile(r"\b(?:gpt|claude|gemini|llama|mistral|qwen|deepseek|grok|text-embedding)-?[\w.:-]*\w")


def models_of(text: str) -> list[str]:
    """Names of models in a page's code."""
    return sorted(set(_MODEL.findall(text)))


def replaced(text: str, base_url: str) -> str:
    """A text whose providers are at another address."""
    return HOSTS.sub(base_url, text)


def provided(text: str, base_url: str) -> str:
    """A configuration whose upstreams without an address of this machine's get the provider's."""
    upstreams = tomllib.loads(text).get("upstreams", {})
    for name, table in upstreams.items():
        if "base_url" not in table:
            head = re.compile(rf'^\[upstreams\.(?:{re.escape(name)}|"{re.escape(name)}")\]\n', flags=re.MULTILINE)
            text = head.sub(lambda found: f'{found[0]}base_url = "{base_url}"\n', text, count=1)
    return text


@asynccontextmanager
async def provider(text: str) -> AsyncIterator[tuple[str, DemoModel]]:
    """A provider of all protocols that has the models which a text names; gives its address, and the model."""
    model = DemoModel(models=[*models_of(text), "demo-small"])
    async with serve(Translator(model, speaks="openai-chat")) as base_url:
        yield base_url, model
