"""Who is let in, to which models, and how it is said: through all protocols."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import pytest

from access_kit import ALICE, BOB, STRANGER, Behind, Hello, alice, bearer, guarded
from dialogues import PATHS, path_of, request_in
from ds2api_asgi import Access, ClientKey, ClientKeys, ClientLimits, ConfigurationError
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import Caller, TurnedAway
from ds2api_asgi.asgi.secret import Secret
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script

pytestmark = pytest.mark.anyio

PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda key: {"headers": {"authorization": f"Bearer {key}"}},
    lambda key: {"headers": {"Authorization": f"bearer  {key} "}},
    lambda key: {"headers": {"authorization": key}},
    lambda key: {"headers": {"x-api-key": key}},
    lambda key: {"headers": {"api-key": key}},
    lambda key: {"headers": {"x-goog-api-key": key}},
    lambda key: {"query": f"key={key.replace('-', '%2D')}"},
    lambda key: {"query": f"alt=sse&ke%79={key}"},
    lambda key: {"headers": {"authorization": "Bearer placeholder", "x-api-key": key}},
]


async def ask(app: Any, client: str, *, place: dict[str, Any] | None = None, **body: Any) -> Any:
    place = place or {}
    path = path_of(client)
    if place.get("query"):
        path += f"{'&' if '?' in path else '?'}{place['query']}"
    return await Driver(app, headers=place.get("headers", {})).request("POST", path, json=request_in(client) | body)


def kind_of(answer: Any, client: str) -> str:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return registry.get(client).decode_error(answer.status, headers, answer.body).kind.value


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_key_opens_wherever_clients_put_it_and_goes_no_further(client: str, place: Any) -> None:
    app, behind = guarded()
    answer = await ask(app, client, place=place(ALICE))
    assert answer.status == 200
    assert ALICE not in repr(behind.scopes)
    assert b"%2D" not in behind.scopes[0]["query_string"]
    assert b"alt=sse" in behind.scopes[0]["query_string"] or "alt" not in str(place(ALICE))
    assert behind.scopes[0][KEY].last(Caller) == Caller(name="alice")


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_stranger_is_told_so_in_its_protocol_and_nothing_of_it_is_read(client: str, place: Any) -> None:
    app, behind = guarded()
    read = []

    async def spying(scope: Any, receive: Any, send: Any) -> None:
        async def watched() -> Any:
            read.append(True)
            return await receive()

        await app(scope, watched, send)

    answer = await ask(spying, client, place=place(STRANGER))
    assert (answer.status, kind_of(answer, client)) == (401, "auth")
    assert answer.header("x-ds2-refused") == "local"
    assert answer.header("www-authenticate") == "Bearer"
    assert behind.scopes == read == []


@pytest.mark.parametrize("client", PATHS)
async def test_without_any_key_nobody_is_let_in(client: str) -> None:
    app, behind = guarded()
    answer = await ask(app, client)
    assert (answer.status, kind_of(answer, client), behind.scopes) == (401, "auth", [])


async def test_the_key_goes_on_where_that_is_asked_for() -> None:
    app, behind = guarded(forward=True)
    assert (await ask(app, "anthropic", place={"headers": {"x-api-key": ALICE}})).status == 200
    assert (b"x-api-key", ALICE.encode()) in behind.scopes[0]["headers"]


async def test_a_digest_is_as_good_as_the_key() -> None:
    digest = f"sha256:{hashlib.sha256(ALICE.encode()).hexdigest().upper()}"
    app = Access(Behind(), keys=[digest.replace("SHA", "sha"), ClientKey(Secret(BOB), name="bob")])
    for key in (ALICE, BOB):
        assert (await ask(app, "openai-chat", place={"headers": bearer(key)})).status == 200
    assert (await ask(app, "openai-chat", place={"headers": bearer(digest)})).status == 401


async def test_keys_that_are_disabled_or_expired_open_nothing() -> None:
    now = [100.0]
    keys = [ClientKey(ALICE, name="alice", expires_at=200.0), ClientKey(BOB, name="bob", disabled=True)]
    app = Access(Behind(), keys=keys, wall=lambda: now[0])
    assert (await alice(app).request("GET", "/v1/models")).status == 200
    assert (await Driver(app, headers=bearer(BOB)).request("GET", "/v1/models")).status == 401
    now[0] = 200.0
    assert (await alice(app).request("GET", "/v1/models")).status == 401


@pytest.mark.parametrize("keys", [ALICE, {ALICE: "alice"}, {"alice": ALICE}, 5])
def test_what_is_no_list_of_keys_is_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="keys takes a list of keys"):
        Access(Behind(), keys=keys)


async def test_a_changed_set_counts_from_the_next_request_on_and_a_bad_one_changes_nothing() -> None:
    app, _ = guarded()
    with pytest.raises(ConfigurationError):
        app.replace([])
    assert (await alice(app).request("GET", "/v1/models")).status == 200
    app.replace([BOB])
    assert (await alice(app).request("GET", "/v1/models")).status == 401
    assert (await Driver(app, headers=bearer(BOB)).request("GET", "/v1/models")).status == 200
    keys = ClientKeys([ALICE])
    app.replace(keys)
    assert (await alice(app).request("GET", "/v1/models")).status == 200
    keys.replace([BOB])
    assert (await alice(app).request("GET", "/v1/models")).status == 401


class Database:
    """A look-up of one's own."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def find(self, digest: str) -> ClientKey | None:
        self.asked.append(digest)
        if isinstance(self.answer, Exception):
            raise self.answer
        found: ClientKey | None = self.answer
        return found


