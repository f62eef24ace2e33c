"""Scenarios by chance: small, quick and nasty, for finding bugs rather than for finding out what to expect.

The same seed gives the same scenario. What can go wrong does so far more often than in life: short deadlines, few keys,
low limits, clients that leave and servers that cancel in the middle of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ..pool import KeyPool
from ..resilience import Failover
from .scenario import Clients, Event, Keys, Provider, Scenario
from .settings import parameters_of
from .units import Moment, Quantity, Seconds

__all__ = ["chance_scenario"]

_DURATION = 60.0


def chance_scenario(seed: int) -> Scenario:
    """Draw a scenario of 5 to 30 requests.

    Args:
        seed: Of the scenario and of everything in it.
    """
    rng = Random(f"scenario/{seed}")  # noqa: S311 - simulates
    several = rng.random() < 0.35
    providers = tuple(_provider(rng, f"provider-{number}") for number in range(rng.randint(2, 3) if several else 1))
    scenario = Scenario(
        seed=seed,
        duration=Seconds(_DURATION),
        shuffle=True,
        retry=_retry(rng) if several or rng.random() < 0.85 else None,
        providers=providers,
        clients=_clients(rng),
    )
    scenario.check()
    return scenario


def _retry(rng: Random) -> dict[str, Any]:
    retry: dict[str, Any] = {"deadline": rng.choice((3.0, 10.0, 30.0, 120.0))}
    if rng.random() < 0.5:
        retry["max_attempts"] = rng.randint(1, 4)
    if rng.random() < 0.5:
        retry["max_keys_tried"] = rng.randint(1, 8)
    if rng.random() < 0.5:
        retry["max_calls"] = rng.randint(3, 8)
    if rng.random() < 0.3:
        retry["wait_cap"] = rng.choice((0.0, 1.0, 30.0))
    if rng.random() < 0.3:
        retry["backoff"] = rng.choice((0.0, 0.1, 2.0))
    for name in ("first_content_timeout", "idle_timeout", "content_timeout"):
        if rng.random() < 0.6:
            retry[name] = rng.choice((0.3, 1.0, 5.0))
    if rng.random() < 0.4:
        retry["breaker"] = {
            "consecutive": rng.randint(1, 3),
            "rest": rng.choice((0.5, 5.0)),
            "probes": rng.randint(1, 2),
        }
    if rng.random() < 0.2:
        retry["budget"] = {"capacity": float(rng.randint(1, 5))}
    if rng.random() < 0.2:
        retry["keep_pace"] = False
    if rng.random() < 0.2:
        retry["early_commit_after"] = rng.choice((0.1, 1.0))
    if rng.random() < 0.25:
        retry["hedge"] = {"quantile": 0.5, "least": 0.05, "samples": rng.randint(1, 3), "share": 1.0}
    return _known(retry, Failover)


def _provider(rng: Random, name: str) -> Provider:
    keys = () if rng.random() < 0.08 else _keys(rng)
    names = [key for group in keys for key in group.names()]
    return Provider(
        name=name,
        first_token=_varied(rng, rng.choice((0.05, 0.5, 2.0))),
        tokens_per_second=_varied(rng, rng.choice((20.0, 100.0, 1000.0))),
        window=rng.choice(("fixed", "sliding", "bucket")),
        hint=rng.choice(("seconds", "milliseconds", "none")),
        headers=rng.random() < 0.6,
        pool=_pool(rng),
        retry=_retry(rng) if rng.random() < 0.15 else None,
        keys=keys,
        events=tuple(_event(rng, names) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))),
    )


def _pool(rng: Random) -> dict[str, Any]:
    pool: dict[str, Any] = {"strategy": rng.choice(("least-used", "round-robin", "fill-first", "latency", "affinity"))}
    if rng.random() < 0.15:
        pool["max_total"] = rng.randint(1, 5)
    if rng.random() < 0.4:
        pool["max_concurrency"] = rng.randint(1, 3)
    if rng.random() < 0.7:
        pool["queue_timeout"] = rng.choice((0.0, 0.5, 3.0, 30.0))
    if rng.random() < 0.4:
        pool["max_queue"] = rng.randint(1, 4)
    return _known(pool, KeyPool)


def _known(settings: dict[str, Any], constructor: Callable[..., Any]) -> dict[str, Any]:
    """Without what a constructor does not take."""
    known = parameters_of(constructor)
    return {name: value for name, value in settings.items() if name in known}


def _keys(rng: Random) -> tuple[Keys, ...]:
    return tuple(_some_keys(rng, number) for number in range(rng.choice((1, 1, 1, 2))))


def _some_keys(rng: Random, number: int) -> Keys:
    return Keys(
        name=f"k{number}",
        count=rng.randint(1, 4),
        scope=f"scope-{number}" if rng.random() < 0.25 else None,
        rpm=rng.choice((None, 2, 5, 20)),
        tpm=rng.choice((None, None, 500, 5000)),
        concurrency=rng.choice((None, None, 1, 2)),
        told=rng.choice((0.0, 0.0, 0.5, 1.0)),
        told_concurrency=rng.random() < 0.3,
        weight=rng.choice((1.0, 1.0, 2.0)),
        priority=rng.choice((0, 0, 1)),
    )


def _event(rng: Random, keys: list[str]) -> Event:
    what: Any = rng.choice(("dead", "quota", "outage", "refuse", "hang", "cut", "cut", "slow"))
    share = rng.choice((1.0, 1.0, 0.5, 0.2))
    return Event(
        at=Moment(rng.choice((0.0, rng.uniform(0, _DURATION))), of_day=False),
        what=what,
        lasts=None if rng.random() < 0.3 else Seconds(rng.uniform(1, _DURATION)),
        key=rng.choice(keys) if keys and (what in ("dead", "quota") or rng.random() < 0.3) else None,
        model="model-b" if rng.random() < 0.15 else None,
        share=share,
        status=rng.choice((500, 502, 503, 504, 529)),
        factor=rng.choice((3.0, 30.0)),
    )


def _clients(rng: Random) -> tuple[Clients, ...]:
    models = ("model-a",) if rng.random() < 0.7 else ("model-a", "model-b")
    groups = []
    for number in range(rng.choice((1, 1, 2))):
        closed = rng.random() < 0.6
        groups.append(
            Clients(
                name=f"group-{number}",
                count=rng.randint(1, 6) if closed else 0,
                rate=0.0 if closed else rng.choice((0.2, 1.0, 5.0)),
                think=_varied(rng, rng.choice((0.01, 1.0, 8.0))),
                requests=rng.randint(1, 4) if closed else rng.randint(3, 12),
                protocol=rng.choice(("anthropic", "gemini", "openai-responses", "ollama"))
                if rng.random() < 0.12
                else None,
                models=models,
                prompt_tokens=_varied(rng, rng.choice((10.0, 300.0))),
                output_tokens=_varied(rng, rng.choice((5.0, 60.0, 300.0))),
                stream=rng.choice((0.0, 0.5, 1.0)),
                retries=rng.choice((0, 2)),
                deadline=Seconds(rng.uniform(1, 20)) if rng.random() < 0.3 else None,
                leave=rng.choice((0.0, 0.0, 0.3, 0.8)),
                patience=Quantity(0.0, high=rng.choice((0.2, 3.0, 15.0))),
                kill=rng.choice((0.0, 0.0, 0.0, 0.3)),
            )
        )
    return tuple(groups)


def _varied(rng: Random, about: float) -> Quantity:
    return Quantity(about, spread=rng.choice((0.0, 0.3, 1.0)))
