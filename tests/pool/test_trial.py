"""A key tried out: what is asked, what the answer means, and that nobody else notices."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ds2api_asgi import KeyPool
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool import Key, KeyState, RateLimits, Secret
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Break, Hang, ScriptedUpstream, json_script

pytestmark = pytest.mark.anyio

FIRST, SECOND = "sk-first-canary-0123456789", "sk-second-canary-0123456789"
MODELS: dict[str, Any] = {
    "openai-chat": {"object": "list", "data": [{"id": "m", "object": "model"}]},
    "openai-responses": {"object": "list", "data": [{"id": "m", "object": "model"}]},
    "anthropic": {"data": [{"id": "m", "type": "model", "display_name": "M"}], "has_more": False},
    "gemini": {"models": [{"name": "models/m"}]},
    "ollama": {"models": [{"name": "m", "model": "m"}]},
}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


def error(status: int, code: str, kind: str = "invalid_request_error") -> Any:
    words = f"no, not with {FIRST}"
    return json_script({"error": {"message": words, "type": kind, "param": None, "code": code}}, status=status)


def pool(scripts: Any, *, protocol: str = "openai-chat", **options: Any) -> tuple[KeyPool, ScriptedUpstream]:
    upstream = ScriptedUpstream(scripts)
    first = Key(secret=Secret(FIRST), alias="first", **options)
    keys = [first, Key(secret=Secret(SECOND), alias="second")]
    return KeyPool(upstream, protocol=protocol, keys=keys), upstream


@pytest.mark.parametrize("protocol", sorted(MODELS))
async def test_the_list_of_models_is_asked_for_with_exactly_this_key(protocol: str) -> None:
    keys, upstream = pool([json_script(MODELS[protocol])], protocol=protocol)
    trial = await keys.try_key("second")
    assert (trial.ok, trial.status, trial.words) == (True, 200, "The provider lists 1 model.")
    (request,) = upstream.requests
    assert request.method == "GET"
    name, value = registry.get(protocol).authorize(SECOND)
    assert dict(request.headers)[name] == value


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (error(401, "invalid_api_key"), 401, "The provider refuses the key"),
        (error(429, "rate_limit_exceeded", "requests"), 429, "over a rate limit"),
        (error(429, "insufficient_quota", "insufficient_quota"), 429, "money or quota"),
        (error(500, "server_error", "server_error"), 500, "in trouble"),
        (error(400, "nonsense"), 400, "did not like the question"),
        (json_script({"error": {"message": "no", "type": "x", "code": 402}}), 200, ""),
        ([Break()], 0, ""),
    ],
)
async def test_a_failure_is_classified_and_nothing_of_it_is_repeated(script: Any, status: int, says: str) -> None:
    keys, _ = pool([script])
    trial = await keys.try_key("first")
    assert (trial.ok, trial.status) == (False, status)
    assert says in trial.words
    assert FIRST not in repr(trial)
    assert "no, not with" not in trial.words


async def test_a_trial_changes_nothing_and_works_on_a_key_that_is_switched_off() -> None:
    keys, _ = pool([error(401, "invalid_api_key"), json_script(MODELS["openai-chat"])])
    await keys.disable("second")
    before = await keys.snapshot()
    assert not (await keys.try_key("first")).ok
    assert (await keys.try_key("second")).ok
    after = await keys.snapshot()
    assert after == before
    assert [report.state for report in after] == [KeyState.ACTIVE, KeyState.DISABLED]
    assert [report.switched_off for report in after] == [False, True]


async def test_without_a_list_a_model_that_the_key_is_meant_for_is_asked_for_a_few_tokens() -> None:
    for status in (404, 403):
        keys, upstream = pool([error(status, "no"), json_script(ANSWER)], models=frozenset({"m"}))
        trial = await keys.try_key("first")
        assert (trial.ok, trial.words) == (True, "The model answered.")
        assert upstream.requests[1].json()["model"] == "m"
        assert 1 <= upstream.requests[1].json()["max_completion_tokens"] <= 16


async def test_without_a_list_and_without_a_model_it_says_so() -> None:
    keys, upstream = pool([error(404, "no")])
    trial = await keys.try_key("first")
    assert not trial.ok
    assert "no model is named" in trial.words
    assert len(upstream.requests) == 1


async def test_a_model_may_be_named() -> None:
    keys, upstream = pool([json_script(ANSWER)], limits=RateLimits(rpm=1))
    assert (await keys.try_key("first", model="gpt-6")).ok
    assert upstream.requests[0].json()["model"] == "gpt-6"


async def test_a_trial_waits_no_longer_than_it_may() -> None:
    keys, _ = pool([[Hang()]])
    with anyio.fail_after(10):
        trial = await keys.try_key("first", timeout=0.05)
    assert (trial.ok, trial.status) == (False, 0)
    assert "within 0.05 seconds" in trial.words
    assert trial.took < 5


async def test_an_unknown_key_is_refused() -> None:
    keys, _ = pool([])
    with pytest.raises(ConfigurationError):
        await keys.try_key("third")
