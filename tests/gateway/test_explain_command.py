"""``ds2api explain``: traces found in any log, and told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ds2api_asgi.asgi import facts
from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.asgi.facts import (
    BreakerClosed,
    BreakerOpened,
    Hedged,
    HedgeLost,
    KeptAlive,
    Queued,
    Skipped,
    Stopped,
    TurnedAway,
    Used,
)
from ds2api_asgi.asgi.trace import Step, Trace, decode_trace, encode_trace, trace_of
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands import explain as explain_command

COOLED = {"row": "openai-chat.429", "fault": "rate", "retry": "key", "key": "cool", "hint": 20.0,
          "hint_source": "retry-after"}  # fmt: skip
GOOD = Trace(
    id="good1", when=1.7e9, took=1.24, status=200, protocol="anthropic", operation="generate", model="m", caller="blue",
    steps=(
        Step(at=0.0, what="KeyLeased", members={"pool": "pool", "key": "key-ab12"}),
        Step(at=0.31, what="Judged", members={"by": "pool", "status": 429, "verdict": COOLED, "key": "key-ab12"}),
        Step(at=0.32, what="Hedged", members={"target": 2, "why": "slow"}),
        Step(at=0.33, what="Judged", members={"of": "another version"}),
    ),
)  # fmt: skip
BAD = Trace(id="bad1", when=1.7e9, took=0.1, status=503, end="failed", why="openai-chat.503, and the plan gave up")
LOG = "\n".join(
    [
        "2026-11-28 INFO something else {not json",
        f'INFO:ds2api_asgi.trace:anthropic {{"id": 5}} {encode_trace(GOOD)}',
        json.dumps({"level": "warn", "message": f"openai-chat {encode_trace(BAD)}"}),
        '{"id":"not-a-trace"}',
    ]
)


def explain(monkeypatch: pytest.MonkeyPatch, *arguments: str, given: str = LOG) -> int:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given.encode())))
    return main(["explain", *arguments])


def test_the_stories_of_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(monkeypatch) == 0
    told = capsys.readouterr().out
    assert told.splitlines() == [
        "good1  2023-11-14 22:13:20 UTC  anthropic generate m for blue",
        "    +0.000 s  asked pool 'pool', got key-ab12",
        "    +0.310 s  429 of key-ab12: openai-chat.429 (wait 20 s, says retry-after) -> key cooled, another key",
        "    +0.320 s  Hedged target=2 why=slow",
        "    +0.330 s  Judged of=another version",
        "    +1.240 s  the client saw: 200 complete",
        "",
        "bad1  2023-11-14 22:13:20 UTC  ",
        "    +0.100 s  the client saw: 503 failed",
        "              stopped because: openai-chat.503, and the plan gave up",
    ]


def test_one_request_or_those_that_failed_or_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(monkeypatch, "--failed", "--json") == 0
    assert decode_trace(capsys.readouterr().out) == BAD
    assert explain(monkeypatch, "--id", "good") == 0
    assert capsys.readouterr().out.startswith("good1 ")


def test_a_log_without_traces_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert explain(monkeypatch, given="nothing here\n") == 1
    assert "no trace found" in capsys.readouterr().err
    assert explain(monkeypatch, "--id", "who") == 1
    assert "none of 2 traces" in capsys.readouterr().err
    assert explain(monkeypatch, str(tmp_path / "absent")) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_file_is_read_with_the_line_ends_of_any_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe garbage\r\n" + LOG.replace("\n", "\r\n").encode())
    assert explain(monkeypatch, str(path)) == 0
    assert "bad1" in capsys.readouterr().out


def test_what_a_log_holds_never_speaks_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Step(at=0.0, what="\x1b]0;owned\x07", members={"why": "a\nforged  line", "reason": "\x9b31m"})
    hostile = Trace(id="x\x1b[2J", when=1.7e9, took=0.1, why="\r\x1b[1A", caller="\u202egnp", steps=(step,))
    assert explain(monkeypatch, given=encode_trace(hostile)) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 4
    assert all(letter.isprintable() or letter in "\n\ufffd" for letter in told)


def test_every_fact_of_the_library_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(facts.__all__) - explain_command._WORDS.keys() == {"Asked", "Caller"}  # these two are in the head
    exchange = Exchange(started=0.0, clock=lambda: 1.0)
    for fact in (
        TurnedAway(status=429, code="gateway_rate_limit_exceeded"),
        Queued(pool="p", seconds=0.5, position=2),
        Skipped(target=1, reason="breaker", retry_after=4.0),
        Hedged(target=1, after=2.0),
        HedgeLost(second=True),
        KeptAlive(begins=False),
        BreakerOpened(target=0, model="m", seconds=5.0),
        BreakerClosed(target=0, model=None),
        Used(input=9, output=5, cached=3),
        Stopped(by="retry", reason="attempts", attempts=3),
    ):
        exchange.note(fact)
    assert explain(monkeypatch, given=encode_trace(trace_of(exchange, id="i", status=503, end="failed"))) == 0
    assert [line.split("s  ", 1)[-1].strip() for line in capsys.readouterr().out.splitlines()[1:-2]] == [
        "turned away at the door: gateway_rate_limit_exceeded",
        "waited 0.5 s for a key of pool 'p'",
        "no attempt on target 1: breaker, next in 4 s",
        "no content after 2 s: target 1 is tried beside it",
        "the second of both was slower, and was cut off",
        "kept alive by a comment",
        "target 0 is left alone for 5 s for model m",
        "target 0 is back",
        "used 9 tokens in, 5 out (3 cached)",
        "retry gave up after 3 attempts: attempts",
    ]


def test_where_a_gateway_sent_a_request_is_told_in_words() -> None:
    steps = (
        Step(at=0.0, what="Routed", members={"model": "smart", "target": "claude", "upstream_model": "claude-opus-5"}),
        Step(at=0.0, what="Routed", members={"model": "gpt-6", "target": "openai", "upstream_model": "gpt-6"}),
        Step(at=0.0, what="Ruled", members={"removed": ["seed"], "defaulted": ["top_p", "user"]}),
    )
    told = explain_command.story(Trace(id="one", when=1.7e9, took=0.1, status=200, steps=steps)).splitlines()
    assert told[1:4] == [
        "    +0.000 s  model smart is asked of claude as claude-opus-5",
        "    +0.000 s  model gpt-6 is asked of openai",
        "    +0.000 s  rules removed seed; added top_p, user",
    ]
