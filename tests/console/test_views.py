"""Every view of the console in both themes, narrow and wide: what axe finds, how it looks, how keys walk it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from browsing import SHOTS, axe, violations
from console_stage import PASSWORD, Gateway, Stage, key
from ds2api_asgi.gateway.console.part import BreakerSeen, Generation
from ds2api_asgi.pool import RateLimits

VIEWS = {"overview": "Overview", "keys": "Keys", "requests": "Requests", "bench": "Translator"}
RELOAD_ERROR = "gateway.toml:12: unknown member 'kyes' in [upstreams.openai]; did you mean 'keys'?"


def busy(stage: Stage) -> Gateway:
    """A gateway of which there is something to see: keys in several states, ended requests of all kinds."""
    gateway = stage.gateway(
        key("alpha", limits=RateLimits(rpm=60, tpm=100_000)),
        key("beta", "sk-beta+429:300"),
        key("gamma", "sk-gamma+quota"),
        key("delta", "sk-delta+401"),
        key("epsilon", limits=RateLimits(rpm=5)),
        breakers=lambda: [BreakerSeen(target="claude", model=None, state="open", until=42.0)],
        generation=lambda: Generation(number=3, reloaded=1_796_000_000.0, error=RELOAD_ERROR),
    )
    for model in ("demo-small", "demo-small", "demo-think", "demo-fail-400", "demo-fail-503", "demo-small"):
        gateway.ask(model=model)
    gateway.ask(stream=True, protocol="anthropic")
    return gateway


def enter(visit: Any, name: str) -> None:
    """Go to a view, until it is drawn."""
    visit.page.get_by_role("navigation", name="Views").get_by_text(VIEWS[name]).click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text(VIEWS[name])
    if name == "bench":
        visit.page.get_by_role("group", name="Examples").get_by_role("button", name="Anthropic Messages").click()
        expect(visit.page.locator(".result-of")).to_have_count(5)
    if name == "keys":
        expect(visit.page.locator(".keys tbody tr")).to_have_count(5)
    if name == "requests":
        expect(visit.page.locator(".recent tbody tr")).to_have_count(7)


def too_wide(page: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


WIDE, NARROW = {"width": 1600, "height": 900}, {"width": 360, "height": 740}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_accessible_and_fits_wide_and_narrow(stage: Stage, theme: str) -> None:
    source = axe()
    visit = stage.visit(busy(stage), logged_in=False, color_scheme=theme, reduced_motion="reduce")
    page = visit.page
    found: dict[str, list[str]] = {}

    def examine(name: str) -> None:
        for size in (NARROW, WIDE):
            page.set_viewport_size(size)
            visit.shot(f"{name}-{theme}-{size['width']}")
            if size is WIDE or theme == "dark":  # colours are the same, and places are
                found[f"{name}, {size['width']} wide"] = violations(page, source)
            assert too_wide(page) <= 0, f"{name}, {size['width']} wide"

    examine("login")
    visit.log_in(PASSWORD)
    for name in VIEWS:
        enter(visit, name)
        examine(name)
    enter(visit, "requests")
    page.locator(".recent tbody tr", has_text="400 failed").first.locator("a").click()
    expect(page.locator(".timeline li").last).to_contain_text("the client saw: 400 failed")
    examine("trace")
    enter(visit, "keys")
    page.get_by_role("button", name="Disable key alpha of main").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    examine("question")
    print(f"screenshots: {SHOTS}")
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_a_chosen_theme_stays_and_the_system_s_is_followed_otherwise(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), color_scheme="light")
    page = visit.page
    ink = "getComputedStyle(document.body).color"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ink)
    assert light != dark
    page.get_by_role("radio", name="Light").check()
    assert page.evaluate(ink) == light
    page.reload()
    visit.live()
    assert page.evaluate(ink) == light
    expect(page.get_by_role("radio", name="Light")).to_be_checked()
    page.get_by_role("radio", name="System").check()
    assert page.evaluate(ink) == dark


def test_nothing_moves_where_motion_is_not_wanted(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), reduced_motion="reduce")
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.page.emulate_media(reduced_motion="no-preference")
    assert visit.page.evaluate("document.getAnimations().length") > 0


def test_everything_can_be_reached_by_keys_alone(stage: Stage) -> None:
    gateway = stage.gateway()
    gateway.ask(model="demo-fail-400")
    visit = stage.visit(gateway)
    page, press = visit.page, visit.page.keyboard.press

    def tab_to(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name).first
        for _ in range(60):
            press("Tab")
            if wanted.evaluate("node => node === document.activeElement"):
                return
        raise AssertionError(f"no way to {name}")

    press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    tab_to("link", "Keys")
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("link", name="Keys")).to_have_attribute("aria-current", "page")
    assert page.title() == "Keys · ds2api"
    tab_to("button", "Disable key one of main")
    press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    press("Tab")
    press("Enter")
    expect(page.get_by_role("button", name="Enable key one of main")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("button", name="Disable key one of main")).to_be_focused()
    page.keyboard.press("Control+Home")
    page.get_by_role("link", name="Requests").focus()
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to("checkbox", "Failed only")
    press("Space")
    press("Tab")
    press("Enter")
    expect(page.locator(".trace-title h2")).to_be_focused()
    tab_to("button", "Copy as text")
    press("Escape")
    expect(page.locator(".recent .cover")).to_be_focused()


def test_charts_say_in_words_what_they_show(stage: Stage) -> None:
    gateway = stage.gateway()
    for model in ("demo-small", "demo-small", "demo-fail-400"):
        gateway.ask(model=model)
    visit = stage.visit(gateway)
    chart = visit.page.get_by_role("img", name="Requests per second")
    expect(chart).to_have_accessible_name(
        re.compile(r"the last 10 minutes\. 3 requests, 1 of them failed; at most 0\.[246] per second\.")
    )
    visit.page.get_by_text("The charts as numbers").click()
    expect(visit.page.locator(".numbers tbody tr").first).to_be_visible()
    chart.hover()
    expect(visit.page.locator(".chart-readout").first).to_contain_text("s ago")


def test_a_fault_on_a_page_is_heard(stage: Stage) -> None:
    rules = axe()
    visit = stage.visit(stage.gateway())
    for script, words in (
        ("document.body.setAttribute('style', 'color: red')", "style"),
        ("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.2:9/x.png'}))", "127.0.0.2"),
        ("setTimeout(() => { throw new Error('on purpose'); })", "on purpose"),
        ("setTimeout(() => { document.querySelector('#said').innerHTML = '<b>no</b>'; })", "TrustedHTML"),
        ("console.error('told')", "told"),
    ):
        visit.page.evaluate(f"() => {{ {script} }}")
        for _ in range(200):
            if any(words in fault for fault in visit.faults):
                break
            visit.page.wait_for_timeout(10)
        assert any(words in fault for fault in visit.faults), words
    visit.page.evaluate("document.querySelector('#link-words').parentNode.replaceChildren(new Image())")
    assert any("image-alt" in fault for fault in violations(visit.page, rules))
    visit.faults.clear()
