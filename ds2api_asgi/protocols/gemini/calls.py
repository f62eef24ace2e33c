"""Calls and their results: ``functionCall`` and ``functionResponse``.

A result's ``response`` is an object. Text stands in it as ``{"output": …}``, an error as ``{"error": …}``; other
objects are their JSON text to us. What the object looked like is in the form:

* ``response:NAME``: one member of this name that is a string; ``response:NAME:json``: one that is another value;
* ``response:named=NAME``: ``{"name": NAME, "content": …}`` with a string, as the AI SDK sends it;
* ``response:json``: any other object; ``response:absent``: there was none.

It follows https://ai.google.dev/api/caching#FunctionCall and …#FunctionResponse (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import Media, Part, Text, ToolCall, ToolResult
from ...universal.jsontext import JsonText, dumps
from ...universal.loss import LossKind, Severity
from ...universal.node import Opaque
from ..arguments import read_object, wrap_text, write_object
from ..fields import STRING, optional, rest
from ..scope import Scope
from .media import decode_media, encode_media
from .profile import DATA, NAME, SIGNATURE
from .spelling import canonical, put_ext, respelled

__all__ = ["decode_call", "decode_result", "encode_call", "encode_result", "signature_of"]

Wire = dict[str, Any]

_CALL: Final = ("id", "name", "args")
_RESULT: Final = ("id", "name", "response", "parts")
_NAMED: Final = "response:named="
_TEXTS: Final = ("output", "error", "result", "content")


def decode_call(part: Wire, opaque: tuple[Opaque, ...], form: list[str], ext: Wire | UnsetType, path: str) -> ToolCall:
    """Read a part with a ``functionCall``; the form ``args:absent`` is on one without arguments.

    Raises:
        InvalidDocument: A member of the wrong type, or no name.
    """
    path = f"{path}.functionCall"
    document, tags = canonical(part["functionCall"], "functionCall.")
    name = optional(document, "name", STRING, path)
    if name is UNSET:
        raise InvalidDocument(f"{path}.name", "is required")
    args = document.get("args")
    if args is None:
        form.append("args:absent")
    left = rest(document, _CALL)
    if left is not UNSET:
        ext = {**(ext or {}), "functionCall": left}
    return ToolCall(
        name=name,
        arguments=JsonText("{}") if args is None else read_object(args, f"{path}.args"),
        id=optional(document, "id", STRING, path),
        opaque=opaque,
        ext=ext,
        form=(*form, *tags),
    )


def signature_of(opaque: tuple[Opaque, ...], path: str, scope: Scope) -> str | UnsetType:
    """The ``thoughtSignature`` that stands on a part; payloads of others are reported."""
    found: str | UnsetType = UNSET
    for index, payload in enumerate(opaque):
        if payload.protocol == NAME and payload.kind == SIGNATURE and found is UNSET:
            found = payload.value
        else:
            scope.add(
                f"{path}.opaque[{index}]",
                LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"only {payload.protocol} can read it",
            )
    return found


def encode_call(call: ToolCall, path: str, scope: Scope) -> list[Wire]:
    """Write a part with a ``functionCall``."""
    document: Wire = {}
    identity = scope.call_id(call, path)
    if identity is not UNSET and not (scope.home and "id:absent" in call.form):
        document["id"] = identity
    document["name"] = scope.tool_name(call.name, f"{path}.name")
    if not (scope.home and "args:absent" in call.form and call.arguments.text == "{}"):
        document["args"] = _args(call, path, scope)
    part: Wire = {}
    if scope.home:
        ext = dict(call.ext or {})
        put_ext(document, ext.pop("functionCall", UNSET))
        part["functionCall"] = respelled(document, call.form, "functionCall.")
        put_ext(part, ext)
    else:
        part["functionCall"] = document
        for name in ("namespace", "caller", "cache"):
            if getattr(call, name) is not UNSET:
                severity = Severity.DEGRADED if name == "namespace" else Severity.COSMETIC
                scope.lacks(f"{path}.{name}", severity, f"{name} of a call")
        scope.ext(call.ext, path)
    signature = signature_of(call.opaque, path, scope)
    if signature is not UNSET:
        part["thoughtSignature"] = signature
    return [respelled(part, call.form) if scope.home else part]


def _args(call: ToolCall, path: str, scope: Scope) -> JsonText | Wire:
    if call.kind == "custom":
        scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only; the text stands in one")
        return wrap_text(call.arguments.text)
    return write_object(call.arguments, f"{path}.arguments", scope)


def decode_result(part: Wire, form: list[str], ext: Wire | UnsetType, path: str) -> ToolResult:
    """Read a part with a ``functionResponse``.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    path = f"{path}.functionResponse"
    document, tags = canonical(part["functionResponse"], "functionResponse.")
    response = document.get("response")
    if response is not None and type(response) is not dict:
        raise InvalidDocument(f"{path}.response", "must be an object")
    parts: list[Part] = []
    is_error: bool | UnsetType = UNSET
    if response is None:
        form.append("response:absent")
    else:
        text, tag = _response_text(response)
        parts.append(Text(text=text))
        form.append(tag)
        if tag.startswith("response:error"):
            is_error = True
    known: tuple[str, ...] = _RESULT
    media = document.get("parts")
    if media is not None:
        found = _media(media, f"{path}.parts")
        if found:
            parts += found
        else:
            known = _RESULT[:-1]  # an empty list, or one that we can't read, stays as it is
    left = rest(document, known)
    if left is not UNSET:
        ext = {**(ext or {}), "functionResponse": left}
    return ToolResult(
        call_id=optional(document, "id", STRING, path),
        name=optional(document, "name", STRING, path),
        parts=tuple(parts) if parts else UNSET,
        is_error=is_error,
        ext=ext,
        form=(*form, *tags),
    )


