"""The parts of a stream, open side by side, each in an item that is announced first and said whole at its end.

https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-23). Texts that came in one message are
one item, which ends when all of them have and something else begins.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Open, Set
from ...universal.loss import Severity
from ...universal.request import Turn
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .citations import encode_citation
from .items import encode_item
from .parts import encode_part
from .profile import NAME, item_id
from .remade import Owners
from .response import call_item, names_of, sealed_by_us, thought_of
from .settle import COMPLETED, amended, bare, late_members, turn_of
from .stream_events import Events, head_of
from .stream_live import Live, Message

__all__ = ["Parts"]


class Parts:
    """Writes the parts of one answer.

    Args:
        context: What translating the request learned.
        scope: This run.
        events: Writes the events.

    Attributes:
        live: Open parts, by key.
        calls: A tool of the client was called.
        refused: The model declined in words.
    """

    __slots__ = (
        "_answer",
        "_context",
        "_events",
        "_message",
        "_opened",
        "_owners",
        "_scope",
        "_written",
        "calls",
        "live",
        "refused",
    )

    def __init__(self, context: Context, scope: Scope, events: Events) -> None:
        self.live: dict[int, Live] = {}
        self.calls = False
        self.refused = False
        self._context = context
        self._scope = scope
        self._events = events
        self._answer = ""
        self._owners: Owners | None = None
        self._message: Message | None = None
        self._written: list[Json | None] = []  # None: an item that is open
        self._opened = 0

    def begin(self, answer: str, *, remade: bool) -> None:
        """The answer has this id; some of its items may be made of others."""
        self._answer = answer
        self._owners = Owners(answer) if remade else None

    def items(self) -> list[Json]:
        """The items that are complete."""
        return [item for item in self._written if item is not None]

    def open(self, event: Open) -> None:
        """A part opens."""
        part = event.part
        if event.choice:
            self._scope.lacks(f"candidates[{event.choice}]", Severity.SEMANTIC, "second answer")
            return
        path = f"candidates[0].turns[0].parts[{self._opened}]"
        self._opened += 1
        about = turn_of(part)
        (place,) = about.form
        plain: Part = part
        if not isinstance(part, OpaquePart):
            plain, members = bare(part)
            about = amended(about, members)
        live = Live(plain, path, replace(about, form=()))
        match plain:
            case Text() | Refusal():
                self._open_text(live, plain, place)
            case Reasoning():
                self.leave()
                if self._scope.home or plain.text is not UNSET or plain.summary:
                    self._begin_reasoning(live)
            case ToolCall():
                self.leave()
                self._open_call(live, plain)
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
                self.leave()
                index = len(self._written)
                self._written.append(None)
                self._events.say("response.output_item.added", output_index=index, item=json)
                self._done(index, json)
                return
            case _:
                self._scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
                return
        self.live[event.key] = live
        if isinstance(plain, Reasoning):
            for summary in plain.summary:
                self.summary(event.key, summary, begin=True)
        text = plain.arguments.text if isinstance(plain, ToolCall) else plain.text or ""
        if isinstance(plain, Text):
            live.citations += plain.citations or ()
        if text:
            self._tell(live, text)

    def set(self, event: Set) -> None:
        """Something is said of a part."""
        live = self.live.get(event.key)
        if live is None:
            return
        match event.field:
            case "opaque":
                live.opaque.append(event.value)
            case "citation":
                live.citations.append(event.value)
                if self._scope.home:
                    self._cite(live, encode_citation(event.value))
            case "summary":
                self.summary(event.key, event.value, begin=True)
            case "ext":
                members = dict(event.value)
                late = late_members(members) if self._scope.home else {}
                if live.message is None:
                    live.about = amended(live.about, late)
                else:
                    live.message.members.update(late)
                live.ext.update(members)
            case _:
                assert_never(event.field)

    def summary(self, key: int, text: str, *, begin: bool) -> None:
        """Begin a summary of a thought, or go on with one."""
        live = self.live.get(key)
        if live is None or not isinstance(live.part, Reasoning):
            return
        if live.index < 0:
            self._begin_reasoning(live)
        if begin or not live.summaries:
            self._end_summary(live)
            live.summaries.append("")
            self._events.say("response.reasoning_summary_part.added", **_summary_place(live), part=_summary_text(""))
        if text:
            live.summaries[-1] += text
            self._events.say("response.reasoning_summary_text.delta", **_summary_place(live), delta=text)

    def close(self, key: int) -> None:
        """A part is complete."""
        live = self.live.pop(key, None)
        if live is None:
            return
        whole = live.whole()
        match whole:
            case Text() | Refusal():
                self._close_text(live, whole)
            case Reasoning():
                self._close_reasoning(live, whole)
            case ToolCall():
                self._close_call(live, whole)
            case _:
                pass

    def leave(self) -> None:
        """Something else than text begins, or nothing more."""
        message, self._message = self._message, None
        if message is not None:
            message.left = True
            self._end_message(message)

    def begin_thought(self, live: Live) -> None:
        """Announce the text of a thought."""
        if live.index < 0:
            self._begin_reasoning(live)
        place = _content_place(live)
        self._events.say("response.content_part.added", **place, part=_thought_text(""))
        live.head = head_of("response.reasoning_text.delta", place)

    def _begin(self, live: Live, kind: str, item: Json) -> tuple[int, str]:
        """Announce the item of a part; gives its place and its id."""
        index = len(self._written)
        self._written.append(None)
        if self._owners is not None:
            live.about = self._owners.turn(live.about, kind, index)
        about = live.about
        id_ = (about.id or "") if self._scope.home else item_id(kind, f"{self._answer}:{index}")
        head: Json = {} if self._scope.home and about.id is UNSET else {"id": id_}
        if (about.status is not UNSET or not self._scope.home) and kind != "custom_tool_call":
            head["status"] = "in_progress"
        if about.phase is not UNSET:
            head["phase"] = about.phase
        self._events.say("response.output_item.added", output_index=index, item={**head, "type": kind, **item})
        return index, id_

    def _done(self, index: int, item: Json) -> None:
        self._written[index] = item
        self._events.say("response.output_item.done", output_index=index, item=item)

    def _open_text(self, live: Live, part: Text | Refusal, home: str) -> None:
        message = self._message
        if message is None or message.place != home:
            self.leave()
            index, id_ = self._begin(live, "message", {"role": "assistant", "content": []})
            about = live.about if self._scope.home else Turn(role="assistant", id=id_, status=COMPLETED)
            message = self._message = Message(home, index, about)
        live.message, live.at, live.index = message, len(message.content), message.index
        message.content.append(None)
        live.item = message.about.id or ""
        self.refused = self.refused or isinstance(part, Refusal)
        blank = _blank(part)
        if self._scope.home:
            blank = encode_part(replace(part, text=""), "assistant", live.path, self._scope) or blank
        place = _content_place(live)
        self._events.say("response.content_part.added", **place, part=blank)
        if isinstance(part, Text):
            live.head = head_of("response.output_text.delta", {**place, "logprobs": []})
        else:
            live.head = head_of("response.refusal.delta", place)

    def _begin_reasoning(self, live: Live) -> None:
        live.index, live.item = self._begin(live, "reasoning", {"summary": []})

    def _open_call(self, live: Live, call: ToolCall) -> None:
        self.calls = True
        scope = self._scope
        name = scope.tool_name(call.name, f"{live.path}.name")
        wrapped = not scope.home and call.kind != "custom" and name in self._context.custom_tools
        live.held = wrapped
        custom = wrapped or call.kind == "custom"
        kind, key = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
        if scope.home:
            (item,) = encode_item(replace(live.about, parts=(call,), ext=UNSET), live.path, scope)
            known = {name: value for name, value in item.items() if name not in ("id", "status", "type")}
        else:
            id_ = scope.call_id(call, live.path)
            live.part = replace(call, id=id_)
            known = {"call_id": id_, **names_of(name, self._context)}
        live.index, live.item = self._begin(live, kind, {**known, key: ""})
        event = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        live.head = head_of(f"{event}.delta", {"item_id": live.item, "output_index": live.index})

    def _tell(self, live: Live, text: str) -> None:
        """Write a text of a part, unless it is said at its end."""
        live.texts.append(text)
        if live.held:
            return
        if not live.head:
            self.begin_thought(live)
        self._events.delta(live.head, text)

    def _cite(self, live: Live, annotation: Json) -> None:
        self._events.say(
            "response.output_text.annotation.added",
            **_content_place(live),
            annotation_index=live.cited,
            annotation=annotation,
        )
        live.cited += 1

    def _end_summary(self, live: Live) -> None:
        if live.summaries:
            text = live.summaries[-1]
            self._events.say("response.reasoning_summary_text.done", **_summary_place(live), text=text)
            self._events.say("response.reasoning_summary_part.done", **_summary_place(live), part=_summary_text(text))

    def _close_text(self, live: Live, whole: Text | Refusal) -> None:
        message = live.message
        document = encode_part(whole, "assistant", live.path, self._scope)
        assert message is not None
        assert document is not None
        place = _content_place(live)
        annotations = document.get("annotations")  # of our own provider: as it was, a list or not
        for annotation in annotations[live.cited :] if type(annotations) is list else ():
            self._cite(live, annotation)
        if isinstance(whole, Text):
            self._events.say("response.output_text.done", **place, text=whole.text, logprobs=[])
        else:
            self._events.say("response.refusal.done", **place, refusal=whole.text)
        self._events.say("response.content_part.done", **place, part=document)
        message.content[live.at] = document
        self._end_message(message)

    def _close_reasoning(self, live: Live, whole: Reasoning) -> None:
        if live.index < 0 and sealed_by_us(whole):
            self._begin_reasoning(live)
        if live.index < 0:  # nothing in it that this client may know
            self._scope.opaque(whole.opaque, live.path)
            return
        self._end_summary(live)
        if live.texts:
            place = _content_place(live)
            self._events.say("response.reasoning_text.done", **place, text=whole.text)
            self._events.say("response.content_part.done", **place, part=_thought_text(whole.text or ""))
        if self._scope.home:
            (item,) = encode_item(replace(live.about, parts=(whole,)), live.path, self._scope)
        else:
            item = {"id": live.item, **thought_of(whole, live.path, self._scope)}
        self._done(live.index, item)

    def _close_call(self, live: Live, whole: ToolCall) -> None:
        if self._scope.home:
            (item,) = encode_item(replace(live.about, parts=(whole,)), live.path, self._scope)
        else:
            item = {"id": live.item, **call_item(whole, live.path, self._context, self._scope), "call_id": whole.id}
        custom = item["type"] == "custom_tool_call"
        key = "input" if custom else "arguments"
        text = item.get(key) or ""
        place: Json = {"item_id": live.item, "output_index": live.index}
        if text and (live.held or not live.texts):
            self._events.delta(live.head, text)
        kind = "response.custom_tool_call_input.done" if custom else "response.function_call_arguments.done"
        self._events.say(kind, **place, **{key: text})
        self._done(live.index, item)

    def _end_message(self, message: Message) -> None:
        if not message.left or None in message.content:
            return
        about = amended(message.about, message.members)
        item: Json = {"type": "message", "role": "assistant", "content": message.content}
        for name in ("id", "status", "phase"):
            if getattr(about, name) is not UNSET:
                item[name] = getattr(about, name)
        self._done(message.index, {**(about.ext or {}), **item})


def _blank(part: Text | Refusal) -> Json:
    """A content part as it is announced."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": ""}
    return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def _content_place(live: Live) -> Json:
    return {"item_id": live.item, "output_index": live.index, "content_index": live.at}


def _thought_text(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _summary_place(live: Live) -> Json:
    return {"item_id": live.item, "output_index": live.index, "summary_index": max(len(live.summaries) - 1, 0)}


def _summary_text(text: str) -> Json:
    return {"type": "summary_text", "text": text}
