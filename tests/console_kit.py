"""What the console's tests share: a nest with a console, and how to ask both."""

from __future__ import annotations

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
