"""`RenewedToken`: a token is fetched once, ahead of its end, and never shown after it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import Retry, Secret
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool.renewed_token import RenewedToken, Token, token_of_command
from ds2api_asgi.testing import Driver, ScriptedUpstream, json_script

pytestmark = pytest.mark.anyio

ASK: Any = ("POST", "/v1/messages")


class Source:
    """Tokens that are numbered, each good for an hour from when it is fetched."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.fetched = 0
        self.running = 0
        self.most = 0
        self.fails = False
        self.gate: anyio.Event | None = None
        self.lifetime: float | None = 3600.0

    def clock(self) -> float:
        return self.now

    async def __call__(self) -> Token:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            self.fetched += 1
            number = self.fetched
            if self.gate is not None:
                await self.gate.wait()
            if self.fails:
                raise OSError("sk-secret-in-an-error")
            end = None if self.lifetime is None else self.now + self.lifetime
            return Token(secret=Secret(f"token-{number:08}"), expires_at=end)
        finally:
            self.running -= 1


def app_of(source: Source, *scripts: Any, **options: Any) -> tuple[RenewedToken, ScriptedUpstream]:
    upstream = ScriptedUpstream(scripts or [json_script({})], repeat=True)
    return RenewedToken(upstream, protocol="anthropic", fetch=source, clock=source.clock, **options), upstream


def shown(upstream: ScriptedUpstream) -> list[str]:
    assert not any(request.header("x-api-key") for request in upstream.requests)
    return [(request.header("authorization") or "").removeprefix("Bearer ") for request in upstream.requests]


async def test_a_token_is_fetched_once_and_renewed_ahead_of_its_end() -> None:
    source = Source()
    app, upstream = app_of(source)
    for now in (1000.0, 4000.0, 4299.0, 4301.0, 4302.0, 9000.0):
        source.now = now
        headers = {"authorization": "Bearer client", "x-api-key": "client"}
        assert (await Driver(app).request(*ASK, headers=headers)).status == 200
    assert shown(upstream) == [f"token-{number:08}" for number in (1, 1, 1, 2, 2, 3)]


async def test_many_requests_wait_for_one_fetch() -> None:
    source = Source()
    source.gate = anyio.Event()
    app, upstream = app_of(source)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(lambda: Driver(app).request(*ASK))
        while not source.running:
            await anyio.lowlevel.checkpoint()
        source.gate.set()
    assert (source.fetched, source.most) == (1, 1)
    assert shown(upstream) == ["token-00000001"] * 20


async def test_while_the_next_one_is_fetched_the_old_one_serves() -> None:
    source = Source()
    app, upstream = app_of(source)
    await Driver(app).request(*ASK)
    source.now, source.gate = 4400.0, anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: Driver(app).request(*ASK))
        while not source.running:
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(20):
            await Driver(app).request(*ASK)
        source.gate.set()
    assert shown(upstream) == ["token-00000001", "token-00000001", "token-00000002"]


async def test_a_fetch_that_fails_ahead_of_the_end_is_tried_again_later_and_hurts_nobody() -> None:
    source = Source()
    app, upstream = app_of(source)
    await Driver(app).request(*ASK)
    source.fails = True
    for now, fetched in [(4400.0, 2), (4401.0, 2), (4406.0, 3)]:
        source.now = now
        assert (await Driver(app).request(*ASK)).status == 200
        assert source.fetched == fetched
    assert set(shown(upstream)) == {"token-00000001"}


async def test_without_a_token_the_answer_is_502_and_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.fails = True
    source.gate = anyio.Event()
    app, upstream = app_of(source)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await Driver(app).request(*ASK))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        while not source.running:
            await anyio.lowlevel.checkpoint()
        source.gate.set()
    assert [answer.status for answer in answers] == [502] * 5
    assert answers[0].json()["type"] == "error"
    assert source.fetched == 1  # those who waited share what came of it
    assert not upstream.requests
    assert "secret" not in caplog.text + answers[0].text
    source.fails = False
    assert (await Driver(app).request(*ASK)).status == 200


async def test_a_source_that_takes_too_long_is_one_that_fails() -> None:
    source = Source()
    source.gate = anyio.Event()
    app, _ = app_of(source, timeout=0.01)
    assert (await Driver(app).request(*ASK)).status == 502


async def test_a_client_that_leaves_during_a_fetch_leaves_it_to_the_next() -> None:
    source = Source()
    source.gate = anyio.Event()
    app, upstream = app_of(source)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: Driver(app).request(*ASK))
        while not source.running:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    source.gate = None
    assert (await Driver(app).request(*ASK)).status == 200
    assert shown(upstream) == ["token-00000002"]


