"""What names a response, a file or a batch goes to the account that has it, and to no other."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import Key, KeyPool, Retry, Secret
from ds2api_asgi.pool import makers
from ds2api_asgi.pool.errand import Errand, errand_of
from ds2api_asgi.pool.makers import Makers
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.resources import Resources, resources_of
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio


class Keeper:
    """A provider whose accounts have responses of their own."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.asked: list[str] = []
        self.limited: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        document = json.loads((await receive())["body"])
        self.asked.append(key)
        named = document.get("previous_response_id")
        kind = b"application/json"
        if key in self.limited:
            status, body = 429, json.dumps({"error": {"message": "slow", "code": "rate_limit_exceeded"}}).encode()
        elif named is not None and self.made.get(named, key[:4]) != key[:4]:
            status, body = 400, json.dumps({"error": {"message": "no", "code": "previous_response_not_found"}}).encode()
        else:
            made = f"resp_{len(self.made)}"
            self.made[made] = key[:4]
            answer = {"id": made, "object": "response", "status": "completed", "output": []}
            status, body = 200, json.dumps(answer).encode()
            if document.get("stream"):
                kind = b"text/event-stream"
                event = {"type": "response.created", "response": answer, "sequence_number": 0}
                done = {**event, "type": "response.completed", "sequence_number": 1}
                body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (event, done))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for at in range(0, len(body), 7):
            await send({"type": "http.response.body", "body": body[at : at + 7], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def pool_of(keeper: Keeper, **options: Any) -> KeyPool:
    keys = [Key(secret=Secret(f"{scope}-{n}"), quota_scope=scope) for scope in ("blue", "gold") for n in (1, 2)]
    return KeyPool(
        keeper, protocol="openai-responses", keys=keys, strategy="round-robin", **{"resources": True, **options}
    )


async def ask(app: Any, previous: str | None = None, *, stream: bool = False) -> int:
    document = {"model": "m", "input": "x", "stream": stream}
    if previous is not None:
        document["previous_response_id"] = previous
    return (await Driver(app).request("POST", "/v1/responses", json=document)).status


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_turn_goes_to_the_account_that_has_the_last_one(stream: bool) -> None:
    keeper = Keeper()
    app = Retry(pool_of(keeper))
    for _ in range(4):
        assert await ask(app, stream=stream) == 200
    for made in list(keeper.made):
        for _ in range(5):
            assert await ask(app, made, stream=stream) == 200
    assert set(keeper.asked) == {"blue-1", "blue-2", "gold-1", "gold-2"}  # within an account any key may


async def test_where_its_account_rests_it_goes_nowhere_else() -> None:
    keeper = Keeper()
    app = Retry(pool_of(keeper, queue_timeout=0.0), wait_cap=0.0)
    assert await ask(app) == 200
    (made, scope), *_ = keeper.made.items()
    keeper.limited |= {f"{scope}-1", f"{scope}-2"}
    del keeper.asked[:]
    assert await ask(app, made) == 429
    assert {key[:4] for key in keeper.asked} == {scope}
    assert await ask(app) == 200  # others are not kept from the other account


async def test_of_a_response_that_nobody_here_has_seen_any_key_may_be_asked() -> None:
    keeper = Keeper()
    app = pool_of(keeper)
    for _ in range(4):
        assert await ask(app, "resp_elsewhere") == 200
    assert len(set(keeper.asked)) == 4


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, "MOST", 3)
    app = pool_of(keeper := Keeper())
    for _ in range(6):
        assert await ask(app) == 200
    assert app._makers is not None
    assert list(app._makers._made_by) == list(keeper.made)[-3:]


# What is remembered


CHAT = Errand("POST", Operation.GENERATE)


def resources_in(protocol: str) -> Resources:
    resources = resources_of(registry.get(protocol))
    assert resources is not None
    return resources


def makers_of(protocol: str = "openai-chat") -> Makers:
    return Makers({"a": "blue", "b": "gold", "c": "gold"}, resources_in(protocol))


def kept(method: str, path: str, protocol: str = "openai-chat") -> Errand:
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    errand = errand_of(None, resources_in(protocol), scope)
    assert errand is not None
    return errand


def at(learner: Makers, path: str, protocol: str = "openai-chat") -> frozenset[str]:
    """Who cannot serve a request for a path."""
    return learner.excluded(kept("GET", path, protocol), b"", model=None)


def within(learner: Makers, body: bytes, model: str | None = None) -> frozenset[str]:
    """Who cannot serve a chat."""
    return learner.excluded(CHAT, body, model=model)


async def answer(
    learner: Makers, alias: str, errand: Errand, *parts: bytes, status: int = 200, asked: bytes = b""
) -> None:
    """Have an account answer."""
    passed: list[Any] = []

    async def send(message: Any) -> None:
        passed.append(message)

    lesson = learner.lesson(errand, asked)
    if lesson is None:
        return
    learn = learner.learning(alias, lesson, send)
    messages = [
        {"type": "http.response.start", "status": status, "headers": []},
        *({"type": "http.response.body", "body": part, "more_body": True} for part in parts),
        {"type": "http.response.body", "body": b""},
    ]
    for message in messages:
        await learn(message)
    assert passed == messages


async def uploaded(learner: Makers, alias: str, made: str = "file-1") -> None:
    await answer(learner, alias, kept("POST", "/v1/files"), b'{"object": "file", "id": "%b"}' % made.encode())


GOLD, BLUE, FREE = frozenset("a"), frozenset("bc"), frozenset[str]()


async def test_keys_of_one_account_are_alike() -> None:
    learner = makers_of()
    await uploaded(learner, "b")
    assert at(learner, "/v1/files/file-1") == GOLD


@pytest.mark.parametrize("status", [199, 300, 404, 500])
async def test_of_an_answer_that_is_none_nothing_is_learned(status: int) -> None:
    learner = makers_of()
    await answer(learner, "a", kept("POST", "/v1/files"), b'{"id": "file-1"}', status=status)
    assert not learner


async def test_who_said_first_that_it_is_its_own_is_right() -> None:
    learner = makers_of()
    await uploaded(learner, "a")
    forged = b'{"id": "vs_1", "x": {"id": "file-1"}}'
    await answer(learner, "b", kept("POST", "/v1/vector_stores"), forged)
    assert at(learner, "/v1/files/file-1") == BLUE


async def test_what_a_client_put_into_an_answer_is_no_statement() -> None:
    learner = makers_of()
    for data in (
        {"metadata": {"id": "file-1"}},
        {"data": [{"attributes": {"id": "v1"}}]},
        {"id": "m", "x": {"id": "files"}},
    ):
        await answer(learner, "a", kept("POST", "/v1/vector_stores"), json.dumps(data).encode())
    assert at(learner, "/v1/files/file-1") == FREE
    assert at(learner, "/v1/vector_stores/vs_1/files/file-1") == FREE
    assert within(learner, b"", "m") == FREE


async def test_of_two_accounts_the_first_that_is_named_counts() -> None:
    learner = makers_of()
    await uploaded(learner, "a", "file-1")
    await uploaded(learner, "b", "file-2")
    assert within(learner, b'{"x": [{"file_id": "file-0"}, {"file_id": "file-2"}, {"file_id": "file-1"}]}') == GOLD
    assert learner.excluded(kept("POST", "/v1/files/file-1"), b'{"file_id": "file-2"}', model=None) == BLUE
    assert at(learner, "/v1/vector_stores/vs_0/files/file-2") == GOLD


async def test_what_is_deleted_is_forgotten_and_what_is_taken_out_of_something_is_not() -> None:
    learner = makers_of()
    await uploaded(learner, "a")
    await answer(learner, "a", kept("POST", "/v1/vector_stores"), b'{"id": "vs_1"}')
    await answer(learner, "a", kept("DELETE", "/v1/vector_stores/vs_1/files/file-1"), b'{"id": "file-1"}')
    await answer(learner, "a", kept("DELETE", "/v1/files/file-1"), b"{}", status=404)
    assert at(learner, "/v1/files/file-1") == BLUE
    await answer(learner, "a", kept("DELETE", "/v1/files/file-1"), b'{"id": "file-1", "deleted": true}')
    assert at(learner, "/v1/files/file-1") == FREE
    assert at(learner, "/v1/vector_stores/vs_1") == BLUE


async def test_what_is_in_a_file_is_no_answer() -> None:
    learner = makers_of()
    await answer(learner, "a", kept("GET", "/v1/files/file-1/content"), b'{"id": "file-2"}')
    assert not learner


async def test_the_clients_own_data_names_nothing() -> None:
    learner = makers_of()
    await uploaded(learner, "a")
    for body in (
        b'{"metadata": {"file_id": "file-1"}}',
        b'{"tools": [{"function": {"parameters": {"file_id": "file-1"}}}]}',
        b'{"messages": [{"content": "file-1"}, {"content": [{"type": "tool_use", "input": {"file_id": "file-1"}}]}]}',
        b'{"messages": [{"content": "{\\"file_id\\": \\"file-1\\"}"}]}',
    ):
        assert within(learner, body) == FREE


async def test_a_model_may_be_an_accounts_own() -> None:
    learner = makers_of()
    job = b'{"id": "ftjob-1", "fine_tuned_model": "ft:gpt-4o-mini:blue::1", "result_files": ["file-9"], "model": "m"}'
    await answer(learner, "a", kept("GET", "/v1/fine_tuning/jobs/ftjob-1"), job)
    assert within(learner, b"", "ft:gpt-4o-mini:blue::1") == BLUE
    assert within(learner, b"", "m") == FREE
    assert within(learner, b'{"training_file": "file-9"}') == BLUE


async def test_ids_may_be_of_any_kind() -> None:
    learner = makers_of()
    made = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
    await uploaded(learner, "a", made)
    assert within(learner, json.dumps({"input_file_id": made}).encode()) == BLUE


async def test_what_is_named_is_not_what_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, "MOST", 3)
    learner = makers_of()
    for n in range(4):
        assert at(learner, "/v1/files/file-0") == (BLUE if n else FREE)
        await uploaded(learner, "a", f"file-{n}")
    assert list(learner._made_by) == ["file-2", "file-0", "file-3"]


