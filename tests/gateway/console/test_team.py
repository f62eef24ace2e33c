"""Consoles of several workers: what they ask each other, and what their parts are together."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from console_kit import Nest, bearer, log_in, nest
from crews import own_temporary
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.gateway.console.messages import (
    Changed,
    Changes,
    Done,
    EndSession,
    Find,
    Found,
    Known,
    Learn,
    Look,
    Question,
    Switch,
    encode,
    question_of,
    reply_of,
)
from ds2api_asgi.gateway.console.part import BreakerSeen, Generation, KeyPart, Part, PoolPart
from ds2api_asgi.gateway.console.sessions import MAX_ENDED, Sessions
from ds2api_asgi.gateway.console.sums import whole
from ds2api_asgi.gateway.serving import peers as peers_module
from ds2api_asgi.gateway.serving.peers import Peers
from ds2api_asgi.observe.live import Ended, Live, Running
from ds2api_asgi.observe.series import Series
from ds2api_asgi.pool import Headroom, KeyReport, KeyState
from ds2api_asgi.testing import Driver
from watched import CANARY, SPARE, WORDS

SIGNING = b"the same for all of them"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_temporary() as made:
        yield made


class Worker(Nest):
    """A gateway with a console, one of several."""

    def __init__(self, folder: Path, count: int) -> None:
        self.peers = Peers(folder, count)
        made = nest(peers=self.peers, signing=SIGNING)
        self.__dict__.update(vars(made))
        self.peers.answer = self.console.answer

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Worker]:
        async with self.peers.listening(), running(self.console):
            yield self

    async def get(self, path: str, **headers: str) -> Any:
        return await Driver(self.console).request("GET", path, headers=headers or bearer())

    async def state(self) -> Any:
        return (await self.get("/api/state")).json()

    async def act(self, alias: str, action: str) -> Any:
        return (
            await Driver(self.console).request("POST", f"/api/keys/openai/{alias}/{action}", headers=bearer())
        ).json()


@asynccontextmanager
async def workers(folder: Path, count: int = 2) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Worker(folder, count).started()) for _ in range(count)]


@pytest.mark.anyio
async def test_what_one_worker_had_all_show_and_nothing_of_it_is_a_secret(folder: Path) -> None:
    async with workers(folder) as (one, two):
        assert (await one.ask()).status == 200
        (ended,) = one.live.recent()
        for worker in (one, two):
            raw = (await worker.get("/api/state")).text
            found = json.loads(raw)
            assert (found["workers"], found["missing"]) == (2, 0)
            assert [entry["id"] for entry in found["recent"]] == [ended.id]
            assert sum(point["requests"] for point in found["series"]["points"]) == 1
            assert sum(key["served"] for key in found["pools"][0]["keys"]) == 1
            assert [key["workers"] for key in found["pools"][0]["keys"]] == [[2, 2], [2, 2]]
            trace = await worker.get(f"/api/requests/{ended.id}")
            assert trace.json()["trace"]["id"] == ended.id
            for secret in (CANARY, SPARE, WORDS):
                assert secret not in raw + trace.text
        assert (await two.get("/api/requests/nobody")).status == 404
        assert (await two.get("/api/requests/" + "n" * 5000)).status == 404


@pytest.mark.anyio
async def test_who_hangs_is_missing_and_may_have_what_is_not_found(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(peers_module, "PATIENCE", 0.05)
    monkeypatch.setattr(peers_module, "INSISTENCE", 0.05)

    async def hang(question: bytes) -> bytes:
        await anyio.sleep_forever()
        return question

    async with workers(folder) as (one, two):
        await two.ask()
        two.peers.answer = hang
        found = await one.state()
        assert (found["workers"], found["missing"], found["recent"]) == (2, 1, [])
        (ended,) = two.live.recent()
        assert (await one.get(f"/api/requests/{ended.id}")).status == 503
        assert (await one.act("one", "disable"))["missing"] == 1
        assert (await one.state())["pools"][0]["keys"][0]["switched_off"] is True


@pytest.mark.anyio
async def test_a_reply_that_is_none_is_nobodys_word(folder: Path) -> None:
    async def nonsense(question: bytes) -> bytes:
        return b"\x93nonsense" + question

    async with workers(folder) as (one, two):
        two.peers.answer = nonsense
        assert (await one.state())["missing"] == 1
        assert (await one.act("one", "disable"))["missing"] == 1
        with pytest.raises(ValueError, match="not a question"):
            await one.console.answer(b"\x93nonsense")


@pytest.mark.anyio
async def test_an_order_is_heeded_by_all_and_learned_by_who_comes_later(folder: Path) -> None:
    async with workers(folder, 2) as (one, two):
        headers, token = await log_in(one.console)
        assert (await two.get("/api/state", **headers)).status == 200
        assert (await one.act("one", "disable"))["key"]["workers"] == [2, 2]
        form = {"content-type": "application/x-www-form-urlencoded", **headers}
        await Driver(two.console).request("POST", "/logout", headers=form, body=f"csrf={token}".encode())
        async with Worker(folder, 3).started() as late:
            for worker in (one, two, late):
                assert [report.switched_off for report in await worker.pool.snapshot()] == [True, False]
                assert (await worker.get("/api/state", **headers)).status == 401
            assert (await late.act("one", "enable"))["missing"] == 0
            for worker in (one, two, late):
                assert [report.switched_off for report in await worker.pool.snapshot()] == [False, False]
        assert (await one.act("nobody", "disable"))["error"]["type"] == "not_found"


@pytest.mark.anyio
@pytest.mark.parametrize("by_others", [True, False])
async def test_what_was_not_told_at_the_start_is_asked_for_again_and_newer_orders_hold(
    by_others: bool, folder: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(peers_module, "INSISTENCE", 0.05)
    monkeypatch.setattr("ds2api_asgi.gateway.console.team._AGAIN", 0.01)

    async def hang(question: bytes) -> bytes:
        await anyio.sleep_forever()
        return question

    async with Worker(folder, 2).started() as old:
        await old.pool.disable("one")
        await old.pool.disable("two")
        old.peers.answer = hang
        async with Worker(folder, 2).started() as late:
            assert [report.switched_off for report in await late.pool.snapshot()] == [False, False]
            if by_others:
                await late.console.answer(encode(Switch(pool="openai", alias="one", on=True)))
            else:
                await late.act("one", "enable")
            monkeypatch.setattr(peers_module, "INSISTENCE", 30.0)
            old.peers.answer = old.console.answer
            with anyio.fail_after(10):
                while not (await late.pool.snapshot())[1].switched_off:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            assert [report.switched_off for report in await late.pool.snapshot()] == [False, True]


@pytest.mark.anyio
async def test_orders_that_mean_nothing_here_are_refused(folder: Path) -> None:
    async with Worker(folder, 2).started() as one:
        for order in (
            Switch(pool="nobody", alias="one", on=False),
            Switch(pool="openai", alias="nobody", on=False),
            EndSession(turn=0, id="not an id", expires=0),
            EndSession(turn=2**40, id="a" * 22, expires=0),
        ):
            assert reply_of(await one.console.answer(encode(order)), Done) == Done(ok=False)


# Messages

texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\ud800\udfff"), max_size=20)
questions = st.one_of(
    st.just(Look()),
    st.just(Learn()),
    st.builds(Changes, cursors=st.dictionaries(texts, st.integers(0, 2**60), max_size=3)),
    st.builds(Find, id=texts),
    st.builds(Switch, pool=texts, alias=texts, on=st.booleans()),
    st.builds(EndSession, turn=st.integers(0, 9), id=texts, expires=st.integers(0, 2**40)),
)
REPLIES = (Part, Changed, Found, Done, Known)


@given(questions)
def test_a_question_comes_as_it_was_asked_but_for_what_cannot_be_written(question: Question) -> None:
    read = question_of(encode(question))
    assert type(read) is type(question)
    if "\ud800" not in repr(question) and "\\ud" not in repr(question):
        assert read == question


@given(st.binary(max_size=200) | questions.map(encode).map(lambda raw: raw[:-1]))
def test_garbage_is_no_question_and_no_reply(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        question_of(raw)
    for kind in REPLIES:
        assert isinstance(reply_of(raw, kind), kind | None)  # type: ignore[arg-type]


@pytest.mark.parametrize("raw", [b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\x81\xa4type\xdb\xff\xff\xff\xff"])
def test_messages_that_pretend_to_be_large_or_deep_take_nothing(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a question"):
        question_of(raw)
    assert reply_of(raw, Part) is None


# Sums

aliases = st.sampled_from(["a", "b", "c"])
rests = st.tuples(st.sampled_from(KeyState), st.none() | st.floats(0, 99))
configured = st.builds(
    Headroom,
    of=st.sampled_from(["rpm", "tpm"]),
    model=st.none(),
    limit=st.just(60.0),
    left=st.integers(0, 60).map(float),
    resets_in=st.none() | st.floats(0, 60),
    source=st.just("configured"),
)
said = st.builds(
    Headroom,
    of=st.sampled_from(["requests", "tokens"]),
    model=st.sampled_from([None, "m"]),
    limit=st.none() | st.just(10.0),
    left=st.integers(0, 10).map(float),
    resets_in=st.none(),
    source=st.just("provider"),
    age=st.integers(0, 10**6).map(float),
)
rooms = st.lists(configured, max_size=2, unique_by=lambda room: room.of).flatmap(
    lambda own: st.lists(said, max_size=3, unique_by=lambda room: (room.of, room.model)).map(lambda told: (*own, *told))
)
counts = st.integers(0, 9)
reports = st.builds(
    KeyReport,
    alias=aliases,
    state=st.sampled_from(KeyState),
    until=st.none() | st.floats(0, 99),
    whole=rests,
    models=st.dictionaries(st.sampled_from(["m", "n"]), rests, max_size=2),
    in_flight=counts,
    leased=counts,
    served=counts,
    failed=counts,
    switched_off=st.booleans(),
    headroom=rooms,
)


def pool_part(name: str, shared: bool, waiting: int, keys: list[KeyReport]) -> PoolPart:
    parts = tuple(KeyPart(report=report) for report in keys)
    return PoolPart(name=name, protocol="p", strategy="s", waiting=waiting, shared=shared, keys=parts)


key_lists = st.lists(reports, max_size=3, unique_by=lambda report: report.alias)
pools = st.builds(pool_part, st.sampled_from(["x", "y"]), st.just(False), counts, key_lists)


def part(pools: list[PoolPart], **more: Any) -> Part:
    fields: dict[str, Any] = {
        "started": 1.0,
        "generation": Generation(),
        "breakers": (),
        "in_flight": 0,
        "running": (),
        "recent": (),
        "steps": (),
        **more,
    }
    return Part(pools=tuple(pools), **fields)


parts = st.lists(pools, max_size=2, unique_by=lambda pool: pool.name).map(part)


@given(st.lists(parts, min_size=2, max_size=4))
def test_counts_are_added_up_of_states_the_worst_is_told_and_nothing_is_counted_twice(found: list[Part]) -> None:
    together = whole(found[0], found[1:])
    assert {pool.name for pool in together.pools} == {pool.name for one in found for pool in one.pools}
    for pool in together.pools:
        same = [one for each in found for one in each.pools if one.name == pool.name]
        assert (pool.waiting, pool.workers) == (sum(one.waiting for one in same), len(same))
        for key in pool.keys:
            told = [one.report for each in same for one in each.keys if one.report.alias == key.report.alias]
            assert (key.of, 1 <= key.alike <= key.of) == (len(told), True)
            assert key.report.switched_off == any(one.switched_off for one in told)
            assert key.report.served == sum(one.served for one in told)
            assert key.report.whole[0] is max((one.whole[0] for one in told), key=list(KeyState).index)
            for room in key.report.headroom:
                alike = [
                    one
                    for each in told
                    for one in each.headroom
                    if (one.of, one.model, one.source) == (room.of, room.model, room.source)
                ]
                if room.source == "configured":
                    assert (room.left, room.limit) == (sum(one.left for one in alike), 60.0 * len(alike))
                else:
                    assert room.age == min(one.age or 0.0 for one in alike)


@given(parts)
def test_one_alone_is_told_as_it_is(found: Part) -> None:
    assert whole(found, []) is found


def test_of_a_shared_pool_the_asker_knows_the_keys_and_all_what_providers_said() -> None:
    def room(left: float, age: float) -> Headroom:
        return Headroom(of="requests", model=None, limit=10, left=left, resets_in=None, source="provider", age=age)

    report = KeyReport(
        alias="a",
        state=KeyState.ACTIVE,
        until=None,
        models={},
        in_flight=1,
        leased=5,
        served=4,
        failed=0,
        headroom=(room(9, 30.0),),
    )
    own = pool_part("x", True, 1, [report])
    other = structs.replace(pool_part("x", True, 2, []), heard={"a": [room(3, 2.0)]})
    (pool,) = whole(part([own]), [part([other])]).pools
    (key,) = pool.keys
    assert (pool.waiting, pool.workers, key.of, key.report.leased) == (3, 1, 1, 5)
    assert key.report.headroom == (room(3, 2.0),)


def test_everything_else_is_told_for_all() -> None:
    def ended(name: str, when: float) -> Ended:
        fields = dict.fromkeys(Ended.__struct_fields__)
        return Ended(**{**fields, "id": name, "when": when, "took": 1.0})  # type: ignore[arg-type]

    def ran(name: str, began: float) -> Running:
        fields = dict.fromkeys(Running.__struct_fields__)
        return Running(**{**fields, "id": name, "began": began})  # type: ignore[arg-type]

    breaker = BreakerSeen(target="t", model=None, state="half_open", until=0.0)
    one = part([], started=5.0, in_flight=1, running=(ran("a", 1),), recent=(ended("c", 9), ended("d", 2)))
    two = part(
        [],
        started=3.0,
        in_flight=1,
        running=(ran("b", 2),),
        recent=(ended("e", 4),),
        breakers=(breaker,),
        generation=Generation(number=2, reloaded=7.0, error="it said"),
    )
    worse = structs.replace(breaker, state="open", until=9.0)
    three = part([], started=4.0, breakers=(worse,))
    found = whole(one, [two, three])
    assert [entry.id for entry in found.running] == ["b", "a"]
    assert [entry.id for entry in found.recent] == ["c", "e", "d"]
    assert (found.started, found.in_flight, found.breakers) == (3.0, 2, (worse,))
    assert found.generation == Generation(number=2, reloaded=7.0, error="it said")


moments = st.lists(st.tuples(st.integers(0, 99), st.floats(0.001, 100), st.booleans(), st.integers(0, 9)), max_size=30)


@given(st.lists(moments, min_size=1, max_size=3))
def test_the_series_of_several_are_as_if_one_had_counted_all(found: list[Any]) -> None:
    alone = Series(step=5.0, steps=20)
    several = [Series(step=5.0, steps=20) for _ in found]
    for when, took, failed, output in sorted(moment for one in found for moment in one):
        alone.add(float(when), took=took, failed=failed, first=took / 2, output=output)
    for series, one in zip(several, found, strict=True):
        for when, took, failed, output in sorted(one):
            series.add(float(when), took=took, failed=failed, first=took / 2, output=output)
    others = [step for series in several[1:] for step in series.steps()]
    assert several[0].points(99.0, others) == alone.points(99.0)


# Sessions


def test_what_one_ended_another_takes_also_when_a_turn_is_over() -> None:
    one, two = (Sessions(seconds=60, key=SIGNING) for _ in range(2))
    token = one.begin()
    session = two.find(token)
    assert session is not None
    one.end(session)
    assert two.is_open(session)
    two.take(*one.ended)
    assert not two.is_open(session)
    while one.ended[0] == 0:
        another = one.find(one.begin())
        assert another is not None
        one.end(another)
    kept = one.begin()
    assert two.find(kept) is None
    two.take(*one.ended)
    assert two.find(kept) is not None
    assert (one.find(token), two.find(token)) == (None, None)
    two.take(0, {"a" * 22: 0})  # of a turn that is over
    assert two.ended == one.ended
    assert len(one.ended[1]) <= MAX_ENDED


def test_live_tells_steps_that_do_not_change() -> None:
    live = Live()
    live._series.add(0.0, took=1.0)
    (step,) = live.steps()
    live._series.add(0.0, took=1.0)
    assert (step.requests, sum(step.took.values())) == (1, 1)
