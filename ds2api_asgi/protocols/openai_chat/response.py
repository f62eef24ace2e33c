"""Answers: ``{"object": "chat.completion", "choices": [...]}``.

https://platform.openai.com/docs/api-reference/chat/object (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``object:absent``, ``choices:absent`` | `Response` | no such member |

An answer may be an error under a success status (Azure, OpenRouter): then ``response.error`` is set, and callers look
there first. `encode_response` writes what came beside it and never turns a failure into words of an answer. What the
envelope demands and the source has not (id, time, model, the sum of tokens) is derived, which is no loss.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.jsontext import JsonText
from ...universal.node import Origin
from ...universal.response import Response
from ..arguments import unwrap_text
from ..base import Context, Encoded
from ..fields import Json, put, take
from ..openai_shared.answers import answer_digest, created_of, model_of, report_rest
from ..openai_shared.settings import ANSWER_TIERS, tier_of
from ..scope import Scope
from .choices import decode_choice, encode_foreign_choice, encode_home_choice, legacy_client
from .errors import decode_failure, error_of
from .fields import RESPONSE, RESPONSE_HANDLED
from .profile import NAME, TARGET
from .usage import decode_usage, encode_usage

__all__ = ["answer_id", "decode_response", "encode_response"]

_OBJECT: Final = "chat.completion"


def decode_response(document: Json) -> Response:
    """An answer document to universal form; what it does not know is kept.

    Raises:
        InvalidDocument: It has no ``choices`` and is no error.
    """
    choices = document.get("choices")
    error = error_of(document)
    if type(choices) is not list and error is None:
        raise InvalidDocument("choices", "must be an array")
    values, rest = take(document, RESPONSE, handled=RESPONSE_HANDLED, strict=False)
    ext = {} if rest is UNSET else rest
    forms: list[str] = []
    if "object" not in document:
        forms.append("object:absent")
    elif document["object"] != _OBJECT:
        ext["object"] = document["object"]
    if type(choices) is list:
        values["candidates"] = tuple([decode_choice(choice, index) for index, choice in enumerate(choices)])
    elif "choices" in document:
        ext["choices"] = choices
    else:
        forms.append("choices:absent")
    usage = document.get("usage")
    if type(usage) is dict:
        values["usage"] = decode_usage(usage)
    elif "usage" in document:
        ext["usage"] = usage
    if error is not None:
        values["error"] = decode_failure({"error": error["error"]} if "error" in error else error)
    return Response(ext=ext or UNSET, form=tuple(forms), origin=Origin(protocol=NAME), **values)


def encode_response(response: Response, context: Context) -> Encoded:
    """Universal form to an answer document.

    Args:
        response: Born anywhere; one that was born here is written back as it was.
        context: What translating the request learned.

    Returns:
        The document, and what it does not say.
    """
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document = _encode_home(response, scope) if scope.home else _encode_foreign(response, context, scope)
    if scope.home and (context.custom_tools or legacy_client(context)):
        _to_client(document, context)
    return Encoded(document=document, losses=tuple(scope.losses))


def _encode_home(response: Response, scope: Scope) -> Json:
    document: Json = {}
    put(response, RESPONSE, document)
    if "object:absent" not in response.form:
        document["object"] = _OBJECT if response.ext is UNSET else response.ext.get("object", _OBJECT)
    if "choices:absent" not in response.form:
        document["choices"] = [
            encode_home_choice(candidate, f"candidates[{index}]", scope)
            for index, candidate in enumerate(response.candidates)
        ]
    if response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    if response.ext is not UNSET:
        for key, value in response.ext.items():
            if key == "choices" and not response.candidates:
                document[key] = value
            document.setdefault(key, value)
    return document


def _to_client(document: Json, context: Context) -> None:
    """Give calls back in the shapes that the client's request had, and the vendor's dialect has not."""
    legacy = legacy_client(context)
    for choice in document.get("choices") or ():
        message = choice.get("message") if type(choice) is dict else None
        if type(message) is not dict or not message.get("tool_calls"):
            continue
        calls = message["tool_calls"]
        message["tool_calls"] = [_call_to_client(call, context) for call in calls]
        if legacy and "function" in calls[0]:
            message["function_call"] = calls[0]["function"]
            del message["tool_calls"]
            if choice.get("finish_reason") == "tool_calls":
                choice["finish_reason"] = "function_call"


def _call_to_client(call: Json, context: Context) -> Json:
    inner = call.get("function")
    if type(inner) is not dict or inner.get("name") not in context.custom_tools:
        return call
    text = unwrap_text(JsonText(str(inner.get("arguments", ""))))
    rest = {key: value for key, value in call.items() if key not in ("type", "function")}
    return {**rest, "type": "custom", "custom": {"name": inner["name"], "input": text}}


def _encode_foreign(response: Response, context: Context, scope: Scope) -> Json:
    report_rest(response, scope)
    document: Json = {
        "id": answer_id(response) if response.id is UNSET else response.id,
        "object": _OBJECT,
        "created": created_of(response, context),
        "model": model_of(response, context),
        "choices": [
            encode_foreign_choice(candidate, f"candidates[{index}]", context, scope)
            for index, candidate in enumerate(response.candidates)
        ],
    }
    tier = tier_of(response.service_tier, scope, ANSWER_TIERS)
    if tier is not None:
        document["service_tier"] = tier
    if response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    return document


def answer_id(response: Response) -> str:
    """An id for an answer that has none: the same for the same answer."""
    return f"chatcmpl-{answer_digest(response)[:24]}"
