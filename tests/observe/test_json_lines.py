"""`JsonLines`: one line of JSON, whatever a record holds; and what `Traced` tells in it."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
import weakref
from decimal import Decimal
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_kit import ALICE, guarded
from ds2api_asgi import KeyPool, Metrics, Price, Retry, Traced, Translator, Watchers
from ds2api_asgi.asgi.trace import Step, Trace, decode_trace
from ds2api_asgi.gateway.commands.explain import traces_in
from ds2api_asgi.observe import JsonLines, TextLines, summary_of
from ds2api_asgi.observe.json_lines import MAX_EXCEPTION, MAX_MESSAGE
from ds2api_asgi.observe.summary import Summary
from ds2api_asgi.testing import Driver, ScriptedUpstream, event_script, json_script
from watched import ANSWER, CANARY, QUESTION, SLOW, SPARE, WORDS, ask, chunk

pytestmark = pytest.mark.anyio

NASTY = ('{"id":"x","when":0,"took":0}', "a\r\nb", "\u2028\u2029\x85\x1b[2J", "\ud800", "\x00\x7f", '"}\n{"', "ا", "😀")
texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=30), st.text(min_size=1, max_size=1).map(lambda c: c * 9_999)
)
values: Any = st.recursive(
    st.one_of(texts, st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=5), st.just(object())),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


class Lines(logging.Handler):
    """Keeps what a formatter makes."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Any:
    kept = Lines(JsonLines())
    logger = logging.getLogger("ds2api_asgi")
    logger.addHandler(kept)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield kept.lines
    logger.removeHandler(kept)
    logger.setLevel(before)


def read(line: str) -> dict[str, Any]:
    """What a strict parser makes of a line that is one for everybody."""
    assert len(line.splitlines()) == 1
    assert {unicodedata.category(char) for char in line} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not set(line) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    document = msgspec.json.decode(line.encode())
    assert json.loads(line) == document
    assert isinstance(document, dict)
    return document


@given(texts, st.lists(values, max_size=3), st.dictionaries(texts, values, max_size=4), st.booleans())
def test_whatever_a_record_holds_it_is_one_line_of_json(
    message: str, arguments: list[Any], extra: dict[str, Any], raises: bool
) -> None:
    record = logging.LogRecord("some.logger", logging.WARNING, "f.py", 1, message, tuple(arguments), None)
    for name, value in extra.items():
        record.__dict__.setdefault(name, value)
    if raises:
        try:
            raise ValueError(message * 2)
        except ValueError:
            record.exc_info = sys.exc_info()
    line = JsonLines().format(record)
    document = read(line)
    assert document["level"] == "warning"
    assert document["logger"] == "some.logger"
    assert len(document["message"]) <= MAX_MESSAGE
    assert len(document.get("exception", "")) <= MAX_EXCEPTION
    assert bool(document.get("exception")) is raises


@given(texts)
async def test_what_a_client_says_is_no_trace_and_hides_none(text: str) -> None:
    kept = Lines(JsonLines())
    logger = logging.getLogger("ds2api_asgi.trace")
    logger.addHandler(kept)
    try:
        app = Traced(ScriptedUpstream([json_script(ANSWER)]), ids=lambda: "real", trust="x-request-id", level=30)
        await ask(app, {**QUESTION, "model": text.encode("utf-8", "replace").decode()}, **{"user-agent": "x"})
    finally:
        logger.removeHandler(kept)
    assert [trace.id for trace in traces_in(kept.lines)] == ["real"]
    assert len(kept.lines[0]) < 3_000
    read(kept.lines[0])


@given(texts)
def test_a_line_to_read_is_one_line_as_well(message: str) -> None:
    record = logging.LogRecord("some.logger", logging.INFO, "f.py", 1, "%s", (message,), None)
    assert len(TextLines().format(record).splitlines()) == 1


