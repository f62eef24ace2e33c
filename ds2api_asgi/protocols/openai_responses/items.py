"""Items: the list that a request's ``input`` and an answer's ``output`` are; one item is one turn.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input (read 2026-11-23). Calls,
results of calls and thoughts are items of their own; what the provider's own tools leave, and every item that we do
not know, stays as it is.

| form | on | the wire had |
|---|---|---|
| ``content:string`` | `Turn`, `ToolResult` | a string |
| ``content:null``, ``content:absent`` | `Turn` | null, nothing |
| ``type:absent`` | `Turn` | no type, which only messages may leave out |
| ``item`` | `Turn` | an item that is kept as it is |
| ``custom`` | `ToolResult` | the result of a custom tool |
| ``summary:absent`` | `Reasoning` | no summary, though it is demanded |
| ``arguments:json``, ``arguments:null``, ``arguments:absent`` | `ToolCall` | JSON not in a string, null, nothing |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import OpaquePart, Part, Reasoning, Text, ToolCall, ToolResult
from ...universal.jsontext import JsonText
from ...universal.node import Opaque
from ...universal.request import Turn
from ..fields import STRING, Field, Json, expect, table, take
from ..scope import Scope
from .parts import decode_parts, encode_part
from .profile import NAME

__all__ = [
    "ENCRYPTED",
    "SUMMARY",
    "THOUGHT",
    "decode_item",
    "encode_call",
    "encode_item",
    "opaque_turn",
    "typed_texts",
]

ENCRYPTED: Final = "encrypted"
"""The kind of payload that ``encrypted_content`` is."""

_REFERENCE: Final = "item_reference"
_STATEFUL: Final = frozenset({_REFERENCE, "compaction", "compaction_summary", "configuration_update"})
"""Items without which the conversation is another one; a reference may leave its type out."""

_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_ITEM: Final = table(Field("id", "id", STRING), Field("status", "status", STRING))
_MESSAGE: Final = table(*_ITEM.values(), Field("phase", "phase", STRING))
SUMMARY: Final = "summary_text"
THOUGHT: Final = "reasoning_text"
"""Types of the texts of a thought."""


def decode_item(item: Any, path: str, *, strict: bool) -> Turn:
    """An item to a turn.

    Args:
        item: The object.
        path: Where it stands.
        strict: Whether a member of the wrong type is an error (requests) or makes the item one that is kept as it is
            (answers).

    Raises:
        InvalidDocument: Such a member, if strict.
    """
    if type(item) is not dict:
        if strict:
            raise InvalidDocument(path, "must be an object")
        return opaque_turn(item)
    kind = item.get("type", "message" if "role" in item else None)
    if type(kind) is not str:
        return opaque_turn(item, item.get("role") if strict else None)
    if not strict and (kind in _OUTPUTS or (kind == "message" and item.get("role") != "assistant")):
        return opaque_turn(item)  # in an answer it is the provider's own business
    try:
        match kind:
            case "message":
                return _decode_message(item, path, strict=strict)
            case "function_call" | "custom_tool_call":
                return _decode_call(item, kind, path)
            case "function_call_output" | "custom_tool_call_output":
                return _decode_result(item, kind, path)
            case "reasoning":
                return _decode_reasoning(item, path)
    except InvalidDocument:
        if strict:
            raise
    return opaque_turn(item, item.get("role") if strict else None)


def opaque_turn(item: Any, role: Any = None) -> Turn:
    """The turn of an item that is kept as it is; an assistant's, if it does not say whose it is."""
    kind = item.get("type", _REFERENCE if "id" in item else None) if type(item) is dict else None
    return Turn(
        role=role if type(role) is str else "assistant",
        parts=(OpaquePart(json=item, protocol=NAME, stateful=kind if type(kind) is str and kind in _STATEFUL else ""),),
        form=("item",),
    )


def _decode_message(item: Json, path: str, *, strict: bool) -> Turn:
    role = expect(item.get("role"), STRING, f"{path}.role")
    values, ext = take(item, _MESSAGE, handled=("type", "role", "content"), path=path)
    forms: list[str] = [] if "type" in item else ["type:absent"]
    content = item.get("content")
    parts: tuple[Part, ...] = ()
    if type(content) is str:
        parts = (Text(text=content),)
        forms.append("content:string")
    elif type(content) is list:
        parts = decode_parts(content, role, f"{path}.content", strict=strict)
    elif content is None:
        forms.append("content:null" if "content" in item else "content:absent")
    else:
        raise InvalidDocument(f"{path}.content", "must be a string or an array")
    return Turn(role=role, parts=parts, ext=ext, form=tuple(sorted(forms)), **values)


