"""Limits that a protocol states are read back as they were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Limits

NOW = 1_795_900_000.0
COUNTS = st.none() | st.integers(0, 10**12).map(float)


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic"])
@given(
    st.lists(
        st.builds(
            Limits,
            dimension=st.sampled_from(["requests", "tokens"]),
            limit=COUNTS,
            remaining=COUNTS,
            reset_after=st.none() | st.floats(0, 100_000),
        ),
        unique_by=lambda one: one.dimension,
    )
)
def test_what_is_written_is_read(name: str, found: list[Limits]) -> None:
    protocol = registry.get(name)
    headers = {key.decode(): value.decode() for key, value in protocol.encode_limits(found, now=NOW)}
    read = {one.dimension: one for one in protocol.limits(headers, now=NOW)}
    for one in found:
        other = read.get(one.dimension, Limits(dimension=one.dimension))
        assert (other.limit, other.remaining) == (one.limit, one.remaining)
        if one.reset_after is None:
            assert other.reset_after is None
        else:
            slack = 1.001 if name == "anthropic" else 0.002  # whole seconds, milliseconds
            assert other.reset_after is not None
            assert one.reset_after - 1e-6 <= other.reset_after <= one.reset_after + slack
            assert math.isfinite(other.reset_after)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.0121, "13ms"), (1.0, "1s"), (20.5, "20.5s"), (360.0, "6m0s"), (3723.0, "1h2m3s")],
)
def test_openai_writes_durations_as_go_does(seconds: float, text: str) -> None:
    found = [Limits(dimension="requests", reset_after=seconds)]
    assert registry.get("openai-chat").encode_limits(found, now=NOW) == (
        (b"x-ratelimit-reset-requests", text.encode()),
    )


@pytest.mark.parametrize("name", ["gemini", "ollama"])
def test_who_has_no_such_headers_writes_none(name: str) -> None:
    found = [Limits(dimension="requests", limit=1.0)]
    assert registry.get(name).encode_limits(found, now=NOW) == ()
