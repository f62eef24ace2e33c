"""Bounds: counted in bytes, before anything is parsed, in the client's words; and linear in what is sent."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_kit import ALICE, Behind, Hello, alice
from dialogues import PATHS, request_in
from ds2api_asgi import Access, Bounds, ConfigurationError
from ds2api_asgi.access import Checks
from ds2api_asgi.access.json_scan import Scan
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio

SMALL = {"max_headers": 10, "max_header_bytes": 500, "max_url": 100, "max_body": 1_000, "max_depth": 8}
DEEP = b'{"x":' * 9 + b"1" + b"}" * 9

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "too many headers": (431, {"headers": {f"x-{n}": "v" for n in range(11)}}),
    "too large headers": (431, {"headers": {"x": "v" * 500}}),
    "too long query": (414, {"query": "x" * 100}),
    "too large a body": (413, {"body": b'{"x":"' + b"a" * 1_000 + b'"}'}),
    "a body that lies about its length": (413, {"body": [b"a" * 600] * 3, "headers": {"content-length": "2"}}),
    "a body that states too much": (413, {"body": b"{}", "headers": {"content-length": "9" * 40}}),
    "a compressed body": (415, {"body": b"{}", "headers": {"content-encoding": "gzip"}}),
    "a body in several codings": (415, {"body": b"{}", "headers": {"content-encoding": "identity, zstd"}}),
    "a deep body": (400, {"body": DEEP}),
    "a member twice": (400, {"body": b'{"model":"a","model":"b"}'}),
    "no number": (400, {"body": b'{"temperature":NaN}'}),
    "no finite number": (400, {"body": b'{"temperature":-1e999}'}),
}


def doors(app: Any) -> list[tuple[Any, Any]]:
    checks = Checks(**SMALL)  # type: ignore[arg-type]
    access = Access(app, keys=[ALICE], checks=checks)
    return [(Bounds(app, **SMALL), Driver), (access, alice)]  # type: ignore[arg-type]


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("case", CASES)
async def test_what_is_too_much_is_said_in_the_clients_words_and_goes_no_further(case: str, client: str) -> None:
    status, request = CASES[case]
    for make in range(2):
        behind = Behind(Hello())
        app, driver = doors(behind)[make]
        path = PATHS[client] + (f"?{request['query']}" if "query" in request else "")
        answer = await driver(app).request(
            "POST", path, headers=request.get("headers", {}), body=request.get("body", b"{}")
        )
        assert answer.status == status
        assert answer.header("content-type") == "application/json"
        assert registry.get(client).decode_error(status, {}, answer.body).message
        assert behind.scopes == []
        if client == "gemini" and case not in ("too many headers", "too large headers", "too long query"):
            assert answer.json()["error"]["code"] == status


@pytest.mark.parametrize("client", PATHS)
async def test_what_is_just_enough_passes_untouched(client: str) -> None:
    behind = Behind(Hello())
    body = json.dumps(request_in(client) | {"pad": ""}).encode()
    body = body.replace(b'"pad": ""', b'"pad": "%s"' % (b"x" * (1_000 - len(body))))
    for app, driver in doors(behind):
        answer = await driver(app).request("POST", PATHS[client], body=[body[:500], body[500:]])
        assert answer.status == 200
    assert behind.bodies == [body, body]


async def test_bounds_leave_other_bodies_and_lifespan_and_websockets_alone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))
        if scope["type"] == "http":
            await Hello()(scope, receive, send)

    bounds = Bounds(app, max_body=10)
    assert (await Driver(bounds).request("POST", "/upload", body=b"x" * 100)).status == 200
    marks: tuple[Any, Any] = (object(), object())
    for kind in ("lifespan", "websocket"):
        scope = {"type": kind, "path": "/", "headers": [], "query_string": b""}
        await bounds(scope, *marks)
        assert seen[-1] == (kind, *marks)


async def test_a_websocket_with_too_much_is_closed_before_it_is_accepted() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/" + "x" * 9_000, "headers": [], "query_string": b""}
    await Bounds(Hello())(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("name", ["max_headers", "max_header_bytes", "max_url", "max_body", "max_depth"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_bounds_that_bound_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        Bounds(Hello(), **{name: value})


# The scan


SCAN = Scan(max_depth=5, unique=["model", "stream"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12) | st.sampled_from(["NaN", "Infinity", "1e999", '"model":1,"model":2', "[" * 9, "\\", '\\"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max((depth_of(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_a_document_is_fine_just_when_it_is_not_too_deep(document: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    folded = {key.casefold() for key in document if key != key.casefold()} if isinstance(document, dict) else set()
    if folded & {"model", "stream"}:
        return
    assert (SCAN.problem(body) is None) == (depth_of(document) <= 5)


NAMES = ["model", "Model", "mod\\u0065l", "\\u006D\\u006f\\u0064\\u0065\\u006C", "MODEL", "m\\u006Fdel"]


@pytest.mark.parametrize("one", NAMES)
@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("between", [b"", b'"x":{"model":1},', b'"y":[{"model":[]}],', b'"z":"\\"}],",'])
def test_a_decisive_member_stands_once_in_whatever_spelling(one: str, other: str, between: bytes) -> None:
    body = b'{"%s" : "a", %s "%s"\n:\t"b"}' % (one.encode(), between, other.encode())
    assert SCAN.problem(body) is not None
    assert SCAN.problem(b'{%s"model": "a"}' % between) is None


def test_letters_that_fold_to_ascii_are_seen_through() -> None:
    for name in ('"ſtream"', '"\\u017ftream"', '"\\u017Ftream"'):
        assert SCAN.problem(f'{{{name}: true, "stream": false}}'.encode()) is not None


HOSTILE = {
    "escapes": b'"' + b'\\"' * 400_000,
    "quotes": b'"' * 800_001,
    "backslashes": b"\\" * 800_000,
    "strings without end": b'"\\\\' * 270_000,
    "brackets": b"[" * 800_000,
    "brackets in strings": b'{"x":"' + b"[{" * 400_000 + b'"}',
    "members": b"{" + b'"\\u006dodel' * 80_000,
    "digits": b"9" * 800_000,
    "exponents": b"1e100," * 130_000,
    "names": b'{"a":' + b'"model",' * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_scan_takes_time_linear_in_the_body(kind: str) -> None:
    body = HOSTILE[kind]
    times = []
    for size in (len(body) // 8, len(body)):
        part = body[:size]
        best = min(_timed(part) for _ in range(3))
        times.append(best)
    assert times[1] < 2.0
    assert times[1] < 8 * 4 * times[0] + 0.05, times  # quadratic would be 64 times as long


def _timed(body: bytes) -> float:
    started = time.thread_time()
    SCAN.problem(body)
    return time.thread_time() - started
