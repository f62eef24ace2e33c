"""Requests: ``POST /v1/responses``.

https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``input:absent`` | `Request` | no input |
| ``background:false`` | `Request` | that, which says nothing |
| ``include:3`` | `Request` | log probabilities asked for, at this place of ``include`` |
| ``include.encrypted:3`` | `Request` | encrypted thoughts asked for there: all that there are come unasked |
| ``stream_options:empty``, ``text:empty`` | `Request` | an empty object |
| ``truncation:disabled`` | `Request` | that, which says nothing |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.jsontext import loads
from ...universal.loss import Severity
from ...universal.node import Origin
from ...universal.request import Request
from ..base import Encoded, Operation
from ..fields import BOOLEAN, OBJECT, STRING, Json, expect, put, take, unplaced
from ..openai_shared.settings import write_tier
from ..scope import Scope
from .effort import decode_reasoning, encode_reasoning, write_reasoning
from .fields import COUNTED, PLACED, REQUEST, REQUEST_HANDLED
from .fitting import VENDOR, fit
from .profile import NAME, TARGET
from .profile import dialect as dialect_of
from .tools import decode_choice, decode_format, decode_tools, encode_choice, encode_format, encode_tools
from .turns import decode_turns, encode_turns

__all__ = ["decode_request", "encode_request", "parse", "settings"]

_GROUPS: Final = frozenset({"text", "stream_options", "reasoning"})
_LOGPROBS: Final = "message.output_text.logprobs"
_ENCRYPTED: Final = "reasoning.encrypted_content"
_INCLUDED: Final = {"include": _LOGPROBS, "include.encrypted": _ENCRYPTED}
_OBFUSCATION: Final = "include_obfuscation"


def parse(body: bytes) -> Json:
    """Read a JSON document; tool arguments are strings in it, so nothing else has to be kept.

    Raises:
        InvalidDocument: Not JSON, or not an object.
    """
    document: Json = expect(loads(body), OBJECT, "")
    return document


def decode_request(document: Json, *, dialect: str = "", operation: Operation = Operation.GENERATE) -> Request:
    """A request document to universal form.

    Args:
        document: From `parse`.
        dialect: From `routes.dialect`.
        operation: A question for a token count may leave the model out.

    Raises:
        InvalidDocument: A value of the wrong type, or ``model`` missing.
    """
    if type(document.get("model")) is not str and (operation is Operation.GENERATE or "model" in document):
        raise InvalidDocument("model", "must be a string")
    values, rest = take(document, REQUEST, handled=REQUEST_HANDLED)
    ext: Json = {} if rest is UNSET else rest
    forms: list[str] = []
    if "cache_options" in values and not _common(values["cache_options"]):
        ext["prompt_cache_options"] = values.pop("cache_options")
    turns = decode_turns(document, ext, forms)
    values["tools"] = decode_tools(document, ext)
    values["tool_choice"] = decode_choice(document, ext)
    if "text" in document:
        _decode_text(document["text"], values, ext, forms)
    if "reasoning" in document:
        decode_reasoning(document["reasoning"], values, ext)
    if "stream_options" in document:
        _decode_stream_options(document["stream_options"], values, ext, forms)
    if "include" in document:
        _decode_include(document["include"], values, ext, forms)
    if ext.get("truncation") == "disabled":
        del ext["truncation"]
        forms.append("truncation:disabled")
    if "background" in document:
        _decode_background(document["background"], values, ext, forms)
    return Request(
        turns=turns,
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
        origin=Origin(protocol=NAME, dialect=dialect),
        **values,
    )


def _common(options: Any) -> bool:
    """Whether cache settings have only what other protocols of the provider know, too."""
    return type(options) is dict and options.keys() <= {"mode", "ttl"} and options.get("ttl", "30m") == "30m"


def _decode_text(text: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if text is None:
        ext["text"] = None
        return
    expect(text, OBJECT, "text")
    if not text:
        forms.append("text:empty")
    for key, value in text.items():
        if key == "format":
            values["output_format"] = decode_format(value, ext)
        elif key == "verbosity" and value is not None:
            values["verbosity"] = expect(value, STRING, "text.verbosity")
        else:
            ext[f"text.{key}"] = value


def _decode_stream_options(options: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if options is None:
        ext["stream_options"] = None
        return
    expect(options, OBJECT, "stream_options")
    if not options:
        forms.append("stream_options:empty")
    for key, value in options.items():
        if key == _OBFUSCATION and value is not None:
            values["stream_obfuscation"] = expect(value, BOOLEAN, f"stream_options.{key}")
        else:
            ext[f"stream_options.{key}"] = value


def _decode_include(include: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if type(include) is list and include:
        known = {include.index(name): form for form, name in _INCLUDED.items() if name in include}
        forms += [f"{form}:{at}" for at, form in known.items()]
        if _LOGPROBS in include:
            values["logprobs"] = True
        include = [name for at, name in enumerate(include) if at not in known]
        if not include:
            return
    ext["include"] = include


def _decode_background(background: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if background is None:
        ext["background"] = None
    elif expect(background, BOOLEAN, "background"):
        values["background"] = True
    else:
        forms.append("background:false")


def encode_request(
    request: Request,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,
) -> Encoded:
    """Universal form to a request document.

    Args:
        request: Born anywhere; one that was born here is written back as it was.
        dialect: One of `profile.DIALECTS`.
        operation: `Operation.COUNT_TOKENS` documents of other protocols say only what is counted: OpenAI refuses the
            rest there.

    Raises:
        ConfigurationError: There is no such dialect.
    """
    dialect_of(dialect)
    scope = Scope(TARGET, origin=request.origin.protocol, dialect=dialect)
    document = settings(request, scope)
    encode_turns(request, document, scope)
    if scope.home:
        for key, value in (request.ext or {}).items():
            if key.partition(".")[0] not in _GROUPS or "." not in key:
                document.setdefault(key, value)
    elif operation is Operation.COUNT_TOKENS:
        document = {key: value for key, value in document.items() if key in COUNTED}
    if dialect == VENDOR:
        document = fit(request, document, scope)
    else:
        scope.losses.extend(unplaced(request, PLACED, NAME))
    return Encoded(document=document, losses=tuple(scope.losses), context=scope.context(request))


def settings(request: Request, scope: Scope) -> Json:
    """All of a request but its conversation, and at home what stands beside."""
    document: Json = {}
    put(request, REQUEST, document)
    encode_tools(request, document, scope)
    encode_choice(request, document, scope)
    text: Json = {}
    if request.output_format is not UNSET:
        text["format"] = encode_format(request.output_format, scope)
    if request.verbosity is not UNSET:
        text["verbosity"] = request.verbosity
    if text or (scope.home and "text:empty" in request.form):
        document["text"] = text
    options: Json = {}
    if request.stream_obfuscation is not UNSET:
        options[_OBFUSCATION] = request.stream_obfuscation
    if options or (scope.home and "stream_options:empty" in request.form):
        document["stream_options"] = options
    if scope.home:
        _write_home(request, document)
    else:
        _write_foreign(request, document, scope)
    return document


def _write_home(request: Request, document: Json) -> None:
    if request.background is not UNSET:
        document["background"] = request.background
    elif "background:false" in request.form:
        document["background"] = False
    if "truncation:disabled" in request.form:
        document["truncation"] = "disabled"
    encode_reasoning(request, document)
    for key, value in (request.ext or {}).items():
        group, dot, name = key.partition(".")
        if dot and group in ("text", "stream_options"):
            document.setdefault(group, {}).setdefault(name, value)
    _write_include(request, document)


def _write_include(request: Request, document: Json) -> None:
    include = (request.ext or {}).get("include", [])
    if type(include) is not list:
        return
    places = {name: int(at) for name, _, at in (form.partition(":") for form in request.form) if name in _INCLUDED}
    if request.logprobs is True:
        places.setdefault("include", len(include) + len(places))
    else:
        places.pop("include", None)
    for name, at in sorted(places.items(), key=lambda place: place[1]):
        include = [*include[:at], _INCLUDED[name], *include[at:]]
    if places:
        document["include"] = include


def _write_foreign(request: Request, document: Json, scope: Scope) -> None:
    scope.ext(request.ext, "")
    if request.logprobs is True:
        document["include"] = [_LOGPROBS]
    elif request.logprobs is not UNSET:
        scope.lacks("logprobs", Severity.COSMETIC, "way to say no to log probabilities")
    if "parallel_tool_calls" in document and not document.get("tools"):
        del document["parallel_tool_calls"]
        scope.lacks("parallel_tools", Severity.COSMETIC, "parallel tool calls without tools")
    write_tier(request, document, scope)
    if request.cache_options is not UNSET and not _common(request.cache_options):
        del document["prompt_cache_options"]
        scope.lacks("cache_options", Severity.COSMETIC, "such cache settings")
    if request.background is True:
        scope.lacks("background", Severity.BLOCKING, "background of another provider")
    write_reasoning(request, document, scope)
