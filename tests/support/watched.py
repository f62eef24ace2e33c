"""What the tests of metrics and telemetry share: a nest with a scripted upstream, and questions to it."""

from __future__ import annotations

from typing import Any

from ds2api_asgi import KeyPool, Retry, Translator
from ds2api_asgi.testing import Driver, ScriptedUpstream

CANARY = "sk-canary-1234567890abcdef"
SPARE = "sk-spare-canary-0987654321fedcba"
WORDS = "a word of mine that nobody else may read"

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi there"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "total_tokens": 1010,
        "prompt_tokens_details": {"cached_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
}
SLOW = {"error": {"message": f"slow down, {CANARY}", "type": "requests", "code": "rate_limit_exceeded"}}
QUESTION = {
    "model": "gpt-4o",
    "temperature": 0.5,
    "max_completion_tokens": 77,
    "messages": [{"role": "user", "content": WORDS}],
}


def chunk(content: str | None = None, *, finish: str | None = None, usage: Any = None) -> dict[str, Any]:
    delta = {} if content is None else {"role": "assistant", "content": content}
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "chatcmpl-2",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": choices,
        "usage": usage,
    }


def nest(watcher: Any, scripts: Any, *, speaks: str = "openai-chat", **options: Any) -> tuple[Any, KeyPool]:
    upstream = watcher.calls(ScriptedUpstream(scripts), name="up", provider="openai")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY, SPARE], **options)
    return watcher.requests(Translator(Retry(pool, backoff=0.001), speaks=speaks)), pool


async def ask(app: Any, document: Any = QUESTION, *, path: str = "/v1/chat/completions", **headers: str) -> Any:
    headers = {"authorization": f"Bearer {CANARY}", **headers}
    return await Driver(app).request("POST", path, json=document, headers=headers)
