"""`KeyPool` and what is not translated: a key, its limits, its usage, and what an error says of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ds2api_asgi import Key, KeyPool, RateLimits, Retry
from ds2api_asgi.pool.keys import Secret
from ds2api_asgi.testing import Driver
from studio import SOUND, Studio

pytestmark = pytest.mark.anyio

DEAD, WEARY, GOOD = "sk-dead-1234567890", "sk-weary-1234567890", "sk-good-1234567890"


def key(secret: str, **options: Any) -> Key:
    return Key(secret=Secret(secret), alias=secret[3:7], **options)


async def states(pool: KeyPool) -> dict[str, str]:
    return {report.alias: report.state.value for report in await pool.snapshot()}


def heard(model: str = "hear") -> dict[str, Any]:
    request = httpx.Request("POST", "http://h/", data={"model": model}, files={"file": ("a", b"\xff" * 90_000)})
    return {"headers": {"content-type": request.headers["content-type"]}, "body": request.read()}


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"json": {"model": "m", "prompt": "a", "suffix": "b"}}),
    ("/v1/completions", {"json": {"model": "m", "prompt": "a", "stream": True}}),
    ("/v1/fim/completions", {"json": {"model": "m", "prompt": "a"}}),
    ("/v1/moderations", {"json": {"input": "a"}}),
    ("/v1/images/generations", {"json": {"model": "m", "prompt": "a"}}),
    ("/v1/audio/speech", {"json": {"model": "m", "input": "a"}}),
    ("/v1/audio/transcriptions", heard()),
    ("/v1/rerank", {"json": {"model": "m", "query": "q", "documents": ["a"]}}),
]


@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(("path", "request_"), ASKED)
async def test_errors_tell_of_keys_as_those_of_chats_do(path: str, request_: Any, speaks: str) -> None:
    studio = Studio({DEAD: 401, WEARY: 429})
    pool = KeyPool(studio, protocol=speaks, keys=[key(DEAD), key(WEARY), key(GOOD)], strategy="fill-first")
    app = Retry(pool, protocol=speaks)
    for _ in range(3):
        answer = await Driver(app, headers={"authorization": "Bearer client"}).request("POST", path, **request_)
        assert (answer.status, answer.complete) == (200, True)
    assert studio.keys() == [DEAD, WEARY, GOOD, GOOD, GOOD]
    assert await states(pool) == {"dead": "disabled", "wear": "cooling", "good": "active"}


async def test_keys_for_certain_models_are_chosen_by_the_field_of_a_form() -> None:
    studio = Studio()
    keys = [key(DEAD, models=frozenset({"other"})), key(GOOD, models=frozenset({"hear"}))]
    pool = KeyPool(studio, protocol="openai-chat", keys=keys, queue_timeout=0)
    assert (await Driver(pool).request("POST", "/v1/audio/transcriptions", **heard())).status == 200
    assert studio.keys() == [GOOD]
    nobody = await Driver(pool).request("POST", "/v1/audio/transcriptions", **heard("nobodys"))
    assert nobody.status in (404, 429, 503)


async def left(path: str, request: Any, *, tpm: int = 10_000) -> float:
    """Tokens of a key's minute that are left when the request is over."""
    pool = KeyPool(Studio(), protocol="openai-chat", keys=[key(GOOD, limits=RateLimits(tpm=tpm))], queue_timeout=0)
    answer = await Driver(pool).request("POST", path, **request)
    assert answer.status == 200
    (report,) = await pool.snapshot()
    return next(one.left for one in report.headroom if one.of == "tpm")


@pytest.mark.parametrize(
    ("path", "request_", "cost"),
    [
        ("/v1/completions", {"json": {"model": "m", "prompt": "a"}}, 8),
        ("/v1/completions", {"json": {"model": "m", "prompt": "a", "stream": True}}, 8),
        ("/v1/images/generations", {"json": {"model": "m", "prompt": "a"}}, 10),
        ("/v1/rerank", {"json": {"model": "m", "query": "q", "documents": ["a"]}}, 11),
        ("/v1/audio/transcriptions", heard(), 0),
    ],
)
async def test_answers_cost_what_they_state(path: str, request_: Any, cost: int) -> None:
    assert await left(path, request_) == 10_000 - cost


async def test_no_tokens_are_reserved_for_sound() -> None:
    assert await left("/v1/audio/transcriptions", heard(), tpm=1) == 1


async def test_sound_passes_as_it_is() -> None:
    pool = KeyPool(Studio(), protocol="openai-chat", keys=[key(GOOD, limits=RateLimits(tpm=1_000))])
    answer = await Driver(pool).request("POST", "/v1/audio/speech", json={"model": "m", "input": "a"})
    assert (answer.body, answer.header("content-type")) == (SOUND, "audio/mpeg")
