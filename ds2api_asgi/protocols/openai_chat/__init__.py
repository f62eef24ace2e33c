"""OpenAI Chat Completions, and everything that speaks it: ``POST /v1/chat/completions``.

https://platform.openai.com/docs/api-reference/chat (read 2026-11-23). Decisions:

* Documents born here are written back as they were, member by member (`messages` lists the forms); everything below is
  about documents of other protocols.
* A lone text is a string, several are a list of parts: boundaries stay, and servers that know only strings are served.
* Reasoning goes as ``reasoning_content``; the dialect ``"strict"`` drops it. Signatures are dropped from requests, as
  no server here can read them; those of an answer are given to the client to carry (`carry`). An effort stands for a
  budget (`universal.effort`).
* Failed tools say so in words, media of tools follow in a user message: see `turns`.
* Cache marks of other protocols are dropped: servers of this one cache by themselves, and their marks, which only the
  newest models take, have other lifetimes.
* ``strict`` is never switched on, ``top_k`` is written only by the dialect ``"compatible"``, and a JSON schema without
  a name gets ``"response"``.
* A stream asks for usage, since other protocols always state it.
* Tools of a provider never become calls of a client; what has no place in an answer is dropped and reported.
* A client that offers only the legacy ``functions`` is answered with ``function_call``.
* ``[DONE]`` without any finish reason is believed (Snowflake); so is the end of a stream whose choices all had one.

| module | noun |
|---|---|
| `profile`, `fields` | what servers accept; members that are one value on both sides |
| `routes`, `request`, `response`, `errors`, `verdicts` | the protocol's sides; `openai_shared` has the others |
| `stream_decoder`, `stream_encoder`, `stream_watch` | streams read, written, watched |
| `messages`, `turns`, `parts`, `media`, `calls`, `tools` | what requests and answers are made of |
| `choices`, `stops`, `usage` | messages of an answer, why it ended, counts |
| `plain` | requests and answers of nothing but texts, from bytes to bytes |
| `citations`, `carry` | annotations; payloads that clients carry |
| `dialects`, `vendors` | what vendors take otherwise, as data |
| `fitting`, `fitting_turns`, `spelling` | requests made to fit a vendor, and spelled as it does |
| `stream_choice` | a choice that is read |
| `stream_parts`, `stream_live`, `stream_envelope` | parts that are written; what was shown; what stands beside |
"""

from __future__ import annotations

from ...framing.sse import write_comment
from ..base import Protocol
from ..codec import Codec
from ..openai_shared import embeddings as openai_embeddings
from ..openai_shared import models as openai_models
from ..openai_shared.inference_watch import InferenceWatch
from ..openai_shared.resources import RESOURCES
from . import errors, plain, request, response, routes, verdicts
from .dialects import DIALECTS
from .profile import NAME
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
    dialects=DIALECTS,
    keep_alive=write_comment(b"ping"),
    answer_error=errors.answer_error,
    resources=RESOURCES,
    plain=plain,
    inference_watch=InferenceWatch,
)
