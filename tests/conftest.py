"""Fixtures and profiles for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from redis_server import RedisServer, shared_redis

# CI draws the same examples every time; "thorough" looks for new ones.
settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both worlds."""
    return str(request.param)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a Redis that many tests share: whoever writes to it chooses names of its own."""
    pytest.importorskip("redis")
    with shared_redis() as url:
        yield url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of the test's own, already started, which it may stop, pause and start again."""
    pytest.importorskip("redis")
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