async def test_a_look_up_of_ones_own_sees_digests_only() -> None:
    database = Database(ClientKey(ALICE, name="alice"))
    app = Access(Behind(), keys=database)
    assert (await alice(app).request("GET", "/v1/models")).status == 200
    assert database.asked == [f"sha256:{hashlib.sha256(ALICE.encode()).hexdigest()}"]


async def test_a_look_up_that_finds_another_key_or_fails_opens_nothing(caplog: pytest.LogCaptureFixture) -> None:
    # By a prefix, or with a database's collation.
    app = Access(Behind(), keys=Database(ClientKey(BOB, name="bob")))
    assert (await alice(app).request("GET", "/v1/models")).status == 401
    app = Access(Behind(), keys=Database(RuntimeError("the database is away")))
    assert (await alice(app).request("GET", "/v1/models")).status == 503
    assert "client keys cannot be looked up" in caplog.text


# Models


@pytest.mark.parametrize("client", PATHS)
async def test_a_model_that_a_key_may_not_use_is_refused_and_its_limits_are_spared(client: str) -> None:
    app, behind = guarded(models=["demo-small", "text-*"], limits=ClientLimits(rpm=1))
    path = path_of(client, model="demo-large")
    body = request_in(client) | ({} if client == "gemini" else {"model": "demo-large"})
    answer = await alice(app).request("POST", path, json=body)
    assert (answer.status, kind_of(answer, client), behind.scopes) == (403, "permission", [])
    answer = await alice(app).request("POST", path_of(client), json=request_in(client))
    assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"",
        b"not json",
        b'["demo-small"]',
        b'{"model": 5}',
        b'{"model": null}',
        b'{"model": "demo-small", "models": ["demo-large"]}',
        b'{"model": "demo-small", "models": "demo-large"}',
        b'{"model": "demo-small", "model": "demo-large"}',
        b'{"model": "demo-large", "model": "demo-small"}',
        b'{"model": "demo-small", "MODEL": "demo-large"}',
        b'{"model": "demo-small", "mod\\u0065l": "demo-large"}',
        b'{"Model": "demo-small"}',
        b'{"model": "demo-small\\u0000"}',
        b'{"model": "' + b"demo-small" * 1_000 + b'"}',
        '{"model": "demo-small"}'.encode("utf-16"),
    ],
)
async def test_a_body_that_does_not_plainly_name_an_allowed_model_is_no_way_around(body: bytes) -> None:
    app, behind = guarded(models=["demo-small"])
    answer = await alice(app).request("POST", "/v1/chat/completions", body=body)
    assert answer.status in (400, 403)
    assert behind.scopes == []


