"""Requests: ``POST /v1/chat/completions``.

https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``max_tokens`` | `Request` | the old name of ``max_completion_tokens`` |
| ``stop:string`` | `Request` | one stop sequence, not in a list |
| ``stream_options:empty`` | `Request` | an empty object |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.jsontext import loads
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import Request
from ..base import Encoded, Operation
from ..fields import INTEGER, OBJECT, STRINGS, Json, expect, put, take, unplaced
from ..openai_shared.settings import effort_in, write_tier
from ..scope import Scope
from .dialects import Dialect
from .dialects import dialect as dialect_of
from .fields import PLACED, REQUEST, REQUEST_HANDLED
from .fitting import fit
from .profile import NAME, TARGET
from .spelling import spell, spell_budget, unspell
from .tools import decode_choice, decode_format, decode_tools, encode_choice, encode_format, encode_tools
from .turns import decode_turns, encode_turns

__all__ = ["decode_request", "encode_request", "parse"]

_STREAM_OPTIONS = {"include_usage": "stream_usage", "include_obfuscation": "stream_obfuscation"}
_MODALITIES = frozenset({"text", "audio"})
_BOUNDS = ("max_completion_tokens", "max_tokens")


def parse(body: bytes) -> Json:
    """Read a JSON document; tool arguments are strings in it, so nothing else has to be kept.

    Raises:
        InvalidDocument: Not JSON, or not an object.
    """
    document: Json = expect(loads(body), OBJECT, "")
    return document


def decode_request(
    document: Json,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,  # noqa: ARG001 - no other has a document of its own
) -> Request:
    """A request document to universal form.

    Args:
        document: From `parse`.
        dialect: One of `dialects.DIALECTS`; matters only for members that a vendor spells in a way of its own.
        operation: Makes no difference.

    Raises:
        InvalidDocument: A value of the wrong type, or ``model`` or ``messages`` missing.
        ConfigurationError: There is no such dialect.
    """
    document, found = unspell(document, dialect_of(dialect)) if dialect else (document, {})
    if type(document.get("model")) is not str:
        raise InvalidDocument("model", "must be a string")
    turns = decode_turns(document.get("messages"))
    values, rest = take(document, REQUEST, handled=REQUEST_HANDLED)
    ext = {} if rest is UNSET else rest
    if found:
        values.update(found)
    elif len(values) + len(ext) + 1 == len(document):  # nothing structured in it
        return Request(turns=turns, ext=rest, origin=Origin(protocol=NAME, dialect=dialect), **values)
    forms: list[str] = []
    _decode_structured(document, values, ext, forms)
    return Request(
        turns=turns,
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
        origin=Origin(protocol=NAME, dialect=dialect),
        **values,
    )


def _decode_structured(document: Json, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    for key in ("tools", "functions"):
        if key in document and document[key] is None:
            ext[key] = None
    values["tools"] = decode_tools(document, forms)
    values["tool_choice"] = decode_choice(document, ext, forms)
    if "response_format" in document:
        value = document["response_format"]
        if value is None:
            ext["response_format"] = None
        else:
            values["output_format"] = decode_format(value, ext)
    if "stop" in document:
        _decode_stop(document["stop"], values, ext, forms)
    if "stream_options" in document:
        _decode_stream_options(document["stream_options"], values, ext, forms)
    for key in _BOUNDS:
        value = document.get(key)
        if value is not None and "max_output_tokens" not in values:
            values["max_output_tokens"] = expect(value, INTEGER, key)
            if key == "max_tokens":
                forms.append(key)
        elif key in document:
            ext[key] = value


def _decode_stop(stop: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if stop is None:
        ext["stop"] = None
    elif type(stop) is str:
        values["stop"] = (stop,)
        forms.append("stop:string")
    else:
        values["stop"] = tuple(expect(stop, STRINGS, "stop"))


def _decode_stream_options(options: Any, values: dict[str, Any], ext: Json, forms: list[str]) -> None:
    if options is None:
        ext["stream_options"] = None
        return
    expect(options, OBJECT, "stream_options")
    if not options:
        forms.append("stream_options:empty")
    for key, value in options.items():
        name = _STREAM_OPTIONS.get(key)
        if name is None or value is None:
            ext[f"stream_options.{key}"] = value
        elif type(value) is bool:
            values[name] = value
        else:
            raise InvalidDocument(f"stream_options.{key}", "must be a boolean")


def encode_request(
    request: Request,
    *,
    dialect: str = "",
    operation: Operation = Operation.GENERATE,  # noqa: ARG001 - the document is the same
) -> Encoded:
    """Universal form to a request document.

    Args:
        request: Born anywhere; one that was born here is written back as it was.
        dialect: One of `dialects.DIALECTS`; a document that was born here is made to fit a vendor too.
        operation: Makes no difference.

    Raises:
        ConfigurationError: There is no such dialect.
    """
    profile = dialect_of(dialect)
    scope = Scope(TARGET, origin=request.origin.protocol, dialect=dialect)
    original, fitted = request, None
    if profile.name:
        fitted = fit(request, profile, scope)
        request = fitted.request
    document: Json = {}
    put(request, REQUEST, document)
    document["messages"] = encode_turns(request, scope)
    encode_tools(request, document, scope)
    if request.tool_choice is not UNSET:
        encode_choice(request, document, scope)
    if request.output_format is not UNSET:
        document["response_format"] = encode_format(request.output_format, scope)
    if scope.home:
        _write_home(request, document)
        if request.reasoning_budget is not UNSET:  # only a vendor's dialect can have said one
            _write_reasoning(request, document, scope, profile)
    else:
        _write_foreign(request, document, scope, profile)
    scope.losses.extend(unplaced(request, PLACED, profile.name or NAME))
    context = scope.context(original)
    if fitted is not None:
        spell(document, profile, scope)
        ids = fitted.call_ids
        context.call_ids = {**ids, **{target: ids.get(source, source) for target, source in context.call_ids.items()}}
        context.custom_tools = fitted.custom
    return Encoded(document=document, losses=tuple(scope.losses), context=context)


def _write_home(request: Request, document: Json) -> None:
    if request.max_output_tokens is not UNSET:
        document[_BOUNDS["max_tokens" in request.form]] = request.max_output_tokens
    if request.stop is not UNSET:
        string = "stop:string" in request.form and len(request.stop) == 1
        document["stop"] = request.stop[0] if string else list(request.stop)
    options: Json = {}
    _write_stream_options(request, options)
    if request.ext is not UNSET:
        for key, value in request.ext.items():
            group, dot, name = key.partition(".")
            if dot and group == "stream_options":
                options.setdefault(name, value)
            else:
                document.setdefault(key, value)
    if options or "stream_options:empty" in request.form:
        document["stream_options"] = options


def _write_stream_options(request: Request, options: Json) -> None:
    for key, name in _STREAM_OPTIONS.items():
        value = getattr(request, name)
        if value is not UNSET:
            options[key] = value


def _write_foreign(request: Request, document: Json, scope: Scope, dialect: Dialect) -> None:
    if request.ext is not UNSET:
        scope.ext(request.ext, "")
    if request.max_output_tokens is not UNSET:
        document[dialect.bound] = request.max_output_tokens
    if request.stop is not UNSET:
        _write_stop(request.stop, document, scope, dialect)
    if not set(request.modalities or ()) <= _MODALITIES:
        del document["modalities"]
        scope.lacks("modalities", Severity.SEMANTIC, "such modalities")
    if request.top_k is not UNSET and not dialect.takes("top_k"):
        del document["top_k"]
        scope.lacks("top_k", Severity.DEGRADED, "top_k")
    if "parallel_tool_calls" in document and "tools" not in document:
        del document["parallel_tool_calls"]
        scope.lacks("parallel_tools", Severity.COSMETIC, "parallel tool calls without tools")
    if request.service_tier is not UNSET:
        write_tier(request, document, scope, dialect.tiers)
    if not (UNSET is request.reasoning_effort is request.reasoning_budget is request.reasoning_mode):
        _write_reasoning(request, document, scope, dialect)
    options: Json = {}
    _write_stream_options(request, options)
    if request.stream is True and request.stream_usage is UNSET and dialect.takes("stream_options"):
        # Other protocols state usage in every stream.
        options["include_usage"] = True
        scope.add("stream_usage", LossKind.INVENTED, Severity.COSMETIC, "so that the stream states usage")
    if options:
        document["stream_options"] = options


def _write_stop(stop: tuple[str, ...], document: Json, scope: Scope, dialect: Dialect) -> None:
    most = dialect.max_stop
    if stop:
        document["stop"] = list(stop[:most])
    else:
        scope.lacks("stop", Severity.COSMETIC, "empty list of stop sequences")
    if len(stop) > most:
        scope.add("stop", LossKind.CLAMPED, Severity.SEMANTIC, f"{NAME} takes {most} stop sequences")


def _write_reasoning(request: Request, document: Json, scope: Scope, dialect: Dialect) -> None:
    if spell_budget(request, document, dialect, scope):
        return
    written = effort_in(request, scope)
    if written is None:
        document.pop("reasoning_effort", None)
    else:
        document["reasoning_effort"] = written