async def test_an_answer_is_read_within_a_bound() -> None:
    learner = makers_of()
    await answer(learner, "a", kept("GET", "/v1/files"), b'{"id": "file-1", "more": "', b" " * 1024 * 1024, b'"}')
    assert not learner


async def test_another_pool_takes_over_what_both_accounts_have() -> None:
    before, after = makers_of(), makers_of()
    await uploaded(before, "a", "file-1")
    await uploaded(before, "b", "file-2")
    after.inherit(before, {"a": "c"})
    assert at(after, "/v1/files/file-1") == GOLD
    assert within(after, b'{"file_id": "file-1"}') == GOLD
    assert at(after, "/v1/files/file-2") == FREE


# Laws

_PROTOCOLS = ("anthropic", "gemini", "openai-chat", "openai-responses")
_IDS = {
    "anthropic": ("/v1/files", "file_{}", "id"),
    "gemini": ("/v1beta/cachedContents", "cachedContents/{}", "name"),
    "openai-chat": ("/v1/batches", "batch_{}", "id"),
    "openai-responses": ("/v1/conversations", "conv_{}", "id"),
}
_NAMED = {
    "anthropic": {"messages": [{"content": [{"source": {"type": "file", "file_id": "?"}}]}]},
    "gemini": {"cachedContent": "?"},
    "openai-chat": {"messages": [{"content": [{"type": "file", "file": {"file_id": "?"}}]}]},
    "openai-responses": {"conversation": {"id": "?"}},
}
_steps = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from(["make", "delete", "name"])))


