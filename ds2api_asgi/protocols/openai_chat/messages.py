"""Messages: one wire message is one turn; the same shape in requests, histories and answers.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages (read 2026-11-23). The message keeps
kinds apart: a turn's parts are reasoning, content, refusal, calls, in this order. Vendors say reasoning as
``reasoning_content`` (DeepSeek, vLLM, xAI) or ``reasoning`` (OpenRouter, Groq, Ollama).

| form | on | the wire had |
|---|---|---|
| ``content:string`` | `Turn`, `ToolResult` | a string |
| ``content:list`` | `Turn` of an answer | a list, which answers seldom have |
| ``content:null``, ``content:empty`` | `Turn` | null, an empty list |
| ``tool_calls:empty`` | `Turn` | an empty list |
| ``refusal:null`` | `Turn` | null, as all of OpenAI's answers have it |
| ``role:absent``, ``role:function`` | `Turn` | no role; the legacy role of tool results |
| ``reasoning`` | `Reasoning` | that spelling of ``reasoning_content`` |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.request import Turn
from ..fields import OBJECT, STRING, Json, expect
from ..openai_shared.marks import SPELLINGS, decode_cache, encode_cache
from ..scope import Scope
from .calls import decode_call, decode_legacy_call, encode_call, encode_legacy_call
from .carry import decode_details, encode_detail
from .citations import decode_citation, encode_citation
from .parts import decode_parts, encode_part
from .profile import NAME

__all__ = ["REASONING", "decode_message", "encode_message"]

_DETAILS: Final = "reasoning_details"
REASONING: Final = ("reasoning_content", "reasoning")
"""Members that hold reasoning; the first that is a string counts."""


def decode_message(message: Any, path: str, *, strict: bool) -> Turn:
    """A message to a turn.

    Args:
        message: The object.
        path: Where it stands.
        strict: Whether a member of the wrong type is an error (requests) or kept in ``ext`` (answers).

    Raises:
        InvalidDocument: Such a member, if strict.
    """
    expect(message, OBJECT, path)
    plain = _decode_plain(message)
    if plain is not None:
        return plain
    role = message.get("role")
    forms: list[str] = []
    if role is None and not strict:
        if "role" not in message:
            forms.append("role:absent")
        role = "assistant"
    elif type(role) is not str:
        raise InvalidDocument(f"{path}.role", f"must be {STRING}")
    if role in ("tool", "function"):
        return _decode_result(message, role, path, strict=strict)
    ext = dict(message)
    if ext.pop("role", role) is None:
        ext["role"] = None
        forms.append("role:absent")
    parts: list[Part] = []
    carried = decode_details(ext[_DETAILS], ext.get(REASONING[0], UNSET)) if _DETAILS in ext else None
    if carried is not None:
        parts.extend(carried)
        del ext[_DETAILS]
        ext.pop(REASONING[0], None)
    for key in REASONING if carried is None else ():
        if type(ext.get(key)) is str:
            parts.append(Reasoning(text=ext.pop(key), form=() if key == REASONING[0] else (key,)))
            break
    if "content" in ext:
        _decode_content(ext, parts, forms, path, strict=strict)
    if type(ext.get("refusal")) is str:
        parts.append(Refusal(text=ext.pop("refusal")))
    elif "refusal" in ext and ext["refusal"] is None:
        del ext["refusal"]
        forms.append("refusal:null")
    if ext.get("tool_calls") is not None:
        _decode_calls(ext, parts, forms, path, strict=strict)
    if type(ext.get("function_call")) is dict:
        decode_legacy_call(ext, parts, path, strict=strict)
    name = ext.pop("name") if type(ext.get("name")) is str else UNSET
    return Turn(role=role, parts=tuple(parts), name=name, ext=ext or UNSET, form=tuple(sorted(forms)))


def _decode_plain(message: Json) -> Turn | None:
    """A message of one text and perhaps a null refusal, as most are; None: it says more, or is none."""
    role, content = message.get("role"), message.get("content")
    if type(content) is not str or type(role) is not str or role in ("tool", "function"):
        return None
    if len(message) == 2:
        return Turn(role=role, parts=(Text(text=content),), form=("content:string",))
    if len(message) == 3 and message.get("refusal", "") is None:
        return Turn(role=role, parts=(Text(text=content),), form=("content:string", "refusal:null"))
    return None


def _decode_content(ext: Json, parts: list[Part], forms: list[str], path: str, *, strict: bool) -> None:
    content = ext["content"]
    if type(content) is str:
        parts.append(_decode_text(content, ext, strict=strict))
        forms.append("content:string")
    elif content is None:
        forms.append("content:null")
    elif type(content) is list:
        parts.extend(decode_parts(content, f"{path}.content", strict=strict))
        if not content:
            forms.append("content:empty")
        elif not strict:
            forms.append("content:list")
    elif strict:
        raise InvalidDocument(f"{path}.content", "must be a string or an array")
    else:
        return
    del ext["content"]


def _decode_text(content: str, ext: Json, *, strict: bool) -> Text:
    annotations = ext.get("annotations")
    if strict or type(annotations) is not list:
        return Text(text=content)
    citations = tuple(citation for entry in annotations if (citation := decode_citation(entry)) is not None)
    if len(citations) != len(annotations):
        return Text(text=content)
    del ext["annotations"]
    return Text(text=content, citations=citations)


def _decode_calls(ext: Json, parts: list[Part], forms: list[str], path: str, *, strict: bool) -> None:
    calls = ext["tool_calls"]
    if type(calls) is not list:
        if strict:
            raise InvalidDocument(f"{path}.tool_calls", "must be an array")
        return
    del ext["tool_calls"]
    if not calls:
        forms.append("tool_calls:empty")
    for index, call in enumerate(calls):
        try:
            parts.append(decode_call(call, f"{path}.tool_calls[{index}]"))
        except InvalidDocument:
            if strict:
                raise
            parts.append(OpaquePart(json={"tool_calls": [call]}, protocol=NAME))


def _decode_result(message: Json, role: str, path: str, *, strict: bool) -> Turn:
    ext = {key: value for key, value in message.items() if key != "role"}
    forms: tuple[str, ...] = ()
    parts: tuple[Part, ...] | UnsetType = UNSET
    content = ext.get("content")
    if type(content) is str:
        parts = (Text(text=content),)
        forms = ("content:string",)
    elif type(content) is list:
        parts = decode_parts(content, f"{path}.content", strict=strict)
    elif content is not None and strict:
        raise InvalidDocument(f"{path}.content", "must be a string or an array")
    if parts is not UNSET:
        del ext["content"]
    call_id = ext.pop("tool_call_id") if type(ext.get("tool_call_id")) is str else UNSET
    name = ext.pop("name") if type(ext.get("name")) is str else UNSET
    cache, key = decode_cache(message, path, SPELLINGS)
    ext.pop(key, None)
    result = ToolResult(call_id=call_id, name=name, parts=parts, cache=cache, ext=ext or UNSET, form=forms)
    return Turn(role="tool", parts=(result,), form=() if role == "tool" else ("role:function",))


def encode_message(turn: Turn, path: str, scope: Scope) -> Json:
    """A turn that was born here to its message, as it was.

    Args:
        turn: The turn.
        path: Where it stands in the universal document.
        scope: This run; an answer's message has a string as content unless the wire had a list.
    """
    if turn.role == "tool" and len(turn.parts) == 1 and isinstance(turn.parts[0], ToolResult):
        return _encode_result(turn, turn.parts[0], f"{path}.parts[0]", scope)
    message: Json = {} if "role:absent" in turn.form else {"role": turn.role}
    if turn.name is not UNSET:
        message["name"] = turn.name
    content: list[Json] = []
    calls: list[Json] = []
    for index, part in enumerate(turn.parts):
        _place(part, f"{path}.parts[{index}]", message, content, calls, scope)
    if content:
        message["content"] = _content(turn, content, answer=scope.answer)
    elif "content:null" in turn.form:
        message["content"] = None
    elif "content:empty" in turn.form:
        message["content"] = []
    if "refusal:null" in turn.form:
        message.setdefault("refusal", None)
    if calls or "tool_calls:empty" in turn.form:
        message["tool_calls"] = calls
    if turn.ext is not UNSET:
        for key, value in turn.ext.items():
            message.setdefault(key, value)
    return message


def _place(part: Part, path: str, message: Json, content: list[Json], calls: list[Json], scope: Scope) -> None:
    match part:
        case Reasoning() if "part:thinking" not in part.form:
            _place_reasoning(part, message)
        case Refusal() if "part" not in part.form:
            message["refusal"] = message.get("refusal", "") + part.text
        case ToolCall() if "function_call" in part.form:
            message["function_call"] = encode_legacy_call(part)
        case ToolCall():
            calls.append(encode_call(part, part.id, part.name))
        case OpaquePart(json={"tool_calls": [call]}, protocol=protocol) if protocol == NAME and "type" not in part.json:
            calls.append(call)
        case _:
            document = encode_part(part, path, scope)
            if document is not None:
                content.append(document)
                if isinstance(part, Text) and part.citations is not UNSET:
                    message.setdefault("annotations", []).extend(encode_citation(c, home=True) for c in part.citations)


def _place_reasoning(part: Reasoning, message: Json) -> None:
    detail = encode_detail(part, len(message.get(_DETAILS, ())))
    if detail is not None:
        message.setdefault(_DETAILS, []).append(detail)
    text = "".join(part.summary) if part.text is UNSET else part.text
    if text or detail is None:
        key = REASONING["reasoning" in part.form]
        message[key] = message.get(key, "") + text


def _content(turn: Turn, content: list[Json], *, answer: bool) -> str | list[Json]:
    """A string where the wire had one, or where only a string is usual and it says the same."""
    string = "content:list" not in turn.form if answer else "content:string" in turn.form and len(content) == 1
    if string and all(len(part) == 2 and part.get("type") == "text" for part in content):
        return "".join(part["text"] for part in content)
    return content


def _encode_result(turn: Turn, result: ToolResult, path: str, scope: Scope) -> Json:
    message: Json = {"role": "function" if "role:function" in turn.form else "tool"}
    if result.call_id is not UNSET:
        message["tool_call_id"] = result.call_id
    if result.name is not UNSET:
        message["name"] = result.name
    if result.parts is not UNSET:
        documents = [encode_part(part, f"{path}.parts[{at}]", scope) for at, part in enumerate(result.parts)]
        content = [document for document in documents if document is not None]
        string = "content:string" in result.form and len(content) == 1 and content[0].get("type") == "text"
        message["content"] = content[0]["text"] if string else content
    encode_cache(result.cache, message, path, scope)
    for ext in (result.ext, turn.ext):
        if ext is not UNSET:
            for key, value in ext.items():
                message.setdefault(key, value)
    return message
