"""``ds2api simulate``: what it prints where, and every exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from commands import DS2API, ROOT
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands import simulate
from ds2api_asgi.simulation import Report, Violation, chance_report

SCENARIO = """
duration = "1m"

[[providers]]
keys = [{ count = 2 }]

[[clients]]
count = 5
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return str(path)


def broken(seed: int) -> Report:
    report = chance_report(seed)
    if seed == 3:
        report.violations.append(Violation(at=1.0, rule="rest", message="made up"))
    return report


def test_a_scenario_is_reported(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", scenario]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("seed 1, 00:00:00 to 00:01:00: ")
    assert err == ""


def test_the_seed_can_be_chosen_and_the_report_be_json(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", scenario, "--seed", "9", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["seed"] == 9
    assert report["violations"] == []


def test_of_many_seeds_the_worst_is_reported(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", scenario, "--seeds", "5"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("5 seeds, ")
    worst = err.split()[-1]
    assert out.startswith(f"seed {worst},")


def test_processes_share_the_seeds_and_find_the_same(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for jobs in ("1", "2"):
        assert main(["simulate", "--chance", "--seeds", "100", "--jobs", jobs, "--json"]) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]


def test_a_violation_is_exit_code_one_and_told_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulate, "chance_report", broken)
    assert main(["simulate", "--chance", "--seeds", "5"]) == 1
    out, err = capsys.readouterr()
    assert "rest: made up" in out
    assert out.startswith("seed 3, ")
    assert "seed 3: " in err


def test_a_trace_is_printed(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", scenario, "--trace"]) == 0
    assert "reaches main with key-1" in capsys.readouterr().out
    assert main(["simulate", "--chance", "--seed", "7", "--trace"]) == 0
    assert "asks for" in capsys.readouterr().out


def test_examples_are_listed_and_found_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--examples"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["broken-streams", "burst", "key-dies", "outage", "quota-runs-out"]
    assert main(["simulate", "burst", "--trace"]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('duration = "1x"', "scenario.toml: duration: expected a duration"),
        ("duration = ", "scenario.toml: not TOML"),
        (SCENARIO.replace("count = 5", "count = 5\nthink = []"), "scenario.toml: clients[0].think: "),
        (SCENARIO + "[retry]\nfoo = 1", "scenario.toml: retry.foo: unknown; one of max_attempts"),
    ],
)
def test_no_scenario_is_exit_code_two(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scenario.toml").write_text(text)
    assert main(["simulate", str(tmp_path / "scenario.toml")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_a_file_that_cannot_be_read_is_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(tmp_path / "none.toml")]) == 2
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert main(["simulate", str(tmp_path / "bytes.toml")]) == 2
    assert "not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--chance", "key-dies"]])
def test_a_scenario_or_chance_is_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == 2
    assert "give a scenario, or --chance" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--jobs", "x"], ["--seed", "x"]])
def test_wrong_usage_is_exit_code_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["simulate", "key-dies", *arguments])
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_parts_do_not_log_what_is_simulated() -> None:
    done = subprocess.run(
        [*DS2API, "simulate", "--chance", "--seed", "1", "--seeds", "30"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "refused" not in done.stderr
