"""Scenario files say what they mean, and errors say where they do not."""

from __future__ import annotations

from random import Random

import pytest

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.simulation import Scenario, World, read_scenario
from ds2api_asgi.simulation.units import DayTime, Moment, Quantity, Seconds

FULL = """
start = "13:50"
duration = "20m"
seed = 7
shuffle = true

[retry]
deadline = "30s"
max_attempts = 2
first_content_timeout = "none"

[[providers]]
name = "main"
first_token = { median = "400ms", spread = 0.4 }
tokens_per_second = { low = 20, high = 90 }
window = "sliding"
hint = "milliseconds"
pool = { strategy = "round-robin", max_concurrency = 8 }
retry = { max_attempts = 2 }

[[providers.keys]]
count = 5
rpm = 60

[[providers.keys]]
name = "spare"
scope = "org"
count = 2
tpm = 1000

[[providers.events]]
at = "14:00"
for = "2m"
what = "dead"
key = "key-3"

[[clients]]
name = "people"
count = 200
think = "45s"

[[clients]]
name = "robots"
rate = 0.5
begin = "5m"
"""


def test_a_file_becomes_a_scenario() -> None:
    plan = read_scenario(FULL)
    assert (plan.start, plan.duration, plan.seed, plan.shuffle) == (13 * 3600 + 50 * 60, 1200, 7, True)
    (provider,) = plan.providers
    assert provider.key_names() == ["key-1", "key-2", "key-3", "key-4", "key-5", "spare-1", "spare-2"]
    (event,) = provider.events
    assert (event.at.since(plan.start), event.lasts) == (600, 120)
    assert [group.begin.since(plan.start) for group in plan.clients] == [0, 300]


def test_settings_are_the_constructors_own() -> None:
    plan = read_scenario(FULL)
    world = World(plan)
    assert world.deadline == 30
    assert world.providers["main"].max_concurrency == 8


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('duration = "20m"', 'duration = "20"', r"^duration: expected a duration"),
        ('duration = "20m"', "", r"^the scenario: .*duration"),
        ('start = "13:50"', 'start = "24:00"', r"^start: expected a time of day"),
        ('at = "14:00"', 'at = "soon"', r"^providers\[0\]\.events\[0\]\.at: expected a duration"),
        ('key = "key-3"', 'key = "key-6"', r"^providers\[0\]\.events\[0\]\.key: there is no 'key-6'"),
        ('what = "dead"', 'what = "alive"', r"^providers\[0\]\.events\[0\]\.what: .*alive"),
        ("rpm = 60", "rpm = 0", r"^providers\[0\]\.keys\[0\]\.rpm: "),
        ("rpm = 60", "rps = 1", r"^providers\[0\]\.keys\[0\]: .*rps"),
        ("median = ", "mdian = ", r"^providers\[0\]\.first_token: a quantity has"),
        ("low = 20", "low = 100", r"^providers\[0\]\.tokens_per_second: low is above high"),
        ("spread = 0.4", "spread = true_", r"^not TOML: "),
        ('name = "robots"', 'name = "people"', r"^clients: the name 'people' stands there twice"),
        ('name = "spare"', 'name = "key"', r"^providers\[0\]\.keys: the name 'key-1' stands there twice"),
        ("rate = 0.5", "rate = 0.5\ncount = 1", r"^clients\[1\]: either count or rate"),
        ("rate = 0.5", "", r"^clients\[1\]: either count or rate"),
        ("rate = 0.5", 'rate = 0.5\nprotocol = "smtp"', r"^clients\[1\]\.protocol: .*smtp"),
    ],
)
def test_errors_name_the_path(old: str, new: str, said: str) -> None:
    assert old in FULL
    with pytest.raises(ConfigurationError, match=said):
        read_scenario(FULL.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_attempts = 2\nfirst", "max_atempts = 2\nfirst", r"^retry\.max_atempts: unknown; one of max_attempts, "),
        ("max_attempts = 2\nfirst", 'max_attempts = "2"\nfirst', r"^retry\.max_attempts: expected int, got '2'"),
        ("max_attempts = 2\nfirst", "max_attempts = true\nfirst", r"^retry\.max_attempts: expected int, got True"),
        ("max_attempts = 2\nfirst", "max_attempts = 0\nfirst", r"max_attempts must be"),
        ('deadline = "30s"', 'deadline = "half"', r"^retry\.deadline: expected a duration"),
        ("max_concurrency = 8", 'keys = "a"', r"^providers\[0\]\.pool\.keys: unknown"),
        ("max_concurrency = 8", "max_concurrency = 0", r"^providers\[0\]: .*max_concurrency"),
        ('"round-robin"', '"robin"', r"^providers\[0\]: unknown key strategy 'robin'"),
        ("retry = { max_attempts = 2 }", "retry = { x = 2 }", r"^providers\[0\]\.retry\.x: unknown"),
    ],
)
def test_errors_of_settings_name_the_path_before_anything_runs(old: str, new: str, said: str) -> None:
    assert old in FULL
    with pytest.raises(ConfigurationError, match=said):
        World(read_scenario(FULL.replace(old, new)))


def test_several_providers_need_a_failover() -> None:
    plan = read_scenario('duration = 1\n[[providers]]\nname = "a"\n[[providers]]\nname = "b"\n[[clients]]\ncount = 1\n')
    assert isinstance(plan, Scenario)
    with pytest.raises(ConfigurationError, match=r"^retry: several providers need it"):
        Scenario(duration=plan.duration, providers=plan.providers, clients=plan.clients, retry=None).check()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1h30m", 5400), ("1.5s", 1.5), ("1d", 86_400), (2, 2), (0.5, 0.5), ("1m 30s", None)]
    + [(bad, None) for bad in ("", "s", "-1s", "1", "1x", "30 s", -1, True, float("nan"), float("inf"), None, [])],
)
def test_durations(given: object, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(ValueError, match="expected a duration"):
            Seconds.decode(given)
    else:
        assert Seconds.decode(given) == seconds


def test_times_of_day_wrap_at_midnight() -> None:
    start = DayTime.decode("23:50")
    assert Moment.decode("00:10").since(start) == 1200
    assert Moment.decode("23:50:30").since(start) == 30
    assert Moment.decode("20m").since(start) == 1200


def test_quantities_keep_their_median_and_their_ends() -> None:
    rng = Random(1)
    drawn = sorted(Quantity.decode({"median": "2s", "spread": 0.5}).draw(rng) for _ in range(4001))
    assert drawn[2000] == pytest.approx(2, rel=0.05)
    assert drawn[3365] == pytest.approx(2 * 2.718**0.5, rel=0.1)  # one standard deviation above
    between = Quantity.decode({"low": 1, "high": 3})
    assert all(1 <= between.draw(rng) <= 3 for _ in range(1000))
    assert {Quantity.decode(5).draw(rng) for _ in range(3)} == {5}
