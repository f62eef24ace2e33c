"""What a request may cost in tokens, guessed from its bytes before it goes up: only where a key has limits of tokens.

A guess has to be cheap and rather too high than too low, for it is corrected once the answer says what it cost. It is
what `universal.estimate` says of the body, plus the bound of the output that the request states, as
providers count it too (OpenAI charges ``max_tokens`` against the limit before it knows the answer).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..universal.estimate import estimate_body_tokens

__all__ = ["DEFAULT_OUTPUT", "Costs", "cost_of"]

DEFAULT_OUTPUT = 1_024
"""Tokens of an answer to a request that states no bound."""

_LONGEST_BOUND = 1_000_000  # a bound beyond every model's is none
_LEARN = 0.1


class _Options(msgspec.Struct, gc=False):
    num_predict: Any = None


class _Generation(msgspec.Struct, gc=False):
    camel: Any = msgspec.field(name="maxOutputTokens", default=None)
    snake: Any = msgspec.field(name="max_output_tokens", default=None)


class _Bounds(msgspec.Struct, gc=False):
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    options: _Options | None = None
    camel: _Generation | None = msgspec.field(name="generationConfig", default=None)
    snake: _Generation | None = msgspec.field(name="generation_config", default=None)


_decoder = msgspec.json.Decoder(_Bounds)


def cost_of(body: bytes, *, usual: int = DEFAULT_OUTPUT) -> int:
    """Guess how many tokens a request and its answer may have.

    Args:
        body: The request's; JSON, or anything.
        usual: Tokens of an answer to a request that states no bound.

    Returns:
        Tokens, rounded up to three binary digits: requests of about the same size shall be the same to a queue.
    """
    return _rounded(estimate_body_tokens(body) + _output(body, usual))


def _output(body: bytes, usual: int) -> int:
    try:
        bounds = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return usual
    stated = [bounds.max_completion_tokens, bounds.max_tokens, bounds.max_output_tokens]
    if bounds.options is not None:
        stated.append(bounds.options.num_predict)
    for group in (bounds.camel, bounds.snake):
        if group is not None:
            stated += [group.camel, group.snake]
    for bound in stated:
        if type(bound) is int and 0 < bound <= _LONGEST_BOUND:
            return bound
    return usual


def _rounded(tokens: int) -> int:
    step = 1 << max(tokens.bit_length() - 3, 0)
    return -(-tokens // step) * step


class Costs:
    """What requests of a pool cost.

    Attributes:
        average: Tokens of one request and its answer: a moving average; 0 while none is known.
    """

    __slots__ = ("average",)

    def __init__(self) -> None:
        self.average = 0.0

    def learn(self, tokens: int) -> None:
        """One more answer said what it cost."""
        self.average = tokens if not self.average else self.average + _LEARN * (tokens - self.average)
