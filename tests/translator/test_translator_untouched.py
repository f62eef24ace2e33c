"""What needs no translation: the app gets the very same scope, receive and send."""

from __future__ import annotations

from typing import Any

import pytest

from dialogues import ANTHROPIC_HEADERS, OPENAI_HEADERS, PATHS
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.testing import Driver
from ds2api_asgi.transforms import ThinkTags
from ds2api_asgi.translator import Translator


class Seen:
    """An app that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))


class Headers(list[tuple[bytes, bytes]]):
    """Headers that count how often they are walked through."""

    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()


def _scope(method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "method": method, "path": path, "headers": Headers(raw), **more}


async def _is_untouched(translator: Translator, seen: Seen, scope: dict[str, Any]) -> bool:
    before = dict(scope)

    async def receive() -> Any: ...

    async def send(_: Any) -> None: ...

    await translator(scope, receive, send)
    ((got, got_receive, got_send),) = seen.calls
    seen.calls.clear()
    return got is scope and got_receive is receive and got_send is send and scope == before


@pytest.mark.anyio
@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_client_of_the_apps_own_protocol_passes_untouched(protocol: str, method: str) -> None:
    seen = Seen()
    assert await _is_untouched(Translator(seen, speaks=protocol), seen, _scope(method, PATHS[protocol]))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/v1/elsewhere"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/messagesx"),
        ("POST", "/metrics"),
        ("POST", "x/v1/messages"),
        ("GET", "/docs"),
        ("POST", "/v1/chat/completions/9"),
        ("POST", "//v1/messages"),
        ("POST", ""),
    ],
)
async def test_a_path_that_no_protocol_knows_passes_untouched_and_its_headers_are_not_looked_at(
    method: str, path: str
) -> None:
    seen = Seen()
    scope = _scope(method, path, ANTHROPIC_HEADERS)
    assert await _is_untouched(Translator(seen, speaks="openai-chat"), seen, scope)
    assert scope["headers"].walks == 0


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["lifespan", "websocket", "something.new"])
async def test_other_scopes_than_http_pass_untouched(kind: str) -> None:
    seen = Seen()
    assert await _is_untouched(
        Translator(seen, speaks="openai-chat"), seen, {"type": kind, "path": "/v1/messages", "headers": []}
    )


@pytest.mark.anyio
async def test_a_protocol_that_is_not_among_the_clients_passes_untouched() -> None:
    seen = Seen()
    translator = Translator(seen, speaks="openai-chat", clients=["openai-chat"])
    assert await _is_untouched(translator, seen, _scope("POST", "/v1/messages", ANTHROPIC_HEADERS))


@pytest.mark.anyio
async def test_a_browsers_preflight_is_left_to_the_app() -> None:
    seen = Seen()
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert await _is_untouched(Translator(seen, speaks="openai-chat"), seen, _scope("OPTIONS", "/v1/messages", headers))


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/demo-small"])
@pytest.mark.parametrize(
    ("speaks", "clients", "headers", "untouched"),
    [
        ("openai-chat", None, OPENAI_HEADERS, True),
        ("openai-chat", ["anthropic"], OPENAI_HEADERS, True),
        ("openai-chat", ["anthropic"], {}, True),
        ("openai-chat", ["anthropic"], ANTHROPIC_HEADERS, False),
        ("anthropic", None, ANTHROPIC_HEADERS, True),
        ("anthropic", None, OPENAI_HEADERS, False),
        ("anthropic", ["anthropic"], OPENAI_HEADERS, True),
    ],
)
async def test_a_shared_path_belongs_to_whom_the_headers_name(
    path: str, speaks: str, clients: list[str] | None, headers: dict[str, str], *, untouched: bool
) -> None:
    seen = Seen()
    translator = Translator(seen, speaks=speaks, clients=clients)

    async def receive() -> Any: ...

    async def send(_: Any) -> None: ...

    scope = _scope("GET", path, headers)
    await translator(scope, receive, send)
    assert (seen.calls[0][0] is scope) is untouched


@pytest.mark.parametrize(
    "options",
    [
        {"speaks": "klingon"},
        {"speaks": "anthropic", "clients": ["klingon"]},
        {"speaks": "anthropic", "clients": "openai-chat"},
        {"speaks": "anthropic", "on_loss": "explode"},
        {"speaks": "anthropic", "on_loss": {"dropped": "explode"}},
        {"speaks": "anthropic", "on_loss": {"lost": "allow"}},
        {"speaks": "anthropic", "max_body": 0},
        {"speaks": "anthropic", "max_answer": 0},
        {"speaks": "anthropic", "transforms": [ThinkTags]},
        {"speaks": "anthropic", "transforms": ["think-tags"]},
    ],
)
def test_what_cannot_work_is_refused_at_construction(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Translator(Seen(), **options)


UNTRANSLATED = ["/v1/completions", "/v1/moderations", "/audio/transcriptions", "/v1/images/generations", "/v1/rerank"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", UNTRANSLATED)
@pytest.mark.parametrize("speaks", ["openai-chat", "openai-responses"])
async def test_what_is_not_translated_passes_where_the_app_has_it_too(path: str, speaks: str) -> None:
    for more in ({}, {"transforms": [ThinkTags()]}, {"origin": "main"}):
        seen = Seen()
        assert await _is_untouched(Translator(seen, speaks=speaks, **more), seen, _scope("POST", path))


@pytest.mark.anyio
@pytest.mark.parametrize("path", UNTRANSLATED)
@pytest.mark.parametrize("speaks", ["anthropic", "gemini", "ollama"])
async def test_what_the_app_cannot_be_asked_is_refused_unread(path: str, speaks: str) -> None:
    seen = Seen()
    answer = await Driver(Translator(seen, speaks=speaks)).request("POST", path, body=b"no JSON")
    assert (answer.status, seen.calls) == (404, [])
    assert f"{path} cannot be said in {speaks}, which the upstream speaks" in answer.json()["error"]["message"]
    wrong = await Driver(Translator(seen, speaks=speaks)).request("GET", path)
    assert (wrong.status, wrong.header("allow"), seen.calls) == (405, "POST", [])


@pytest.mark.anyio
async def test_geminis_predictions_are_geminis_only() -> None:
    path, seen = "/v1beta/models/imagen-4:predict", Seen()
    assert await _is_untouched(Translator(seen, speaks="gemini"), seen, _scope("POST", path))
    answer = await Driver(Translator(seen, speaks="openai-chat")).request("POST", path, json={})
    assert (answer.status, answer.json()["error"]["status"], seen.calls) == (404, "NOT_FOUND", [])