@given(protocol=st.sampled_from(_PROTOCOLS), steps=_steps, cut=st.integers(1, 40))
async def test_whatever_an_account_made_leads_to_it_in_whatever_order(
    protocol: str, steps: list[tuple[str, int, str]], cut: int
) -> None:
    learner = makers_of(protocol)
    path, pattern, member = _IDS[protocol]
    owners: dict[str, str] = {}
    for alias, number, does in steps:
        made = pattern.format(number)
        if does == "make" and made not in owners:
            owners[made] = alias
            document = json.dumps({"more": {"text": "x"}, member: made}).encode()
            parts = [document[start : start + cut] for start in range(0, len(document), cut)]
            await answer(learner, alias, kept("POST", path, protocol), *parts)
        elif does == "delete" and made in owners:
            await answer(learner, owners.pop(made), kept("DELETE", _item(protocol, made), protocol), b"{}")
        for one in map(pattern.format, range(10)):
            wanted = {"a": BLUE, "b": GOLD, None: FREE}[owners.get(one)]
            assert at(learner, _item(protocol, one), protocol) == wanted
            assert within(learner, json.dumps(_NAMED[protocol]).replace("?", one).encode()) == wanted


def _item(protocol: str, made: str) -> str:
    return f"/v1beta/{made}" if protocol == "gemini" else f"{_IDS[protocol][0]}/{made}"


