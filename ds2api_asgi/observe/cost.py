"""What an answer cost in money: `cost_of`, by the list of genai-prices (extra ``cost``) or by prices of one's own.

The list comes with the package; nothing is fetched. The one rule: a price that is not known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from ..asgi.facts import Used
from ..errors import ConfigurationError
from .extras import need
from .seen import RequestSeen

__all__ = ["Cost", "Price", "Pricing", "cost_of"]

_MILLION: Final = Decimal(1_000_000)

# What OpenTelemetry calls providers, where the list calls them otherwise.
_NAMES: Final = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


class Price(Struct, frozen=True, kw_only=True):
    """A price of one's own, in US dollars per million tokens.

    Attributes:
        input: Of what is asked.
        output: Of what is answered, reasoning as well.
        cached: Of what is asked and was in the provider's cache; None: as `input`.
        audio_input: Of what was heard and not in the cache; None: as `input`.
        audio_output: Of what was spoken; None: as `output`.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """What an answer cost, in US dollars.

    Attributes:
        input: For what was asked.
        output: For what was answered.
    """

    input: Decimal
    output: Decimal

    @property
    def total(self) -> Decimal:
        """Both together."""
        return self.input + self.output


def cost_of(provider: str | None, model: str, used: Used, *, prices: Mapping[str, Price] | None = None) -> Cost | None:
    """Tell what an answer cost.

    Tokens that were written to a cache are counted as any other input: `Used` does not tell them apart, though some
    providers ask a quarter more for them.

    Args:
        provider: As OpenTelemetry or the list calls it (``"openai"``, ``"gcp.gemini"``); None: found by the model.
        model: As the provider calls it (``"gpt-4o-2024-08-06"``).
        used: The answer's tokens.
        prices: Prices of one's own by model; they come before the list.

    Returns:
        The cost, or None when nobody knows the model's price.

    Raises:
        ConfigurationError: genai-prices is not installed (extra ``cost``), and `prices` does not have the model.
    """
    own = None if prices is None else prices.get(model)
    cached = min(used.cached, used.input)
    heard, spoken = min(used.audio_input, used.input), min(used.audio_output, used.output)
    heard_cached = min(used.audio_cached, heard, cached)
    if own is not None:
        rate = own.input if own.cached is None else own.cached
        hearing = own.input if own.audio_input is None else own.audio_input
        speaking = own.output if own.audio_output is None else own.audio_output
        fresh = heard - heard_cached
        plain = max(0, used.input - cached - fresh)
        return Cost(
            input=(plain * own.input + fresh * hearing + cached * rate) / _MILLION,
            output=((used.output - spoken) * own.output + spoken * speaking) / _MILLION,
        )
    listed = need("genai_prices", extra="cost")
    usage = listed.Usage(
        input_tokens=used.input,
        cache_read_tokens=cached,
        output_tokens=used.output,
        input_audio_tokens=heard or None,
        output_audio_tokens=spoken or None,
        cache_audio_read_tokens=heard_cached if heard and cached else None,
    )
    name = None if provider is None else _NAMES.get(provider, provider)
    try:
        found = listed.calc_price(usage, model_ref=model, provider_id=name)
    except (LookupError, ValueError):  # no such provider or model, or one without a price for such tokens
        return None
    return Cost(input=found.input_price, output=found.output_price)


class Pricing:
    """Tells costs for a part, and loads the list before the first request needs it: that takes a third of a second.

    Args:
        prices: Prices of one's own by model; they come before the list, and suffice without it.

    Raises:
        ConfigurationError: A price is below 0, or there are none of one's own and genai-prices is missing.
    """

    def __init__(self, prices: Mapping[str, Price] | None = None) -> None:
        for model, price in (prices or {}).items():
            for rate in (price.input, price.output, price.cached, price.audio_input, price.audio_output):
                if rate is not None and not rate >= 0:
                    raise ConfigurationError(f"the price of {model!r} is below 0")
        self._prices = dict(prices or {})
        self._listed = True
        try:
            need("genai_prices", extra="cost")
        except ConfigurationError:
            if not prices:
                raise
            self._listed = False

    def of_request(self, request: RequestSeen) -> float | None:
        """What all answers to a request cost together, in US dollars; None: none came, or a price is unknown."""
        call = request.answering
        provider = None if call is None else call.provider
        model = request.model if call is None or call.model is None else call.model
        total = Decimal(0)
        answers = 0
        for used in request.exchange.all(Used):
            cost = self.of(provider, model, used)
            if cost is None:
                return None
            total += cost.total
            answers += 1
        return float(total) if answers else None

    def of(self, provider: str | None, model: str | None, used: Used) -> Cost | None:
        """See `cost_of`; None as well where the model is unknown."""
        if model is None or not (self._listed or model in self._prices):
            return None
        return cost_of(provider, model, used, prices=self._prices)
