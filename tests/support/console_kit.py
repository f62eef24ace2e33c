"""What the console's tests share: a nest with a console, and how to ask both."""

from __future__ import annotations

import re
from typing import Any

from ds2api_asgi import KeyPool, Retry, Translator
from ds2api_asgi.gateway.console.component import Console
from ds2api_asgi.observe import Journal, Traced
from ds2api_asgi.observe.live import Live
from ds2api_asgi.pool import Key, Secret
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script
from watched import ANSWER, CANARY, QUESTION, SPARE

PASSWORD = "correct-horse-battery"


class Nest:
    """A gateway of one pool with a console beside it."""

    def __init__(self, scripts: Any, *, keys: Any = None, **options: Any) -> None:
        self.live = Live()
        self.journal = Journal()
        self.upstream = ScriptedUpstream(scripts)
        keys = keys or [Key(secret=Secret(CANARY), alias="one"), Key(secret=Secret(SPARE), alias="two")]
        self.pool = KeyPool(self.upstream, protocol="openai-chat", keys=keys)
        inner = Translator(Retry(self.pool, backoff=0.001), speaks="openai-chat")
        self.app = Traced(self.live.requests(inner), sinks=[self.journal], log=False)
        self.console = Console(
            password=Secret(PASSWORD),
            pools=lambda: {"openai": self.pool},
            journal=self.journal,
            live=self.live,
            **options,
        )

    async def ask(self, document: Any = QUESTION, **headers: str) -> Any:
        return await Driver(self.app).request("POST", "/v1/chat/completions", json=document, headers=headers)


def nest(scripts: Any = None, **options: Any) -> Nest:
    return Nest([json_script(ANSWER)] * 20 if scripts is None else scripts, **options)


def bearer(password: str = PASSWORD) -> dict[str, str]:
    return {"authorization": f"Bearer {password}"}


async def log_in(app: Any, *, root: str = "", **headers: str) -> tuple[dict[str, str], str]:
    """A session: its cookie, and its CSRF token."""
    driver = Driver(app)
    answer = await driver.request(
        "POST",
        f"{root}/login",
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
        body=f"password={PASSWORD}".encode(),
    )
    assert answer.status == 303, answer.text
    cookie = (answer.header("set-cookie") or "").split(";")[0]
    page = await driver.request("GET", f"{root}/", headers={"cookie": cookie})
    token = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert token is not None
    return {"cookie": cookie}, token[1]
