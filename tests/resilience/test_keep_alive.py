"""Clients that wait for a stream are sent comments: on trio's virtual clock."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import Failover, Retry, Translator
from ds2api_asgi.asgi.facts import Judged, KeptAlive
from ds2api_asgi.errors import BrokenStream, ConfigurationError
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.alive import keep_alive_of
from ds2api_asgi.testing.driver import Driver

from .test_real_protocols import KINDS, OVERLOADED, PATHS, PROTOCOLS, RATE, STREAMS

pytestmark = pytest.mark.anyio

PING = b": ping\n\n"
SPEAK = ["openai-chat", "openai-responses", "anthropic"]
SILENT = [name for name in STREAMS if name not in SPEAK]
SCOPE = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def paced(name: str, *steps: float | bytes, then: Exception | None = None, status: int = 200, kind: str = "") -> Any:
    """An answer: numbers are pauses in seconds, before the start too."""

    async def scene(scope, receive, send):
        begun = False
        for step in steps:
            if not isinstance(step, bytes):
                await anyio.sleep(step)
                continue
            if not begun:
                content_type = (kind or KINDS[name]).encode()
                headers = [(b"content-type", content_type), (b"x-request-id", b"r")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                begun = True
            await send({"type": "http.response.body", "body": step, "more_body": True})
        if then is not None:
            raise then
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return scene


def retry(app: Any, **terms: Any) -> Retry:
    return Retry(app, backoff=0.0, rng=Random(1), clock=trio.current_time, **{"early_commit_after": 10.0, **terms})


async def ask(name: str, app: Any) -> Any:
    headers = {"anthropic-version": "2023-06-01"} if name == "anthropic" else {}
    body = {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
    body = {"model": "m", "stream": True, "input": "q"} if name == "openai-responses" else body
    body = {"contents": [{"parts": [{"text": "q"}]}]} if name.startswith("gemini") else body
    return await Driver(app).request("POST", PATHS[name], json=body, headers=headers)


@pytest.mark.parametrize("name", SPEAK)
async def test_a_silent_wait_is_begun_with_comments_and_goes_on_as_usual(stage, name):
    app = stage.Actor(paced(name, 35.0, *STREAMS[name]))
    answer = await ask(name, retry(app))
    assert (answer.status, answer.complete) == (200, True)
    assert answer.body == PING * 3 + b"".join(STREAMS[name])
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("x-request-id") is None
    assert [fact.begins for fact in app.facts(KeptAlive)] == [True, False, False]


@pytest.mark.parametrize("name", SPEAK)
async def test_who_answers_in_time_is_not_touched(stage, name):
    answer = await ask(name, retry(stage.Actor(paced(name, 9.0, *STREAMS[name]))))
    assert (answer.body, answer.header("x-request-id")) == (b"".join(STREAMS[name]), "r")


@pytest.mark.parametrize("name", SPEAK)
async def test_silent_stretches_of_a_running_stream_have_comments_too(stage, name):
    *begin, last = STREAMS[name]
    answer = await ask(name, retry(stage.Actor(paced(name, *begin, 25.0, last))))
    assert answer.body == b"".join(begin) + PING * 2 + last
    assert answer.header("x-request-id") == "r"


@pytest.mark.parametrize("name", SPEAK)
async def test_no_comment_comes_into_the_middle_of_an_event(stage, name):
    whole = b"".join(STREAMS[name])
    for cut in range(1, len(whole) - 1, 17):
        answer = await ask(name, retry(stage.Actor(paced(name, whole[:cut], 15.0, whole[cut:]))))
        assert answer.body.count(PING) == 1
        assert answer.body.replace(PING, b"", 1) == whole
        at = answer.body.index(PING)
        assert at == 0 or answer.body[:at].endswith(b"\n\n")


@pytest.mark.parametrize("name", SPEAK)
async def test_trying_goes_on_after_comments(stage, name):
    app = stage.Actor(
        paced(name, 15.0, json.dumps(RATE[name]).encode(), status=429, kind="application/json"),
        paced(name, STREAMS[name][0], 15.0, OVERLOADED[name]),
        paced(name, STREAMS[name][0], 15.0, then=BrokenStream("reset", "gone")),
        paced(name, *STREAMS[name]),
    )
    failover = Failover(
        [app] * 4, backoff=0.0, rng=Random(1), clock=trio.current_time, early_commit_after=10.0, max_attempts=1
    )
    answer = await ask(name, failover)
    assert answer.body == PING * 4 + b"".join(STREAMS[name])
    assert (answer.status, answer.complete, app.calls) == (200, True, 4)


@pytest.mark.parametrize("name", SPEAK)
@pytest.mark.parametrize("status", [400, 429, 503])
async def test_a_failure_of_all_is_told_in_the_stream_that_was_begun(stage, name, status):
    body = json.dumps(RATE[name]).replace("slow", "really slow").encode()
    app = stage.Actor(paced(name, 15.0, body, status=status, kind="application/json"))
    answer = await ask(name, retry(app, max_attempts=1))
    assert (answer.status, answer.complete) == (200, True)
    assert answer.body.startswith(PING)
    watch = registry.get(PROTOCOLS[name]).stream_watch()
    watch.feed(answer.body)
    assert watch.failure is not None
    assert watch.failure.message == "really slow"
    assert (watch.terminal, watch.ended) == (False, False)


async def test_a_failure_in_time_has_its_true_status(stage):
    app = stage.Actor(paced("anthropic", 5.0, OVERLOADED["anthropic"]))
    assert (await ask("anthropic", retry(app, max_attempts=1))).status == 529


async def test_the_request_is_still_late_in_the_end(stage):
    app = stage.Actor(stage.deaf)
    answer = await ask("openai-chat", retry(app, max_attempts=2))
    assert answer.body.startswith(PING * 11)
    assert b'"error"' in answer.body
    assert [fact.verdict.row for fact in app.facts(Judged)] == ["late.first-content"] * 2


@pytest.mark.parametrize("name", SILENT)
async def test_clients_that_bear_no_comments_get_none(stage, name):
    assert keep_alive_of(registry.get(PROTOCOLS[name])) == b""
    app = stage.Actor(paced(name, 35.0, *STREAMS[name]))
    answer = await ask(name, retry(app))
    assert (answer.body, answer.header("x-request-id")) == (b"".join(STREAMS[name]), "r")
    assert app.facts(KeptAlive) == []


async def test_an_answer_that_is_no_stream_gets_no_comments(stage):
    document = b'{"choices": []}'
    app = stage.Actor(paced("openai-chat", document[:5], 35.0, document[5:], kind="application/json"))
    assert (await ask("openai-chat", retry(app))).body == document


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [(200, "application/json", b"is no stream"), (307, "text/event-stream", b"status 307, which is no answer")],
)
async def test_an_answer_that_cannot_follow_comments_is_lost(stage, status, kind, said):
    name = "openai-chat"
    odd = paced(name, 15.0, b'{"choices": []}', status=status, kind=kind)
    answer = await ask(name, retry(stage.Actor(odd, paced(name, *STREAMS[name]))))
    assert answer.body == PING + b"".join(STREAMS[name])
    answer = await ask(name, retry(stage.Actor(odd), max_attempts=1))
    assert (answer.status, answer.complete) == (200, True)
    assert said in answer.body


async def test_requests_for_a_document_get_none(stage):
    app = retry(stage.Actor(paced("openai-chat", 35.0, b"{}", kind="application/json")))
    answer = await Driver(app).request("POST", PATHS["openai-chat"], json={"model": "m"})
    assert answer.body == b"{}"


async def test_a_nest_of_retries_keeps_trying_behind_comments(stage):
    name = "openai-chat"
    app = stage.Actor(paced(name, 15.0, OVERLOADED[name]), paced(name, 15.0, *STREAMS[name]))
    answer = await ask(name, retry(retry(app, max_attempts=1), max_attempts=2))
    assert answer.body.replace(PING, b"") == b"".join(STREAMS[name])
    assert app.calls == 2


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_time_that_cannot_be_is_refused(stage, value):
    with pytest.raises(ConfigurationError, match="early_commit_after"):
        Retry(stage.Actor(), early_commit_after=value)


@pytest.mark.parametrize("client", SPEAK)
@pytest.mark.parametrize("upstream", SPEAK)
@pytest.mark.parametrize("fails", [False, True])
async def test_a_translator_tells_its_client_too(stage, client, upstream, fails):
    frames = [OVERLOADED[upstream]] if fails else STREAMS[upstream]
    app = stage.Actor(paced(upstream, 35.0, *frames))
    nest = Translator(retry(app, max_attempts=1, protocol=upstream), speaks=upstream, clock=lambda: 0.0)
    answer = await ask(client, nest)
    assert (answer.status, answer.complete) == (200, True)
    assert answer.body.startswith(PING * 3)
    assert answer.header("content-type").startswith("text/event-stream")
    watch = registry.get(client).stream_watch()
    watch.feed(answer.body)
    assert (watch.failure is not None) == fails
    assert watch.terminal != fails
    decoder = registry.get(client).stream_decoder()
    quiet = await ask(client, Translator(stage.Actor(paced(upstream, *frames)), speaks=upstream, clock=lambda: 0.0))
    if not fails:
        events = decoder.feed(answer.body.replace(PING, b"")) + decoder.close()
        assert events == (other := registry.get(client).stream_decoder()).feed(quiet.body) + other.close()


@pytest.mark.parametrize("client", ["gemini", "ollama"])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_translator_leaves_out_what_its_client_does_not_bear(stage, client, fails):
    upstream = "openai-chat"
    app = stage.Actor(paced(upstream, 35.0, *([OVERLOADED[upstream]] if fails else STREAMS[upstream])))
    answer = await ask(client, Translator(retry(app, max_attempts=1, protocol=upstream), speaks=upstream))
    assert PING not in answer.body
    assert answer.status == (503 if fails else 200)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_translator_whose_client_wants_no_stream_still_has_a_status(stage, fails):
    """The body says no stream, but an app of our own streams all the same."""
    upstream = "anthropic"
    app = stage.Actor(paced(upstream, 35.0, *([OVERLOADED[upstream]] if fails else STREAMS[upstream])))

    async def streams(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = json.dumps({**json.loads(message["body"]), "stream": True}).encode()

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await retry(app, max_attempts=1, protocol=upstream)(scope, again, send)

    body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    answer = await Driver(Translator(streams, speaks=upstream)).request("POST", PATHS["openai-chat"], json=body)
    assert answer.status == (503 if fails else 200)
    assert PING not in answer.body


async def test_a_client_that_takes_no_comment_cannot_keep_us(stage):
    async def receive():
        return {"type": "http.request", "body": b'{"stream": true}', "more_body": False}

    async def send(message):
        await anyio.sleep_forever()

    start = anyio.current_time()
    app = stage.Actor(stage.deaf)
    with pytest.raises(BrokenStream, match="takes nothing"):
        await retry(app, first_content_timeout=None)({**SCOPE}, receive, send)
    assert anyio.current_time() - start == pytest.approx(70)
    assert app.running == 0


async def test_a_client_that_leaves_while_comments_go_out_ends_all(stage):
    left = anyio.Event()
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b'{"stream": true}', "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) == 3:
            left.set()

    start = anyio.current_time()
    app = stage.Actor(stage.hangs)
    await retry(app, first_content_timeout=None)({**SCOPE}, receive, send)
    assert anyio.current_time() - start <= 20.1
    assert (app.running, app.calls) == (0, 1)
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 2


async def test_what_the_servers_send_raises_goes_through_untouched(stage):
    class Private(Exception):
        pass

    async def receive():
        return {"type": "http.request", "body": b'{"stream": true}', "more_body": False}

    async def send(message):
        raise Private

    app = stage.Actor(stage.deaf)
    with pytest.raises(Private):
        await retry(app)({**SCOPE}, receive, send)
    assert app.running == 0


@pytest.mark.parametrize("name", SPEAK)
@given(every=st.integers(1, 13), pauses=st.lists(st.integers(0, 40), min_size=3, max_size=9))
def test_whatever_the_pauses_only_comments_are_added(name, every, pauses):
    steps: list[float | bytes] = []
    for number, event in enumerate(STREAMS[name]):
        if number < len(pauses):
            steps.append(float(pauses[number]))
        steps.append(event)

    async def run() -> bytes:
        app = retry(paced(name, *steps), early_commit_after=float(every), first_content_timeout=None)
        return bytes((await ask(name, app)).body)

    clock = trio.testing.MockClock(autojump_threshold=0)
    body = anyio.run(run, backend="trio", backend_options={"clock": clock})
    assert body.replace(PING, b"") == b"".join(STREAMS[name])
    assert (PING in body) or all(pause <= every for pause in pauses) or body.startswith(STREAMS[name][0])


WAITS = {"x-stainless-read-timeout": "30"}


@pytest.mark.parametrize("nested", [False, True])
async def test_a_client_that_gets_comments_waits_longer_than_it_says(stage, nested):
    name = "openai-chat"
    app = stage.Actor(paced(name, 50.0, *STREAMS[name]))
    inner = Retry(app, clock=trio.current_time) if nested else app
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "q"}]}
    answer = await Driver(retry(inner)).request("POST", PATHS[name], json=body, headers=WAITS)
    assert answer.body.replace(PING, b"") == b"".join(STREAMS[name])
    assert app.calls == 1


async def test_a_client_that_leaves_before_the_first_comment_is_answered_in_time(stage):
    name = "openai-chat"
    app = stage.Actor(paced(name, 500.0, *STREAMS[name]))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "q"}]}
    start = trio.current_time()
    answer = await Driver(retry(app, early_commit_after=40.0)).request("POST", PATHS[name], json=body, headers=WAITS)
    assert (answer.status, trio.current_time() - start) == (504, pytest.approx(29.0, abs=0.5))
