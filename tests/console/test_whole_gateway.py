"""The console of a gateway that a file describes: under its own path, with models, failover and reloads."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.sync_api import expect

from console_stage import PASSWORD, Stage
from ds2api_asgi import Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.testing import serve
from gateways import demo, table

MODELS = """
[models.smart]
targets = ["chat/demo-fail-503"]
fallbacks = ["plain"]

[models.plain]
targets = ["claude/demo-small"]

[console]
password = "env:CONSOLE_PASSWORD"

[reload]
interval = 0.05
"""


class Address:
    """Where the console is."""

    def __init__(self, base: str) -> None:
        self.base = base


def test_the_console_of_a_file_follows_its_requests_and_its_reloads(stage: Stage, tmp_path: Path) -> None:
    chat = stage.enter(demo())
    claude = stage.enter(serve(Translator(DemoModel(), speaks="openai-chat", clients=["anthropic"])))
    text = table("chat", chat, keys=("sk-one-000000000000", "sk-two-000000000000"))
    text += table("claude", claude, keys=("sk-claude-00000000",), protocol="anthropic") + MODELS
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    gateway = Gateway.from_toml(file, environ={"CONSOLE_PASSWORD": PASSWORD})
    url = stage.enter(serve(gateway, lifespan="on"))
    visit = stage.visit(Address(f"{url}/console"))  # without its slash: it leads there by itself
    page = visit.page
    assert page.url.endswith("/console/")
    pools = page.locator(".pools tbody tr")
    expect(pools).to_have_count(2)
    expect(pools.nth(1)).to_contain_text("Anthropic Messages")

    body = {"model": "smart", "messages": [{"role": "user", "content": "Hello"}]}
    assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).status_code == 200
    page.get_by_role("link", name="Requests").click()
    page.locator(".recent tbody tr", has_text="smart").locator("a").click()
    story = page.locator(".timeline")
    expect(story).to_contain_text("openai-chat.overloaded")
    expect(story).to_contain_text("asked pool 'claude'")
    expect(story.locator("li").last).to_contain_text("the client saw: 200 complete")

    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("generation 1")).to_be_visible()
    file.write_text(text.replace("[models.plain]", "[models.plain]\nweigth = 2"))
    notice = page.get_by_role("region", name="Reload")
    expect(notice).to_contain_text(re.compile(r"gateway\.toml:\d+.*weigth", re.DOTALL))
    file.write_text(text.replace("[models.plain]", "[models.plain]\nlisted = false"))
    expect(page.get_by_text("generation 2")).to_be_visible()
    expect(notice).to_be_hidden()
