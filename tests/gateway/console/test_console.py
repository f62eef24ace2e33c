"""The console as an app: what it serves, to whom, mounted anywhere."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from console_kit import PASSWORD, bearer, log_in, nest
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.gateway.console.component import Console
from ds2api_asgi.gateway.console.part import BreakerSeen, Generation
from ds2api_asgi.pool import Secret
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio


async def test_without_a_session_there_is_a_form_and_nothing_else() -> None:
    console = nest().console
    page = await Driver(console).request("GET", "/")
    assert page.status == 200
    assert 'name="password"' in page.text
    for path in ("/api/state", "/api/events", "/api/requests/1"):
        assert (await Driver(console).request("GET", path)).status == 401
    for path in ("/api/translate", "/api/keys/openai/one/disable", "/api/keys/openai/one/test"):
        assert (await Driver(console).request("POST", path, json={})).status == 401


async def test_a_session_shows_the_page_and_the_state() -> None:
    made = nest()
    await made.ask()
    headers, token = await log_in(made.console)
    state = (await Driver(made.console).request("GET", "/api/state", headers=headers)).json()
    (pool,) = state["pools"]
    assert (pool["name"], pool["protocol"], pool["strategy"], pool["waiting"]) == (
        "openai",
        "openai-chat",
        "least-used",
        0,
    )
    assert [key["alias"] for key in pool["keys"]] == ["one", "two"]
    assert sum(key["served"] for key in pool["keys"]) == 1
    (recent,) = state["recent"]
    assert (recent["status"], recent["end"], recent["model"], recent["output"]) == (200, "complete", "gpt-4o", 10)
    assert state["live"] == []
    assert (state["workers"], state["generation"], state["reload_error"], state["breakers"]) == (1, 1, None, [])
    assert sum(point["requests"] for point in state["series"]["points"]) == 1
    trace = (await Driver(made.console).request("GET", f"/api/requests/{recent['id']}", headers=headers)).json()
    assert trace["trace"]["id"] == recent["id"]
    assert token


async def test_the_password_opens_the_api_to_commands() -> None:
    made = nest()
    assert (await Driver(made.console).request("GET", "/api/state", headers=bearer())).status == 200
    answer = await Driver(made.console).request("POST", "/api/keys/openai/one/disable", headers=bearer())
    assert answer.json()["key"]["switched_off"] is True
    answer = await Driver(made.console).request("POST", "/api/keys/openai/one/enable", headers=bearer())
    assert answer.json()["key"]["switched_off"] is False


async def test_a_pool_whose_store_is_out_of_reach_is_told_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2api_asgi.gateway.console.part.PATIENCE", 0.05)
    made, other = nest(), nest()

    async def never() -> Any:
        await anyio.sleep_forever()

    async def broken() -> Any:
        raise RuntimeError("sk-canary-1234567890abcdef")

    monkeypatch.setattr(made.pool, "snapshot", never)
    monkeypatch.setattr(other.pool, "snapshot", broken)
    console = Console(
        password=Secret(PASSWORD), pools=lambda: {"slow": made.pool, "broken": other.pool, "good": nest().pool}
    )
    with anyio.fail_after(10):
        answer = await Driver(console).request("GET", "/api/state", headers=bearer())
    slow, failed, good = answer.json()["pools"]
    assert (slow["problem"], slow["keys"]) == ("its store did not answer in time", [])
    assert (failed["problem"], failed["keys"]) == ("its store raised RuntimeError", [])
    assert (good["problem"], len(good["keys"])) == (None, 2)
    assert "canary" not in answer.text


async def test_generations_and_breakers_are_told_as_they_are() -> None:
    breaker = BreakerSeen(target="claude", model=None, state="open", until=3.5)
    console = Console(
        password=Secret(PASSWORD),
        breakers=lambda: [breaker],
        generation=lambda: Generation(number=3, reloaded=12.5, error="gateway.toml:3: no"),
        workers=4,
    )
    state = (await Driver(console).request("GET", "/api/state", headers=bearer())).json()
    assert (state["generation"], state["reloaded"], state["reload_error"]) == (3, 12.5, "gateway.toml:3: no")
    assert state["breakers"] == [{"target": "claude", "model": None, "state": "open", "until": 3.5}]
    assert state["workers"] == 4


async def test_other_scopes_are_answered_too() -> None:
    console = nest().console
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    await console({"type": "websocket", "path": "/api/events", "headers": []}, connect, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    for _ in range(2):
        async with running(console), Driver(console).open("GET", "/api/events", headers=bearer()) as response:
            assert response.status == 200
    assert (await Driver(console).request("GET", "/api/events", headers=bearer())).status == 503