def _decode_call(item: Json, kind: str, path: str) -> Turn:
    key = "arguments" if kind == "function_call" else "input"
    forms: list[str] = []
    values, rest = take(item, _CALL, handled={"type", "name", key}, path=path)
    part = ToolCall(
        name=expect(item.get("name"), STRING, f"{path}.name"),
        arguments=_decode_arguments(item, key, forms, f"{path}.{key}"),
        kind="function" if kind == "function_call" else "custom",
        id=values.pop("call_id", UNSET),
        namespace=values.pop("namespace", UNSET),
        caller=values.pop("caller", UNSET),
        ext=rest,
        form=tuple(sorted(forms)),
    )
    return Turn(role="assistant", parts=(part,), **values)


_CALL: Final = table(
    *_ITEM.values(),
    Field("call_id", "call_id", STRING),
    Field("namespace", "namespace", STRING),
    Field("caller", "caller"),
)


def _decode_arguments(item: Json, key: str, forms: list[str], path: str) -> JsonText:
    arguments = item.get(key)
    if type(arguments) is str:
        return JsonText(arguments)
    if arguments is None:
        forms.append("arguments:null" if key in item else "arguments:absent")
        return JsonText("")
    if type(arguments) is not dict or key == "input":
        raise InvalidDocument(path, f"must be {STRING}")
    forms.append("arguments:json")
    return JsonText.of(arguments)


def _decode_result(item: Json, kind: str, path: str) -> Turn:
    values, rest = take(item, _RESULT, handled=("type", "output"), path=path)
    ext: Json = {} if rest is UNSET else rest
    forms: list[str] = ["custom"] if kind == "custom_tool_call_output" else []
    parts: tuple[Part, ...] | UnsetType = UNSET
    output = item.get("output")
    if type(output) is str:
        parts = (Text(text=output),)
        forms.append("content:string")
    elif type(output) is list:
        parts = decode_parts(output, "tool", f"{path}.output", strict=True)
    elif output is not None:
        raise InvalidDocument(f"{path}.output", "must be a string or an array")
    elif "output" in item:
        ext["output"] = None
    part = ToolResult(
        call_id=values.pop("call_id", UNSET),
        name=values.pop("name", UNSET),
        parts=parts,
        ext=ext or UNSET,
        form=tuple(sorted(forms)),
    )
    return Turn(role="tool", parts=(part,), **values)


_RESULT: Final = table(*_ITEM.values(), Field("call_id", "call_id", STRING), Field("name", "name", STRING))


def _decode_reasoning(item: Json, path: str) -> Turn:
    values, rest = take(item, _ITEM, handled=("type", "summary", "content", "encrypted_content"), path=path)
    ext: Json = {} if rest is UNSET else rest
    summary = _texts(item, "summary", SUMMARY, ext, path) or ()
    content = _texts(item, "content", THOUGHT, ext, path)
    if content is not None and len(content) != 1:
        ext["content"] = item["content"]
    opaque: tuple[Opaque, ...] = ()
    if type(item.get("encrypted_content")) is str:
        opaque = (Opaque(kind=ENCRYPTED, value=item["encrypted_content"], protocol=NAME),)
    elif "encrypted_content" in item:
        if item["encrypted_content"] is not None:
            raise InvalidDocument(f"{path}.encrypted_content", f"must be {STRING}")
        ext["encrypted_content"] = None
    part = Reasoning(
        text="".join(content) if content else UNSET,
        summary=summary,
        opaque=opaque,
        ext=ext or UNSET,
        form=() if "summary" in item else ("summary:absent",),
    )
    return Turn(role="assistant", parts=(part,), **values)


def _texts(item: Json, key: str, kind: str, ext: Json, path: str) -> tuple[str, ...] | None:
    """The texts of a list of typed texts; what they do not say is kept in `ext`; None when there is no list."""
    entries = item.get(key)
    if entries is None:
        if key in item:
            ext[key] = None
        return None
    if type(entries) is not list:
        raise InvalidDocument(f"{path}.{key}", "must be an array")
    found = _readable(entries)
    if entries != typed_texts(kind, found):
        ext[key] = entries
    return found


def typed_texts(kind: str, texts: tuple[str, ...]) -> list[Json]:
    """Texts as a list of typed texts."""
    return [{"type": kind, "text": text} for text in texts]


def _readable(entries: Any) -> tuple[str, ...]:
    if type(entries) is not list:
        return ()
    return tuple(entry["text"] for entry in entries if type(entry) is dict and type(entry.get("text")) is str)


