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
"""

from __future__ import annotations

from collections.abc import Iterable

from ...universal.events import Event
from ...universal.fold import fold
from ...universal.response import Response
from . import (
    companions,
    errors,
    limits,
    profile,
    request,
    response,
    routes,
    stream_decoder,
    stream_encoder,
    stream_watch,
)

__all__ = ["PROTOCOL", "OpenAIChatProtocol"]


class OpenAIChatProtocol:
    """See `base.Protocol`."""

    name = profile.NAME
    stream_type = "text/event-stream"

    claim = staticmethod(routes.claim)
    route = staticmethod(routes.route)
    authorize = staticmethod(routes.authorize)
    dialect = staticmethod(routes.dialect)

    parse = staticmethod(request.parse)
    decode_request = staticmethod(request.decode_request)
    encode_request = staticmethod(request.encode_request)
    decode_response = staticmethod(response.decode_response)
    encode_response = staticmethod(response.encode_response)

    decode_error = staticmethod(errors.decode_error)
    encode_error = staticmethod(errors.encode_error)
    classify = staticmethod(errors.classify)
    limits = staticmethod(limits.limits)
    stream_error = staticmethod(errors.stream_error)

    stream_decoder = stream_decoder.StreamDecoder
    stream_encoder = stream_encoder.StreamEncoder
    stream_watch = stream_watch.StreamWatch

    encode_models = staticmethod(companions.encode_models)
    decode_models = staticmethod(companions.decode_models)
    encode_model = staticmethod(companions.encode_model)
    decode_model = staticmethod(companions.decode_model)
    encode_token_count = staticmethod(companions.encode_token_count)
    decode_token_count = staticmethod(companions.decode_token_count)

    def fold(self, events: Iterable[Event]) -> Response:
        """See `base.Protocol.fold`."""
        return fold(events, protocol=profile.NAME)


PROTOCOL = OpenAIChatProtocol()