_members = st.sampled_from(["id", "file_id", "file_ids", "container", "type", "input", "metadata", "x"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["file-1", "tool_use"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_members, inner, max_size=4),
)


_bodies = st.binary() | st.builds(lambda value: json.dumps(value).encode(), _json)


@given(
    protocol=st.sampled_from(_PROTOCOLS),
    body=_bodies,
    path=st.text()
    | st.sampled_from(["/v1/files/file-1", "/v1/files/..", "/v1/threads/a/b/c/d", "/v1beta/files/a:b/c"]),
    parts=st.lists(_bodies | st.just(b'"id": "file_'), max_size=4),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
)
async def test_no_bytes_raise(protocol: str, body: bytes, path: str, parts: list[bytes], method: str) -> None:
    learner = makers_of(protocol)
    await answer(learner, "a", Errand("POST", None, path="/"), b'{"id": "file_1", "name": "files/a"}')
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    for errand in (CHAT, errand_of(None, resources_in(protocol), scope)):
        if errand is not None:
            learner.excluded(errand, body, model=path)
            await answer(learner, "b", errand, *parts, asked=body)


@given(body=_bodies)
async def test_what_nobody_has_seen_changes_nothing(body: bytes) -> None:
    learner = makers_of()
    await uploaded(learner, "a", "file-2")
    assert at(learner, "/v1/files/file-1") == FREE
    assert within(learner, body, "file-1") == FREE


# What models' answers state


@pytest.mark.parametrize("cut", [1, 7, 1_000])
@pytest.mark.parametrize(
    ("protocol", "asked", "said", "named"),
    [
        (
            "openai-responses",
            b'{"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}',
            b'data: {"response": {"id": "resp_1"}}\n\ndata: {"item": {"id": "ci_1", "container_id": "cntr_1"}}\n\n',
            [b'{"previous_response_id": "resp_1"}', b'{"tools": [{"container": "cntr_1"}]}'],
        ),
        ("openai-responses", b"{}", b'{"id": "resp_1", "x": {"id": "resp_2"}}', [b'{"previous_response_id":"resp_1"}']),
        (
            "anthropic",
            b'{"tools": [{"type": "code_execution_20250825"}]}',
            b'{"id": "msg_1", "content": [{"file_id": "file_1"}], "container": {"id": "container_1"}}',
            [b'{"container": "container_1"}', b'{"container": {"id": "container_1"}}', b'{"x": {"file_id": "file_1"}}'],
        ),
    ],
)
async def test_what_was_made_for_an_answer_is_the_accounts_too(
    protocol: str, asked: bytes, said: bytes, named: list[bytes], cut: int
) -> None:
    learner = makers_of(protocol)
    await answer(learner, "a", CHAT, *(said[start : start + cut] for start in range(0, len(said), cut)), asked=asked)
    assert [within(learner, body) for body in named] == [BLUE] * len(named)
    assert within(learner, b'{"previous_response_id": "resp_2", "container": "msg_1"}') == FREE


async def test_ordinary_answers_of_chats_teach_nothing() -> None:
    assert makers_of("openai-chat").lesson(CHAT, b"{}") is None
    assert makers_of("gemini").lesson(CHAT, b"{}") is None
    assert makers_of("anthropic").lesson(CHAT, b"{}") is None
    assert makers_of("anthropic").lesson(Errand("POST", Operation.COUNT_TOKENS), b"code_execution_202") is None


def test_many_accounts_take_as_much_memory_as_there_are() -> None:
    resources = resources_in("openai-chat")
    accounts = {f"key-{number}": f"account-{number}" for number in range(2000)}
    tracemalloc.start()
    try:
        Makers(accounts, resources)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000  # bytes; what excludes them from each other took 260 million
