"""Ollama, and everything that speaks it: ``POST /api/chat``, and ``POST /api/generate`` as a dialect.

https://docs.ollama.com/api (read 2026-11-23). Decisions:

* Documents born here are written back as they were, member by member (`messages` lists the forms); everything below is
  about documents of other protocols.
* A message has one text: a turn with several becomes several messages, so that boundaries stay (`turns`). An answer is
  one message: its texts are joined.
* Calls keep their ``id`` and results their ``tool_call_id``, which newer servers give and take and older ones ignore;
  results name their tool besides, since templates print it. Calls without an id pair by order and name.
* Ollama streams unless told otherwise. A request without ``stream`` says so in no other protocol, so who translates
  has to put the default of one protocol into the words of the other.
* There is no choice among tools: where none may be called none are shown, anything else is reported.
* One member says all of reasoning: an effort, or a yes or no to a mode; a budget becomes an effort.
* Images are base64 without a type; anything else that is no text has no place. An answer has none at all: the official
  client fails on one.
* An answer with calls has ended to call them, whatever its reason says.
* Nanoseconds of an answer are members that only Ollama knows.

| module | noun |
|---|---|
| `profile`, `fields` | what servers accept; members that are one value on both sides |
| `routes`, `request`, `response`, `errors`, `verdicts`, `companions`, `embeddings` | the protocol's sides |
| `generate` | one prompt in place of a conversation |
| `stream_decoder`, `stream_encoder`, `stream_watch` | streams read, written, watched |
| `messages`, `turns`, `calls`, `tools` | what requests and answers are made of |
| `stops`, `usage`, `times` | why an answer ended, counts, dates |
"""

from __future__ import annotations

from ..base import Protocol
from ..codec import Codec
from . import companions, embeddings, errors, generate, request, response, routes, verdicts
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
    companions=companions,
    embeddings=embeddings,
    idle=generate.idle,
    stream_decoder=StreamDecoder,
    stream_encoder=StreamEncoder,
    stream_watch=StreamWatch,
    stream_type="application/x-ndjson",
    streams_by_default=True,
    answer_error=errors.answer_error,
)
