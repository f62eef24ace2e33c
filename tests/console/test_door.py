"""The console's door in a browser: the password, the session, and what the page does when either is gone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browsing import axe, violations
from console_stage import PASSWORD, Stage, key

UNAUTHORIZED = r"status of 401"
UNREACHABLE = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE"

# As a password manager does it, or a quick hand.
AT_ONCE = """new MutationObserver((_, watch) => {
  const button = document.querySelector("#login button");
  if (!button) return;
  watch.disconnect();
  document.getElementById("password").value = "PASSWORD";
  button.form.requestSubmit();
}).observe(document, { childList: true, subtree: true });"""


def test_a_wrong_password_is_refused_and_the_right_one_leads_to_where_one_was_going(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/keys", logged_in=False)
    visit.expects(UNAUTHORIZED)
    page = visit.page
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("not-the-password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    visit.live()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys")


def test_a_form_sent_as_soon_as_it_is_there_leads_there_as_well(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/keys", logged_in=False)
    visit.page.add_init_script(AT_ONCE.replace("PASSWORD", PASSWORD))
    visit.page.reload(wait_until="commit")
    visit.live()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Keys")


def test_many_wrong_passwords_have_to_wait(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), logged_in=False)
    visit.expects(UNAUTHORIZED)
    visit.expects(r"status of 429")
    alert = visit.page.get_by_role("alert")
    for _ in range(40):
        visit.page.get_by_label("Password").fill("not-the-password")
        with visit.page.expect_navigation():
            visit.page.get_by_role("button", name="Log in").click()
        if "Too many" in alert.inner_text():
            break
    expect(alert).to_have_text(re.compile(r"Too many wrong passwords: try again in \d+ seconds\."))
    visit.shot("login-limited-light")


def test_the_session_is_no_business_of_scripts(stage: Stage) -> None:
    visit = stage.visit(stage.gateway())
    assert visit.page.evaluate("document.cookie") == ""
    (cookie,) = visit.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"


def test_logging_out_ends_every_page_of_the_session_where_it_stands(stage: Stage) -> None:
    visit = stage.visit(stage.gateway())
    visit.expects(UNAUTHORIZED)
    other = visit.open()
    other.goto(visit.base + "#/keys")
    visit.live(other)
    visit.page.get_by_role("button", name="Log out").click()
    expect(visit.page.get_by_label("Password")).to_be_visible()
    expect(other.get_by_label("Password")).to_be_visible()  # nobody touched that page
    other.get_by_label("Password").fill(PASSWORD)
    other.keyboard.press("Enter")
    visit.live(other)
    expect(other.get_by_role("heading", level=1)).to_have_text("Keys")


def test_a_session_that_expires_leads_to_the_door(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(session=2.0))
    visit.expects(UNAUTHORIZED)
    expect(visit.page.get_by_label("Password")).to_be_visible()


def test_a_lost_connection_is_told_and_comes_back_without_a_reload(stage: Stage) -> None:
    gateway = stage.build(key("one"), key("two"))
    with stage.serving(gateway):
        port = int(gateway.url.rsplit(":", 1)[1])
        visit = stage.visit(gateway, "#/keys")
        visit.expects(UNREACHABLE)
        loaded = visit.page.evaluate("window.loaded")
    link = visit.page.locator("#link")
    expect(link).to_contain_text("Connection lost")
    expect(visit.page.get_by_role("button", name="Try now")).to_be_visible()
    expect(visit.page.locator("#said")).to_have_text("The connection to the gateway is lost.")
    expect(visit.page.get_by_text("one", exact=True)).to_be_visible()  # what was known stays in sight
    visit.shot("lost-light")
    assert violations(visit.page, axe()) == []
    again = stage.build(key("one"), key("three"), signing=gateway.signing)
    with stage.serving(again, port=port):
        visit.live()
        expect(visit.page.get_by_text("three", exact=True)).to_be_visible()
        expect(visit.page.locator("#said")).to_have_text("The connection is back.")
        assert visit.page.evaluate("window.loaded") == loaded
        visit.close()
