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
"""

from __future__ import annotations

from collections.abc import Iterable

from ...universal.events import Event
from ...universal.fold import fold
from ...universal.response import Response
from . import companions, errors, fields, request, response, routes, stream_decoder, stream_encoder, stream_watch

__all__ = ["PROTOCOL", "AnthropicProtocol"]


class AnthropicProtocol:
    """See `base.Protocol`."""

    name = fields.NAME
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
    limits = staticmethod(errors.limits)
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
        return response.settle(fold(events, protocol=fields.NAME))


PROTOCOL = AnthropicProtocol()
