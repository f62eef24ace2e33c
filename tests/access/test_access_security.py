"""Weaknesses that were found in other gateways, each as a test that would have found it in this one."""

from __future__ import annotations

import hashlib
import hmac
import logging
import pickle
import secrets
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_kit import ALICE, Behind, Hello, alice, bearer, guarded
from dialogues import PATHS, path_of, request_in
from ds2api_asgi import Access, ClientKey, ClientLimits, ConfigurationError, StatefulResponses, Translator
from ds2api_asgi.access import component
from ds2api_asgi.access.client_key import digest_of
from ds2api_asgi.asgi.credentials import MAX_SHOWN, shown, without_credentials
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio


async def status_of(app: Any, headers: Any = (), path: str = "/v1/chat/completions", **options: Any) -> int:
    answer = await Driver(app).request("POST", path, headers=headers, json=request_in("openai-chat"), **options)
    return answer.status


# CVE-2026-35030: a cache keyed by the first 20 characters of a token


async def test_tokens_with_a_common_beginning_or_end_are_never_the_same() -> None:
    app, _ = guarded(Hello())
    for token in (ALICE[:-1], ALICE + "x", ALICE[:20], ALICE[:-1] + "X", "x" + ALICE[1:], ALICE.upper(), ALICE + "\0"):
        assert await status_of(app, bearer(token)) == 401, token
    assert await status_of(app, bearer(ALICE)) == 200


