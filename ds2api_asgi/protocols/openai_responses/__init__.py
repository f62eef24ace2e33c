"""OpenAI Responses, and everything that speaks it: ``POST /v1/responses``.

https://platform.openai.com/docs/api-reference/responses (read 2026-11-23). Decisions:

* One item is one turn. Items that the provider's own tools leave, and all that we do not know, are kept whole
  (`OpaquePart`); they go to no other protocol and never become calls of a client.
* ``instructions`` is the first turn, with the form ``instructions``; going upstream, system turns stay in ``input``.
* A lone text is a string, each text of an assistant a message of its own: SDKs know assistant messages of parts only
  with an id, which nobody else gives.
* An answer keeps its upstream's id; ids of items are made of it and their place, the same in a document and a stream.
* What an answer repeats of its request is in ``Response.echo``; for clients it is written again from their request.
* ``strict: false`` and ``detail: auto``, which SDKs demand, are read as saying nothing; `tools` says why.
* Thoughts go upstream only if a server of this protocol encrypted them, or to the dialect ``"compatible"``. To clients
  text goes as ``reasoning_text``, summaries as summaries.
* State on a server (``previous_response_id``, ``conversation``, ``prompt``, ``background``) is refused elsewhere.
* A stream that fails after its beginning ends in ``response.failed``, before it in ``error``.

| module | noun |
|---|---|
| `profile`, `fields` | what servers accept; members that are one value on both sides |
| `routes`, `request`, `response`, `errors`, `verdicts` | the protocol's sides; `openai_shared` has the others |
| `stream_decoder`, `stream_encoder`, `stream_watch` | streams read, written, watched |
| `turns`, `items`, `parts`, `media`, `tools` | what requests and answers are made of |
| `effort`, `stops`, `usage`, `citations` | how much to think; why an answer ended; counts, annotations |
| `resources` | what accounts keep |
| `fitting` | a vendor that refuses what it does not document |
| `minted`, `remade` | items come back through other clients; items made of others on their way |
| `stream_item`, `settle` | an item that is read; what item a part stands in |
| `stream_parts`, `stream_live` | parts that are written; what has been shown of them |
| `stream_events` | events, named and numbered |
"""

from __future__ import annotations

from ...framing.sse import write_comment
from ..base import Protocol
from ..codec import Codec
from ..openai_shared import embeddings as openai_embeddings
from ..openai_shared import models as openai_models
from ..openai_shared.inference_watch import InferenceWatch
from . import errors, request, response, routes, verdicts
from .profile import DIALECTS, NAME
from .resources import RESOURCES
from .settle import settle
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
    companions=openai_models,
    embeddings=openai_embeddings,
    stream_decoder=StreamDecoder,
    stream_encoder=StreamEncoder,
    stream_watch=StreamWatch,
    settle=settle,
    dialects=DIALECTS,
    keep_alive=write_comment(b"ping"),
    answer_error=errors.answer_error,
    resources=RESOURCES,
    inference_watch=InferenceWatch,
)
