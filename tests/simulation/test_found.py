"""What simulations have found, each as small as it could be made; the scenarios are written out, not drawn."""

from __future__ import annotations

from ds2api_asgi.simulation import Report, read_scenario, report_on, trace_of

PANIC = """
duration = "30s"
retry = { max_attempts = 1, breaker = { consecutive = 1, rest = 20.0 } }

[[providers]]
pool = { strategy = "round-robin" }
keys = [{ count = 3 }]

[[providers.events]]
at = 0
for = "5s"
what = "outage"

[[providers.events]]
at = "6s"
what = "dead"
key = "key-2"

[[clients]]
rate = 1.0
requests = 1
stream = 0.0
retries = 0

[[clients]]
name = "later"
rate = 1.0
requests = 1
begin = "8s"
stream = 0.0
retries = 0
"""


def ends(report: Report, group: str) -> dict[str, int]:
    return next(found.ends for found in report.groups if found.name == group)


def test_a_panic_that_meets_a_dead_key_goes_on_with_another() -> None:
    # Seed 985 of the first long look: the breaker is open, its panic draws a key that was just revoked, and the client
    # is told 401 while two good keys are there.
    report = report_on(read_scenario(PANIC))
    assert ends(report, "clients") == {"503": 1}
    assert ends(report, "later") == {"ok": 1}


QUEUED_TOO_LONG = """
duration = "60s"
retry = { max_attempts = 1, first_content_timeout = "3s" }

[[providers]]
name = "dead"

[[providers.events]]
at = 0
what = "refuse"

[[providers]]
name = "busy"
first_token = "2s"
pool = { max_concurrency = 1 }
keys = [{ count = 1 }]

[[clients]]
count = 6
think = "100ms"
stream = 1.0
retries = 0
output_tokens = 1
"""


def test_waiting_for_a_key_is_not_held_against_the_app() -> None:
    # Seed 1325 of the second look: the provider answers every call in two seconds, but requests wait for its one key
    # longer than the first content may take. They are judged as a fault of the model, and after five of them the
    # breaker leaves a healthy provider alone.
    plan = read_scenario(QUEUED_TOO_LONG)
    lines = trace_of(plan)
    assert not [line for line in lines if "BreakerOpened(target=1" in line]
