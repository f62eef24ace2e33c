"""The console of several workers: whichever answers, it shows and does what all of them do."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from crews import PASSWORD, away, door, own_temporary, state, until, workers_of
from ds2api_asgi.testing import serve
from served import Held, Served, question, served

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found in /proc"),
    pytest.mark.timeout(120),
]

KEYS = ("sk-crew-canary-1234567890", "sk-crew-canary-0987654321")
BEARER = {"authorization": f"Bearer {PASSWORD}"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Held, str]]:
    held = Held()
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(serve(held)) as url:
        yield held, url


@contextmanager
def crew(folder: Path, url: str, *, server: str = "uvicorn", more: str = "") -> Iterator[Served]:
    """Two workers with a console, who meet where nobody else may and leave nothing behind."""
    text = f"""
[upstreams.held]
protocol = "openai-chat"
base_url = "{url}"
strategy = "round-robin"
keys = [
  {{ secret = "env:KEY_1", alias = "first", limits = {{ rpm = 100 }} }},
  {{ secret = "env:KEY_2", alias = "second" }},
]

[console]
password = "env:PASSWORD"
{more}"""
    with own_temporary() as temporary:
        env = {"PASSWORD": PASSWORD, "KEY_1": KEYS[0], "KEY_2": KEYS[1], "TMPDIR": str(temporary)}
        with served(folder, text, "--workers", "2", "--server", server, env=env) as ran:
            with ran.client() as client:
                until(lambda: state(client)["missing"] == 0)
            places = list(temporary.glob("ds2api-*/*.sock"))
            assert sorted(int(place.name.partition("-")[0]) for place in places) == sorted(workers_of(ran))
            assert {stat.S_IMODE(place.stat().st_mode) for place in places} == {0o600}
            assert {stat.S_IMODE(place.parent.stat().st_mode) for place in places} == {0o700}
            yield ran
            assert ran.end() == 0, ran.said
        assert list(temporary.iterdir()) == []
        for secret in (*KEYS, PASSWORD):
            assert secret not in ran.said
        assert "Traceback" not in ran.said


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def ran(request: Any, upstream: tuple[Held, str], tmp_path_factory: Any) -> Iterator[Served]:
    with crew(tmp_path_factory.mktemp("crew"), upstream[1], server=request.param) as one:
        yield one


def ask(ran: Served, *, stream: bool = False) -> str:
    """Ask over a connection of its own; the id of the request, if an answer comes."""
    with ran.client() as client:
        answer = client.post("/v1/chat/completions", json=question("held/held", stream=stream))
        assert answer.status_code == 200, answer.text
        return answer.text


def fresh_states(ran: Served, settled: Callable[[Any], bool], count: int = 10) -> list[Any]:
    """What is answered over so many new connections, so that each worker is very probably asked.

    A document may be half a second old: each is asked for until it is as expected.
    """
    found = []
    for _ in range(count):
        with ran.client() as client:
            found.append(until(lambda client=client: next((one for one in [state(client)] if settled(one)), None)))
    return found


class Watcher:
    """Looks on at ``/api/events`` in a thread."""

    def __init__(self, ran: Served) -> None:
        self.requests: list[Any] = []
        self.states: list[Any] = []
        self._ran = ran
        self._over = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        until(lambda: self.states)

    def _watch(self) -> None:
        with self._ran.client() as client, client.stream("GET", "/console/api/events", headers=BEARER) as events:
            name = ""
            for line in events.iter_lines():
                if self._over:
                    return
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    (self.states if name == "state" else self.requests).append(json.loads(line.removeprefix("data: ")))

    def end(self) -> None:
        self._over = True
        self._thread.join(30)
        assert not self._thread.is_alive()


def test_requests_and_their_traces_are_those_of_all_workers(ran: Served, upstream: tuple[Held, str]) -> None:
    held, _ = upstream
    watcher = Watcher(ran)
    held.hold()
    with ThreadPoolExecutor(12) as threads:
        try:
            answers = [threads.submit(ask, ran, stream=True) for _ in range(12)]
            until(lambda: held.running == 12)
            for found in fresh_states(ran, lambda found: found["in_flight"] == _of_keys(found, "in_flight") == 12):
                assert found["workers"] == 2
                assert {one["phase"] for one in found["live"]} == {"streaming"}
                assert len({one["id"] for one in found["live"]}) == 12
        finally:
            held.release()
    for answer in answers:
        assert "[DONE]" in answer.result()
    with ran.client() as client:
        ended = {one["id"] for one in until(lambda: _ended(client, 12))}
    for found in fresh_states(ran, lambda found: len(found["recent"]) == _of_keys(found, "served") == 12):
        assert {one["id"] for one in found["recent"]} == ended
        ends = [one["when"] + one["took"] for one in found["recent"]]
        assert ends == sorted(ends, reverse=True)
        assert (found["in_flight"], found["live"]) == (0, [])
        points = found["series"]["points"]
        assert (sum(point["requests"] for point in points), sum(point["failed"] for point in points)) == (12, 0)
        (pool,) = found["pools"]
        assert pool["workers"] == 2
        room = pool["keys"][0]["headroom"][0]
        assert (room["of"], room["limit"]) == ("rpm", 200)  # each worker lets so many pass
    for name in ended:
        for _ in range(2):
            with ran.client() as client:
                answer = client.get(f"/console/api/requests/{name}", headers=BEARER)
            assert answer.status_code == 200, answer.text
            assert answer.json()["trace"]["id"] == name
    with ran.client() as client:
        assert client.get("/console/api/requests/nobody", headers=BEARER).status_code == 404
    until(lambda: {one["id"] for one in watcher.requests if "end" in one} == ended)
    assert {one["id"] for one in watcher.requests if "phase" in one} == ended
    watcher.end()


def _of_keys(found: Any, name: str) -> int:
    return sum(key[name] for pool in found["pools"] for key in pool["keys"])


def _ended(client: httpx.Client, count: int) -> Any:
    recent = state(client)["recent"]
    return recent if len(recent) == count else None


def _act(client: httpx.Client, alias: str, action: str) -> Any:
    answer = client.post(f"/console/api/keys/held/{alias}/{action}", headers=BEARER)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _keys(client: httpx.Client) -> dict[str, Any]:
    (pool,) = state(client)["pools"]
    return {key["alias"]: key for key in pool["keys"]}


@pytest.mark.parametrize("more", ["", '[store]\ntype = "sqlite"\npath = "keys.db"\n'], ids=["memory", "sqlite"])
def test_a_key_is_switched_off_and_on_in_all_workers(more: str, upstream: tuple[Held, str], tmp_path: Path) -> None:
    of = [1, 1] if more else [2, 2]
    with crew(tmp_path, upstream[1], more=more) as ran, ExitStack() as stack:
        one, two = (stack.enter_context(door(ran, pid)) for pid in workers_of(ran))
        done = _act(one, "first", "disable")
        assert (done["key"]["switched_off"], done["key"]["workers"], done["missing"]) == (True, of, 0)
        assert until(lambda: _keys(two)["first"]["switched_off"])
        for client in (one, two):
            for _ in range(4):
                assert client.post("/v1/chat/completions", json=question("held/held")).status_code == 200
            keys = until(lambda client=client: _served(client, 4 if client is one else 8))
            assert (keys["first"]["switched_off"], keys["first"]["leased"]) == (True, 0)
            assert keys["first"]["workers"] == of
            assert keys["second"]["switched_off"] is False
        assert _act(two, "first", "enable")["missing"] == 0
        for number, client in enumerate((one, two), start=1):
            assert client.post("/v1/chat/completions", json=question("held/held")).status_code == 200
            assert client.post("/v1/chat/completions", json=question("held/held")).status_code == 200
            until(lambda client=client, number=number: _keys(client)["first"]["served"] >= number)
            assert _keys(client)["first"]["switched_off"] is False
        assert one.post("/console/api/keys/held/third/disable", headers=BEARER).status_code == 404


def _served(client: httpx.Client, count: int) -> Any:
    keys = _keys(client)
    return keys if sum(key["served"] for key in keys.values()) == count else None


def test_who_takes_the_place_of_a_dead_worker_knows_what_operators_did(
    upstream: tuple[Held, str], tmp_path: Path
) -> None:
    with crew(tmp_path, upstream[1]) as ran:
        before = workers_of(ran)
        with door(ran, before[0]) as client:
            cookie, csrf = _log_in(client)
            _act(client, "first", "disable")
            _log_out(client, cookie, csrf)
        os.kill(before[0], signal.SIGKILL)
        (fresh,) = until(lambda: [pid for pid in workers_of(ran) if pid not in before])
        with ran.client() as client:
            found = until(lambda: next((one for one in [state(client)] if one["missing"] == 0), None))
        assert found["pools"][0]["keys"][0]["workers"] == [2, 2]
        with door(ran, fresh) as client:
            assert _keys(client)["first"]["switched_off"] is True
            for _ in range(3):
                assert client.post("/v1/chat/completions", json=question("held/held")).status_code == 200
            assert client.get("/console/api/state", headers=cookie).status_code == 401
            assert until(lambda: _served(client, 3))["first"]["leased"] == 0


def test_a_reload_that_changes_the_console_parts_nobody(upstream: tuple[Held, str], tmp_path: Path) -> None:
    with crew(tmp_path, upstream[1]) as ran:
        with ran.client() as client:
            cookie, csrf = _log_in(client)
            _act(client, "first", "disable")
            _log_out(client, cookie, csrf)
            assert client.post("/v1/chat/completions", json=question("held/held")).status_code == 200
            (request,) = until(lambda: _ended(client, 1))
        ran.write((ran.folder / "gateway.toml").read_text() + "journal = 50\n")
        ran.process.send_signal(signal.SIGHUP)
        until(lambda: ran.said.count("took over the configuration") == 2)
        for found in fresh_states(ran, lambda found: found["missing"] == 0):
            assert (found["generation"], len(found["recent"])) == (2, 1)
            assert found["pools"][0]["keys"][0]["switched_off"] is True
            assert found["pools"][0]["keys"][0]["workers"] == [2, 2]
        for _ in range(6):
            with ran.client() as client:
                assert client.get("/console/api/state", headers=cookie).status_code == 401
                assert client.get(f"/console/api/requests/{request['id']}", headers=BEARER).status_code == 200


def _log_in(client: httpx.Client) -> tuple[dict[str, str], str]:
    answer = client.post("/console/login", headers=FORM, content=f"password={PASSWORD}")
    assert answer.status_code == 303, answer.text
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    page = client.get("/console/", headers=cookie).text
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert token is not None
    return cookie, token[1]


def _log_out(client: httpx.Client, cookie: dict[str, str], csrf: str) -> None:
    answer = client.post("/console/logout", headers={**FORM, **cookie}, content=f"csrf={csrf}")
    assert answer.status_code == 303, answer.text


def test_a_logout_ends_the_session_in_all_workers(ran: Served) -> None:

    def statuses(cookie: dict[str, str]) -> set[int]:
        found = set()
        for _ in range(10):
            with ran.client() as client:
                found.add(client.get("/console/api/state", headers=cookie).status_code)
        return found

    with ran.client() as client:
        cookie, csrf = _log_in(client)
        other, _ = _log_in(client)
        assert statuses(cookie) == {200}
        _log_out(client, cookie, csrf)
        assert statuses(cookie) == {401}
        assert statuses(other) == {200}


def test_a_worker_that_hangs_is_told_missing_holds_nobody_up_and_hears_of_it_later(
    upstream: tuple[Held, str], tmp_path: Path
) -> None:
    with crew(tmp_path, upstream[1]) as ran, ExitStack() as stack:
        one, two = workers_of(ran)
        first, second = (stack.enter_context(door(ran, pid)) for pid in (one, two))
        cookie, csrf = _log_in(second)
        asked = question("held/held")
        assert first.post("/v1/chat/completions", json=asked).status_code == 200
        (name,) = [request["id"] for request in until(lambda: _ended(second, 1))]
        with away(one):
            found = until(lambda: next((one for one in [state(second)] if one["missing"]), None))
            assert (found["workers"], found["missing"], found["recent"]) == (2, 1, [])
            for _ in range(20):
                assert state(second)["missing"] == 1
            assert second.get(f"/console/api/requests/{name}", headers=BEARER).status_code == 503
            assert _act(second, "first", "disable")["missing"] == 1
            assert _keys(second)["first"]["workers"] == [1, 1]
            _log_out(second, cookie, csrf)
        until(lambda: _keys(second)["first"]["workers"] == [2, 2])
        assert first.get("/console/api/state", headers=cookie).status_code == 401
        assert state(second)["missing"] == 0
        assert second.get(f"/console/api/requests/{name}", headers=BEARER).status_code == 200


def test_one_worker_alone_has_nothing_to_share(upstream: tuple[Held, str], tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    text = f"""
[upstreams.held]
protocol = "openai-chat"
base_url = "{upstream[1]}"
keys = ["env:KEY_1"]
[console]
password = "env:PASSWORD"
"""
    with own_temporary() as temporary:
        env = {"PASSWORD": PASSWORD, "KEY_1": KEYS[0], "TMPDIR": str(temporary)}
        with served(tmp_path, text, env=env) as ran, ran.client() as client:
            found = state(client)
            assert (found["workers"], found["missing"], found["pools"][0]["workers"]) == (1, 0, 1)
            assert list(temporary.iterdir()) == []