@given(st.binary(max_size=60), st.sampled_from([b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"]))
def test_no_token_but_the_key_opens_and_none_crashes(token: bytes, header: bytes) -> None:
    import anyio

    app, _ = guarded(Hello())
    expected = 200 if token.strip() == ALICE.encode() else 401

    async def ask() -> None:
        for value in (token, b"Bearer " + token, b"Basic " + token):
            assert await status_of(app, [(header, value)]) == expected

    anyio.run(ask)


# CVE-2026-42208: hostile tokens in the path of failures


HOSTILE = [
    b"' OR 1=1 --",
    b"{0.__class__}",
    b"%s%s%s%n",
    b"${jndi:ldap://x}",
    b"{{7*7}}",
    b"\xff\xfe\x00\x01",
    "ключ".encode(),
    b"sk-" + b"a" * 30_000,
    b"*",
    b"%",
    b"null",
    b"undefined",
    b"sha256:" + hashlib.sha256(ALICE.encode()).hexdigest().encode(),
    hashlib.sha256(ALICE.encode()).hexdigest().encode(),
]


@pytest.mark.parametrize("token", HOSTILE)
async def test_hostile_tokens_are_only_ever_hashed(token: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app, behind = guarded(Hello())
    for place in ({"headers": [(b"authorization", b"Bearer " + token)]}, {"headers": [(b"x-api-key", token)]}):
        assert await status_of(app, **place) == 401
    assert await status_of(app, path=f"/v1/chat/completions?key={quote(token[:2_000])}") == 401
    assert behind.scopes == []
    assert token.decode("latin-1") not in caplog.text or len(token) < 5


# Timing: `===` on secrets (Portkey)


async def test_keys_are_compared_as_whole_digests_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(component.hmac, "compare_digest", watched)
    app, _ = guarded(Hello())
    for token, status in ((ALICE, 200), (ALICE[:-1], 401), ("x" * 40, 401)):
        assert await status_of(app, bearer(token)) == status
    assert [other for _, other in compared] == [digest_of(token.encode()) for token in (ALICE, ALICE[:-1], "x" * 40)]
    assert all(len(one) == len(other) == len("sha256:") + 64 for one, other in compared)


async def test_a_request_with_many_tokens_costs_no_more_than_a_few() -> None:
    headers = [(b"x-api-key", b"token-%d" % number) for number in range(120)]
    assert len(shown({"type": "http", "headers": headers, "query_string": b"&".join([b"key=x"] * 1_000)})) == MAX_SHOWN
    app, _ = guarded(Hello())
    assert await status_of(app, headers) == 401


# CVE-2026-48710, CVE-2026-49468: the host header decides who is let in


SPELLINGS = [
    "/v1/chat/completions",
    "/v1/chat/completions/",
    "/chat/completions",
    "/v1/chat/completions?x=/docs",
    "/v1%2Fchat%2Fcompletions",
    "/v1/messages",
    "/v1/responses",
    "/v1beta/models/demo-small:generateContent",
    "//v1beta/models/demo-small:generateContent",
    "/v1/models/..%2f..%2fdocs:generateContent",
    "/v1/models/demo-small:streamGenerateContent",
    "/models/demo-small:countTokens",
    "/api/chat",
    "/api/chat/",
    "/v1/embeddings",
    "/v1/models",
    "/v1/chat/completions;x",
    "/V1/chat/completions",
    "/v1/./chat/completions",
    "/docs/../v1/chat/completions",
    "/v1/chat/completions%00",
    "/v1/chat/completions%20",
]
FORGED = [
    {},
    {"host": "localhost/docs?"},
    {"host": "evil.example#"},
    {"host": "a@b"},
    {"host": ""},
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-host": "localhost", "x-forwarded-prefix": "/docs"},
    {"x-original-url": "/docs", "x-rewrite-url": "/docs"},
    {"forwarded": "for=127.0.0.1;host=localhost"},
    {"x-http-method-override": "OPTIONS"},
    {"access-control-request-method": "POST"},
    {"connection": "authorization, x-api-key"},
]


@pytest.mark.parametrize("root_path", ["", "/llm"])
@pytest.mark.parametrize("path", SPELLINGS)
async def test_the_decision_of_the_door_is_that_of_the_routing(path: str, root_path: str) -> None:
    """With `others="pass"`: whatever the translator behind would answer needs a key, and the rest may pass."""
    reached: list[str] = []

    async def model(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await Hello()(scope, receive, send)

    for forged in FORGED:
        app, _ = guarded(Translator(Others(model), speaks="openai-chat"), others="pass")
        for method in ("POST", "GET"):
            answer = await Driver(app, root_path=root_path).request(method, path, headers=forged, body=b"{}")
            assert reached == [], (method, path, forged)
            assert answer.status in (401, 404, 418)
        app, _ = guarded(Hello())
        assert (await Driver(app, root_path=root_path).request("POST", path, headers=forged)).status == 401


class Others:
    """418 for what no protocol claims: pages of a host."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from ds2api_asgi.asgi.path import relative_path
        from ds2api_asgi.protocols import registry

        if registry.claim("POST", relative_path(scope), {}) is None:
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body", "body": b"page"})
        else:
            await self._app(scope, receive, send)


async def test_an_absolute_form_is_no_way_around() -> None:
    app, behind = guarded(Hello(), others="key")
    for path in ("http://localhost/docs", "http://localhost/v1/chat/completions", "*", ""):
        scope = {"path": path, "raw_path": path.encode()}
        assert (await Driver(app, scope=scope).request("POST", "/x", body=b"{}")).status == 401
    assert behind.scopes == []


# CVE-2024-8984, CVE-2024-53981, CVE-2025-62727: CPU time before anybody was asked who he is


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "multipart/form-data; boundary=" + "-" * 60_000},
        {"content-type": "multipart/form-data; " + "boundary=" * 6_000},
        {"range": "bytes=" + ",".join(["0-"] * 15_000)},
        {"authorization": " " * 60_000},
        {"authorization": "Bearer " * 8_000},
        {"sec-websocket-protocol": "," * 60_000},
        {"accept": "*/*;q=" + "0" * 60_000},
        {"connection": "a," * 30_000},
    ],
)
async def test_strangers_cost_next_to_nothing(headers: dict[str, str]) -> None:
    app, behind = guarded(Hello())
    started = time.process_time()
    for _ in range(20):
        answer = await Driver(app).request("POST", "/v1/chat/completions?" + "&" * 7_000, headers=headers)
        assert answer.status == 401
    assert time.process_time() - started < 1.0
    assert behind.scopes == []


async def test_a_strangers_body_is_not_even_asked_for() -> None:
    app, _ = guarded(Hello())

    async def receive() -> Any:
        raise AssertionError("read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for path in (*PATHS.values(), "/anything"):
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        await app(scope, receive, send)
    assert [message["status"] for message in sent[::2]] == [401] * (len(PATHS) + 1)


# GHSA-2rv4-xv66-fpjg: a budget of NaN has no end


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0])
@pytest.mark.parametrize("name", ["rpm", "tpm", "rpd", "tpd", "budget", "budget_period"])
def test_budgets_of_no_number_refuse_to_start(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        ClientKey(ALICE, limits=ClientLimits(**{name: value}))


@pytest.mark.parametrize("stated", [b"NaN", b"-1", b"1e999", b"Infinity", b'"1"', b"-1e308", b"null", b"[]"])
async def test_what_a_client_says_of_its_tokens_never_takes_less_than_its_request(stated: bytes) -> None:
    app, _ = guarded(Hello(), limits=ClientLimits(budget=10_000))
    body = b'{"model": "m", "max_tokens": %s, "x": "%s"}' % (stated, b"word " * 800)
    statuses = [(await alice(app).request("POST", "/v1/chat/completions", body=body)).status for _ in range(20)]
    assert set(statuses) <= {400, 200, 429}
    assert statuses.count(200) <= 10


# Mixing users: what one is told is another's


async def test_state_is_kept_by_client_though_its_key_goes_no_further() -> None:
    bob = f"sk-bob-{secrets.token_hex(8)}"
    state = StatefulResponses(Translator(DemoModel(), speaks="openai-chat"))
    app = Access(state, keys=[ClientKey(ALICE, name="alice"), ClientKey(bob, name="bob")])
    body = {"model": "demo-small", "input": "hello"}
    made = await alice(app).request("POST", "/v1/responses", json=body)
    path = f"/v1/responses/{made.json()['id']}"
    assert (await alice(app).request("GET", path)).status == 200
    assert (await Driver(app, headers=bearer(bob)).request("GET", path)).status == 404
    assert (await Driver(app).request("GET", path)).status == 401
    # A client that changes its key keeps its name, and so its state.
    app.replace([ClientKey(bob, name="alice")])
    assert (await Driver(app, headers=bearer(bob)).request("GET", path)).status == 200


# Keys in what people see


def canary() -> str:
    return f"sk-{secrets.token_urlsafe(24)}"


async def test_client_keys_are_seen_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    from base64 import b64encode

    caplog.set_level(logging.DEBUG)
    good, stranger, off = canary(), canary(), canary()
    behind = Behind()
    keys = [
        ClientKey(good, name="good", limits=ClientLimits(rpm=40, tpm=1_000_000), models=["demo-small"]),
        ClientKey(off, disabled=True),
    ]
    app = Access(behind, keys=keys)
    seen: list[str] = [repr(keys), str(keys), repr(app), repr(vars(app)), repr(app._lookup)]
    assert good.encode() not in pickle.dumps(keys)
    with pytest.raises(ConfigurationError) as caught:
        Access(behind, keys=[good, good])
    seen.append(repr(caught.value))
    for key in (good, stranger, off):
        for client in PATHS:
            for stream in (False, True):
                exchange = Exchange(started=0.0)
                path = path_of(client, stream=stream)
                path += f"{'&' if '?' in path else '?'}key={quote(key)}&api_key={quote(key)}"
                headers = dict.fromkeys(("x-api-key", "api-key", "x-goog-api-key"), key) | bearer(key)
                body = request_in(client, stream=None if client == "gemini" else stream)
                answer = await Driver(app, headers=headers, scope={KEY: exchange}).request("POST", path, json=body)
                seen += [repr(answer), repr(exchange), repr(list(exchange))]
    seen += [repr(scope) for scope in behind.scopes] + [caplog.text, *(repr(vars(one)) for one in caplog.records)]
    assert len(behind.scopes) == 2 * len(PATHS)
    haystack = "\n".join(seen)
    for key in (good, stranger, off):
        for form in (key, key[3:11], key[-8:], quote(key), key.encode().hex(), b64encode(key.encode()).decode()[:20]):
            assert form not in haystack


def test_everything_else_of_a_request_stays_as_it_was() -> None:
    headers = [(b"X-Api-Key", b"k"), (b"accept", b"a, b"), (b"cookie", b"c"), (b"Accept", b"d")]
    scope = {"type": "http", "headers": headers, "query_string": b"a=%20+&KEY=x&b&&key&access%5Ftoken=1&c=k", "x": 1}
    copy = without_credentials(scope)
    assert copy["headers"] == headers[1:]
    assert copy["query_string"] == b"a=%20+&b&&c=k"
    assert copy["x"] == 1
    assert scope["headers"] == headers


def test_a_key_in_a_query_that_a_server_leaves_in_the_path_goes_no_further() -> None:
    scope = {"type": "http", "headers": [], "query_string": b"key=secret", "raw_path": b"/v1/a%2Fb?key=secret"}
    copy = without_credentials(scope)
    assert copy["raw_path"] == b"/v1/a%2Fb"
    assert "secret" not in repr(copy)
