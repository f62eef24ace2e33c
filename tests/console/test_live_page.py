"""The console in a browser while things happen: keys that rest, requests that run, operators who act."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import expect

from console_stage import PASSWORD, Stage, key
from ds2api_asgi.gateway.commands.explain import story
from ds2api_asgi.gateway.serving.peers import Replies
from ds2api_asgi.pool import KeyPool, RateLimits

HOSTILE = "<img src=x onerror=window.pwned=1>"
HOSTILE_NAME = "<img/src=x/onerror=window.pwned=1>"  # aliases and callers hold no spaces
CLOCK = re.compile(r"back in \d+:\d\d")


def row_of(page: Any, alias: str) -> Any:
    """A key's row."""
    return page.locator(".keys tbody tr", has=page.get_by_text(alias, exact=True))


def test_a_key_is_seen_to_cool_down_and_to_come_back(stage: Stage) -> None:
    gateway = stage.gateway(key("one", "sk-one+429:3!1"), key("two"))
    visit = stage.visit(gateway, "#/keys")
    page, row = visit.page, row_of(visit.page, "one")
    loaded = page.evaluate("window.loaded")
    expect(row.locator(".chip")).to_have_text("Active")
    while gateway.journal.query(failed=None, limit=1) == [] or not _failures(gateway):
        assert gateway.ask().status_code == 200  # the other key helps out
    chip = row.locator(".chip", has_text="Cooling")
    expect(chip).to_be_visible()
    expect(row.locator(".countdown").first).to_have_text(CLOCK)
    visit.shot("keys-cooling-light")
    expect(row.locator(".chip", has_text="On trial")).to_be_visible()  # its time of rest is over
    for _ in range(4):
        gateway.ask()
    expect(row.locator(".chip")).to_have_text(["Active"])
    assert page.evaluate("window.loaded") == loaded


def _failures(gateway: Any) -> int:
    return sum(step.what == "Judged" for trace in gateway.journal for step in trace.steps)


def test_a_disabled_key_gets_no_requests_until_it_is_enabled(stage: Stage) -> None:
    gateway = stage.gateway()
    visit = stage.visit(gateway, "#/keys")
    page, row = visit.page, row_of(visit.page, "one")
    row.get_by_role("button", name="Disable").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Disable the key one?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(row.locator(".chip")).to_have_text("Active")
    row.get_by_role("button", name="Disable").click()
    visit.shot("keys-confirm-light")
    dialog.get_by_role("button", name="Disable").click()
    expect(row.locator(".chip")).to_have_text("Switched off")
    expect(row.get_by_role("button", name="Enable")).to_be_focused()
    expect(page.locator("#said")).to_have_text("Key one is disabled.")
    keys = {_used(gateway) for _ in range(6)}
    assert keys == {"two"}
    row.get_by_role("button", name="Enable").click()
    expect(row.locator(".chip")).to_have_text("Active")
    expect(row.get_by_role("button", name="Disable")).to_be_focused()
    assert {_used(gateway) for _ in range(6)} == {"one", "two"}


def _used(gateway: Any) -> str:
    assert gateway.ask().status_code == 200
    trace = next(iter(gateway.journal))
    return str(next(step.members["key"] for step in trace.steps if step.what == "KeyLeased"))


class Beside:
    """Another worker, which is asked without a socket."""

    name = "one"
    count = 2

    def __init__(self, other: Any) -> None:
        self._other = other
        self.answers = True

    async def ask(self, question: bytes, *, insist: bool = False) -> Replies:
        del insist
        told = {"other": await self._other.console.answer(question)} if self.answers else {}
        return Replies(told=told, silent=0 if told else 1)


