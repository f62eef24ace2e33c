"""Conversations: ``instructions`` and ``input`` to turns, and turns of any protocol to items.

A conversation that was born here is written back as it was. For any other:

* a lone text of anybody, and each text of an assistant, is a message with a string, which every server takes;
* results stand where they stood, with their media; a failed tool says so in words (template T1), since there is no
  error flag;
* of thoughts only those go upstream that a server of this protocol has encrypted, or all to the dialect
  ``"compatible"``.

| form | on | the wire had |
|---|---|---|
| ``instructions`` | `Turn` | the request's ``instructions`` |
| ``input:string`` | `Turn` | a string in place of the list |
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ..fields import STRING, Json, expect
from ..openai_shared.marks import encode_cache
from ..openai_shared.results import say_failure, string_or_parts
from ..scope import Scope
from .items import ENCRYPTED, SUMMARY, THOUGHT, decode_item, encode_call, encode_item, typed_texts
from .minted import foreign_payloads, id_of, message_of
from .parts import encode_part, encode_refusal
from .profile import NAME, dialect, item_id

__all__ = ["decode_turns", "encode_turns", "instructions_of"]

_TEXT: Final = "input_text"
_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})


def decode_turns(document: Json, ext: Json, forms: list[str]) -> tuple[Turn, ...]:
    """The conversation of a request to turns.

    Raises:
        InvalidDocument: A member of the wrong type.
    """
    turns: list[Turn] = []
    if document.get("instructions") is not None:
        text = expect(document["instructions"], STRING, "instructions")
        turns.append(Turn(role="system", parts=(Text(text=text),), form=("content:string", "instructions")))
    elif "instructions" in document:
        ext["instructions"] = None
    source = document.get("input")
    if type(source) is str:
        turns.append(Turn(role="user", parts=(Text(text=source),), form=("content:string", "input:string")))
    elif type(source) is list:
        turns += [decode_item(item, f"input[{index}]", strict=True) for index, item in enumerate(source)]
    elif "input" not in document:
        forms.append("input:absent")
    elif source is None:
        ext["input"] = None
    else:
        raise InvalidDocument("input", "must be a string or an array")
    return tuple(turns)


def instructions_of(turns: tuple[Turn, ...]) -> str | None:
    """The ``instructions`` that the first turn is, if it is."""
    if turns and "instructions" in turns[0].form and len(turns[0].parts) == 1:
        part = turns[0].parts[0]
        if isinstance(part, Text):
            return part.text
    return None


def encode_turns(request: Request, document: Json, scope: Scope) -> None:
    """Write the conversation of a request."""
    if not scope.home:
        writer = _Writer(scope)
        for index, turn in enumerate(request.turns):
            writer.turn(turn, f"turns[{index}]")
        if request.turns and not writer.items:
            scope.drop("turns", Severity.BLOCKING, f"{NAME} wants an item with something in it")
        document["input"] = writer.items
        return
    turns = list(enumerate(request.turns))
    instructions = instructions_of(request.turns)
    if instructions is not None:
        document["instructions"] = instructions
        del turns[0]
    if len(turns) == 1 and "input:string" in turns[0][1].form:
        parts = turns[0][1].parts
        if len(parts) == 1 and isinstance(parts[0], Text):
            document["input"] = parts[0].text
            return
    if turns or not ("input:absent" in request.form or "input" in (request.ext or ())):
        document["input"] = [item for index, turn in turns for item in encode_item(turn, f"turns[{index}]", scope)]


class _Writer:
    """Writes the items of a conversation of another protocol, one turn after the other.

    Attributes:
        items: What was written.
    """

    __slots__ = ("_custom", "_scope", "items")

    def __init__(self, scope: Scope) -> None:
        self.items: list[Json] = []
        self._scope = scope
        self._custom: set[Any] = set()  # ids of calls of custom tools

    def turn(self, turn: Turn, path: str) -> None:
        """Write one turn."""
        scope = self._scope
        scope.ext(turn.ext, path)
        scope.lacks_each(turn, ("id", "status", "phase", "name"), path, Severity.COSMETIC, "of a turn from elsewhere")
        role = turn.role if turn.role in _ROLES else "user"
        content: list[Json] = []
        before = len(self.items)
        for index, part in enumerate(turn.parts):
            at = f"{path}.parts[{index}]"
            if isinstance(part, (ToolCall, ToolResult, Reasoning)) or role == "assistant":
                self._message(turn.role, content, path)
                content = []
                self._item(role, part, at)
                continue
            document = self._part(turn.role, part, at)
            if document is not None:
                content.append(document)
        self._message(turn.role, content, path)
        if len(self.items) == before and role != "assistant" and not turn.parts:
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
            self._message(turn.role, [{"type": _TEXT, "text": ""}], path)
        elif len(self.items) == before and not turn.parts:
            scope.drop(path, Severity.COSMETIC, "an assistant that says nothing")

    def _message(self, role: str, content: list[Json], path: str) -> None:
        if not content:
            return
        if role not in _ROLES:
            if role != "tool":  # whose parts are reported where they are written
                self._scope.add(f"{path}.role", LossKind.APPROXIMATED, Severity.DEGRADED, f"{NAME} has no such role")
            role = "user"
        self.items.append({"role": role, "content": string_or_parts(content, _TEXT)})

    def _part(self, role: str, part: Part, path: str) -> Json | None:
        if role not in ("user", "tool") and not isinstance(part, (Text, OpaquePart)):
            self._scope.lacks(path, Severity.SEMANTIC, f"place for this in a {role} message")
            return None
        document = encode_part(part, role, path, self._scope)
        if document is not None and role == "tool":
            self._scope.add(path, LossKind.RELOCATED, Severity.SEMANTIC, f"{NAME} has nothing beside results: a user's")
        return None if isinstance(part, Refusal) else document

    def _item(self, role: str, part: Part, path: str) -> None:
        """Write a part that is an item of its own."""
        scope = self._scope
        match part:
            case ToolCall() if role == "assistant":
                self._call(part, path)
            case ToolResult():
                self._result(part, path)
            case Reasoning():
                self._reasoning(part, path)
            case Refusal():
                # Only a message of the model itself may hold one, which has an id.
                scope.add(f"{path.rpartition('.')[0]}.id", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands one")
                self.items.append(
                    {
                        "type": "message",
                        "id": item_id("message", f"{len(self.items)}:{part.text}"),
                        "status": "completed",
                        "role": role,
                        "content": [encode_refusal(part, path, scope)],
                    }
                )
            case Text():
                bare = replace(part, opaque=foreign_payloads(part.opaque)) if part.opaque else part
                document = encode_part(bare, role, path, scope)
                if document is not None:
                    item = message_of(part, document, self.items[-1] if self.items else None)
                    if item is None:
                        item = {"role": role, "content": document["text"]}
                    self.items += [item] if item else ()
            case OpaquePart():
                scope.foreign(part, path)
            case _:
                scope.lacks(path, Severity.SEMANTIC, f"place for this in the message of: {role}")

    def _call(self, call: ToolCall, path: str) -> None:
        scope = self._scope
        scope.ext(call.ext, path)
        scope.opaque(foreign_payloads(call.opaque), path)
        encode_cache(call.cache, {}, path, scope)
        scope.lacks_each(call, ("namespace", "caller"), path, Severity.DEGRADED, "of a call from elsewhere")
        name = scope.tool_name(call.name, f"{path}.name")
        item = encode_call(call, scope.call_id(call, path), name)
        id_ = id_of(call.opaque)
        if id_ is not None:
            item = {"id": id_, **item}
        if call.kind == "custom":
            self._custom.add(item.get("call_id"))
        self.items.append(item)

    def _result(self, result: ToolResult, path: str) -> None:
        scope = self._scope
        scope.ext(result.ext, path)
        encode_cache(result.cache, {}, path, scope)
        call_id = scope.result_id(result, path)
        if result.name is not UNSET:
            scope.lacks(f"{path}.name", Severity.COSMETIC, "name on a tool result")
        output: list[Json] = []
        for index, part in enumerate(result.parts or ()):
            document = encode_part(part, "tool", f"{path}.parts[{index}]", scope)
            if document is not None and document["type"] != "refusal":
                output.append(document)
        if not result.parts:
            scope.add(f"{path}.parts", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands content")
        output = say_failure(result, output, _TEXT, path, scope)
        kind = "custom_tool_call_output" if call_id in self._custom else "function_call_output"
        self.items.append({"type": kind, "call_id": call_id, "output": string_or_parts(output, _TEXT)})

    def _reasoning(self, part: Reasoning, path: str) -> None:
        scope = self._scope
        payload = next((o.value for o in part.opaque if o.protocol == NAME and o.kind == ENCRYPTED), None)
        told = part.text is not UNSET or bool(part.summary)
        if payload is None and not (told and dialect(scope.dialect).reasoning):
            scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, f"{NAME} takes its own thoughts only")
            return
        scope.ext(part.ext, path)
        scope.opaque(foreign_payloads(tuple(o for o in part.opaque if o.value != payload)), path)
        id_ = id_of(part.opaque)
        if id_ is None:
            # Only an item of the model's own has an id, but the SDK's types demand one.
            id_ = item_id("reasoning", payload or f"{len(self.items)}:{part.text}:{part.summary}")
            turn = path.rpartition(".")[0]
            scope.add(f"{turn}.id", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands one")
        summary, text = part.summary, part.text
        if payload is not None and text and not summary:
            # Other protocols have one text for it, but a server that encrypts its thoughts told a summary.
            summary, text = (text,), UNSET
            scope.add(path, LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} had it as the summary")
        item: Json = {
            "type": "reasoning",
            "id": id_,
            "summary": typed_texts(SUMMARY, summary),
        }
        if text is not UNSET:
            item["content"] = typed_texts(THOUGHT, (text,))
        if payload is not None:
            item["encrypted_content"] = payload
        self.items.append(item)
