"""Google's Gemini API (`PROTOCOL`): ``POST /v1beta/models/{model}:generateContent`` and ``:streamGenerateContent``.

https://ai.google.dev/api/generate-content (read 2026-11-23). Decisions:

* The path names the model and tells whether the answer is a stream: ``Claim`` has both, and counts for more than what
  a body says.
* Members spelled with underscores are read as those in camelCase, and go back as they came (`spelling`).
* A client that asks for a stream without ``alt=sse`` gets a JSON array: the dialect ``"json_array"``. Upstreams are
  always asked for server-sent events; streams of both kinds are read. An array that ends in an error is not closed.
* Calls without an id get one that is made of their ordinal and name; results without one, or with one of their own,
  belong to the first call of their name that waits, else to the first that waits (`pairing`).
* A result's text is ``{"output": …}``, a failed one's ``{"error": …}``. Other objects are their JSON text (`calls`).
* ``VALIDATED`` is ``AUTO`` to others; it is also what the choice among some tools without a must becomes here.
* A ``thoughtSignature`` stays on its part and goes to no other provider. Where a model of generation 3 demands one for
  a call that another model made, the provider's own word for none stands there, reported.
* Schemas are JSON Schema (``parametersJsonSchema``, ``responseJsonSchema``); the older dialect is converted (`schema`).
* ``thinkingLevel`` is the effort, ``thinkingBudget`` the budget; -1 is the mode ``adaptive``. Models before
  generation 3 are told budgets.
* Late system turns join the one system instruction, reported as a change of meaning.
* The provider's own tools, in requests and answers, stay as they are and go to nobody else.
* A blocked prompt is an answer that was filtered, not an error.
* ``groundingMetadata`` goes back as it came; to others it is citations, counted in code points.

| module | noun |
|---|---|
| `profile`, `fields` | what the provider accepts; members that are one value on both sides |
| `spelling` | the two spellings of each member |
| `routes`, `request`, `response`, `errors`, `verdicts`, `companions`, `embeddings` | the protocol's sides |
| `stream_decoder`, `stream_encoder`, `stream_watch` | streams read, written, watched |
| `turns`, `parts`, `media`, `calls`, `pairing`, `tools`, `schema` | what requests and answers are made of |
| `groups` | ``generationConfig`` |
| `citations` | ``groundingMetadata`` |
| `resources` | what accounts keep |
| `stops`, `usage`, `limits`, `times` | why an answer ended; counts, rate limits, dates |
| `stream_frames` | frames of both kinds, read and written |
| `stream_candidate`, `stream_args` | a candidate that is read; arguments in pieces |
| `stream_parts` | parts that are written |
"""

from __future__ import annotations

from ..base import Protocol
from ..codec import Codec
from . import companions, embeddings, errors, request, response, routes, verdicts
from .profile import DIALECTS, JSON_ARRAY, NAME
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
    embeddings=embeddings,
    stream_decoder=StreamDecoder,
    stream_encoder=StreamEncoder,
    stream_watch=StreamWatch,
    stream_types={JSON_ARRAY: "application/json"},
    dialects=DIALECTS,
    answer_error=errors.answer_error,
    resources=RESOURCES,
)
