"""Neither secrets nor contents are in anything that the console says, nor in what it logs."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest

from console_kit import PASSWORD, bearer, log_in, nest
from ds2api_asgi.testing import Driver, event_script, json_script
from watched import ANSWER, CANARY, QUESTION, SLOW, SPARE, WORDS, chunk

pytestmark = pytest.mark.anyio

SAID = "what only the model said, word for word"
PASTED = "pasted text that nobody may log"
CLIENT = "sk-client-canary-55555555"


def forms(secret: str) -> list[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return [secret, encoded, quote(secret, safe=""), secret[:10], secret[-8:]]


def without_canaries(text: str) -> None:
    for secret in (CANARY, SPARE, PASSWORD, CLIENT):
        for form in forms(secret):
            assert form not in text
    for words in (WORDS, SAID):
        assert words not in text


async def test_nothing_that_is_shown_or_logged_has_a_secret_or_contents(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    said = {
        **ANSWER,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}],
    }
    refused = {"error": {"message": f"Incorrect API key provided: {CANARY} {SPARE}", "code": "invalid_api_key"}}
    made = nest(
        [
            json_script(said),
            event_script(chunk(SAID), chunk(finish="stop"), done=True),
            json_script(SLOW, status=429),
            json_script(SLOW, status=429),
            json_script(refused, status=401),
            json_script(refused, status=401),
            *[json_script(refused, status=401)] * 20,
        ]
    )
    headers = {"authorization": f"Bearer {CLIENT}"}
    await made.ask(QUESTION, **headers)
    await made.ask({**QUESTION, "stream": True}, **headers)
    for _ in range(3):
        await made.ask(QUESTION, **headers)
    driver = Driver(made.console)
    session, token = await log_in(made.console)
    shown: list[str] = []

    async def look(method: str, path: str, **more: Any) -> Any:
        answer = await driver.request(method, path, **more)
        shown.append(answer.text + repr(answer.headers))
        return answer

    state = (await look("GET", "/api/state", headers=session)).json()
    assert len(state["recent"]) == 5
    for recent in state["recent"]:
        assert (await look("GET", f"/api/requests/{recent['id']}", headers=session)).status == 200
    changing = {**session, "x-csrf-token": token}
    for action in ("test", "disable", "enable"):
        for key in ("one", "two"):
            answer = await look("POST", f"/api/keys/openai/{key}/{action}", headers=changing)
            assert answer.status == 200
            assert ("result" in answer.json()) is (action == "test")
    await look("GET", "/api/state", headers=bearer())
    await look("GET", "/", headers=session)
    await look("GET", "/")
    await look(
        "POST",
        "/login",
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=f"password={CANARY}".encode(),
    )
    await look("GET", "/api/state", headers=bearer(CANARY))
    await look("GET", f"/api/requests/{CANARY}", headers=session)
    await look("POST", f"/api/keys/{CANARY}/{SPARE}/test", headers=changing)
    await look("GET", f"/{CANARY}")
    call = {"kind": "request", "source": "openai-chat", "document": json.dumps({**QUESTION, "user": PASTED})}
    bench = await driver.request("POST", "/api/translate", headers=changing, json=call)
    assert PASTED in bench.text  # the bench shows what was pasted to who pasted it
    async with driver.open("GET", "/api/events", headers=session) as response:
        shown.append((await anext(response)).decode())
    for text in shown:
        without_canaries(text)
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    without_canaries(logged)
    assert PASTED not in logged
    without_canaries(repr(made.console) + repr(made.live.recent()))
