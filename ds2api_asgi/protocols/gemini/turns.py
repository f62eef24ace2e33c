"""Contents: one by one where they were born here, put into this provider's order where they come from elsewhere.

The provider's order: system texts apart, users and models in turns, all results of a step in one content right after
the calls, no content without parts. It follows https://ai.google.dev/gemini-api/docs/text-generation and
…/function-calling (read 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import Part, Reasoning, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ..fields import rest
from ..scope import Scope
from .pairing import Pairing
from .parts import decode_answer, decode_part, encode_part
from .profile import NAME, SIGNATURE, SKIP_SIGNATURE, demands_signatures
from .spelling import put_ext

__all__ = ["decode_answer_turn", "decode_contents", "decode_system", "encode_content", "encode_turns"]

Wire = dict[str, Any]

_ROLES: Final = {"user": "user", "model": "assistant", "function": "tool"}
_WORDS: Final = {"user": "user", "assistant": "model", "tool": "function"}
_CONTENT: Final = ("role", "parts")
_SYSTEM: Final = frozenset({"system", "developer"})


def decode_system(content: Any) -> Turn:
    """Read ``systemInstruction``; its role, which the provider ignores, is in the form.

    Raises:
        InvalidDocument: It is no content.
    """
    if type(content) is not dict:
        raise InvalidDocument("systemInstruction", "must be an object")
    form = ["system"]
    parts = _decode_parts(content, form, "systemInstruction")
    role = content.get("role")
    known: tuple[str, ...] = _CONTENT
    if type(role) is str:
        form.append(f"role={role}")
    elif role is not None:
        raise InvalidDocument("systemInstruction.role", "must be a string")
    return Turn(role="system", parts=parts, ext=rest(content, known), form=tuple(form))


def decode_contents(contents: list[Any]) -> list[Turn]:
    """Read ``contents``.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    pairing = Pairing()
    return [_decode_content(content, f"contents[{index}]", pairing) for index, content in enumerate(contents)]


def _decode_content(content: Any, path: str, pairing: Pairing) -> Turn:
    if type(content) is not dict:
        raise InvalidDocument(path, "must be an object")
    form: list[str] = []
    parts = _decode_parts(content, form, path)
    role = content.get("role")
    if role is not None and type(role) is not str:
        raise InvalidDocument(f"{path}.role", "must be a string")
    return Turn(
        role=_decode_role(_of_a_tool(role, parts, form), "user", form),
        parts=pairing.step(parts),
        ext=UNSET if len(content) == 2 and role and "parts" in content else rest(content, _CONTENT),
        form=tuple(form),
    )


def decode_answer_turn(content: Wire) -> Turn:
    """Read the content of a candidate: what is not as documented stays as it is."""
    form: list[str] = []
    wire = content.get("parts")
    known: tuple[str, ...] = _CONTENT
    if type(wire) is not list:
        form.append("parts:absent")
        known = ("role",)
    role = content.get("role")
    if role is not None and type(role) is not str:
        known = tuple(name for name in known if name != "role")
        role = None
    if role is None:
        form.append("role:absent")
    elif role != "model":
        form.append(f"role={role}")
    return Turn(
        role="assistant",  # whatever it says: who answers is the model
        parts=tuple([decode_answer(part) for part in wire]) if type(wire) is list else (),
        ext=rest(content, known),
        form=tuple(form),
    )


def _of_a_tool(role: str | None, parts: tuple[Part, ...], form: list[str]) -> str | None:
    """The role, which is the user's where it is the tools' without any result."""
    if role != "function" or any(isinstance(part, ToolResult) for part in parts):
        return role
    form.append("role=function")
    return "user"


def _decode_role(role: str | None, default: str, form: list[str]) -> str:
    if role is None:
        form.append("role:absent")
        return default
    known = _ROLES.get(role)
    if known is None:
        # The provider refuses it; to others it is what the missing role would be.
        form.append(f"role={role}")
        return role if role in _SYSTEM or role == "assistant" else default
    return known


def _decode_parts(content: Wire, form: list[str], path: str) -> tuple[Part, ...]:
    parts = content.get("parts")
    path = f"{path}.parts"
    if parts is None:
        form.append("parts:absent")
        return ()
    if type(parts) is dict:  # the API's own examples have one part without a list around it
        form.append("parts:object")
        return (decode_part(parts, path),)
    if type(parts) is not list:
        raise InvalidDocument(path, "must be an array")
    return tuple([decode_part(part, f"{path}[{index}]") for index, part in enumerate(parts)])


def encode_content(turn: Turn, path: str, scope: Scope, pairing: Pairing | None = None) -> Wire:
    """Write a content that was born here."""
    parts: list[Wire] = []
    for index, part in enumerate(turn.parts):
        name: str | UnsetType = UNSET
        if pairing is not None and isinstance(part, ToolResult):
            call = pairing.answered(part)
            name = UNSET if call is None else call.name
        parts += encode_part(part, f"{path}.parts[{index}]", scope, name=name)
    if pairing is not None:
        pairing.step(tuple(part for part in turn.parts if isinstance(part, ToolCall)))
    content: Wire = {}
    if "parts:object" in turn.form and len(parts) == 1:
        content["parts"] = parts[0]
    elif parts or "parts:absent" not in turn.form:
        content["parts"] = parts
    role = next((tag[5:] for tag in turn.form if tag.startswith("role=")), None)
    if role is not None:
        content["role"] = role
    elif "system" not in turn.form and "role:absent" not in turn.form:
        content["role"] = _WORDS.get(turn.role, turn.role)
    put_ext(content, turn.ext)
    return content


