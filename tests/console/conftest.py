"""Fixtures: a browser for each file of tests, and a stage for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from browsing import browser
from console_stage import Stage


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """One browser for a file of tests."""
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """Where servers are started from."""
    with start_blocking_portal("asyncio") as opened:
        yield opened


@pytest.fixture
def stage(chrome: Any, portal: BlockingPortal) -> Iterator[Stage]:
    """Gateways and visits; whatever went wrong on a page fails the test."""
    with ExitStack() as stack:
        made = Stage(chrome, portal, stack)
        yield made
        faults = [fault for visit in made.visits for fault in visit.faults]
    assert faults == []
