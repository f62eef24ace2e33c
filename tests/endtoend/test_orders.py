"""Parts in any order that makes sense: every client is served, the provider asked once and with a key of the pool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogues import HEADERS, ended_well, error_of, path_of, request_in, text_of
from ds2api_asgi import Failover, KeyPool, Retry, Translator, Upstream
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from providers import Provider

OTHER = {"openai-chat": "anthropic", "anthropic": "gemini", "gemini": "openai-chat"}
OUTER = ["retry", "failover", "translate"]


def wrap(app: Any, part: str, speaks: str) -> tuple[Any, str]:
    """The app with a part around it, and what may be spoken to it in the place of its own protocol."""
    match part:
        case "retry":
            return Retry(app), speaks
        case "failover":
            return Failover([app, app]), speaks
        case "failover of others":
            return Failover([Translator(app, speaks=speaks, clients=[OTHER[speaks]])]), OTHER[speaks]
        case "pool":
            return KeyPool(app, protocol=speaks, keys=["sk-1", "sk-2"], name="outer"), speaks
        case _:
            # Only another protocol is left, as if the app had never spoken its own.
            return Translator(app, speaks=speaks, clients=[OTHER[speaks]]), OTHER[speaks]


@given(
    speaks=st.sampled_from(sorted(OTHER)),
    beneath=st.lists(st.sampled_from([*OUTER, "failover of others"]), max_size=3),
    above=st.lists(st.sampled_from([*OUTER, "failover of others"]), max_size=3),
    client=st.sampled_from(sorted(OTHER)),
    stream=st.booleans(),
)
def test_whatever_stands_around_what_the_client_is_served(
    speaks: str, beneath: list[str], above: list[str], client: str, *, stream: bool
) -> None:
    sender = Provider(speaks)
    app: Any = Upstream("https://provider.example", protocol=speaks, sender=sender)
    spoken = speaks
    for part in [*beneath, "pool", *above]:
        app, spoken = wrap(app, part, spoken)
    app = Translator(app, speaks=spoken)
    answer = anyio.run(lambda: ask(app, client, stream=stream))
    assert (answer.status, answer.complete) == (200, True)
    if stream:
        assert text_of(client, answer.body) == "Hi"
        assert ended_well(client, answer.body)
    else:
        assert b"Hi there" in answer.body
    ((method, path, headers, body),) = sender.asked
    assert (method, path) == ("POST", path_of(speaks, stream=stream).partition("?")[0])
    assert [headers[name] for name in _CREDENTIALS if name in headers] in _KEYS[speaks]
    assert json.loads(body)["contents" if speaks == "gemini" else "messages"]


_CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key")
_BARE = [[b"sk-1"], [b"sk-2"]]
_KEYS = {"openai-chat": [[b"Bearer sk-1"], [b"Bearer sk-2"]], "anthropic": _BARE, "gemini": _BARE}


async def ask(app: Any, client: str, *, stream: bool) -> Any:
    return await Driver(app, headers=HEADERS[client]).request(
        "POST", path_of(client, stream=stream), json=request_in(client, stream=stream)
    )


Nest = Callable[[Any], Any]
NESTS: dict[str, Nest] = {
    "retry of pool": lambda app: Retry(KeyPool(app, protocol="openai-chat", keys=["a"])),
    "pool of translator": lambda app: KeyPool(Translator(app, speaks="openai-chat"), protocol="anthropic", keys=["a"]),
    "translator of failover": lambda app: Translator(Failover([app, app]), speaks="openai-chat"),
    "failover of retry and translator": lambda app: Failover(
        [Retry(app), Translator(Retry(app), speaks="openai-chat")], max_attempts=1
    ),
    "three retries": lambda app: Retry(Retry(Retry(app))),
}


TRANSLATED = ("pool of translator", "translator of failover")


@pytest.mark.parametrize(
    ("nest", "client"), [*((nest, "openai-chat") for nest in NESTS), *((nest, "anthropic") for nest in TRANSLATED)]
)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_keeps_its_shape_and_the_budget_holds_in_any_order(nest: str, status: int, client: str) -> None:
    error = {"error": {"message": "no", "type": "x", "param": None, "code": None}}
    upstream = ScriptedUpstream([json_script(error, status=status, headers=[(b"retry-after-ms", b"1")])], repeat=True)
    answer = anyio.run(lambda: ask(NESTS[nest](upstream), client, stream=False))
    assert answer.status >= 400
    error_of(client, answer.json())
    assert 1 <= len(upstream.requests) <= (1 if status == 400 else 6)
