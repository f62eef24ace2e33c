"""What a simulation says: the same for the same seed, and what its scenario makes it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from importlib import resources

import msgspec
import pytest

from ds2api_asgi.simulation import Report, page_of, read_scenario, report_on, summary_of, trace_of
from ds2api_asgi.simulation.report import percentile

QUIET = """
duration = "10m"
retry = { deadline = "60s" }

[[providers]]
first_token = "1s"
tokens_per_second = 100
keys = [{ count = 3, rpm = 60 }]

[[clients]]
count = 10
think = "5s"
output_tokens = 100
stream = 0.0
"""
EXAMPLES = sorted(file.name for file in (resources.files("ds2api_asgi.simulation") / "examples").iterdir())


def example(name: str) -> str:
    return (resources.files("ds2api_asgi.simulation") / "examples" / name).read_text("utf-8")


def short(name: str, minutes: int) -> str:
    """An example that lasts a few minutes only."""
    lines = example(name).splitlines()
    return "\n".join(f'duration = "{minutes}m"' if line.startswith("duration") else line for line in lines)


def test_a_quiet_day_is_told_as_it_was_written() -> None:
    report = report_on(read_scenario(QUIET))
    (group,) = report.groups
    assert report.sound
    assert report.served == 1
    assert report.amplification == 1
    assert group.latency == pytest.approx((2, 2, 2))  # one second, and 100 tokens at 100 a second
    assert group.waited == (0, 0, 0)
    assert report.requests == pytest.approx(10 * 600 / 7, abs=10)
    for use in report.keys:
        assert use.states["active"] == 1
        assert use.utilisation == pytest.approx(report.requests / 3 / 600, rel=0.05)
    assert sum(bucket.served for bucket in report.timeline) == report.requests == report.calls


def test_what_goes_in_comes_out_of_each_account() -> None:
    report = report_on(read_scenario(short("quota-runs-out.toml", 8)))
    assert sum(use.calls for use in report.keys) == report.calls
    assert sum(group.requests for group in report.groups) == report.requests
    assert sum(group.attempts for group in report.groups) == report.attempts
    for use in report.keys:
        assert sum(use.ends.values()) == use.calls
        assert sum(use.states.values()) == pytest.approx(1)
    for group in report.groups:
        assert sum(group.ends.values()) == group.requests
    assert sum(bucket.calls for bucket in report.timeline) == report.calls
    assert sum(bucket.limited for bucket in report.timeline) == sum(use.ends["rate"] for use in report.keys)


def test_a_key_that_dies_is_left_alone_and_the_others_take_over() -> None:
    report = report_on(read_scenario(example("key-dies.toml")))
    uses = {use.key: use for use in report.keys}
    assert report.sound
    assert report.served > 0.99
    assert 1 <= uses["key-3"].ends["dead"] <= 2
    assert uses["key-3"].states["disabled"] == pytest.approx(0.5, abs=0.05)
    assert uses["key-1"].ends["served"] > 2 * uses["key-3"].ends["served"]


def test_an_outage_is_hidden_by_a_second_provider() -> None:
    report = report_on(read_scenario(example("outage.toml")))
    assert report.sound
    assert report.served > 0.999
    assert sum(use.calls for use in report.keys if use.provider == "second") > 100


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_sound_for_some_seeds(name: str) -> None:
    plan = read_scenario(short(name, 4))
    for seed in range(1, 3):
        report = report_on(plan, seed=seed, samples=20)
        assert report.sound, page_of(report)
        assert report.requests > 50


def test_a_seed_gives_the_same_report_to_the_last_digit() -> None:
    plan = read_scenario(short("broken-streams.toml", 4))
    first, second, other = (msgspec.json.encode(report_on(plan, seed=seed)) for seed in (5, 5, 6))
    assert first == second != other


@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_a_seed_gives_the_same_run_in_another_process_with_other_hashes(shuffle: str) -> None:
    text = f"shuffle = {shuffle}\n" + short("burst.toml", 2)
    code = (
        "import sys, hashlib; from ds2api_asgi.simulation import read_scenario, trace_of;"
        "sys.stdout.write(hashlib.sha256('\\n'.join(trace_of(read_scenario(sys.stdin.read()))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=text,
            text=True,
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hashes},
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(digests) == 1


def test_a_trace_is_in_order_and_tells_of_every_call() -> None:
    plan = read_scenario(QUIET.replace('"10m"', '"1m"'))
    lines = trace_of(plan)
    times = [float(line.split()[0]) for line in lines]
    assert all(before <= after for before, after in itertools.pairwise(times))
    assert sum("reaches main" in line for line in lines) == report_on(plan).calls


def test_the_page_shows_keys_groups_time_and_verdict() -> None:
    report = report_on(read_scenario(short("key-dies.toml", 15)))
    page = page_of(report)
    assert page.startswith("seed 1, 13:50:00 to 14:05:00: ")
    assert [line.split()[0] for line in page.splitlines() if line.startswith("openai/")] == [
        f"openai/key-{number}" for number in range(1, 6)
    ]
    assert "disabled" in page
    assert "\n14:00:00  " in page
    assert page.endswith("no violations of what must always hold\n")
    assert all(len(line) < 200 for line in page.splitlines())


def test_violations_and_failures_are_not_overlooked() -> None:
    report = report_on(read_scenario(QUIET.replace('"10m"', '"10s"')))
    broken = msgspec.structs.replace(report, failure="Deadlock: task-1")
    assert report.sound
    assert not broken.sound
    assert "BROKEN OFF: Deadlock: task-1" in page_of(broken)
    assert "broken off: Deadlock" in summary_of(broken)


def test_a_report_survives_json() -> None:
    report = report_on(read_scenario(QUIET.replace('"10m"', '"1m"')))
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 99) == 7
    assert percentile([], 50) == 0