def test_arguments_that_do_not_fit_and_things_that_cannot_be_told_are_no_trouble() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("mute")

    for arguments in ((1, 2), (Mute(),)):
        record = logging.LogRecord("x", logging.INFO, "f.py", 1, "one %s", arguments, None)
        assert read(JsonLines().format(record))["message"] == "one %s"
    assert (
        read(JsonLines().format(logging.LogRecord("x", logging.INFO, "f.py", 1, Mute(), (), None)))["message"] == "Mute"
    )


def test_what_callers_give_beside_a_message_is_told_as_data() -> None:
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO", "pool": "p", "left": 3, "thing": object()})
    assert read(JsonLines().format(record))["extra"] == {"pool": "p", "left": 3, "thing": "object"}


def test_a_thing_that_is_gone_or_cannot_be_looked_at_is_told_by_its_name() -> None:
    class Odd(dict[str, str]):
        def items(self) -> Any:
            raise RuntimeError("nothing to see")

    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "hello", (), None)
    record.connection, record.odd = weakref.proxy(Odd()), Odd()
    extra = read(JsonLines().format(record))["extra"]
    assert extra["odd"] == "Odd"
    assert "proxy" in extra["connection"].lower()


def nest(scripts: Any, *, speaks: str = "openai-chat", **options: Any) -> Any:
    metrics = Metrics()
    watchers = Watchers([metrics])
    upstream = watchers.calls(ScriptedUpstream(scripts), name="up", provider="openai")
    pool = KeyPool(upstream, protocol="openai-chat", keys=[CANARY, SPARE])
    access, _ = guarded(Translator(Retry(pool, backoff=0.001), speaks=speaks))
    return Traced(access, watchers=watchers, cost=True, **options)


async def test_a_request_is_told_with_all_that_is_known_of_it(lines: list[str]) -> None:
    app = nest([json_script(SLOW, status=429), json_script(ANSWER)])
    document = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": WORDS}]}
    assert (await ask(app, document, path="/v1/messages", authorization=f"Bearer {ALICE}")).status == 200
    told = read(lines[-1])
    known = {
        "level": "info", "logger": "ds2api_asgi.trace", "protocol": "anthropic", "operation": "generate",
        "model": "gpt-4o", "caller": "alice", "status": 200, "end": "complete", "upstream": "up",
        "upstream_model": "gpt-4o", "provider": "openai", "upstream_status": 200, "pool": "pool",
        "input": 1000, "output": 10, "cached": 100, "reasoning": 4, "attempts": 2, "retries": 1,
        "cost": pytest.approx(0.002475),
    }  # fmt: skip
    assert {name: told.get(name) for name in known} == known
    assert told["key"].startswith("key-")
    assert 0 < told["overhead"] <= told["took"]
    assert [step["what"] for step in told["trace"]["steps"]].count("Called") == 2
    text = "\n".join(lines)
    for secret in (CANARY, SPARE, WORDS, ALICE, "hi there", "slow down"):
        assert secret not in text
    # The last one that explain finds is this request's.
    assert list(traces_in(lines))[-1].id == told["id"]


async def test_a_stream_tells_its_first_content_and_a_cut_one_why(lines: list[str]) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    whole = event_script(chunk("a"), chunk(finish="stop"), chunk(usage=usage), done=True)
    app = nest([whole, event_script(chunk("a"))])
    question = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    await ask(app, question, authorization=f"Bearer {ALICE}")
    await ask(app, question, authorization=f"Bearer {ALICE}")
    served, cut = (read(line) for line in lines if '"ds2api_asgi.trace"' in line)
    assert 0 < served["first"] <= served["took"]
    assert served["output"] == 3
    assert (cut["end"], cut["level"]) == ("cut", "warning")
    assert cut["why"]


async def test_who_is_turned_away_is_told_with_the_reason(lines: list[str]) -> None:
    app = nest([])
    assert (await ask(app)).status == 401
    told = read(lines[-1])
    assert (told["status"], told["end"], told["level"]) == (401, "failed", "warning")
    assert told["why"].startswith("turned away at the door")
    assert "upstream" not in told


