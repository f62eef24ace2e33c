"""The response document: what a model answered, and what it cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import UNSET, UnsetType

from .failure import Failure
from .node import Node, Origin
from .request import Turn

__all__ = ["Candidate", "Response", "Stop", "StopReason", "Usage"]


class StopReason(StrEnum):
    """Why an answer ended."""

    END = "end"  # it was complete
    TOOL = "tool"  # the client's tools are called
    LENGTH = "length"  # the bound of output tokens
    CONTEXT = "context"  # the context window is full
    SEQUENCE = "sequence"  # one of the request's stop sequences
    REFUSAL = "refusal"  # the model declined
    FILTER = "filter"  # a filter of the provider cut it
    PAUSE = "pause"  # the provider paused; send the turn back to go on
    MALFORMED = "malformed"  # the model's call or output could not be read
    ERROR = "error"  # the provider failed
    OTHER = "other"  # a reason we do not know; `Stop.native` has it


class Stop(Node, frozen=True, kw_only=True):
    """The end of an answer.

    Attributes:
        reason: Why.
        sequence: The stop sequence that was met.
        details: What the wire says about it, verbatim.
        native: The home protocol's own word, when `reason` alone would not give it back.
    """

    reason: StopReason
    sequence: str | UnsetType = UNSET
    details: Any = UNSET
    native: str | UnsetType = UNSET


class Usage(Node, frozen=True, kw_only=True):
    """Tokens, inclusive: `input_total` holds the cached ones, `output_total` the reasoning ones.

    UNSET is "the wire did not say", which is not 0.

    Attributes:
        input_total: All input tokens.
        cache_read: Those of them that were read from a cache.
        cache_write: Those of them that were written to a cache.
        cache_write_5m: Those of `cache_write` that live five minutes.
        cache_write_1h: Those of `cache_write` that live an hour.
        output_total: All output tokens.
        reasoning: Those of them that were spent on reasoning.
        audio_input: Audio tokens of the input.
        audio_output: Audio tokens of the output.
        accepted_prediction: Tokens of the prediction that were used.
        rejected_prediction: Tokens of the prediction that were not.
        total: The wire's own sum, kept when it stated one.
        server_tools: Counts of the provider's own tools, verbatim.
        input_ext: Unknown members of the wire's object of input details, verbatim.
        output_ext: Unknown members of the wire's object of output details, verbatim.
    """

    input_total: int | UnsetType = UNSET
    cache_read: int | UnsetType = UNSET
    cache_write: int | UnsetType = UNSET
    cache_write_5m: int | UnsetType = UNSET
    cache_write_1h: int | UnsetType = UNSET
    output_total: int | UnsetType = UNSET
    reasoning: int | UnsetType = UNSET
    audio_input: int | UnsetType = UNSET
    audio_output: int | UnsetType = UNSET
    accepted_prediction: int | UnsetType = UNSET
    rejected_prediction: int | UnsetType = UNSET
    total: int | UnsetType = UNSET
    server_tools: Any = UNSET
    input_ext: dict[str, Any] | UnsetType = UNSET
    output_ext: dict[str, Any] | UnsetType = UNSET


class Candidate(Node, frozen=True, kw_only=True):
    """One answer.

    Attributes:
        turns: One assistant turn; several where the wire answers in items.
        stop: Why it ended; UNSET while it has not, or the wire did not say.
        index: The wire's own number, from 0.
        logprobs: Log probabilities, verbatim.
    """

    turns: tuple[Turn, ...] = ()
    stop: Stop | UnsetType = UNSET
    index: int = 0
    logprobs: Any = UNSET


class Response(Node, frozen=True, kw_only=True):
    """What a model answered.

    Attributes:
        id: The answer's id.
        model: The model that answered.
        created: Unix time in seconds.
        candidates: The answers.
        usage: What it cost.
        error: A failure that came in place of an answer under a success status.
        service_tier: The tier that served it.
        container: The container that was used, verbatim.
        context_management: Edits that the server made to the context, verbatim.
        echo: What the answer only repeats of its request (tools, instructions), verbatim, where the home protocol does
            that: nothing new, so no loss elsewhere.
        origin: Where the document came from.
    """

    id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    created: int | float | UnsetType = UNSET
    candidates: tuple[Candidate, ...] = ()
    usage: Usage | UnsetType = UNSET
    error: Failure | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    container: Any = UNSET
    context_management: Any = UNSET
    echo: dict[str, Any] | UnsetType = UNSET
    origin: Origin
