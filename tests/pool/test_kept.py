"""Requests about what accounts keep get a key, and tell nothing of it but that it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ds2api_asgi import Key, KeyPool, RateLimits, Secret
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import Used
from ds2api_asgi.pool import KeyState
from ds2api_asgi.testing import Driver
from pools import Clock

pytestmark = pytest.mark.anyio

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Provider:
    """Answers everything alike, and keeps what it was asked."""

    def __init__(self, status: int = 200, document: Any = None, kind: bytes = b"application/json") -> None:
        self.status = status
        self.document = {"id": "file-1"} if document is None else document
        self.kind = kind
        self.asked: list[tuple[str, str]] = []
        self.credentials: list[bytes] = []
        self.bodies: list[list[bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        self.asked.append((headers.get(b"authorization", b"").decode(), scope["path"]))
        self.credentials.append(headers.get(b"x-goog-api-key", b""))
        parts: list[bytes] = []
        if scope["method"] not in ("GET", "HEAD"):
            more = True
            while more:
                message = await receive()
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
        self.bodies.append(parts)
        body = json.dumps(self.document).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-type", self.kind)]})
        await send({"type": "http.response.body", "body": body})

    @property
    def keys(self) -> list[str]:
        return [key.removeprefix("Bearer ") for key, _ in self.asked]


def pool_of(provider: Provider, *keys: Key | str, protocol: str = "openai-chat", **options: Any) -> KeyPool:
    options = {"strategy": "round-robin", "clock": Clock(), "queue_timeout": 0.0, "resources": True, **options}
    return KeyPool(provider, protocol=protocol, keys=keys or ("k1",), **options)


async def test_without_being_asked_for_they_get_none() -> None:
    provider = Provider()
    client = Driver(pool_of(provider, resources=False))
    assert (await client.request("GET", "/v1/files/file-1")).status == 200
    assert provider.keys == [""]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
async def test_they_get_a_key_and_the_clients_stays_here(method: str) -> None:
    provider = Provider()
    client = Driver(pool_of(provider), headers={"authorization": "Bearer client", "x-api-key": "client"})
    assert (await client.request(method, "/v1/files/file-1")).status == 200
    assert provider.keys == ["k1"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/organization/admin_api_keys"),
        ("DELETE", "/v1/chat/completions"),
        ("OPTIONS", "/v1/files"),
        ("GET", "/v1/files/../organization/users"),
    ],
)
async def test_nothing_else_gets_one(method: str, path: str) -> None:
    provider = Provider()
    await Driver(pool_of(provider, "k1", "k2")).request(method, path)
    assert provider.keys == [""]


async def test_a_files_upload_is_not_read_before_it_passes() -> None:
    provider, chunks = Provider(), [b"--x\r\n", b"a" * 100, b"\r\n--x--"]
    messages = [{"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]} for chunk in chunks]
    pool = pool_of(provider, "k1", "k2", max_body=10)

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None: ...

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/v1/files", "query_string": b"", "headers": headers}
    await pool(scope, receive, send)
    assert provider.bodies == [chunks]


@pytest.mark.parametrize("status", [400, 402, 403, 404, 429, 500, 503])
async def test_what_goes_wrong_with_them_keeps_nobody_from_the_key(status: int) -> None:
    provider = Provider(status, {"error": {"message": "no", "code": "insufficient_quota" if status == 402 else "x"}})
    pool = pool_of(provider)
    assert (await Driver(pool).request("GET", "/v1/files")).status == status
    assert [report.state for report in await pool.snapshot()] == [KeyState.ACTIVE]


async def test_a_refused_key_is_out_for_all() -> None:
    provider = Provider(401, {"error": {"message": "no", "code": "invalid_api_key"}})
    pool = pool_of(provider)
    assert (await Driver(pool).request("GET", "/v1/files")).status == 401
    assert [report.state for report in await pool.snapshot()] == [KeyState.DISABLED]


async def test_their_success_does_not_end_a_keys_rest() -> None:
    provider, clock = Provider(429, {"error": {"message": "slow", "code": "insufficient_quota"}}), Clock()
    pool = pool_of(provider, clock=clock)
    driver = Driver(pool)
    assert (await driver.request("POST", "/v1/chat/completions", json=CHAT)).status == 429
    clock.now += 3_601
    provider.status, provider.document = 200, {"id": "file-1"}
    assert (await driver.request("GET", "/v1/files/file-1")).status == 200
    assert [report.state for report in await pool.snapshot()] == [KeyState.HALF_OPEN]


async def test_what_a_file_says_is_neither_an_error_nor_usage() -> None:
    said = {"error": {"message": "slow", "code": "rate_limit_exceeded"}, "usage": {"total_tokens": 1_000}}
    provider = Provider(document=said)
    pool = pool_of(provider, Key(secret=Secret("k1"), limits=RateLimits(tpm=500)))
    exchange = Exchange(started=0.0)
    exchange.wants_usage = True
    driver = Driver(pool, scope={KEY: exchange})
    for _ in range(3):
        assert (await driver.request("GET", "/v1/files/file-1/content")).status == 200
    assert list(exchange.all(Used)) == []
    assert [report.state for report in await pool.snapshot()] == [KeyState.ACTIVE]


async def test_documents_about_them_cost_no_tokens() -> None:
    pool = pool_of(Provider(), Key(secret=Secret("k1"), limits=RateLimits(tpm=500)))
    for _ in range(3):
        answer = await Driver(pool).request("POST", "/v1/batches", json={"metadata": {"a": "word " * 1_000}})
        assert answer.status == 200


async def test_what_a_body_names_counts_also_where_the_path_tells_the_model() -> None:
    provider = Provider(document={"name": "cachedContents/a"})
    driver = Driver(pool_of(provider, "k1", "k2", protocol="gemini"))
    assert (await driver.request("POST", "/v1beta/cachedContents", json={"model": "models/m"})).status == 200
    document = {"contents": [], "cachedContent": "cachedContents/a"}
    for _ in range(4):
        assert (await driver.request("POST", "/v1beta/models/m:generateContent", json=document)).status == 200
    assert len({path for _, path in provider.asked}) == 2
    assert len(set(provider.credentials)) == 1


async def test_a_model_that_they_name_is_kept_to_the_keys_that_may_use_it() -> None:
    provider = Provider()
    keys = [Key(secret=Secret("k1"), models=["a"]), Key(secret=Secret("k2"), models=["b"])]
    driver = Driver(pool_of(provider, *keys))
    for _ in range(3):
        assert (await driver.request("POST", "/v1/fine_tuning/jobs", json={"model": "b"})).status == 200
    assert set(provider.keys) == {"k2"}


async def test_a_body_that_is_too_large_is_turned_away() -> None:
    provider = Provider()
    driver = Driver(pool_of(provider, max_body=10))
    assert (await driver.request("POST", "/v1/batches", json={"input_file_id": "file-1"})).status == 413
    assert provider.asked == []


async def test_a_protocol_that_keeps_nothing_leaves_all_paths_alone() -> None:
    provider = Provider()
    await Driver(pool_of(provider, "k1", "k2", protocol="ollama")).request("GET", "/v1/files")
    assert provider.keys == [""]


async def test_a_pool_in_anothers_place_knows_what_that_one_knew() -> None:
    provider = Provider()
    before, after = pool_of(provider, "k1", "k2"), pool_of(provider, "k2", "k1")
    await Driver(before).request("POST", "/v1/files", json={})
    await after.inherit(before)
    for app in (after, before, after, after):
        assert (await Driver(app).request("GET", "/v1/files/file-1")).status == 200
    assert len(set(provider.keys)) == 1