def encode_turns(request: Request, scope: Scope) -> tuple[Wire | None, list[Wire]]:
    """Write the conversation.

    Returns:
        ``systemInstruction`` (None: there is none) and ``contents``.
    """
    if not scope.home:
        return _Conversation(request, scope).of(request.turns)
    system: Wire | None = None
    contents: list[Wire] = []
    pairing = Pairing()
    for index, turn in enumerate(request.turns):
        content = encode_content(turn, f"turns[{index}]", scope, pairing)
        if index == 0 and "system" in turn.form:
            system = content
        else:
            contents.append(content)
    return system, contents


class _Conversation:
    """Puts a conversation from elsewhere into this provider's order."""

    def __init__(self, request: Request, scope: Scope) -> None:
        self.scope = scope
        self.contents: list[Wire] = []
        self.system: list[Wire] = []
        self.signs = demands_signatures(request.model)
        self.names: dict[str | None, str] = {}  # of calls, by the source's ids
        self.step: list[str] = []  # ids of the step's calls, in this document's spelling
        self.results: list[tuple[str, Wire]] = []  # of the step in progress
        self.said: list[tuple[int, Wire]] = []  # what the user says, with the turns' numbers

    def of(self, turns: tuple[Turn, ...]) -> tuple[Wire | None, list[Wire]]:
        """Write all turns."""
        leading = True
        for index, turn in enumerate(turns):
            self.turn_losses(turn, index)
            if turn.role in _SYSTEM:
                if not leading:
                    self.scope.add(
                        f"turns[{index}]",
                        LossKind.RELOCATED,
                        Severity.SEMANTIC,
                        f"{NAME} has one system instruction, before all else",
                    )
                self.texts(turn, index)
                continue
            leading = False
            if turn.role == "assistant":
                self.flush()
                self.model(turn, index)
            else:
                self.user(turn, index)
        self.flush()
        if not self.contents and self.system:
            # The provider demands a content, and an instruction alone is a question elsewhere.
            for index, _ in enumerate(turns):
                self.scope.add(
                    f"turns[{index}]", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} wants a user's content"
                )
            return None, [{"role": "user", "parts": self.system}]
        if turns and not self.contents:
            self.scope.drop("turns", Severity.BLOCKING, f"{NAME} wants a content with something in it")
        return ({"parts": self.system} if self.system else None), self.contents

    def texts(self, turn: Turn, index: int) -> None:
        """The texts of a system turn; it can hold nothing else."""
        for position, part in enumerate(turn.parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, Text):
                self.system += encode_part(part, path, self.scope)
            else:
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes texts only in a system instruction")

    def model(self, turn: Turn, index: int) -> None:
        """A turn of the model; it joins a content of the model right before it."""
        parts: list[Wire] = []
        for position, part in enumerate(turn.parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, ToolResult):
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes no results from a model")
                continue
            made = encode_part(part, path, self.scope)
            if isinstance(part, ToolCall):
                document = made[0]["functionCall"]
                self.names[part.id or None] = document["name"]
                if self.signs and not self.step and "thoughtSignature" not in made[0]:
                    made[0]["thoughtSignature"] = SKIP_SIGNATURE
                    self.scope.add(
                        f"{path}.opaque",
                        LossKind.INVENTED,
                        Severity.DEGRADED,
                        f"{NAME} demands a {SIGNATURE}; its own word for none stands there",
                    )
                self.step.append(document.get("id", ""))
            parts += made
        self.add("model", parts)

    def user(self, turn: Turn, index: int) -> None:
        """A turn of the user or of a tool."""
        if turn.role not in {"user", "tool"} and not any(isinstance(part, ToolResult) for part in turn.parts):
            self.scope.add(f"turns[{index}].role", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} has no such role")
        for position, part in enumerate(turn.parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, (ToolCall, Reasoning)):
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes none of this from a user")
            elif isinstance(part, ToolResult):
                if self.said:
                    self.scope.add(path, LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} takes results first")
                self.result(part, path)
            else:
                self.said += [(index, made) for made in encode_part(part, path, self.scope)]

    def result(self, part: ToolResult, path: str) -> None:
        """One result of the step."""
        name = self.names.get(part.call_id or None)
        if name is None:
            name = self.scope.tool_name(part.name, f"{path}.name") if part.name else "unknown"
            if not part.name:
                self.scope.add(f"{path}.name", LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a name")
        made = encode_part(part, path, self.scope, name=name)[0]
        self.results.append((made["functionResponse"].get("id", ""), made))

    def flush(self) -> None:
        """The user's content in progress is complete: the step's results, in the order of its calls, and the rest."""
        order = {identity: number for number, identity in enumerate(self.step)}
        results = sorted(self.results, key=lambda item: order.get(item[0], len(order)))
        if results != self.results:
            self.scope.add("turns", LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} takes results as their calls were")
        if results or self.said:
            self.step = []
        self.add("user", [made for _, made in results] + [made for _, made in self.said])
        self.results, self.said = [], []

    def add(self, role: str, parts: list[Wire]) -> None:
        """Write a content, or join it to one of the same role."""
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def turn_losses(self, turn: Turn, index: int) -> None:
        """What a content has no place for."""
        path = f"turns[{index}]"
        scope = self.scope
        if not turn.parts:
            scope.drop(path, Severity.COSMETIC, f"{NAME} takes no empty contents")
        if turn.role == "developer":
            scope.add(f"{path}.role", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it system")
        if turn.name is not UNSET:
            scope.lacks(f"{path}.name", Severity.DEGRADED, "names of speakers")
        scope.lacks_each(turn, ("id", "status", "phase"), path, Severity.COSMETIC, "of a content")
        scope.ext(turn.ext, path)