def encode_item(turn: Turn, path: str, scope: Scope) -> list[Json]:
    """A turn that was born here to its item, as it was; to several, where its parts cannot stand in one.

    Args:
        turn: The turn.
        path: Where it stands in the universal document.
        scope: This run.
    """
    items: list[Json] = []
    content: list[tuple[str, Part]] = []
    for index, part in enumerate(turn.parts):
        at = f"{path}.parts[{index}]"
        document: Json | None = None
        match part:
            case ToolCall():
                document = _encode_call(turn, part)
            case ToolResult():
                document = _encode_result(turn, part, at, scope)
            case Reasoning():
                document = _encode_reasoning(turn, part)
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME and "item" in turn.form:
                document = json
            case _:
                content.append((at, part))
                continue
        if content:
            items.append(_encode_message(turn, content, scope))
            content = []
        items.append(document)
    if content or not turn.parts:
        items.append(_encode_message(turn, content, scope))
    return items


def _frame(turn: Turn, kind: str, ext: Json | UnsetType) -> Json:
    item: Json = {"type": kind}
    if turn.id is not UNSET:
        item["id"] = turn.id
    if turn.status is not UNSET:
        item["status"] = turn.status
    for members in (ext, turn.ext):
        if members is not UNSET:
            for key, value in members.items():
                item.setdefault(key, value)
    return item


def _encode_message(turn: Turn, content: list[tuple[str, Part]], scope: Scope) -> Json:
    item = _frame(turn, "message", UNSET)
    if "type:absent" in turn.form:
        del item["type"]
    item["role"] = turn.role
    if turn.phase is not UNSET:
        item["phase"] = turn.phase
    documents = [encode_part(part, turn.role, at, scope) for at, part in content]
    written = [document for document in documents if document is not None]
    if not turn.parts and "content:absent" in turn.form:
        return item
    if not turn.parts and "content:null" in turn.form:
        item["content"] = None
    else:
        item["content"] = _string_or_list(turn.form, written)
    return item


def _string_or_list(form: tuple[str, ...], parts: list[Json]) -> str | list[Json]:
    if "content:string" in form and len(parts) == 1 and len(parts[0]) == 2 and type(parts[0].get("text")) is str:
        return str(parts[0]["text"])
    return parts


def _encode_call(turn: Turn, call: ToolCall) -> Json:
    kind, key = ("function_call", "arguments") if call.kind == "function" else ("custom_tool_call", "input")
    item = _frame(turn, kind, call.ext)
    for name, value in (("call_id", call.id), ("name", call.name)):
        if value is not UNSET:
            item[name] = value
    for name in ("namespace", "caller"):
        if getattr(call, name) is not UNSET:
            item[name] = getattr(call, name)
    text = call.arguments.text
    if not text and "arguments:absent" in call.form:
        return item
    if not text and "arguments:null" in call.form:
        item[key] = None
    elif "arguments:json" in call.form and call.arguments.is_object:
        item[key] = call.arguments
    else:
        item[key] = text
    return item


def _encode_result(turn: Turn, result: ToolResult, path: str, scope: Scope) -> Json:
    kind = "custom_tool_call_output" if "custom" in result.form else "function_call_output"
    item = _frame(turn, kind, result.ext)
    for name, value in (("call_id", result.call_id), ("name", result.name)):
        if value is not UNSET:
            item[name] = value
    if result.parts is not UNSET:
        documents = [encode_part(part, "tool", f"{path}.parts[{at}]", scope) for at, part in enumerate(result.parts)]
        item["output"] = _string_or_list(result.form, [document for document in documents if document is not None])
    return item


def _encode_reasoning(turn: Turn, part: Reasoning) -> Json:
    item = _frame(turn, "reasoning", part.ext)
    if "summary:absent" not in part.form or part.summary:
        _put_texts(item, "summary", SUMMARY, part.summary, demanded=True)
    _put_texts(item, "content", THOUGHT, () if part.text is UNSET else (part.text,), demanded=False)
    for payload in part.opaque:
        if payload.protocol == NAME and payload.kind == ENCRYPTED:
            item["encrypted_content"] = payload.value
    return item


def _put_texts(item: Json, key: str, kind: str, texts: tuple[str, ...], *, demanded: bool) -> None:
    """Write texts, unless what was kept of the wire says the same."""
    if key not in item:
        if texts or demanded:
            item[key] = typed_texts(kind, texts)
    elif "".join(_readable(item[key])) != "".join(texts):
        item[key] = typed_texts(kind, texts)


def encode_call(call: ToolCall, id_: str | UnsetType, name: str) -> Json:
    """A call of another protocol to its item, which has no id yet."""
    kind, key = ("function_call", "arguments") if call.kind == "function" else ("custom_tool_call", "input")
    item: Json = {"type": kind, "name": name, key: call.arguments.text}
    if id_ is not UNSET:
        item["call_id"] = id_
    return item
