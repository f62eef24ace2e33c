"""Anthropic Messages (`PROTOCOL`), in the dialects 2023-06-01 and 2026-10-21.

Decisions:

* ``anthropic-version`` is the dialect; a client without it speaks 2023-06-01, which is also what we speak upstream.
  In 2026-10-21 the sampling parameters, documents of assistants and citations of users are losses.
* Keys go upstream as ``x-api-key``. ``anthropic-beta`` is none of the codec's business.
* A call's ``input`` is kept as text. Text that is no object stands in ``{"_ds2_raw": …}`` and is recognised there.
* The top-level ``system`` is the first turn, with the form ``system``; ``role: system`` messages stay in their place.
* ``tool_choice``, ``thinking``, ``output_config`` and ``metadata`` are read in part; what is left of them is in ``ext``
  under their name (of ``thinking``: in ``reasoning_ext``) and merged back.
* A conversation from elsewhere is put into the provider's order (see `turns`); nothing is said that nobody said: there
  is no invented first user, no joiner between texts, no placeholder for an empty message.
* ``max_tokens`` is demanded: `profile.DEFAULT_MAX_TOKENS` where the request has none, reported.
* Thoughts go upstream only with a signature of this provider. To clients, thoughts from elsewhere go with an empty one.
* An answer keeps its upstream's id, whatever it looks like.
* ``service_tier`` of an answer stands in its ``usage``.
* A stop is ``tool_use`` when a tool of the client was called, ``refusal`` when the model declined or was filtered.

| module | noun |
|---|---|
| `profile`, `fields` | what the provider accepts; members that are one value on both sides |
| `routes`, `request`, `response`, `errors`, `verdicts`, `companions` | the protocol's sides |
| `stream_decoder`, `stream_encoder`, `stream_watch` | streams read, written, watched |
| `turns`, `parts`, `media`, `reasoning`, `calls`, `tools` | what requests and answers are made of |
| `groups`, `thinking` | members that are objects of settings; whether thoughts are asked for |
| `marks` | cache marks and citations of a block |
| `resources` | what accounts keep |
| `plain` | requests and answers of nothing but texts, from bytes to bytes |
| `stops`, `usage`, `limits`, `times` | why an answer ended; counts, rate limits, dates |
| `stream_blocks`, `scan` | parts of a stream, one after the other; whether JSON in pieces is complete |
"""

from __future__ import annotations

from ...framing.sse import write_comment
from ..base import Protocol
from ..codec import Codec
from . import companions, errors, plain, request, response, routes, verdicts
from .profile import DIALECTS, NAME
from .resources import RESOURCES
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_watch import StreamWatch

__all__ = ["PROTOCOL"]

PROTOCOL: Protocol = Codec(
    name=NAME,
    routes=routes,
    request=request,
    response=response,
    errors=errors,
    verdicts=verdicts,
    companions=companions,
    stream_decoder=StreamDecoder,
    stream_encoder=StreamEncoder,
    stream_watch=StreamWatch,
    settle=response.settle,
    dialects=("", *DIALECTS),
    keep_alive=write_comment(b"ping"),
    answer_error=errors.answer_error,
    resources=RESOURCES,
    plain=plain,
)