async def test_what_is_no_protocols_is_a_line_where_that_is_asked_for(lines: list[str]) -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        status = 503 if scope["path"] == "/ill" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sunk: list[Trace] = []
    app = Traced(host, others=True, sinks=[sunk.append])
    await Driver(app).request("GET", f"/health?key={CANARY}")
    await Driver(app).request("GET", "/ill")
    await Driver(Traced(host)).request("GET", "/health")
    assert len(lines) == 2
    told, ill = map(read, lines)
    assert (told["method"], told["path"], told["status"], told["end"]) == ("GET", "/health", 200, "complete")
    assert told["took"] >= 0
    assert (ill["level"], ill["end"]) == ("warning", "failed")
    assert CANARY not in lines[0]
    assert sunk == []


async def test_a_stranger_on_a_page_of_ours_is_told_why_it_was_turned_away(lines: list[str]) -> None:
    async def host(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    access, _ = guarded(host)
    assert (await Driver(Traced(access, others=True)).request("GET", "/page")).status == 401
    told = next(told for told in map(read, lines) if told.get("path"))
    assert told["why"].startswith("turned away at the door")


async def test_an_id_of_a_proxy_in_front_is_taken_and_told_at_both_ends(lines: list[str]) -> None:
    upstream = ScriptedUpstream([json_script(ANSWER)] * 3)
    app = Traced(upstream, trust="x-request-id", ids=lambda: "ours")
    given = await ask(app, **{"x-request-id": "proxy-1/2"})
    odd = await ask(app, **{"x-request-id": "a b\u00e4"})
    own = await ask(app)
    assert [answer.header("x-ds2-request-id") for answer in (given, odd, own)] == ["proxy-1/2", "ours", "ours"]
    assert [read(line)["id"] for line in lines] == ["proxy-1/2", "ours", "ours"]
    assert [seen.header("x-client-request-id") for seen in upstream.requests] == ["proxy-1/2", "ours", "ours"]
    untrusting = Traced(ScriptedUpstream([json_script(ANSWER)]), ids=lambda: "ours")
    answer = await ask(untrusting, **{"x-request-id": "stranger"})
    assert answer.header("x-ds2-request-id") is None
    assert read(lines[-1])["id"] == "ours"


async def test_prices_of_ones_own_need_no_list(lines: list[str]) -> None:
    prices = {"gpt-4o": Price(input=Decimal(1), output=Decimal(2))}
    app = nest([json_script(ANSWER)] * 2, prices=prices)
    await ask(app, authorization=f"Bearer {ALICE}")
    await ask(app, {**QUESTION, "model": "nobody-knows"}, authorization=f"Bearer {ALICE}")
    assert read(lines[0])["cost"] == pytest.approx(0.00102)
    assert "cost" not in read(lines[1])


steps = st.builds(
    Step,
    at=st.floats(0, 9),
    what=st.sampled_from(["Called", "KeyLeased", "Used", "Attempted", "Queued", "Lost", "Closed", "Else"]),
    members=st.dictionaries(
        st.sampled_from(["upstream", "model", "status", "end", "pool", "key", "input", "number", "seconds", "count"]),
        st.one_of(st.none(), st.text(max_size=3), st.integers(), st.floats(), st.lists(st.integers(), max_size=2)),
    ),
)


@given(st.lists(steps, max_size=6))
def test_a_trace_of_anybodys_can_be_summed_up(found: list[Step]) -> None:
    trace = Trace(id="x", when=0.0, took=1.0, steps=tuple(found))
    summary = summary_of(trace)
    assert isinstance(summary, Summary)
    calls = sum(step.what == "Called" for step in found)
    assert summary.attempts == calls or not calls


async def test_both_formats_can_be_explained(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    app = nest([json_script(ANSWER)])
    await ask(app, authorization=f"Bearer {ALICE}")
    await anyio.lowlevel.checkpoint()
    record = next(record for record in caplog.records if record.name == "ds2api_asgi.trace")
    found = list(traces_in([TextLines().format(record), JsonLines().format(record)]))
    assert found == [decode_trace(record.ds2_trace)] * 2  # type: ignore[attr-defined]
