"""``ds2api explain``: traces found in any log, and told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ds2api_asgi.asgi.trace import Step, Trace, decode_trace, encode_trace
from ds2api_asgi.gateway.cli import main

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