@pytest.mark.parametrize(
    "body", [b'{"model": "demo-small", "text": "\\ud83d"}', b'\xef\xbb\xbf{"model": "demo-small"}']
)
async def test_what_clients_really_send_is_read_all_the_same(body: bytes) -> None:
    app, behind = guarded(models=["demo-small"])
    await alice(app).request("POST", "/v1/chat/completions", body=body)
    assert len(behind.scopes) == 1


@pytest.mark.parametrize(
    ("path", "count"), [("/v1/models", 1), ("/v1/models?limit=3", 1), ("/v1beta/models", 1), ("/api/tags", 1)]
)
async def test_lists_of_models_show_what_a_key_may_use_and_no_more(path: str, count: int) -> None:
    lists = {
        "/v1/models": {
            "object": "list",
            "data": [{"id": "a-1", "object": "model", "x": 1.50}, {"id": "b-1"}, {"id": 5}],
        },
        "/v1/models?limit=3": {
            "data": [{"type": "model", "id": "b-1"}, {"type": "model", "id": "a-1"}],
            "first_id": "b-1",
            "last_id": "a-1",
            "has_more": False,
        },
        "/v1beta/models": {"models": [{"name": "models/a-1"}, {"name": "models/b-1"}], "nextPageToken": "x"},
        "/api/tags": {"models": [{"name": "a-1:latest", "model": "a-1:latest"}, {"name": "b-1"}]},
    }
    document: dict[str, Any] = lists[path]
    headers = {**bearer(ALICE), **({"anthropic-version": "2023-06-01"} if "limit" in path else {})}
    upstream = ScriptedUpstream([json_script(document)])
    app = Access(upstream, keys=[ClientKey(ALICE, name="alice", models=["a-*"])])
    answer = await Driver(app, headers={**headers, "accept-encoding": "gzip"}).request("GET", path)
    assert answer.status == 200
    name = "data" if "data" in document else "models"
    shown = answer.json()
    assert shown[name] == [entry for entry in document[name] if "a-1" in str(entry)]
    assert len(shown[name]) == count
    assert {key: value for key, value in shown.items() if key != name} == {
        key: "a-1" if key in ("first_id", "last_id") else value for key, value in document.items() if key != name
    }
    assert upstream.requests[0].header("accept-encoding") == "identity"
    assert answer.header("content-length") == str(len(answer.body))


@pytest.mark.parametrize("document", [[], "text", {"rows": ["b-1"]}, {"data": {"id": "b-1"}}])
async def test_a_list_that_cannot_be_read_is_not_shown(document: Any) -> None:
    app = Access(ScriptedUpstream([json_script(document)]), keys=[ClientKey(ALICE, models=["a-*"])])
    answer = await alice(app).request("GET", "/v1/models")
    assert answer.status == 502
    assert b"b-1" not in answer.body


async def test_one_model_that_may_not_be_used_looks_unknown() -> None:
    app, behind = guarded(models=["demo-small"])
    assert (await alice(app).request("GET", "/v1/models/demo-large")).status == 404
    assert (await alice(app).request("POST", "/api/show", json={"model": "demo-large"})).status == 404
    assert behind.scopes == []
    assert (await alice(app).request("GET", "/v1/models/demo-small")).status == 200


# What no protocol claims


OTHERS = ["/", "/docs", "/v1/videos", "/v1/files", "/api/pull", "/V1/chat/completions", "/v1/chat"]


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize(
    ("others", "status", "with_key"), [("key", 401, 200), ("pass", 200, 200), ("refuse", 404, 404)]
)
async def test_what_no_protocol_claims_does_as_it_is_told(path: str, others: Any, status: int, with_key: int) -> None:
    app, _ = guarded(Hello(), others=others)
    assert (await Driver(app).request("POST", path)).status == status
    assert (await alice(app).request("POST", path)).status == with_key


@pytest.mark.parametrize("others", ["key", "pass", "refuse"])
@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/responses/resp_1/cancel", "/v1/responses/r/input_items"])
async def test_kept_responses_need_a_key_whatever_becomes_of_others(path: str, others: Any) -> None:
    app, _ = guarded(Hello(), others=others)
    assert (await Driver(app).request("GET", path)).status == 401
    assert (await alice(app).request("GET", path)).status == 200


