"""The console under attack: what strangers, other sites and garbage get is a clean refusal and nothing else."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console_kit import PASSWORD, bearer, log_in, nest
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.console.attempts import BURST, BURST_OF_ALL, MAX_ADDRESSES, Attempts, address_of
from ds2api_asgi.gateway.console.bench import MAX_DOCUMENT
from ds2api_asgi.gateway.console.component import Console
from ds2api_asgi.gateway.console.sessions import MAX_ENDED, Sessions
from ds2api_asgi.pool import Secret
from ds2api_asgi.testing import Driver, Hang
from ds2api_asgi.universal import jsontext

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}
CHANGES = ["/api/translate", "/api/keys/openai/one/disable", "/api/keys/openai/one/enable", "/api/keys/openai/one/test"]
READS = ["/", "/api/state", "/api/events", "/api/requests/x", "/static/icon.svg"]


async def attempt(console: Any, password: str, **more: Any) -> Any:
    headers = {**FORM, **more.pop("headers", {})}
    return await Driver(console).request(
        "POST", "/login", headers=headers, body=f"password={password}".encode(), **more
    )


def check_headers(answer: Any) -> None:
    policy = answer.header("content-security-policy") or ""
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("cross-origin-opener-policy") == "same-origin"
    assert answer.header("cross-origin-resource-policy") == "same-origin"
    assert answer.header("cache-control") in ("no-store", "no-cache")
    assert answer.header("access-control-allow-origin") is None


async def test_every_answer_has_the_headers_that_keep_others_out() -> None:
    console = nest().console
    paths = [*READS, *CHANGES, "/login", "/logout", "/nothing", "/static/../guard.py", "/static/console.py", "/%00"]
    for path, method in itertools.product(paths, ("GET", "POST", "PUT", "OPTIONS", "HEAD", "TRACE", "\u00e9")):
        check_headers(await Driver(console).request(method, path))


async def test_pages_have_nothing_inline() -> None:
    made = nest()
    headers, _ = await log_in(made.console)
    for page in (
        await Driver(made.console).request("GET", "/"),
        await Driver(made.console).request("GET", "/", headers=headers),
    ):
        assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page.text)
        assert not re.search(r"https?://(?!www\.w3\.org)", page.text)


async def test_a_password_of_less_than_twelve_characters_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Console(password=Secret("elevenchars"))


async def test_guesses_are_limited_and_the_right_one_is_not_told_from_the_others() -> None:
    console = nest(clock=lambda: 0.0).console
    statuses = [(await attempt(console, f"wrong-password-{number}")).status for number in range(BURST + 3)]
    assert statuses == [401] * BURST + [429] * 3
    answer = await attempt(console, PASSWORD)
    assert answer.status == 429
    assert answer.header("set-cookie") is None
    assert int(answer.header("retry-after")) >= 1
    # The API is the same door.
    assert (await Driver(console).request("GET", "/api/state", headers=bearer())).status == 429


async def test_guesses_at_the_api_count_alike_and_right_ones_do_not_count() -> None:
    console = nest(clock=lambda: 0.0).console
    for _ in range(5 * BURST):
        assert (await Driver(console).request("GET", "/api/state", headers=bearer())).status == 200
    statuses = [
        (await Driver(console).request("GET", "/api/state", headers=bearer(f"wrong-{number}"))).status
        for number in range(BURST + 1)
    ]
    assert statuses == [401] * BURST + [429]
    assert (await attempt(console, PASSWORD)).status == 429


async def test_a_wrong_password_is_logged_with_its_address_and_not_itself(caplog: Any) -> None:
    await attempt(nest().console, "my-other-password", scope={"client": ("192.0.2.7", 1)})
    (record,) = [one for one in caplog.records if one.name == "ds2api_asgi.console"]
    assert record.address == "192.0.2.7"
    assert "my-other-password" not in f"{record.getMessage()}{record.__dict__}"


async def test_no_more_is_translated_at_a_time_than_may_be(monkeypatch: Any) -> None:
    from ds2api_asgi.gateway.console import component

    monkeypatch.setattr(component, "MAX_TRANSLATIONS", 0)
    headers = {**bearer(), "content-type": "application/json"}
    assert (await Driver(nest().console).request("POST", "/api/translate", headers=headers, body=b"{}")).status == 429


async def test_no_more_keys_are_tested_at_a_time_than_may_be_and_who_leaves_ends_the_test() -> None:
    from ds2api_asgi.gateway.console.component import MAX_TESTS

    made = nest([[Hang()]] * MAX_TESTS)
    gone = anyio.Event()

    async def receive() -> Any:
        if not gone.is_set() and made.console._testing == MAX_TESTS:
            await gone.wait()
        return (
            {"type": "http.disconnect"} if gone.is_set() else {"type": "http.request", "body": b"", "more_body": False}
        )

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    async def test_a_key() -> None:
        headers = [(b"authorization", bearer()["authorization"].encode())]
        scope = {"type": "http", "method": "POST", "path": "/api/keys/openai/one/test", "headers": headers}
        await made.console(scope, receive, send)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(MAX_TESTS):
                group.start_soon(test_a_key)
            while made.console._testing < MAX_TESTS:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
            answer = await Driver(made.console).request("POST", "/api/keys/openai/one/test", headers=bearer())
            assert answer.status == 429
            gone.set()
    assert made.console._testing == 0


async def test_time_gives_attempts_back() -> None:
    now = [0.0]
    console = nest(clock=lambda: now[0]).console
    for _ in range(BURST + 1):
        await attempt(console, "wrong")
    now[0] += 12.5
    assert (await attempt(console, PASSWORD)).status == 303


async def test_a_crowd_is_limited_as_a_whole_and_keeps_nobody_out_who_was_in() -> None:
    console = nest(clock=lambda: 0.0).console
    ours = {"client": ("192.0.2.1", 1)}
    assert (await attempt(console, PASSWORD, scope=ours)).status == 303
    statuses = [
        (await attempt(console, "wrong", scope={"client": (f"198.51.100.{number}", 1)})).status
        for number in range(BURST_OF_ALL + 20)
    ]
    assert statuses == [401] * BURST_OF_ALL + [429] * 20
    assert (await attempt(console, PASSWORD, scope={"client": ("203.0.113.1", 1)})).status == 429
    assert (await attempt(console, PASSWORD, scope=ours)).status == 303


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans(), st.floats(0, 5)), max_size=200))
def test_attempts_never_exceed_their_rates_and_memory_is_bounded(made: Any) -> None:
    attempts, now, wrong = Attempts(), 0.0, 0
    for number, right, later in made:
        now += later
        if attempts.take(str(number), now) is None:
            if right:
                attempts.forgive(str(number), now)
            else:
                wrong += 1
        assert len(attempts) <= MAX_ADDRESSES
    assert wrong <= BURST_OF_ALL + now + 64 * (BURST + now / 12)


def test_an_address_counts_with_its_network() -> None:
    assert address_of(("2001:db8::1", 1)) == address_of(("2001:db8::ffff", 2)) != address_of(("2001:db8:0:1::1", 1))
    assert address_of(("::ffff:192.0.2.1", 1)) == address_of(("192.0.2.1", 2))
    assert {address_of(other) for other in (None, (), ("", 1), ("unix:/x", None), 7)} == {""}


async def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    console = nest().console
    cookie = (await attempt(console, PASSWORD)).header("set-cookie")
    assert "; HttpOnly; SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    assert "Path" not in cookie  # that of the request, which only the browser knows for sure
    assert PASSWORD not in cookie
    for more in ({"scope": {"scheme": "https"}}, {"headers": {"origin": "https://gw.example", "host": "gw.example"}}):
        assert "; Secure" in (await attempt(console, PASSWORD, **more)).header("set-cookie")


async def test_a_session_is_made_here_and_never_taken_from_a_client() -> None:
    console = nest().console
    planted = "A" * 22 + ".99999999999." + "A" * 43
    headers = {"cookie": f"ds2console={planted}"}
    assert (await Driver(console).request("GET", "/api/state", headers=headers)).status == 401
    answer = await attempt(console, PASSWORD, headers=headers)
    assert planted not in answer.header("set-cookie")
    again = await attempt(console, PASSWORD)
    assert again.header("set-cookie") != answer.header("set-cookie")


async def test_two_cookies_of_one_name_are_none() -> None:
    made = nest()
    headers, _ = await log_in(made.console)
    doubled = {"cookie": f"{headers['cookie']}; {headers['cookie']}"}
    assert (await Driver(made.console).request("GET", "/api/state", headers=doubled)).status == 401


async def test_a_logout_ends_the_session_for_whoever_has_its_cookie() -> None:
    made = nest()
    headers, token = await log_in(made.console)
    answer = await Driver(made.console).request("POST", "/logout", headers={**FORM, **headers}, body=b"csrf=wrong")
    assert answer.status == 403
    answer = await Driver(made.console).request(
        "POST", "/logout", headers={**FORM, **headers}, body=f"csrf={token}".encode()
    )
    assert answer.status == 303
    assert "Max-Age=0" in answer.header("set-cookie")
    assert (await Driver(made.console).request("GET", "/api/state", headers=headers)).status == 401


async def test_a_session_ends_by_itself() -> None:
    now = [1000.0]
    made = nest(wall=lambda: now[0], session=60)
    headers, _ = await log_in(made.console)
    now[0] += 59
    assert (await Driver(made.console).request("GET", "/api/state", headers=headers)).status == 200
    now[0] += 1
    assert (await Driver(made.console).request("GET", "/api/state", headers=headers)).status == 401


@pytest.mark.parametrize("path", CHANGES)
async def test_a_change_needs_the_token(path: str) -> None:
    made = nest()
    headers, token = await log_in(made.console)
    other, stranger = await log_in(made.console)
    for given_token in (None, "", "x", stranger, token + "x", "\u00e9"):
        more = {} if given_token is None else {"x-csrf-token": given_token}
        answer = await Driver(made.console).request("POST", path, headers={**headers, **more}, json={})
        assert answer.status == 403, given_token
    assert (
        await Driver(made.console).request("POST", path, headers={**headers, "x-csrf-token": token}, json={})
    ).status != 403
    assert other != headers


@pytest.mark.parametrize(
    "lies",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example", "host": "gw.example"},
        {"origin": "null", "host": "gw.example"},
        {"origin": "https://gw.example.evil.example", "host": "gw.example"},
        {"origin": "https://gw.example:8443", "host": "gw.example"},
        {"origin": "gw.example", "host": "gw.example"},
        {"origin": "http://gw.example/", "host": "gw.example"},
    ],
)
async def test_other_sites_can_neither_log_in_nor_change_nor_log_out(lies: dict[str, str]) -> None:
    made = nest()
    headers, token = await log_in(made.console)
    assert (await attempt(made.console, PASSWORD, headers=lies)).status == 403
    body = f"csrf={token}".encode()
    answer = await Driver(made.console).request("POST", "/logout", headers={**FORM, **headers, **lies}, body=body)
    assert answer.status == 403
    for path in CHANGES:
        answer = await Driver(made.console).request(
            "POST", path, headers={**headers, "x-csrf-token": token, **lies}, json={}
        )
        assert answer.status == 403


async def test_an_authorization_is_judged_alone() -> None:
    made = nest()
    headers, _ = await log_in(made.console)
    for shown in ("Bearer wrong", "Basic Zm9v", "Bearer", "", "Bearer \u00e9\u00ff", "Bearer " + "x" * 10_000):
        answer = await Driver(made.console).request("GET", "/api/state", headers={**headers, "authorization": shown})
        assert answer.status == 401, shown
        assert answer.json()["error"]["type"] in ("unauthorized", "wrong_password")


async def test_only_given_names_are_answered_to_where_they_are_given() -> None:
    console = nest(hosts={"gw.example", "localhost"}).console
    for host, status in {
        "gw.example": 200,
        "GW.example:8000": 200,
        "localhost:1": 200,
        "evil.example": 421,
        "": 421,
        "gw.example.evil.example": 421,
        "[": 421,
        "evil.example@gw.example:x": 200,
    }.items():
        assert (await Driver(console).request("GET", "/", headers={"host": host})).status == status, host


async def test_bodies_are_bounded_and_read_only_by_who_may() -> None:
    made = nest()
    big = b"x" * (MAX_DOCUMENT + 1)
    headers = {**bearer(), "content-type": "application/json"}
    assert (await Driver(made.console).request("POST", "/api/translate", headers=headers, body=big)).status == 413
    assert (await Driver(made.console).request("POST", "/login", headers=FORM, body=b"x" * 5000)).status == 413
    packed = {**headers, "content-encoding": "gzip"}
    assert (await Driver(made.console).request("POST", "/api/translate", headers=packed, body=b"x")).status == 415
    read = []

    async def endless() -> Any:
        for number in range(100):
            read.append(number)
            yield b"x" * 1000

    assert (await Driver(made.console).request("POST", "/api/translate", body=endless())).status == 401
    assert not read


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: Any) -> None:
    monkeypatch.setattr("ds2api_asgi.gateway.console.component.BODY_TIMEOUT", 0.05)

    async def slow() -> Any:
        yield b"password="
        await anyio.sleep(5)

    with anyio.fail_after(10):
        assert (await Driver(nest().console).request("POST", "/login", headers=FORM, body=slow())).status == 408


@pytest.mark.parametrize(
    "path",
    [
        "/static/../component.py",
        "/static/..%2fcomponent.py",
        "/static/%2e%2e/component.py",
        "/static//etc/passwd",
        "/static/..%5ccomponent.py",
        "/static/icon.svg%00",
        "/static/",
        "/static",
        "/page.html",
        "/login.html",
    ],
)
async def test_no_path_leads_out_of_the_static_files(path: str) -> None:
    assert (await Driver(nest().console).request("GET", path)).status == 404


async def test_methods_are_those_of_the_contract() -> None:
    made = nest()
    headers, _ = await log_in(made.console)
    for path in ("/login", "/logout"):
        assert (await Driver(made.console).request("PUT", path)).status == 405
        answer = await Driver(made.console).request("GET", path, headers=headers)
        assert (answer.status, answer.header("location"), answer.header("set-cookie")) == (303, "./", None)
    assert (await Driver(made.console).request("GET", "/api/state", headers=headers)).status == 200
    for path in CHANGES:
        assert (await Driver(made.console).request("GET", path, headers=bearer())).status == 405
    for path in READS:
        answer = await Driver(made.console).request("DELETE", path, headers=bearer())
        assert answer.status == 405
        assert answer.header("allow") == "GET, HEAD"
        head = await Driver(made.console).request("HEAD", path, headers=bearer())
        assert head.body == b""
        if path != "/api/requests/x":
            assert head.status == 200


async def test_script_and_style_are_asked_for_again_only_when_they_changed() -> None:
    console = nest().console
    answer = await Driver(console).request("GET", "/static/icon.svg")
    assert answer.header("content-type") == "image/svg+xml"
    tag = answer.header("etag")
    for known in (tag, f'"other", W/{tag}'):
        again = await Driver(console).request("GET", "/static/icon.svg", headers={"if-none-match": known})
        assert (again.status, again.body, again.header("etag")) == (304, b"", tag)
    assert (await Driver(console).request("GET", "/static/icon.svg", headers={"if-none-match": '"x"'})).status == 200


text = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=40)


@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", ""]),
    st.sampled_from([*READS, *CHANGES, "/login", "/logout"]) | st.text(max_size=30).map(lambda path: "/" + path),
    st.lists(
        st.tuples(
            st.sampled_from([b"cookie", b"authorization", b"origin", b"host", b"content-type", b"x-csrf-token"])
            | st.binary(max_size=10),
            st.binary(max_size=40)
            | st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"Bearer x"]),
        ),
        max_size=6,
    ),
    st.binary(max_size=60) | st.sampled_from([b"password=%ff%fe", b"password=x&" * 30, b"{}", b"[" * 50]),
)
def test_any_request_of_a_stranger_gets_a_clean_answer_and_no_entrance(
    method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    console = nest().console
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "headers": headers,
    }
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await console(scope, receive, send)

    anyio.run(ask, backend="trio")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    status = sent[0]["status"]
    assert status in {200, 303, 304, 400, 401, 403, 404, 405, 408, 413, 415, 429}
    assert not any(name == b"set-cookie" for name, _ in sent[0]["headers"])
    if path.startswith("/api"):
        assert status in {401, 404, 429}


calls = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["request", "response", "stream", "error", "x"]) | st.none() | st.integers(),
        "source": st.sampled_from(["anthropic", "gemini", "ollama", "openai-chat", "openai-responses", "x"])
        | st.none(),
        "document": text
        | st.sampled_from(["{}", "[]", "null", '{"messages": 3}', "[" * 3000, '{"model": "\\ud800"}', "data: {}\n\n"])
        | st.integers(),
        "model": st.none() | text | st.integers(),
        "stream": st.none() | st.booleans() | st.integers(),
        "source_dialect": st.none() | text,
    },
)


@given(calls | st.lists(st.integers()) | st.none() | st.integers())
def test_the_bench_answers_whatever_is_pasted(call: Any) -> None:
    from ds2api_asgi.gateway.console.bench import translate

    answer = translate(jsontext.dumps(call))
    assert answer.status in (200, 400)
    document = jsontext.loads(answer.body)
    assert ("targets" in document) is (answer.status == 200)
    for target in document.get("targets", {}).values():
        assert ("document" in target) is not ("error" in target)


@given(st.binary(max_size=100))
def test_the_bench_answers_any_bytes(body: bytes) -> None:
    from ds2api_asgi.gateway.console.bench import translate

    assert translate(body).status in (200, 400)


@given(st.text(max_size=100) | st.from_regex(r"[A-Za-z0-9_-]{22}\.[0-9]{1,12}\.[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_made_up_token_is_a_session(token: str) -> None:
    assert Sessions(seconds=60).find(token) is None


@given(st.integers(0, 90), st.sampled_from("A0-_.~z9"))
def test_no_changed_token_is_a_session(place: int, letter: str) -> None:
    sessions = Sessions(seconds=60)
    token = sessions.begin()
    changed = token[:place] + letter + token[place + 1 :]
    # The last letter of a signature has two bits that mean nothing, but it is compared as it is spelled.
    assert (sessions.find(changed) is not None) is (changed == token)


def test_what_was_ended_stays_so_however_much_is_ended() -> None:
    sessions = Sessions(seconds=60, wall=lambda: 1000.0)
    first = sessions.begin()
    found = sessions.find(first)
    assert found is not None
    sessions.end(found)
    for _ in range(MAX_ENDED + 5):
        session = sessions.find(sessions.begin())
        assert session is not None
        sessions.end(session)
    assert sessions.find(first) is None
    assert len(sessions._ended) <= MAX_ENDED + 6


def test_processes_with_one_key_accept_each_others_sessions() -> None:
    one, two, other = Sessions(seconds=60, key=b"k" * 16), Sessions(seconds=60, key=b"k" * 16), Sessions(seconds=60)
    token = one.begin()
    assert two.find(token) == one.find(token)
    assert other.find(token) is None


async def test_a_crash_inside_is_told_without_its_words(caplog: Any) -> None:
    def pools() -> Any:
        raise RuntimeError("a secret word")

    console = Console(password=Secret(PASSWORD), pools=pools)
    answer = await Driver(console).request("GET", "/api/state", headers=bearer())
    assert answer.status == 500
    assert "secret" not in answer.text
    assert json.loads(answer.body)["error"]["type"] == "internal"
