"""Whatever a client sends, to whatever part stands outermost: an answer of its own protocol, and nothing else happens.

Every example runs one request through real parts onto a sender that counts. What is checked of each: the answer is
whole, has a true status, and is an error document of the client's protocol when it is an error; nothing was asked of
the upstream that was refused, and nothing twice; nothing runs on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialogues import PATHS, answer_in, error_of, request_in
from ds2api_asgi import Failover, KeyPool, Retry, Translator, Upstream
from ds2api_asgi.asgi.path import relative_path
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.front import Front
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Answer, Driver, ScriptedUpstream, json_script
from providers import Provider

NAMES = ("openai-chat", "anthropic", "openai-responses", "gemini", "ollama")
MAX_BODY = 4096


def _pool(app: Any, speaks: str) -> KeyPool:
    return KeyPool(app, protocol=speaks, keys=["sk-1", "sk-2", "sk-3"], max_body=MAX_BODY)


def _upstream(sender: Provider, speaks: str) -> Upstream:
    return Upstream("https://provider.example", protocol=speaks, sender=sender, max_body=MAX_BODY)


PARTS: dict[str, Callable[[Provider, str], Any]] = {
    "upstream": _upstream,
    "pool": lambda sender, speaks: _pool(_upstream(sender, speaks), speaks),
    "retry": lambda sender, speaks: Retry(_upstream(sender, speaks), protocol=speaks, max_body=MAX_BODY),
    "failover": lambda sender, speaks: Failover([_upstream(sender, speaks)] * 2, protocol=speaks, max_body=MAX_BODY),
    "translator": lambda sender, speaks: Translator(_upstream(sender, speaks), speaks=speaks, max_body=MAX_BODY),
    "nest": lambda sender, speaks: Translator(
        Retry(_pool(_upstream(sender, speaks), speaks), max_body=MAX_BODY), speaks=speaks, max_body=MAX_BODY
    ),
    "nest that refuses losses": lambda sender, speaks: Translator(
        Retry(_pool(_upstream(sender, speaks), speaks)), speaks=speaks, on_loss="reject", max_body=MAX_BODY
    ),
    "all orders at once": lambda sender, speaks: Failover(
        [Retry(Translator(Failover([_pool(_upstream(sender, speaks), speaks)]), speaks=speaks, max_body=MAX_BODY))],
        max_body=MAX_BODY,
    ),
}
TRANSLATING = ("translator", "nest", "nest that refuses losses", "all orders at once")

_tokens = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
_known_paths = st.sampled_from(
    ["/v1/chat/completions", "/v1/responses", "/v1/responses/input_tokens", "/v1/messages",
     "/v1/messages/count_tokens", "/v1/models", "/v1/models/m",
     "/v1/embeddings", "/v1beta/models/m:generateContent", "/v1/models/m:streamGenerateContent",
     "/v1beta/models/m:countTokens", "/v1beta/models", "/v1beta/models/m", "/chat/completions", "/messages",
     "/v1/messages/", "/models/a/b", "/v1/models/"]
)  # fmt: skip
_paths = (
    _known_paths
    | st.text(max_size=12).map("/".__add__)
    | st.text(max_size=12)
    | st.tuples(_known_paths, st.text(max_size=6)).map("".join)
)
_header_names = st.sampled_from(
    [b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"anthropic-version", b"connection",
     b"x-api-key", b"authorization", b"anthropic-beta", b"accept", b"accept-encoding", b"expect", b"host", b"cookie",
     b"x-goog-api-key", b"Retry-After", b"traceparent"]
)  # fmt: skip
_headers = st.lists(
    st.tuples(
        _header_names | st.binary(max_size=6),
        st.binary(max_size=12) | st.sampled_from([b"9" * 5000, b"-1", "²".encode("latin-1"), b"identity", b"gzip"]),
    ),
    max_size=5,
)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
_MEMBERS = (
    "model",
    "messages",
    "contents",
    "generationConfig",
    "stream",
    "max_tokens",
    "tools",
    "stop",
    "n",
    "temperature",
    "system",
    "metadata",
)


@st.composite
def _almost(draw: st.DrawFn) -> bytes:
    """A request of one of the protocols with some members replaced or gone."""
    document = request_in(draw(st.sampled_from(NAMES)), stream=draw(st.booleans()))
    for name in draw(st.lists(st.sampled_from(_MEMBERS), max_size=2)):
        if draw(st.booleans()):
            document[name] = draw(_json)
        else:
            document.pop(name, None)
    return json.dumps(document).encode()


_bodies = (
    st.binary(max_size=80)
    | _json.map(lambda value: json.dumps(value).encode())
    | _almost()
    | st.just(b'{"model": "m", "messages": "' + b"x" * MAX_BODY + b'"}')
    | st.just(b"[" * 2000)
)


@st.composite
def _requests(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(_paths)
    raw = draw(st.none() | st.binary(max_size=20) | st.just(path.encode("utf-8", "surrogatepass")))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": draw(st.just("POST") | _tokens),
        "path": path,
        "raw_path": raw,
        "root_path": draw(st.sampled_from(["", "", "/llm", "/"])),
        "query_string": draw(st.binary(max_size=10)),
        "headers": draw(_headers),
        "client": None,
        "server": None,
    }
    if raw is None:
        del scope["raw_path"]
    body = draw(_bodies)
    cut = draw(st.integers(0, len(body)))
    return {"scope": scope, "body": [body[:cut], body[cut:]]}


def request(method: str = "POST", path: str = "/v1/messages", body: bytes = b"", headers: Any = ()) -> dict[str, Any]:
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "root_path": "", "headers": list(headers), "http_version": "1.1", "scheme": "http"}  # fmt: skip
    return {"scope": scope, "body": [body]}


HUGE_LENGTH = request(headers=[(b"content-length", b"9" * 5000)], body=b"{}")
ODD_LENGTH = request(headers=[(b"content-length", "²".encode("latin-1"))], body=b"{}")


def _ask(app: Any, asked: dict[str, Any]) -> Answer:
    async def ask() -> Answer:
        answer = await Driver(app).request("POST", "/", body=asked["body"], scope=asked["scope"])
        assert len(asyncio.all_tasks()) == 1  # nothing was left running
        return answer

    return anyio.run(ask)


def _claim(asked: dict[str, Any]) -> Any:
    scope = asked["scope"]
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return registry.claim(scope["method"], relative_path(scope), headers)


def _check(part: str, speaks: str, asked: dict[str, Any], answer: Answer, sender: Provider) -> None:
    claim = _claim(asked)
    assert answer.complete
    assert 200 <= answer.status < 600
    # Another app or key may have what one has not; nothing else that is a request's own fault is asked twice.
    assert len(sender.asked) <= (3 if answer.status == 404 else 1)
    assert sender.all_closed
    if asked["scope"]["method"] == "HEAD":
        assert answer.body == b""
        return
    foreign = claim is not None and claim.protocol != speaks
    if answer.status >= 400:
        error = answer.json()
        theirs = error["error"] == "not found" or (
            type(error["error"]) is dict and error["error"].get("type") == "theirs"
        )
        if claim is not None and not theirs:
            error_of(claim.protocol if part in TRANSLATING else speaks, error)
        assert "Traceback" not in answer.text
    if not sender.asked:
        assert answer.status in (400, 404, 405, 413) or answer.header("x-ds2-estimate") == "true"
        return
    method, path, headers, body = sender.asked[0]
    shown = [b"authorization", b"x-api-key", b"x-goog-api-key"]
    assert {headers.get(name) for name in shown} <= _CREDENTIALS
    assert speaks == "gemini" or b"x-goog-api-key" not in headers
    assert not headers.keys() & {b"cookie", b"connection", b"transfer-encoding", b"host"}
    if part in TRANSLATING and foreign:
        assert claim.method_allowed
        models = {"gemini": "/v1beta/models", "ollama": "/api/tags"}.get(speaks, "/v1/models")
        asks = path.rpartition(":")[2] if speaks == "gemini" else path
        assert (method, asks) in _ROUTES[speaks] or (method == "GET" and path.startswith(models))
        assert body == b"" if method == "GET" else isinstance(json.loads(body), dict)
        assert answer.status == 200
    else:  # untouched
        assert method == asked["scope"]["method"]
        assert body == b"".join(asked["body"]) or method == "GET"


_CREDENTIALS = {None, *(prefix + b"sk-%d" % n for n in (1, 2, 3) for prefix in (b"", b"Bearer "))}
_ROUTES = {
    "openai-chat": {("POST", "/v1/chat/completions"), ("POST", "/v1/embeddings")},
    "openai-responses": {
        ("POST", "/v1/responses"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/v1/embeddings"),
    },
    "gemini": {
        ("POST", "generateContent"),
        ("POST", "streamGenerateContent"),
        ("POST", "countTokens"),
        ("POST", "batchEmbedContents"),
    },
    "ollama": {("POST", "/api/chat"), ("POST", "/api/show"), ("POST", "/api/embed")},
    "anthropic": {("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens")},
}


@pytest.mark.parametrize("speaks", NAMES)
@pytest.mark.parametrize("part", PARTS)
@given(asked=_requests())
@example(asked=HUGE_LENGTH)
@example(asked=ODD_LENGTH)
def test_any_request_is_answered_or_refused_by_every_part(part: str, speaks: str, asked: dict[str, Any]) -> None:
    sender = Provider(speaks)
    _check(part, speaks, asked, _ask(PARTS[part](sender, speaks), asked), sender)


@pytest.mark.parametrize("part", ["front", "model"])
@given(asked=_requests())
@example(asked=HUGE_LENGTH)
@example(asked=ODD_LENGTH)
def test_any_request_is_answered_or_refused_by_the_demo(part: str, asked: dict[str, Any]) -> None:
    model = DemoModel()
    app: Any = model if part == "model" else Front(Translator(Retry(model), speaks="openai-chat", max_body=MAX_BODY))
    answer = _ask(app, asked)
    assert answer.complete
    assert 200 <= answer.status < 500
    if answer.status >= 400 and asked["scope"]["method"] != "HEAD":
        claim = _claim(asked)
        error_of("openai-chat" if claim is None or part == "model" else claim.protocol, answer.json())


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/embeddings"), ("GET", "/v1/models/m")])
def test_what_a_provider_refuses_elsewhere_takes_no_model_away_from_chats(method: str, path: str, status: int) -> None:
    """Chat models embed nothing, and keys that may chat may often not look models up."""

    async def provider(scope: Any, receive: Any, send: Any) -> None:
        refused = {"error": {"message": "not for you", "type": "invalid_request_error", "param": None, "code": None}}
        good = scope["path"] == PATHS["openai-chat"]
        script = json_script(answer_in("openai-chat") if good else refused, status=200 if good else status)
        await ScriptedUpstream([script])(scope, receive, send)

    async def ask() -> list[int]:
        driver = Driver(Retry(KeyPool(provider, protocol="openai-chat", keys=["sk-1", "sk-2"])))
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        asked = [(method, path), (method, path), ("POST", PATHS["openai-chat"])]
        return [(await driver.request(method, path, json=body)).status for method, path in asked]

    assert anyio.run(ask) == [404, 404, 200]
