"""A real Chromium in front of the console, and pages on which nothing may go wrong unseen.

Every `Visit` listens for errors of the page and its console, for what the content security policy refused, and for
requests to other hosts; whatever it hears that was not announced by `Visit.expects` fails the test.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHOTS = Path(__file__).resolve().parents[2] / ".artifacts" / "console"
"""Where screenshots go; git ignores it."""

TIMEOUT = 15_000.0
"""Milliseconds that a condition may take on a busy machine."""

_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI} ${event.sample}`);
});
window.loaded = Math.random();
"""


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    pytest.importorskip("playwright", reason="the console's tests drive a browser with Playwright")
    named = os.environ.get("DS2API_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: install one (apt-get install chromium) or name it in DS2API_CHROMIUM")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()


class Visit:
    """A browser context on one gateway, with one page.

    Args:
        opened: The browser.
        base: The console's address, with its slash.
        options: Of the context (``viewport``, ``color_scheme``).

    Attributes:
        page: Playwright's page.
        faults: What went wrong.
    """

    def __init__(self, opened: Any, base: str, **options: Any) -> None:
        from playwright.sync_api import expect

        expect.set_options(timeout=TIMEOUT)
        self.base = base
        self.faults: list[str] = []
        self._expected: list[str] = []
        self._host = urlsplit(base).netloc
        self.context = opened.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(TIMEOUT)
        self.context.add_init_script(_LISTEN)
        self.page = self.open()

    def open(self) -> Any:
        """A further page."""
        page = self.context.new_page()
        page.on("console", lambda message: self._heard(message.type, message.text, message.location.get("url", "")))
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._asked(request.url))
        return page

    def _heard(self, kind: str, text: str, where: str) -> None:
        if kind in ("error", "warning") and not any(re.search(words, text) for words in self._expected):
            self.faults.append(f"{kind}: {text} ({where})")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "about", "blob") and parts.netloc != self._host:
            self.faults.append(f"asked another host: {url}")

    def expects(self, words: str) -> None:
        """Announce messages of the page's console, by a pattern."""
        self._expected.append(words)

    def go(self, view: str = "") -> None:
        """Go to the console, or to a view of it (``"#/keys"``)."""
        self.page.goto(self.base + view)

    def log_in(self, password: str, view: str = "") -> None:
        """Go through the door, and wait until the console is live."""
        self.go(view)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.live()

    def live(self, page: Any = None) -> None:
        """Wait until the gateway is heard."""
        (page or self.page).locator('#link[data-link="live"]').wait_for()

    def shot(self, name: str) -> None:
        """A screenshot of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def close(self) -> None:
        """End it."""
        self.context.close()


def axe() -> str:
    """The source of axe-core, by Deque: what finds faults of accessibility."""
    folder = Path(pytest.importorskip("axe_playwright_python").__file__).parent
    return (folder / "axe.min.js").read_text("utf-8")


def violations(page: Any, source: str) -> list[str]:
    """What axe finds on a page as it is now; its script comes by the debugger, so the policy need not allow it."""
    page.evaluate(source)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:4]]}"
        for one in found["violations"]
    ]
