"""Messages: one of the wire to one turn, and a turn that was born here back to its message, as it was.

https://docs.ollama.com/api/chat (read 2026-11-23). A message keeps kinds apart: ``thinking``, ``content`` (one
text), ``images`` (bare base64) and ``tool_calls``, which is the order of a turn's parts. An empty ``content`` says no
more than a missing one, so it is no part.

| form | on | the wire had |
|---|---|---|
| ``content:empty``, ``thinking:empty`` | `Turn`, `ToolResult` | an empty text |
| ``images:empty``, ``tool_calls:empty`` | `Turn`, `ToolResult` | an empty list |
| ``role:absent``, ``role:null`` | `Turn` | no role (answers only) |
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Base64, Media, OpaquePart, Part, Reasoning, Text, ToolCall, ToolResult
from ...universal.request import Turn
from ..fields import OBJECT, STRING, STRINGS, Json, expect
from .calls import decode_call, encode_call
from .profile import NAME

__all__ = ["decode_image", "decode_message", "encode_message"]


def decode_message(message: Any, path: str, *, strict: bool) -> Turn:
    """A message to a turn.

    Args:
        message: Of a request or an answer.
        path: Where it stands.
        strict: Whether a member of the wrong type is an error (requests) or kept as it is (answers).

    Raises:
        InvalidDocument: Such a member, if strict.
    """
    ext: Json = dict(expect(message, OBJECT, path))
    role = ext.pop("role", None)
    forms: list[str] = []
    if role is None and not strict:
        forms.append("role:null" if "role" in message else "role:absent")
        role = "assistant"
    expect(role, STRING, f"{path}.role")
    parts: list[Part] = []
    if type(text := _pop(ext, "thinking", STRING, forms, path, strict=strict)) is str:
        parts.append(Reasoning(text=text))
    if type(text := _pop(ext, "content", STRING, forms, path, strict=strict)) is str:
        parts.append(Text(text=text))
    parts.extend(map(decode_image, _pop(ext, "images", STRINGS, forms, path, strict=strict) or ()))
    if type(calls := ext.get("tool_calls")) is list:
        del ext["tool_calls"]
        if not calls:
            forms.append("tool_calls:empty")
        parts.extend(_decode_call(call, f"{path}.tool_calls[{at}]", strict=strict) for at, call in enumerate(calls))
    elif calls is not None and strict:
        raise InvalidDocument(f"{path}.tool_calls", "must be an array")
    form = tuple(sorted(forms))
    if role != "tool":
        return Turn(role=role, parts=tuple(parts), ext=ext or UNSET, form=form)
    names = {name: ext.pop(name) for name in ("tool_call_id", "tool_name") if type(ext.get(name)) is str}
    own = tuple(part for part in parts if isinstance(part, (Text, Media)))
    result = ToolResult(
        call_id=names.get("tool_call_id", UNSET),
        name=names.get("tool_name", UNSET),
        parts=own if own or type(message.get("content")) is str else UNSET,
        ext=ext or UNSET,
        form=form,
    )
    return Turn(role=role, parts=(result, *(part for part in parts if part not in own)))


def _pop(ext: Json, name: str, kind: str, forms: list[str], path: str, *, strict: bool) -> Any:
    """Take a member out; None where it says nothing."""
    value = ext.get(name)
    if value is None:
        return None
    if strict:
        expect(value, kind, f"{path}.{name}")
    elif (type(value) is not str) if kind is STRING else not _texts(value):
        return None
    del ext[name]
    if not value:
        forms.append(f"{name}:empty")
    return value or None


def _texts(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def decode_image(data: str) -> Media:
    """An entry of ``images``; what kind of image it is, nobody says."""
    return Media(kind="image", source=Base64(data))


def _decode_call(call: Any, path: str, *, strict: bool) -> Part:
    try:
        return decode_call(call, path)
    except InvalidDocument:
        if strict:
            raise
        return OpaquePart(json={"tool_calls": [call]}, protocol=NAME)


def encode_message(turn: Turn) -> Json:
    """A turn that was born here to its message."""
    message: Json = {} if "role:absent" in turn.form else {"role": None if "role:null" in turn.form else turn.role}
    for part in turn.parts:
        if isinstance(part, ToolResult):
            _put_result(part, message)
        else:
            _put_part(part, message)
    _put_forms(turn.form, message)
    for key, value in (turn.ext or {}).items():
        message.setdefault(key, value)
    return message


def _put_result(result: ToolResult, message: Json) -> None:
    for part in result.parts or ():
        _put_part(part, message)
    if result.call_id is not UNSET:
        message["tool_call_id"] = result.call_id
    if result.name is not UNSET:
        message["tool_name"] = result.name
    _put_forms(result.form, message)
    for key, value in (result.ext or {}).items():
        message.setdefault(key, value)


def _put_part(part: Part, message: Json) -> None:
    match part:
        case Text(text=text):
            message["content"] = message.get("content", "") + text
        case Reasoning(text=text) if text is not UNSET:
            message["thinking"] = message.get("thinking", "") + text
        case Media(source=Base64(data=data)):
            message.setdefault("images", []).append(data)
        case ToolCall():
            message.setdefault("tool_calls", []).append(encode_call(part))
        case OpaquePart(json={"tool_calls": [call]}, protocol=protocol) if protocol == NAME:
            message.setdefault("tool_calls", []).append(call)
        case _:
            pass  # not a part that this protocol gives birth to


def _put_forms(forms: tuple[str, ...], message: Json) -> None:
    for form in forms:
        name, _, value = form.partition(":")
        if value == "empty":
            message.setdefault(name, "" if name in ("content", "thinking") else [])