def test_what_another_worker_does_is_seen_and_that_it_is_missing_where_it_does_not_tell(stage: Stage) -> None:
    other = stage.gateway()
    beside = Beside(other)
    gateway = stage.gateway(peers=beside)
    visit = stage.visit(gateway, "#/keys")
    page, row = visit.page, row_of(visit.page, "one")
    expect(page.get_by_text("counts and limits of 2 workers added up")).to_be_visible()
    shown = {"authorization": f"Bearer {PASSWORD}"}
    assert httpx.post(f"{other.base}api/keys/main/one/disable", headers=shown).status_code == 200
    expect(row.locator(".chip")).to_have_text("Switched off")
    expect(row.locator(".state-line")).to_contain_text("in 1 of 2 workers")
    visit.shot("keys-of-workers-light")
    row.get_by_role("button", name="Enable").click()
    expect(row.locator(".chip")).to_have_text("Active")
    state = httpx.get(f"{other.base}api/state", headers=shown).json()
    assert state["pools"][0]["keys"][0]["switched_off"] is False
    assert other.ask().status_code == 200
    page.get_by_role("link", name="Requests").click()
    page.locator(".recent .cover").click()
    expect(page.locator(".timeline li").last).to_contain_text("the client saw")
    notice = page.get_by_text("1 of 2 workers did not answer. What happens there is missing here.")
    expect(notice).to_have_count(0)
    beside.answers = False
    expect(notice).to_be_visible()
    visit.shot("requests-without-a-worker-light")
    page.get_by_role("link", name="Keys").click()
    expect(notice).to_be_visible()
    row.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(row.get_by_role("status")).to_have_text("1 worker did not say that the key is disabled there.")
    beside.answers = True
    expect(notice).to_be_hidden()


def test_testing_a_key_tells_in_words_whether_it_works(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(key("good"), key("bad", "sk-bad+401")), "#/keys")
    for alias, tone in (("good", "good"), ("bad", "bad")):
        row = row_of(visit.page, alias)
        row.get_by_role("button", name="Test").click()
        result = row.get_by_role("status")
        expect(result).to_have_attribute("data-tone", tone)
        expect(result).to_have_text(re.compile(r"\w+.*\((<?\d+ ms|[\d.]+ s)\)"))
    visit.shot("keys-tested-light")


def test_headroom_shows_what_is_left_of_limits(stage: Stage) -> None:
    gateway = stage.gateway(key("one", limits=RateLimits(rpm=60)))
    visit = stage.visit(gateway, "#/keys")
    left = row_of(visit.page, "one").locator(".bar-left")
    expect(left).to_have_text("60 of 60 left")
    gateway.ask()
    expect(left).to_have_text("59 of 60 left")
    expect(row_of(visit.page, "one").locator(".fill")).to_have_css("background-color", re.compile("rgb"))


def test_a_running_stream_is_seen_with_its_first_token_and_its_speed(stage: Stage) -> None:
    gateway = stage.gateway(pace=0.15)
    visit = stage.visit(gateway, "#/requests")
    page = visit.page
    expect(page.get_by_text("Nothing runs at the moment.")).to_be_visible()
    running = gateway.ask_beside(stream=True, protocol="anthropic")
    row = page.locator(".live tbody tr")
    expect(row.locator(".chip")).to_have_text("Streaming")
    expect(row.locator(".at-first")).to_have_text(re.compile(r"\d+ ms|[\d.]+ s"))
    expect(row.locator(".at-output")).to_have_text(re.compile(r"≈ [1-9]\d*"))
    expect(row.locator(".at-speed")).to_have_text(re.compile(r"^\d+(\.\d+)?$"))
    expect(row.locator(".at-key")).to_have_text(re.compile(r"main / (one|two)"))
    expect(row.locator(".at-caller")).to_have_text("alice")
    visit.shot("requests-live-light")
    row.locator("a").click()
    expect(page.get_by_text("It still runs; its decisions are told when it has ended.")).to_be_visible()
    running.join(30)
    expect(page.locator(".timeline li").last).to_contain_text("the client saw: 200 complete")
    expect(page.locator(".recent tbody tr .chip")).to_have_text("200 complete")
    expect(page.get_by_text("Nothing runs at the moment.")).to_be_visible()


