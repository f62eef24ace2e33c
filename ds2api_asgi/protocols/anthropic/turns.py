"""Messages: one by one where they were born here, put into this provider's order where they come from elsewhere.

The provider's order: system texts apart, users and assistants in turns, results first in the user's message after the
calls, a late system message only behind a user's message and before an assistant's.
It follows https://docs.anthropic.com/en/docs/build-with-claude/working-with-messages (read 2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Media, Part, Reasoning, Text, ToolCall, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.request import Request, Turn
from ..fields import Json, rest
from ..scope import Scope
from .parts import decode_content, encode_content, encode_part, plain_text
from .profile import NAME, is_strict

__all__ = ["decode_messages", "decode_system", "encode_turns"]


_MESSAGE: Final = ("role", "content")
_SYSTEM: Final = frozenset({"system", "developer"})


def decode_system(system: Any) -> Turn:
    """Read the top-level ``system``.

    Raises:
        InvalidDocument: It is neither a string nor a list of blocks.
    """
    form = ("content:string", "system") if type(system) is str else ("system",)
    return Turn(role="system", parts=decode_content(system, "system"), form=form)


def decode_messages(messages: Any) -> list[Turn]:
    """Read ``messages``.

    Raises:
        InvalidDocument: A value of the wrong type.
    """
    if type(messages) is not list:
        raise InvalidDocument("messages", "must be an array")
    return [
        _decode_plain(message) or _decode_message(message, f"messages[{index}]")
        for index, message in enumerate(messages)
    ]


def _decode_plain(message: Any) -> Turn | None:
    """A message that says nothing beside one text, as most do; None: it says more, or is none."""
    if type(message) is not dict or len(message) != 2 or type(role := message.get("role")) is not str:
        return None
    content = message.get("content")
    if type(content) is str:
        return Turn(role=role, parts=(Text(text=content),), form=("content:string",))
    if type(content) is list and len(content) == 1 and (text := plain_text(content[0])) is not None:
        return Turn(role=role, parts=(Text(text=text),))
    return None


def _decode_message(message: Any, path: str) -> Turn:
    if type(message) is not dict:
        raise InvalidDocument(path, "must be an object")
    role = message.get("role")
    if type(role) is not str:
        raise InvalidDocument(f"{path}.role", "must be a string")
    content = message.get("content")
    return Turn(
        role=role,
        parts=decode_content(content, f"{path}.content"),
        ext=UNSET if len(message) == 2 else rest(message, _MESSAGE),
        form=("content:string",) if type(content) is str else (),
    )


def encode_turns(request: Request, scope: Scope) -> tuple[str | list[Json] | None, list[Json]]:
    """Write the conversation.

    Returns:
        The top-level ``system`` (None: there is none) and ``messages``.
    """
    if scope.home:
        return _transcribe(request.turns, scope)
    return _Conversation(scope).of(request.turns)


def _transcribe(turns: tuple[Turn, ...], scope: Scope) -> tuple[str | list[Json] | None, list[Json]]:
    system: str | list[Json] | None = None
    messages: list[Json] = []
    for index, turn in enumerate(turns):
        path = f"turns[{index}]"
        parts = _for_dialect(turn, path, scope) if is_strict(scope.dialect) else turn.parts
        content = encode_content(parts, turn.form, f"{path}.parts", scope)
        if index == 0 and "system" in turn.form:
            system = content
        else:
            messages.append({"role": turn.role, "content": content, **(turn.ext or {})})
    return system, messages


def _for_dialect(turn: Turn, path: str, scope: Scope) -> tuple[Part, ...]:
    """What the strict dialect still takes: no documents of assistants, no citations on texts of users."""
    kept: list[Part] = []
    for index, part in enumerate(turn.parts):
        at = f"{path}.parts[{index}]"
        if turn.role == "assistant" and isinstance(part, Media) and part.kind == "document":
            scope.drop(at, Severity.SEMANTIC, "this dialect takes no documents of assistants")
        elif turn.role == "user" and isinstance(part, Text) and part.citations:
            scope.drop(f"{at}.citations", Severity.DEGRADED, "this dialect takes no citations of users")
            kept.append(Text(text=part.text, cache=part.cache, opaque=part.opaque, ext=part.ext, form=part.form))
        else:
            kept.append(part)
    return tuple(kept)


class _Conversation:
    """Puts a conversation from elsewhere into this provider's order."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.messages: list[Json] = []
        self.user: list[tuple[int, Json]] = []  # blocks of the user's message in progress, with their turns
        self.text: str | None = None  # that message as the one string it was
        self.late: list[tuple[int, list[Json], bool]] = []  # system turns: number, blocks, moved
        self.calls: dict[str, int] = {}  # ids of the last assistant's calls, in order

    def of(self, turns: tuple[Turn, ...]) -> tuple[str | list[Json] | None, list[Json]]:
        """Write all turns."""
        leading = 0
        while leading < len(turns) and turns[leading].role in _SYSTEM:
            leading += 1
        system = self.system(turns[:leading])
        for index in range(leading, len(turns)):
            turn = turns[index]
            self.turn_losses(turn, index)
            if turn.role in _SYSTEM:
                self.late.append((index, self.texts(turn, index), False))
            elif turn.role == "assistant":
                self.flush()
                self.assistant(turn, index)
            else:
                self.say(turn, index)
        self.flush()
        self.trim()
        if not self.messages and system is not None:
            # The provider demands a message, and an instruction alone is a question elsewhere.
            for index in range(leading):
                self.scope.add(
                    f"turns[{index}]", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} wants a user's message"
                )
            return None, [{"role": "user", "content": system}]
        if turns and not self.messages:
            self.scope.drop("turns", Severity.BLOCKING, f"{NAME} wants a message with something in it")
        return system, self.messages

    def system(self, turns: tuple[Turn, ...]) -> str | list[Json] | None:
        """The system texts that come before all else."""
        blocks: list[Json] = []
        for index, turn in enumerate(turns):
            self.turn_losses(turn, index)
            blocks += self.texts(turn, index)
        if len(turns) == 1 and "content:string" in turns[0].form and len(blocks) == 1 and len(blocks[0]) == 2:
            return str(blocks[0]["text"])
        return blocks or None

    def texts(self, turn: Turn, index: int) -> list[Json]:
        """The texts of a system turn; it can hold nothing else."""
        blocks: list[Json] = []
        for position, part in enumerate(turn.parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, Text):
                blocks += encode_part(part, path, self.scope)
            else:
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes texts only in a system prompt")
        return blocks

    def assistant(self, turn: Turn, index: int) -> None:
        """An assistant's turn; it joins an assistant's message right before it."""
        blocks: list[Json] = []
        for position, part in enumerate(turn.parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, (Media, ToolResult)):
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes none of this from an assistant")
            else:
                blocks += encode_part(part, path, self.scope)
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == "assistant":
            last["content"] = _as_blocks(last["content"]) + blocks
        else:
            self.calls = {}
            self.messages.append({"role": "assistant", "content": _as_text(turn, blocks) or blocks})
        for block in blocks:
            if block["type"] == "tool_use":
                self.calls[block["id"]] = len(self.calls)

    def say(self, turn: Turn, index: int) -> None:
        """A turn of the user or of a tool; it joins the user's message in progress."""
        if turn.role not in {"user", "tool"} and not any(isinstance(part, ToolResult) for part in turn.parts):
            self.scope.add(f"turns[{index}].role", LossKind.APPROXIMATED, Severity.SEMANTIC, f"{NAME} has no such role")
        first = not self.user
        blocks: list[Json] = []
        parts = _for_dialect(turn, f"turns[{index}]", self.scope) if is_strict(self.scope.dialect) else turn.parts
        for position, part in enumerate(parts):
            path = f"turns[{index}].parts[{position}]"
            if isinstance(part, (ToolCall, Reasoning)):
                self.scope.drop(path, Severity.SEMANTIC, f"{NAME} takes none of this from a user")
            else:
                blocks += encode_part(part, path, self.scope)
        if blocks:
            self.text = _as_text(turn, blocks) if first else None
            self.user += [(index, block) for block in blocks]
            self.late = [(number, texts, True) for number, texts, _ in self.late]

    def flush(self) -> None:
        """The user's message in progress is complete; late system turns follow it."""
        user = self.user
        if user:
            self.messages.append({"role": "user", "content": self.text or self.ordered(user)})
            self.user, self.text = [], None
        blocks: list[Json] = []
        for index, texts, moved in self.late:
            blocks += texts
            if not user and texts:
                # Right after an assistant, with no user to stand behind: the provider refuses a system message there.
                self.scope.add(
                    f"turns[{index}]",
                    LossKind.APPROXIMATED,
                    Severity.SEMANTIC,
                    f"{NAME} takes it from a user only here",
                )
            elif moved:
                self.scope.add(
                    f"turns[{index}]",
                    LossKind.RELOCATED,
                    Severity.DEGRADED,
                    f"{NAME} takes it only behind the user's turn",
                )
        if blocks:
            self.messages.append({"role": "system" if user else "user", "content": blocks})
        self.late = []

    def ordered(self, user: list[tuple[int, Json]]) -> list[Json]:
        """Results first, in the order of the calls before them."""

        def rank(item: tuple[int, Json]) -> int:
            block = item[1]
            if block["type"] != "tool_result":
                return len(self.calls) + 1
            return self.calls.get(block.get("tool_use_id", ""), len(self.calls))

        order = sorted(user, key=rank)
        moved = dict.fromkeys(old[0] for old, new in zip(user, order, strict=True) if old is not new)
        for index in moved:
            self.scope.add(
                f"turns[{index}]",
                LossKind.RELOCATED,
                Severity.COSMETIC,
                f"{NAME} takes results first, in the order of their calls",
            )
        return [block for _, block in order]

    def trim(self) -> None:
        """Without white space at the end of a last assistant's text, which the provider refuses."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            return
        content = self.messages[-1]["content"]
        blocks = _as_blocks(content)
        text = blocks[-1].get("text")
        if type(text) is not str or text == text.rstrip():
            return
        self.scope.add("turns", LossKind.CLAMPED, Severity.DEGRADED, f"{NAME} trims the end of a last assistant text")
        blocks[-1] = {**blocks[-1], "text": text.rstrip()}
        self.messages[-1]["content"] = blocks if type(content) is list else blocks[-1]["text"]

    def turn_losses(self, turn: Turn, index: int) -> None:
        """What a message has no place for."""
        path = f"turns[{index}]"
        scope = self.scope
        if not turn.parts:
            scope.drop(path, Severity.COSMETIC, f"{NAME} takes no empty messages")
        if turn.role == "developer":
            scope.add(f"{path}.role", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} calls it system")
        if turn.name is not UNSET:
            scope.drop(f"{path}.name", Severity.DEGRADED, f"{NAME} has no names of speakers")
        scope.lacks_each(turn, ("id", "status", "phase"), path, Severity.COSMETIC, "of a message")
        if turn.ext is not UNSET:
            scope.ext(turn.ext, path)


def _as_text(turn: Turn, blocks: list[Json]) -> str | None:
    """The one string that a message was, if it still is."""
    if "content:string" in turn.form and len(blocks) == 1 and len(blocks[0]) == 2 and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return None


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
