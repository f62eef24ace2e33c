"""Several workers, one scrape: numbers of all, whoever is asked, and nothing of what a dead one counted is lost."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from ds2api_asgi import ConfigurationError, Metrics
from ds2api_asgi.observe.standing import (
    BREAKER_STATES,
    KEY_STATES,
    BreakerTold,
    KeyTold,
    PoolTold,
    Told,
    merged,
)
from ds2api_asgi.observe.workers import STALE, VARIABLE, Workers, is_multiprocess, prepare
from ports import reserved_port
from watched import CANARY, QUESTION, SPARE, WORDS

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"

names = st.sampled_from(["a", "b", "c"])
keys = st.builds(
    KeyTold,
    alias=names,
    state=st.sampled_from(KEY_STATES),
    until=st.none() | st.floats(0, 99),
    in_flight=st.integers(0, 5),
    leased=st.integers(0, 5),
    served=st.integers(0, 5),
    failed=st.integers(0, 5),
)
pools = st.builds(
    PoolTold,
    name=names,
    shared=st.just(False),
    up=st.booleans(),
    waiting=st.integers(0, 5),
    keys=st.lists(keys, max_size=3, unique_by=lambda key: key.alias).map(tuple),
)
breakers = st.builds(BreakerTold, part=names, target=st.just("0"), model=names, state=st.sampled_from(BREAKER_STATES))
tellings = st.lists(
    st.builds(
        Told,
        pools=st.lists(pools, max_size=2, unique_by=lambda pool: pool.name).map(tuple),
        breakers=st.lists(breakers, max_size=2, unique_by=lambda one: (one.part, one.model)).map(tuple),
        when=st.floats(0, 9),
    ),
    min_size=2,
    max_size=4,
)


@given(tellings, st.randoms())
def test_what_workers_tell_is_the_same_in_any_order_and_in_any_groups(found: list[Told], rng: Any) -> None:
    whole = merged(found)
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert merged(shuffled) == whole
    cut = rng.randrange(1, len(found))
    assert merged([merged(found[:cut]), merged(found[cut:])]) == whole


@given(tellings)
def test_counts_are_added_up_and_of_states_the_worst_is_told(found: list[Told]) -> None:
    whole = merged(found)
    for pool in whole.pools:
        parts = [one for told in found for one in told.pools if one.name == pool.name]
        assert pool.waiting == sum(part.waiting for part in parts)
        assert pool.up == all(part.up for part in parts)
        for key in pool.keys:
            same = [one for part in parts for one in part.keys if one.alias == key.alias]
            assert key.leased == sum(one.leased for one in same)
            assert KEY_STATES.index(key.state) == max(KEY_STATES.index(one.state) for one in same)
    for breaker in whole.breakers:
        states = [
            one.state
            for told in found
            for one in told.breakers
            if (one.part, one.model) == (breaker.part, breaker.model)
        ]
        assert BREAKER_STATES.index(breaker.state) == max(map(BREAKER_STATES.index, states))


def told(leased: int, *, shared: bool, state: str = "active", when: float = 0.0) -> Told:
    key = KeyTold(alias="k", state=state, until=None, in_flight=leased, leased=leased, served=leased, failed=0)
    return Told(pools=(PoolTold(name="p", shared=shared, up=True, waiting=1, keys=(key,)),), when=when)


def test_what_all_know_alike_is_not_added_up() -> None:
    (pool,) = merged([told(5, shared=True), told(4, shared=True)]).pools
    assert (pool.keys[0].leased, pool.waiting) == (5, 2)
    (pool,) = merged([told(5, shared=False), told(4, shared=False)]).pools
    assert pool.keys[0].leased == 9


COUNTS = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram
registry_less = None
Counter("things", "x", ["of"]).labels("a").inc(float(sys.argv[1]))
Histogram("took", "x", buckets=(1, 2)).observe(1.5)
Gauge("now", "x", multiprocess_mode="livesum").inc()
print(os.getpid())
"""


