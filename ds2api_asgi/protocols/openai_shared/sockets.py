"""Websockets of OpenAI that a key is put into: Realtime.

https://platform.openai.com/docs/api-reference/realtime (read 2026-11-28): ``/v1/realtime?model=…``, or
``?intent=transcription``, whose model comes in a message. The provider speaks first. It opens the websocket for a bad
key as well, then says ``error`` and closes it with code 3000 and the reason ``invalid_request_error.invalid_api_key``
(seen in github.com/twilio-samples/speech-assistant-openai-realtime-api-python/issues/4).
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from ...errors import InvalidDocument
from ...universal import jsontext
from ..metering import Meter, Used

__all__ = ["MAX_ERROR_EVENT", "error_of_close", "error_of_event", "is_realtime", "model_asked", "usage_of_event"]

MAX_ERROR_EVENT: Final = 16 * 1024
"""Bytes; a longer event is no error."""

_PROTOCOLS: Final = frozenset({"openai-chat", "openai-responses"})
_PATH: Final = re.compile(r"(?:/v1)?/realtime")
_REASON: Final = re.compile(r"([a-z_]+)\.([a-z_]+)")
_PAID: Final = re.compile(r'"type"\s*:\s*"(?:response\.done|conversation\.item\.input_audio_transcription\.completed)"')
_ERROR: Final = re.compile(r'"type"\s*:\s*"error"')


def is_realtime(protocol: str, path: str) -> bool:
    """Whether a websocket is Realtime's, for an app that speaks this protocol.

    Args:
        protocol: The name of what the app speaks.
        path: Relative to where we are mounted.
    """
    return protocol in _PROTOCOLS and _PATH.fullmatch(path) is not None


def model_asked(query: str) -> str | None:
    """The model that a query names, or None.

    Args:
        query: Without the question mark, as it was encoded.
    """
    return next((value for name, value in parse_qsl(query) if name == "model"), None)


def error_of_event(text: str) -> bytes | None:
    """The error document in an event, ``{"type":"error","error":{"code":…}}``; None: it is no error."""
    if len(text) > MAX_ERROR_EVENT or not _ERROR.search(text):
        return None
    try:
        event: Any = jsontext.loads(text.encode("utf-8", "surrogatepass"))
    except InvalidDocument:
        return None
    if not isinstance(event, dict) or event.get("type") != "error" or not isinstance(event.get("error"), dict):
        return None
    return jsontext.dumps({"error": event["error"]})


def usage_of_event(text: str) -> Used | None:
    """What a response, or the transcription of what was heard, has cost; None: the event is no such one's end.

    https://developers.openai.com/api/reference/resources/realtime/server-events (read 2026-11-29): ``response.done``
    has it in ``response.usage``; ``conversation.item.input_audio_transcription.completed`` in ``usage``, unless it is
    billed by seconds.
    """
    if '"usage"' not in text or not _PAID.search(text):
        return None
    meter = Meter(stream=False)
    meter.feed(text.encode("utf-8", "surrogatepass"))
    return meter.close()


def error_of_close(reason: str) -> bytes | None:
    """The error document in a close reason, ``invalid_request_error.invalid_api_key``; None: it is no error's."""
    found = _REASON.fullmatch(reason)
    if found is None:
        return None
    return jsontext.dumps({"error": {"type": found[1], "code": found[2], "message": reason}})