async def test_a_refused_token_is_not_shown_again_and_masked() -> None:
    source = Source()
    source.lifetime = None
    refusal = {"type": "error", "error": {"type": "authentication_error", "message": "token-00000001 has ended"}}
    app, upstream = app_of(source, json_script(refusal, status=401), json_script({"ok": True}))
    first = await Driver(app).request(*ASK)
    assert first.status == 401
    assert "token-00000001" not in first.text
    assert (await Driver(app).request(*ASK)).status == 200
    assert shown(upstream) == ["token-00000001", "token-00000002"]


async def test_under_a_retry_a_source_that_comes_back_is_not_noticed() -> None:
    source = Source()
    calls = 0

    async def fetch() -> Token:
        nonlocal calls
        calls += 1
        source.fails = calls == 1
        return await source()

    upstream = ScriptedUpstream([json_script({"ok": True})])
    app = Retry(
        RenewedToken(upstream, protocol="anthropic", fetch=fetch, clock=source.clock),
        protocol="anthropic",
        backoff=0.001,
    )
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    assert (await Driver(app).request(*ASK, json=body)).status == 200


async def test_websockets_and_lifespans() -> None:
    source = Source()
    scopes: list[Any] = []
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = RenewedToken(inner, protocol="openai-chat", fetch=source, clock=source.clock)
    socket = {
        "type": "websocket",
        "path": "/v1/realtime",
        "headers": [(b"authorization", b"Bearer c")],
        "subprotocols": [],
    }
    await app(socket, receive, send)
    await app({"type": "lifespan"}, receive, send)
    assert (b"authorization", b"Bearer token-00000001") in scopes[0]["headers"]
    assert scopes[1] == {"type": "lifespan"}
    source.now, source.fails = 9000.0, True
    await app(socket, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1014, "reason": ""}]
    assert len(scopes) == 2


@given(st.lists(st.tuples(st.floats(0, 2000), st.booleans()), max_size=20))
def test_no_token_is_shown_after_its_end_and_no_more_are_fetched_than_must_be(steps: list[tuple[float, bool]]) -> None:
    async def run() -> None:
        source = Source()
        app, upstream = app_of(source)
        ends: dict[str, float] = {}
        begun = source.now
        for passes, fails in steps:
            source.now += passes
            source.fails = fails
            before = source.fetched
            answer = await Driver(app).request(*ASK)
            ends.setdefault(f"token-{source.fetched:08}", source.now + 3600)
            assert source.fetched - before <= 1
            if answer.status == 200:
                assert ends[shown(upstream)[-1]] > source.now
            else:
                assert fails
        if not any(fails for _, fails in steps):
            assert source.fetched <= 1 + (source.now - begun) / 3300

    anyio.run(run)


async def test_a_program_may_print_the_token() -> None:
    upstream = ScriptedUpstream([json_script({})])
    fetch = token_of_command([sys.executable, "-c", "print('ya29.token')"])
    app = RenewedToken(upstream, protocol="gemini", fetch=fetch)
    assert (await Driver(app).request("POST", "/v1beta/models/m:generateContent")).status == 200
    assert shown(upstream) == ["ya29.token"]
    asks = "import sys; print(sys.stdin.readline() or 'nobody')"
    assert (await token_of_command([sys.executable, "-c", asks])()).secret.reveal() == "nobody"
    for program in (
        "print('two words')",
        "print('ya29.token'); raise SystemExit(1)",
        "while True: print('x' * 999)",
        "",
    ):
        bad = RenewedToken(upstream, protocol="gemini", fetch=token_of_command([sys.executable, "-c", program]))
        assert (await Driver(bad).request("POST", "/v1beta/models/m:generateContent")).status == 502


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["no-such-program-anywhere"], "the command cannot be started: No such file or directory"),
        ([sys.executable, "-c", "raise SystemExit(1)"], "the command failed"),
    ],
)
async def test_why_a_program_gives_no_token_is_logged(
    command: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = RenewedToken(ScriptedUpstream([json_script({})]), protocol="gemini", fetch=token_of_command(command))
    assert (await Driver(app).request("POST", "/v1beta/models/m:generateContent")).status == 502
    assert f"no access token could be fetched: {told}" in caplog.text


@pytest.mark.parametrize(
    "make",
    [
        lambda: RenewedToken(app_of, protocol="nobody", fetch=Source()),  # type: ignore[arg-type]
        lambda: RenewedToken(app_of, protocol="gemini", fetch=Source(), ahead=-1),  # type: ignore[arg-type]
        lambda: RenewedToken(app_of, protocol="gemini", fetch=Source(), timeout=0),  # type: ignore[arg-type]
        lambda: token_of_command([]),
        lambda: token_of_command(["true"], lifetime=0),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_a_token_is_not_shown_by_its_repr() -> None:
    assert "ya29" not in repr(Token(secret=Secret("ya29.token")))
