"""The console as an app: what it serves, to whom, mounted anywhere."""

from __future__ import annotations

import pytest

from console_kit import bearer, log_in, nest
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
