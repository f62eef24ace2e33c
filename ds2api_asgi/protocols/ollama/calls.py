"""Calls: entries of a message's ``tool_calls``.

https://docs.ollama.com/capabilities/tool-calling (read 2026-11-23). Arguments are an object; those of a call that is
read from bytes are kept as text (`keep_arguments`). Newer servers give calls an ``id``, most clients drop it. Members
of ``function`` that have no place are kept in ``ext`` under that dotted name.

| form | on | the wire had |
|---|---|---|
| ``type:function`` | `ToolCall` | that type, which it does not need |
| ``index:…`` | `ToolCall` | this number, which says the order only |
| ``arguments:null``, ``arguments:absent`` | `ToolCall` | null, or nothing |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec import DecodeError as MsgspecError
from msgspec.json import Decoder

from ...universal.content import ToolCall
from ...universal.jsontext import JsonText
from ...universal.loss import LossKind, Severity
from ..arguments import object_of, read_object, wrap_text, write_object
from ..fields import OBJECT, STRING, Json, expect
from ..scope import Scope
from .profile import NAME

__all__ = ["decode_call", "encode_call", "encode_foreign_call", "keep_arguments"]


class _Function(Struct):
    arguments: Raw | UnsetType = UNSET


class _Call(Struct):
    function: _Function | None = None


class _Message(Struct):
    tool_calls: list[_Call | None] | None = None


class _Document(Struct):
    messages: list[_Message | None] | None = None
    message: _Message | None = None


_ARGUMENTS: Final = Decoder(_Document)


def keep_arguments(document: Json, body: bytes) -> None:
    """Put the text that each call's arguments were spelled with in place of the parsed object.

    Args:
        document: What was parsed: a request, an answer, or a line of a stream.
        body: What it was parsed from.
    """
    try:
        shape = _ARGUMENTS.decode(body)
    except (MsgspecError, ValueError):
        return  # an odd shape, or JSON that only the slow reader takes: they stay as parsed
    if shape.messages:
        for message, found in zip(document["messages"], shape.messages, strict=True):
            _keep(message, found)
    if shape.message:
        _keep(document["message"], shape.message)


def _keep(message: Any, found: _Message | None) -> None:
    for call, shape in zip(message["tool_calls"], found.tool_calls, strict=True) if found and found.tool_calls else ():
        if shape and shape.function and shape.function.arguments is not UNSET:
            function = call["function"]
            if type(function["arguments"]) is dict:
                function["arguments"] = JsonText(bytes(shape.function.arguments).decode())


def decode_call(call: Any, path: str) -> ToolCall:
    """An entry of ``tool_calls``.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    function = expect(expect(call, OBJECT, path).get("function"), OBJECT, f"{path}.function")
    forms: list[str] = []
    ext = {key: value for key, value in call.items() if key not in ("id", "function")}
    if ext.get("type") == "function":
        del ext["type"]
        forms.append("type:function")
    if type(function.get("index")) is int:
        forms.append(f"index:{function['index']}")
    ext.update(
        (f"function.{key}", value)
        for key, value in function.items()
        if key not in ("name", "arguments") and not (key == "index" and type(value) is int)
    )
    id_ = call.get("id", UNSET)
    if id_ is None:
        ext["id"], id_ = None, UNSET
    elif id_ is not UNSET:
        expect(id_, STRING, f"{path}.id")
    return ToolCall(
        id=id_,
        name=expect(function.get("name"), STRING, f"{path}.function.name"),
        arguments=_decode_arguments(function, forms, f"{path}.function.arguments"),
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
    )


def _decode_arguments(function: Json, forms: list[str], path: str) -> JsonText:
    if function.get("arguments") is None:
        forms.append("arguments:null" if "arguments" in function else "arguments:absent")
        return JsonText("")
    return read_object(function["arguments"], path)


def encode_call(call: ToolCall) -> Json:
    """A call that was born here to its entry, as it was."""
    function: Json = {"name": call.name}
    document: Json = {"function": function}
    if call.id is not UNSET:
        document["id"] = call.id
    for form in call.form:
        if form == "type:function":
            document["type"] = "function"
        elif form.startswith("index:"):
            function["index"] = int(form[6:])
    text = call.arguments.text
    if text or "arguments:absent" not in call.form:
        function["arguments"] = None if not text and "arguments:null" in call.form else object_of(call.arguments)
    for key, value in (call.ext or {}).items():
        inner = key.startswith("function.")
        (function if inner else document).setdefault(key[9:] if inner else key, value)
    return document


def encode_foreign_call(call: ToolCall, path: str, scope: Scope) -> Json:
    """A call of another protocol to an entry of ``tool_calls``."""
    scope.ext(call.ext, path)
    scope.opaque(call.opaque, path)
    for name in ("namespace", "caller", "cache"):
        if getattr(call, name) is not UNSET:
            severity = Severity.COSMETIC if name == "cache" else Severity.DEGRADED
            scope.lacks(f"{path}.{name}", severity, f"{name} of a call")
    custom, at = call.kind == "custom", f"{path}.arguments"
    id_ = scope.call_id(call, path)
    document: Json = {} if id_ is UNSET else {"id": id_}
    document["function"] = {
        "name": scope.tool_name(call.name, f"{path}.name"),
        "arguments": wrap_text(call.arguments.text) if custom else write_object(call.arguments, at, scope),
    }
    if custom:
        scope.add(path, LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has functions only; the text stands in one")
    return document
