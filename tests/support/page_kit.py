"""What hidden checks of pages ask with: `Kit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ds2api_asgi import running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Answer, Driver

__all__ = ["Kit"]

_HELLO = [{"role": "user", "content": "Hello"}]


def requests(model: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A request in each protocol: its path and document."""
    return {
        "openai-chat": ("/v1/chat/completions", {"model": model, "messages": _HELLO}),
        "openai-responses": ("/v1/responses", {"model": model, "input": "Hello"}),
        "anthropic": ("/v1/messages", {"model": model, "max_tokens": 100, "messages": _HELLO}),
        "gemini": (
            f"/v1beta/models/{model}:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
        ),
        "ollama": ("/api/chat", {"model": model, "stream": False, "messages": _HELLO}),
    }


class Kit:
    """Asks apps of a page.

    Attributes:
        url: Where the providers that the page names are.
        model: The model behind them.
    """

    def __init__(self, url: str, model: DemoModel) -> None:
        self.url = url
        self.model = model

    async def ask(
        self,
        app: Any,
        *,
        protocol: str = "openai-chat",
        model: str = "demo-small",
        under: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> Answer:
        """Ask once; gives the answer, whatever it is. The app is not opened: do it around several questions."""
        path, document = requests(model)[protocol]
        return await Driver(app).request("POST", under + path, json=document | members, headers=headers or {})

    async def answers(
        self,
        app: Any,
        *protocols: str,
        model: str = "demo-small",
        under: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """An app answers clients of these protocols; of all five when none is named."""
        async with running(app):
            for protocol in protocols or tuple(requests(model)):
                answer = await self.ask(app, protocol=protocol, model=model, under=under, headers=headers)
                assert (answer.status, "Hello" in answer.text) == (200, True), (protocol, answer.status, answer.text)