def test_the_story_of_a_request_is_told_on_a_click_in_the_words_of_explain(stage: Stage) -> None:
    gateway = stage.gateway(key("one", "sk-one+429:1!1"), key("two"))
    for _ in range(2):
        gateway.ask()
    gateway.ask(model="demo-fail-400")
    visit = stage.visit(gateway, "#/requests")
    page = visit.page
    page.get_by_label("Failed only").check()
    expect(page.locator(".recent tbody tr")).to_have_count(1)
    page.get_by_label("Failed only").uncheck()
    page.get_by_role("searchbox").fill("demo-small")
    expect(page.locator(".recent tbody tr")).to_have_count(2)
    page.get_by_role("searchbox").fill("")
    trace = next(trace for trace in gateway.journal if any(step.what == "Judged" for step in trace.steps))
    link = page.locator(f'.recent a[href="#/requests/{trace.id}"]')
    link.click()
    expect(page.get_by_role("heading", name=trace.model or "")).to_be_focused()
    told = [line.split("  ")[-1] for line in story(trace).splitlines()[1:]]
    words = page.locator(".timeline li .moment-words > p:first-child")
    expect(words).to_have_text([line for line in told if not line.startswith("stopped because")])
    visit.shot("trace-light")
    page.reload()  # its address leads to it
    visit.live()
    expect(words).to_have_count(len(told) - (trace.why is not None))
    page.get_by_role("heading", name=trace.model or "").focus()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    assert page.evaluate("location.hash") == "#/requests"


def test_an_unknown_request_is_told_to_be_unknown(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), logged_in=False)
    visit.expects(r"status of 404")
    visit.log_in("correct-horse-battery", "#/requests/%3Cb%3Enobody")
    expect(visit.page.get_by_text("No trace of this request is kept")).to_be_visible()


def test_names_of_strangers_are_text_and_nothing_else(stage: Stage) -> None:
    gateway = stage.gateway(key(HOSTILE_NAME, limits=RateLimits(rpm=60)), caller=HOSTILE_NAME)
    gateway.ask(model=HOSTILE)
    visit = stage.visit(gateway, "#/requests")
    page = visit.page
    row = page.locator(".recent tbody tr")
    expect(row.locator(".model")).to_have_text(HOSTILE)
    expect(row.locator(".at-caller")).to_have_text(HOSTILE_NAME)
    row.locator("a").click()
    expect(page.locator(".trace-title h2")).to_have_text(HOSTILE)
    expect(page.locator(".timeline")).to_contain_text(f"got {HOSTILE_NAME}")
    visit.go("#/keys")
    expect(page.locator(".keys .alias")).to_have_text(HOSTILE_NAME)
    expect(page.locator(".keys .models code").first).to_have_text(HOSTILE)
    row_of(page, HOSTILE_NAME).get_by_role("button", name="Disable").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE_NAME)
    page.keyboard.press("Escape")
    visit.go("#/overview")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0


def test_a_thousand_keys_are_drawn_as_far_as_they_are_seen(stage: Stage) -> None:
    demo = stage.build(key("one")).demo
    many = KeyPool(demo, protocol="openai-chat", name="many", keys=[key(f"key-{number:04}") for number in range(1000)])
    gateway = stage.serve(stage.build(key("one"), pools=lambda: {"many": many}))
    visit = stage.visit(gateway, "#/keys")
    page, rows = visit.page, visit.page.locator(".keys tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show 100 more of 1,000").click()
    expect(rows).to_have_count(200)
    page.get_by_role("searchbox").fill("key-07")
    expect(rows).to_have_count(100)
    page.get_by_role("searchbox").fill("key-0777")
    expect(rows).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    expect(rows).to_have_count(200)
    # What did not change is not written again: no element of the table is touched by two more states.
    touched = page.evaluate(
        """() => new Promise((resolve) => {
          let touched = 0;
          let states = 0;
          const watching = new MutationObserver((records) => { touched += records.length; });
          watching.observe(document.querySelector(".keys"), {
            subtree: true, childList: true, characterData: true, attributes: true,
          });
          const source = new EventSource("api/events");
          source.addEventListener("state", () => {
            states += 1;
            if (states < 3) return;
            source.close();
            requestAnimationFrame(() => requestAnimationFrame(() => { watching.disconnect(); resolve(touched); }));
          });
        })"""
    )
    assert touched == 0
