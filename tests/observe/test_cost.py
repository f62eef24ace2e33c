"""`cost_of`: the sums of the price list and of prices of one's own; what is not known is None."""

from __future__ import annotations

import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import ConfigurationError, Price, cost_of
from ds2api_asgi.asgi.facts import Used
from ds2api_asgi.observe.cost import Pricing

USED = Used(input=1000, output=10, cached=100, reasoning=4)
counts = st.integers(0, 10**7)


def test_listed_prices_tell_cached_tokens_apart() -> None:
    cost = cost_of("openai", "gpt-4o", USED)
    assert cost is not None
    assert (cost.input, cost.output) == (Decimal("0.002375"), Decimal("0.0001"))
    assert cost.total == Decimal("0.002475")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gcp.gemini", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("x_ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
        ("azure.ai.openai", "gpt-4o"),
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic", "claude-sonnet-4-5"),
        (None, "claude-sonnet-4-5"),
    ],
)
def test_providers_are_known_by_the_names_that_opentelemetry_has(provider: str | None, model: str) -> None:
    cost = cost_of(provider, model, USED)
    assert cost is not None
    assert cost.total > 0


@pytest.mark.parametrize(("provider", "model"), [("openai", "no-such"), ("no-such", "gpt-4o"), (None, "no-such")])
def test_what_nobody_knows_has_no_cost(provider: str | None, model: str) -> None:
    assert cost_of(provider, model, USED) is None


@given(st.builds(Used, input=counts, output=counts, cached=counts, reasoning=counts))
def test_a_price_of_ones_own_comes_first_and_cached_tokens_never_make_it_negative(used: Used) -> None:
    prices = {"gpt-4o": Price(input=Decimal(2), output=Decimal(8), cached=Decimal("0.5"))}
    cost = cost_of("openai", "gpt-4o", used, prices=prices)
    assert cost is not None
    cached = min(used.cached, used.input)
    assert cost.input * 1_000_000 == 2 * (used.input - cached) + Decimal("0.5") * cached
    assert cost.output * 1_000_000 == 8 * used.output
    plain = cost_of("openai", "gpt-4o", used, prices={"gpt-4o": Price(input=Decimal(2), output=Decimal(8))})
    assert plain is not None
    assert plain.input * 1_000_000 == 2 * used.input


def test_without_the_list_its_extra_is_named_and_prices_of_ones_own_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ConfigurationError, match=r"ds2api-asgi\[cost\]"):
        cost_of("openai", "gpt-4o", USED)
    with pytest.raises(ConfigurationError, match=r"ds2api-asgi\[cost\]"):
        Pricing()
    pricing = Pricing({"m": Price(input=Decimal(1), output=Decimal(1))})
    cost = pricing.of("openai", "m", USED)
    assert cost is not None
    assert cost.total == Decimal("0.00101")
    assert pricing.of("openai", "gpt-4o", USED) is None
    assert pricing.of("openai", None, USED) is None
