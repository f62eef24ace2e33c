"""Every preset asks its provider's own URL with its own header."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest

from ds2api_asgi import RenewedToken, Secret, Token
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.providers.address import Readdressed
from ds2api_asgi.gateway.providers.presets import PRESETS, preset
from ds2api_asgi.pool import KeyPool
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver

KEY = "key-of-the-operator"
PARAMETERS: dict[str, dict[str, str]] = {
    "vertex": {"project": "mine", "location": "europe-west4"},
    "azure": {"resource": "res"},
    "azure-deployment": {"resource": "res", "deployment": "dep"},
}
VERTEX = "aiplatform.googleapis.com"
BEARER = ("authorization", f"Bearer {KEY}")
EXPECTED: dict[str, tuple[str, tuple[str, str]]] = {
    "openai": ("https://api.openai.com/v1/chat/completions", BEARER),
    "openai-responses": ("https://api.openai.com/v1/responses", BEARER),
    "anthropic": ("https://api.anthropic.com/v1/messages", ("x-api-key", KEY)),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
        ("x-goog-api-key", KEY),
    ),
    "vertex": (
        f"https://europe-west4-{VERTEX}/v1/projects/mine/locations/europe-west4/publishers/google/models/m:generateContent",
        BEARER,
    ),
    "azure": ("https://res.openai.azure.com/openai/v1/chat/completions", ("api-key", KEY)),
    "azure-deployment": (
        "https://res.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21",
        ("api-key", KEY),
    ),
    "openrouter": ("https://openrouter.ai/api/v1/chat/completions", BEARER),
    "groq": ("https://api.groq.com/openai/v1/chat/completions", BEARER),
    "mistral": ("https://api.mistral.ai/v1/chat/completions", BEARER),
    "deepseek": ("https://api.deepseek.com/chat/completions", BEARER),
    "xai": ("https://api.x.ai/v1/chat/completions", BEARER),
    "together": ("https://api.together.ai/v1/chat/completions", BEARER),
    "fireworks": ("https://api.fireworks.ai/inference/v1/chat/completions", BEARER),
    "cerebras": ("https://api.cerebras.ai/v1/chat/completions", BEARER),
    "perplexity": ("https://api.perplexity.ai/v1/responses", BEARER),
    "ollama": ("http://localhost:11434/api/chat", BEARER),
    "vllm": ("http://localhost:8000/v1/chat/completions", BEARER),
    "llama.cpp": ("http://localhost:8080/v1/chat/completions", BEARER),
    "lm-studio": ("http://localhost:1234/v1/chat/completions", BEARER),
}
CREDENTIALS = {"authorization", "x-api-key", "api-key", "x-goog-api-key"}
CLIENT = {name: "Bearer client" if name == "authorization" else "client" for name in CREDENTIALS}
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class SeenRequest:
    """A sender that only looks, and an answer of it."""

    def __init__(self, body: bytes = b"{}") -> None:
        self.url = ""
        self.headers: dict[str, str] = {}
        self._body = body
        self.status = 418
        self.asked = 0

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> SeenAnswer:
        self.asked += 1
        self.url = url
        names = [name.decode() for name, _ in headers]
        assert len(names) == len(set(names))
        self.headers = {name.decode(): value.decode() for name, value in headers}
        self._chunks = self._parts()
        self.answer_headers = [(b"content-type", b"application/json")]
        return SeenAnswer(self)

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        """Nothing is open."""


class SeenAnswer:
    def __init__(self, seen: SeenRequest) -> None:
        self.status = seen.status
        self.headers = seen.answer_headers
        self.chunks = seen._chunks

    async def aclose(self) -> None:
        """Nothing is open."""


def test_all_presets_have_an_expectation() -> None:
    assert set(EXPECTED) == set(PRESETS)


@pytest.mark.anyio
@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("pooled", [False, True])
async def test_the_right_url_is_asked_with_the_right_header(name: str, pooled: bool) -> None:
    seen = SeenRequest()
    one = preset(name)
    parameters = PARAMETERS.get(name, {})
    if pooled:
        app = one.app(sender=seen, around=lambda inner: KeyPool(inner, protocol=one.protocol, keys=[KEY]), **parameters)
    else:
        app = one.app(sender=seen, api_key=KEY, **parameters)
    await Driver(app).request("POST", "/v1/chat/completions?key=client", json=CHAT, headers=CLIENT)
    assert seen.asked >= 1
    assert "client" not in seen.url + " ".join(seen.headers.values())
    assert (seen.url, {key: seen.headers[key] for key in CREDENTIALS & set(seen.headers)}) == (
        EXPECTED[name][0],
        dict([EXPECTED[name][1]]),
    )


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["azure", "vertex"])
async def test_a_key_that_a_provider_repeats_is_masked(name: str) -> None:
    seen = SeenRequest(b'{"error":{"message":"bad key ' + KEY.encode() + b'"}}')
    upstream = preset(name).upstream(sender=seen, api_key=KEY, **PARAMETERS[name])
    path = "/v1beta/models/m:generateContent" if name == "vertex" else "/v1/chat/completions"
    answer = await Driver(upstream).request("POST", path, json=CHAT)
    assert "bad key" in answer.text
    assert KEY not in answer.text


@pytest.mark.anyio
async def test_a_stream_of_vertex_keeps_its_framing_in_the_query() -> None:
    seen = SeenRequest()
    app = preset("vertex").app(sender=seen, api_key=KEY, project="mine")
    await Driver(app).request("POST", "/v1/chat/completions", json={**CHAT, "stream": True})
    assert seen.url == (
        "https://aiplatform.googleapis.com/v1/projects/mine/locations/global"
        "/publishers/google/models/m:streamGenerateContent?alt=sse"
    )


@pytest.mark.parametrize("one", PRESETS.values(), ids=str)
def test_data_is_sound(one: Any) -> None:
    registry.in_dialect(one.protocol, one.dialect)
    assert one.page.startswith("https://")
    assert one.variables_page.startswith("https://") == bool(one.variables)
    assert date(2026, 11, 1) <= date.fromisoformat(one.read)
    assert one.keyless == one.base_url.startswith("http://localhost")
    assert all(quirk.endswith(".") for quirk in one.quirks)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("azure", {}),
        ("azure", {"resource": "evil.example/"}),
        ("azure", {"resource": "evil.example"}),
        ("azure", {"resource": ""}),
        ("azure-deployment", {"resource": "res", "deployment": "a/../b"}),
        ("azure-deployment", {"resource": "res", "deployment": ".."}),
        ("vertex", {"project": "p", "location": "evil.example"}),
        ("vertex", {"project": "p", "region": "here"}),
    ],
)
def test_parameters_that_are_missing_or_lead_elsewhere_are_refused(name: str, parameters: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        preset(name).url(**parameters)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="groq"):
        preset("grok")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/m:generateContent",
        "/v1/models/m:generateContent",
        "/v1/publishers/google/models/m:generateContent",
        "/v1beta1/projects/other/locations/elsewhere/publishers/google/models/m:generateContent",
    ],
)
async def test_geminis_own_clients_reach_the_configured_project_of_vertex(path: str) -> None:
    seen = SeenRequest()
    app = preset("vertex").app(sender=seen, api_key=KEY, **PARAMETERS["vertex"])
    await Driver(app, root_path="/llm").request("POST", path, json={"contents": []})
    assert seen.url == EXPECTED["vertex"][0]


@pytest.mark.anyio
async def test_a_server_elsewhere_is_reached_with_what_its_query_needs() -> None:
    seen = SeenRequest()
    app = preset("azure-deployment").app(
        sender=seen, api_key=KEY, base_url="https://proxy.example/azure", api_version="2025-01-01-preview"
    )
    await Driver(app).request("POST", "/v1/messages", json={**CHAT, "max_tokens": 9})
    assert seen.url == "https://proxy.example/azure/chat/completions?api-version=2025-01-01-preview"
    assert seen.headers["api-key"] == KEY


@pytest.mark.anyio
async def test_a_clients_key_never_stands_in_for_a_missing_one() -> None:
    for name in PRESETS:
        seen = SeenRequest()
        app = preset(name).app(sender=seen, **PARAMETERS.get(name, {}))
        await Driver(app).request("POST", "/v1/chat/completions", json=CHAT, headers=CLIENT)
        assert seen.asked == 1
        assert "client" not in " ".join(seen.headers.values())


def test_an_empty_key_is_refused() -> None:
    for name in ("openai", "azure"):
        with pytest.raises(ConfigurationError):
            preset(name).upstream(api_key=" ", **PARAMETERS.get(name, {}))


@pytest.mark.anyio
async def test_azure_is_shown_tokens_where_it_wants_them_and_not_where_keys_are() -> None:
    async def fetch() -> Token:
        return Token(secret=Secret("eyJ.entra"))

    for name in ("azure", "azure-deployment"):
        seen = SeenRequest()
        upstream = preset(name).upstream(sender=seen, **PARAMETERS[name])
        for app in (
            preset(name).app(sender=seen, token=fetch, **PARAMETERS[name]),
            RenewedToken(upstream, protocol="openai-chat", fetch=fetch),
        ):
            await Driver(app).request("POST", "/v1/chat/completions", json=CHAT, headers=CLIENT)
            sent = {key: seen.headers[key] for key in CREDENTIALS & set(seen.headers)}
            assert sent == {"authorization": "Bearer eyJ.entra"}


@pytest.mark.anyio
async def test_vertex_is_asked_with_tokens_that_are_renewed() -> None:
    seen, fetched = SeenRequest(), 0

    async def fetch() -> Token:
        nonlocal fetched
        fetched += 1
        return Token(secret=Secret(f"ya29.{fetched}"), expires_at=0.0 if fetched == 1 else None)

    app = preset("vertex").app(sender=seen, token=fetch, project="mine")
    for expected in ("", "Bearer ya29.2", "Bearer ya29.2"):
        answer = await Driver(app).request("POST", "/v1/chat/completions", json=CHAT, headers=CLIENT)
        if expected:
            assert seen.headers["authorization"] == expected
            assert "client" not in " ".join(seen.headers.values())
        else:
            assert answer.status == 502  # a source that gives a token which has ended is none
    assert (fetched, seen.asked) == (2, 2)
    with pytest.raises(ConfigurationError, match="exclude"):
        preset("vertex").upstream(api_key=KEY, token=fetch, project="mine")


@pytest.mark.anyio
@pytest.mark.parametrize("pooled", [False, True])
async def test_a_clients_other_keys_are_not_sent_beside_ours_in_its_own_protocol(pooled: bool) -> None:
    for name, path in [("azure", "/v1/chat/completions"), ("vertex", "/v1beta/models/m:generateContent")]:
        seen = SeenRequest()
        one = preset(name)
        app = one.upstream(sender=seen, api_key=None if pooled else KEY, **PARAMETERS[name])
        if pooled:
            app = KeyPool(app, protocol=one.protocol, keys=[KEY])
        await Driver(app).request("POST", f"{path}?key=client", json=CHAT, headers=CLIENT)
        assert {key: seen.headers[key] for key in CREDENTIALS & set(seen.headers)} == dict([EXPECTED[name][1]])
        assert "client" not in seen.url


@pytest.mark.anyio
async def test_a_websocket_gets_the_providers_header_and_none_of_the_clients_keys() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    one = Readdressed(
        app, strip="/v1", prefix="/p", query=b"v=1", authorize=lambda key: (b"api-key", key.encode()), api_key=KEY
    )
    hidden = "openai-insecure-api-key.client"
    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "headers": [(b"authorization", b"Bearer client"), (b"sec-websocket-protocol", b"realtime," + hidden.encode())],
        "subprotocols": ["realtime", hidden],
        "query_string": b"model=m",
    }
    await one(scope, None, None)  # type: ignore[arg-type]
    await one({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert scopes[0]["path"] == "/p/realtime"
    assert scopes[0]["query_string"] == b"model=m&v=1"
    assert scopes[0]["headers"] == [(b"sec-websocket-protocol", b"realtime"), (b"api-key", KEY.encode())]
    assert scopes[0]["subprotocols"] == ["realtime"]
    assert scopes[1] == {"type": "lifespan"}