def dead(directory: Path, amount: int) -> int:
    """A process that counted something and is no more."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTS, str(amount)],
        env={**os.environ, VARIABLE: str(directory)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def numbers(workers: Workers, *, now: float = 0.0) -> dict[str, float]:
    registry = CollectorRegistry()
    workers.read(registry, now=now)
    return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples}


def test_what_the_dead_counted_stays_and_their_files_go(tmp_path: Path) -> None:
    prepare(tmp_path)
    workers = Workers(tmp_path)
    for number, amount in enumerate((3, 4, 5), start=1):
        pid = dead(tmp_path, amount)
        (tmp_path / f"standing_{pid}.json").write_bytes(json.dumps(_plain(told(2, shared=False))).encode())
        for _ in range(2):
            found = numbers(workers)
            assert found["things_total"] == sum((3, 4, 5)[:number])
            assert found["took_count"] == number
            assert found["took_sum"] == 1.5 * number
            assert "now" not in found
            registry = CollectorRegistry()
            (pool,) = workers.read(registry, now=0.0).pools
            (key,) = pool.keys
            assert (key.leased, key.in_flight, pool.waiting) == (2 * number, 0, 0)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"counter_0.db", "histogram_0.db", "standing_0.json", "lock"}


def _plain(found: Told) -> Any:
    from msgspec import to_builtins

    return to_builtins(found)


def test_who_tells_nothing_any_more_is_left_out_and_garbage_is_no_trouble(tmp_path: Path) -> None:
    prepare(tmp_path)
    workers = Workers(tmp_path)
    workers.write(told(1, shared=False, when=100.0))
    (tmp_path / "standing_x.json").write_text("{")
    registry = CollectorRegistry()
    assert workers.read(registry, now=100.0 + STALE).pools
    assert workers.read(CollectorRegistry(), now=101.0 + STALE).pools == ()


def test_a_directory_is_emptied_of_what_an_earlier_run_left_and_of_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "numbers"
    prepare(mine)
    pid = dead(mine, 1)
    (mine / "note.txt").write_text("keep")
    Workers(mine).write(told(1, shared=False))
    assert (mine / f"counter_{pid}.db").exists()
    prepare(mine)
    assert sorted(file.name for file in mine.iterdir()) == ["lock", "note.txt"]
    with pytest.raises(ConfigurationError):
        Workers(tmp_path / "nowhere")


@pytest.mark.anyio
async def test_what_cannot_be_told_to_other_workers_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    again, calls = anyio.Event(), itertools.count(1)

    class Lost:
        def breakers(self) -> list[Any]:
            if next(calls) == 3:
                again.set()
            raise LookupError("no breaker is where it was")

    metrics = Metrics()
    metrics.breakers("targets", Lost())
    monkeypatch.setattr(metrics, "_shares", True)
    with anyio.fail_after(10):
        async with metrics.publishing(every=0.01):
            await again.wait()
    assert {record.getMessage() for record in caplog.records} == {"the other workers cannot be told how things stand"}


def test_one_process_alone_has_no_files() -> None:
    assert not is_multiprocess()


# Two workers of uvicorn


@contextmanager
def gateway(directory: Path) -> Iterator[int]:
    prepare(directory)
    command = [sys.executable, "-m", "uvicorn", "--factory", "counting_worker:app", "--workers", "2"]
    command += ["--log-level", "error", "--app-dir", str(SUPPORT)]
    environment = {**os.environ, VARIABLE: str(directory), "PYTHONPATH": f"{SUPPORT}:{ROOT}"}
    with reserved_port() as port:
        process = subprocess.Popen([*command, "--port", str(port)], env=environment)
        try:
            _until(lambda: ask(port, "/metrics")[1])
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _until(check: Any, *, seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except OSError:
            found = None
        if found:
            return found
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(port: int, path: str, document: Any = None, **headers: str) -> tuple[int, str]:
    """The worker that answered, and what it said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        if document is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(document), {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return int(answer.headers["x-worker"]), text
    finally:
        connection.close()


def scrape(port: int, *, new: bool = False) -> tuple[int, dict[tuple[str, frozenset[tuple[str, str]]], float], str]:
    accept = "application/openmetrics-text; version=1.0.0" if new else "text/plain"
    worker, text = ask(port, "/metrics", accept=accept)
    parse = openmetrics if new else plain
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }
    return worker, found, text


def total(samples: Any, name: str, **labels: str) -> float:
    return float(
        sum(value for (found, own), value in samples.items() if found == name and own >= frozenset(labels.items()))
    )


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform == "win32", reason="no such workers")
def test_whichever_worker_is_asked_it_tells_the_numbers_of_all(tmp_path: Path) -> None:
    with gateway(tmp_path) as port:
        asked = 0
        workers: set[int] = set()

        def both() -> bool:
            nonlocal asked
            for _ in range(4):
                worker, _ = ask(port, "/v1/chat/completions", QUESTION)
                workers.add(worker)
                asked += 1
            return len(workers) >= 2

        _until(both)
        scrapers: set[int] = set()

        def expected(samples: Any) -> list[tuple[float, float]]:
            return [
                (total(samples, "ds2api_requests_total", status="2xx"), asked),
                (total(samples, "ds2api_tokens_total", kind="input"), 1000 * asked),
                (total(samples, "ds2api_request_duration_seconds_count"), asked),
                (total(samples, "ds2api_upstream_calls_total", upstream="up"), asked),
                (total(samples, "ds2api_key_leases_total", pool="pool"), asked),
                (total(samples, "ds2api_requests_in_flight"), 0),
                (total(samples, "ds2api_keys", pool="pool", state="active"), 2),
            ]

        def all_agree() -> bool:
            # The last request is counted when its answer was sent, and pools are told of once in a tenth of a second.
            worker, samples, text = scrape(port, new=len(scrapers) % 2 == 1)
            found = expected(samples)
            assert all(number <= most for number, most in found if most)
            assert not [secret for secret in (CANARY, SPARE, WORDS) if secret in text]
            if all(number == most for number, most in found):
                scrapers.add(worker)
            return len(scrapers) == 2

        _until(all_agree)
        victim = next(iter(workers))
        os.kill(victim, signal.SIGKILL)

        def buried() -> bool:
            worker, samples, _ = scrape(port)
            assert [number for number, _ in expected(samples)] == [most for _, most in expected(samples)]
            return worker != victim and not list(tmp_path.glob(f"*_{victim}.*"))

        _until(buried)