async def test_a_preflight_passes_and_other_options_do_not() -> None:
    app, behind = guarded(Hello())
    preflight = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert (await Driver(app, headers=preflight).request("OPTIONS", "/v1/messages")).status == 200
    assert (await Driver(app).request("OPTIONS", "/v1/messages")).status == 401
    assert len(behind.scopes) == 1
    large = {**preflight, "x-large": "x" * 70_000}
    assert (await Driver(app, headers=large).request("OPTIONS", "/v1/messages")).status == 431
    assert (await Driver(app, headers=preflight | bearer(ALICE)).request("OPTIONS", "/v1/messages")).status == 200
    assert ALICE not in repr(behind.scopes)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/videos", b'{"model": "demo-small"}', 200),
        ("POST", "/v1/videos", b'{"model": "demo-large"}', 403),
        ("POST", "/v1/videos", b"--x\r\nmodel=demo-small", 403),
        ("POST", "/v1/responses/resp_1/cancel", b"", 200),
        ("POST", "/v1/responses/compact", b'{"model": "demo-large"}', 403),
        ("DELETE", "/v1/responses/resp_1", b"", 200),
        ("GET", "/v1/files", b"", 200),
    ],
)
async def test_a_key_for_certain_models_reaches_others_only_with_one_of_them(
    method: str, path: str, body: bytes, status: int
) -> None:
    app, _ = guarded(Hello(), models=["demo-small"])
    assert (await alice(app).request(method, path, body=body)).status == status


async def test_the_journal_tells_who_was_turned_away_and_why() -> None:
    app, _ = guarded(limits=ClientLimits(rpm=1))
    exchange = Exchange(started=0.0)
    for _ in range(2):
        await alice(app, scope={KEY: exchange}).request("POST", "/v1/messages", json=request_in("anthropic"))
    assert exchange.last(TurnedAway) == TurnedAway(status=429, code="gateway_rate_limit_exceeded", caller="alice")
    await Driver(app, scope={KEY: exchange}).request("GET", "/x")


# What cannot work


@pytest.mark.parametrize(
    "keys",
    [
        [],
        "sk-alice-5f0c7a1be2d94a3c",
        [""],
        ["short"],
        ["sk-1234"],
        ["changeme-changeme-1"],
        ["your-api-key-goes-here"],
        ["<paste your key here>".replace(" ", "-")],
        ["0000000000000000000000"],
        ["sk-with a space inside it"],
        ["sk-with-a-line-end-0123\n"],
        ["sk-ключ-0123456789abcdef"],
        ["sha256:1234"],
        [ALICE, ALICE],
        [None],
        [5],
        [b"sk-alice-5f0c7a1be2d94a3c"],
    ],
)
def test_keys_that_protect_nothing_refuse_to_start(keys: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Access(Hello(), keys=keys)
    for key in keys:
        assert not isinstance(key, str) or len(key) < 8 or key not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ALICE},
        {"name": "a b"},
        {"name": "x" * 65},
        {"models": []},
        {"models": "gpt-5"},
        {"models": [""]},
        {"models": ["a*b*c*d*e*f"]},
        {"models": [5]},
        {"share": 0.0},
        {"share": math.nan},
        {"share": math.inf},
        {"expires_at": math.nan},
        {"limits": ClientLimits(rpm=math.nan)},
        {"limits": ClientLimits(rpm=0)},
        {"limits": ClientLimits(tpm=-1)},
        {"limits": ClientLimits(budget=math.inf)},
        {"limits": ClientLimits(budget=1, budget_period=math.nan)},
        {"limits": ClientLimits(concurrency=1.5)},  # type: ignore[arg-type]
        {"limits": ClientLimits(rpm=True)},
    ],
)
def test_a_client_key_that_cannot_work_is_not_made(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientKey(ALICE, **options)
    assert ALICE not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"others": "maybe"}, {"on_store_error": "panic"}, {"protocols": "gemini"}, {"protocols": ["telepathy"]}],
)
def test_words_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Access(Hello(), keys=[ALICE], **options)
