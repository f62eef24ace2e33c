"""Calls: entries of a message's ``tool_calls``, and the legacy ``function_call``.

https://platform.openai.com/docs/guides/function-calling (read 2026-11-23). Members of an object inside
(``function.strict``) that have no place are kept in ``ext`` under that dotted name.

| form | on | the wire had |
|---|---|---|
| ``type:absent`` | `ToolCall` | no type |
| ``arguments:null``, ``arguments:absent``, ``arguments:json`` | `ToolCall` | null, nothing, or JSON not in a string |
| ``function_call`` | `ToolCall` | the legacy member of the message |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import OpaquePart, Part, ToolCall
from ...universal.jsontext import JsonText
from ..fields import OBJECT, STRING, Json, expect
from ..openai_shared.marks import merge
from .profile import NAME

__all__ = ["decode_call", "decode_legacy_call", "encode_call", "encode_legacy_call"]


def decode_call(call: Any, path: str) -> Part:
    """An entry of ``tool_calls``; one of a type that we do not know is opaque.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    expect(call, OBJECT, path)
    kind = call.get("type", "function")
    inner = call.get(kind) if kind in ("function", "custom") else None
    if inner is None:  # a type that we do not know, or one without its object
        return OpaquePart(json={"tool_calls": [call]}, protocol=NAME)
    expect(inner, OBJECT, f"{path}.{kind}")
    forms: list[str] = [] if "type" in call else ["type:absent"]
    key = "arguments" if kind == "function" else "input"
    id_ = call.get("id", UNSET)
    if id_ is not None and id_ is not UNSET:
        expect(id_, STRING, f"{path}.id")
    known = ("type", "id", kind) if id_ is not None else ("type", kind)
    ext = {name: value for name, value in call.items() if name not in known}
    ext.update({f"{kind}.{name}": value for name, value in inner.items() if name not in ("name", key)})
    return ToolCall(
        id=UNSET if id_ is None else id_,
        name=expect(inner.get("name"), STRING, f"{path}.{kind}.name"),
        arguments=_decode_arguments(inner, key, forms, f"{path}.{kind}.{key}"),
        kind="function" if kind == "function" else "custom",
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
    )


def _decode_arguments(inner: Json, key: str, forms: list[str], path: str) -> JsonText:
    """A call's arguments as text.

    Raises:
        InvalidDocument: They are neither text nor JSON that stands for an object.
    """
    arguments = inner.get(key)
    if type(arguments) is str:
        return JsonText(arguments)
    if arguments is None:
        forms.append("arguments:null" if key in inner else "arguments:absent")
        return JsonText("")
    if type(arguments) is not dict:
        raise InvalidDocument(path, f"must be {STRING}")
    forms.append("arguments:json")
    return JsonText.of(arguments)


def decode_legacy_call(ext: Json, parts: list[Part], path: str, *, strict: bool) -> None:
    """Move ``function_call`` from a message's members to its parts.

    Raises:
        InvalidDocument: A member of the wrong type, if strict.
    """
    inner = ext["function_call"]
    forms = ["function_call"]
    try:
        arguments = _decode_arguments(inner, "arguments", forms, f"{path}.function_call.arguments")
        name = expect(inner.get("name"), STRING, f"{path}.function_call.name")
    except InvalidDocument:
        if strict:
            raise
        return
    rest = {f"function_call.{key}": value for key, value in inner.items() if key not in ("name", "arguments")}
    del ext["function_call"]
    parts.append(ToolCall(name=name, arguments=arguments, ext=rest or UNSET, form=tuple(sorted(forms))))


def encode_call(call: ToolCall, id_: str | UnsetType, name: str, *, home: bool = True) -> Json:
    """A call to an entry of ``tool_calls``.

    Args:
        call: The call.
        id_: Its id in this protocol.
        name: Its tool's name in this protocol.
        home: Whether the call was born here.
    """
    key = "arguments" if call.kind == "function" else "input"
    inner: Json = {"name": name}
    document: Json = {call.kind: inner}
    if id_ is not UNSET:
        document["id"] = id_
    if not home:
        inner[key] = call.arguments.text
        return {"type": call.kind, **document}
    if "type:absent" not in call.form:
        document["type"] = call.kind
    _put_arguments(call, inner, key)
    if call.ext is not UNSET:
        merge(document, call.ext, call.kind)
    return document


def _put_arguments(call: ToolCall, inner: Json, key: str) -> None:
    text = call.arguments.text
    if not text and "arguments:absent" in call.form:
        return
    if not text and "arguments:null" in call.form:
        inner[key] = None
    elif "arguments:json" in call.form and call.arguments.is_object:
        inner[key] = call.arguments
    else:
        inner[key] = text


def encode_legacy_call(call: ToolCall) -> Json:
    """A call to ``function_call``."""
    inner: Json = {"name": call.name}
    _put_arguments(call, inner, "arguments")
    document = {"function_call": inner}
    if call.ext is not UNSET:
        merge(document, call.ext, "function_call")
    return inner