def _response_text(response: Wire) -> tuple[str, str]:
    if len(response) == 1:
        ((name, value),) = response.items()
        if name in _TEXTS:
            if type(value) is str:
                return value, f"response:{name}"
            return dumps(value).decode(), f"response:{name}:json"
    if response.keys() == {"name", "content"} and type(response["content"]) is type(response["name"]) is str:
        return response["content"], f"{_NAMED}{response['name']}"
    return dumps(response).decode(), "response:json"


def _media(value: Any, path: str) -> list[Part]:
    if type(value) is not list:
        raise InvalidDocument(path, "must be an array")
    parts: list[Part] = []
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise InvalidDocument(f"{path}[{index}]", "must be an object")
        document, form = canonical(item)
        kinds = [name for name in ("inlineData", "fileData") if type(document.get(name)) is dict]
        if len(kinds) != 1:
            return []
        parts.append(decode_media(document, kinds[0], form, rest(document, DATA), f"{path}[{index}]"))
    return parts


def encode_result(result: ToolResult, path: str, scope: Scope, name: str | UnsetType = UNSET) -> list[Wire]:
    """Write a part with a ``functionResponse``.

    Args:
        result: The result.
        path: Where it stands.
        scope: This run.
        name: The tool's name, for a result that has none or another spelling here.
    """
    document: Wire = {}
    if scope.home:
        identity = next((tag[3:] for tag in result.form if tag.startswith("id=")), result.call_id)
        if identity is not UNSET and "id:absent" not in result.form:
            document["id"] = identity
        if result.name is not UNSET or "name:call" in result.form:
            document["name"] = result.name or name
    else:
        identity = scope.result_id(result, path)
        if identity is not UNSET:
            document["id"] = identity
        document["name"] = name or ""
        if result.name is not UNSET and result.name != name:
            scope.add(f"{path}.name", LossKind.APPROXIMATED, Severity.COSMETIC, "it is the name of its call")
    texts, media = _content(result, path, scope)
    response = _response(result, texts, path, scope)
    if response is not None:
        document["response"] = response
    if media:
        document["parts"] = media
    if not scope.home:
        scope.ext(result.ext, path)
        if result.cache is not UNSET:
            scope.lacks(f"{path}.cache", Severity.COSMETIC, "cache marks")
        return [{"functionResponse": document}]
    ext = dict(result.ext or {})
    put_ext(document, ext.pop("functionResponse", UNSET))
    part: Wire = {"functionResponse": respelled(document, result.form, "functionResponse.")}
    put_ext(part, ext)
    return [respelled(part, result.form)]


def _content(result: ToolResult, path: str, scope: Scope) -> tuple[list[str], list[Wire]]:
    texts: list[str] = []
    media: list[Wire] = []
    for index, part in enumerate(result.parts or ()):
        at = f"{path}.parts[{index}]"
        if isinstance(part, Text):
            texts.append(part.text)
            if media:
                scope.add(at, LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} keeps texts and media of a result apart")
            if scope.home:
                continue
            scope.ext(part.ext, at)
            if part.citations:
                scope.lacks(f"{at}.citations", Severity.DEGRADED, "citations in results")
            if part.cache is not UNSET:
                scope.lacks(f"{at}.cache", Severity.COSMETIC, "cache marks")
        elif isinstance(part, Media):
            for document in encode_media(part, at, scope):
                if "text" in document:
                    texts.append(document["text"])
                else:
                    media.append(document)
        else:
            scope.drop(at, Severity.SEMANTIC, f"{NAME} takes texts and media in results")
    return texts, media


def _response(result: ToolResult, texts: list[str], path: str, scope: Scope) -> Wire | None:
    text = "".join(texts)
    if scope.home:
        tag = next((tag for tag in result.form if tag.startswith("response:")), "response:output")
        if tag == "response:absent" and not texts:
            return None
        return _as_it_was(tag, text, failed=result.is_error is True)
    if not texts:
        scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands a response")
    elif len(texts) > 1:
        scope.add(f"{path}.parts", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has one text in a result")
    if result.is_error is False:
        scope.lacks(f"{path}.is_error", Severity.COSMETIC, "flag on results that are no errors")
    return {"error" if result.is_error else "output": text}


def _as_it_was(tag: str, text: str, *, failed: bool) -> Wire:
    if tag.startswith(_NAMED) and not failed:
        return {"name": tag[len(_NAMED) :], "content": text}
    _, name, *json = tag.split(":")
    if name == "json" or json:
        value = JsonText(text)
        if json and value.valid:
            return {name: value.value}
        if not json and value.is_object:
            whole: Wire = value.value
            return whole
    if name not in _TEXTS or (name == "error") != failed:
        name = "error" if failed else "output"
    return {name: text}
