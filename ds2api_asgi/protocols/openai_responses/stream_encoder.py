"""Writing streams: every event named and numbered, items one after the other or side by side, whole at their end.

https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11-23). Clients count on this: items and
parts are announced before their deltas, the ``done`` events and the last snapshot repeat what the deltas added up to,
and the last snapshot is all that some look at. So the whole answer is kept until its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...framing.sse import write_comment, write_event
from ...universal.content import OpaquePart, Part, Reasoning, Refusal, Text, ToolCall
from ...universal.events import Close, Delta, End, Error, Event, Extra, Open, Ping, Set, Start, StopEvent, UsageEvent
from ...universal.failure import Failure
from ...universal.fold import merge_usage
from ...universal.jsontext import dumps, json_string
from ...universal.loss import Loss, Severity
from ...universal.node import Origin
from ...universal.request import Turn
from ...universal.response import Response, Stop, Usage
from ..base import Context
from ..fields import Json
from ..scope import Scope
from .citations import encode_citation
from .errors import encode_event, encode_failed
from .items import encode_item
from .parts import encode_part
from .profile import NAME, TARGET, item_id
from .remade import Owners
from .response import answer_id, call_item, envelope_of, names_of, sealed_by_us, thought_of
from .settle import COMPLETED, amended, bare, late_members, turn_of
from .stops import DETAILS, encode_stop
from .stream_live import Live, Message
from .usage import encode_usage

__all__ = ["StreamEncoder"]

_MIDDLE: Final = b',"delta":'
_END: Final = b"}\n\n"
_WIRE: Final = {"id": "id", "model": "model", "created": "created_at", "service_tier": "service_tier"}


class StreamEncoder:
    """Universal events in, bytes of the client's stream out.

    Args:
        context: What translating the request learned.

    Attributes:
        losses: What the stream could not say, paths as in the folded answer.
    """

    __slots__ = (
        "_calls",
        "_context",
        "_envelope",
        "_live",
        "_message",
        "_number",
        "_output",
        "_owners",
        "_parts",
        "_refused",
        "_scope",
        "_stop",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scope = Scope(TARGET, origin=UNSET, context=context)
        self._envelope: Json | None = None
        self._number = 0
        self._live: dict[int, Live] = {}
        self._message: Message | None = None
        self._output: list[Json | None] = []  # None: an item that is open
        self._owners: Owners | None = None
        self._parts = 0
        self._calls = False
        self._refused = False
        self._stop: Stop | UnsetType = UNSET
        self._usage: Usage | UnsetType = UNSET
        self.losses: list[Loss] = self._scope.losses

    def write(self, events: Iterable[Event]) -> bytes:
        """The bytes for these events, all that can be said by now."""
        out: list[bytes] = []
        live = self._live
        for event in events:
            if type(event) is Delta and event.channel == "text":
                part = live.get(event.key)
                text = event.text
                if part is None or not text:
                    continue
                part.texts.append(text)
                if part.held:
                    continue
                if not part.head:
                    self._begin_thought(part, out)
                out += (part.head, b"%d" % self._number, _MIDDLE, json_string(text), _END)
                self._number += 1
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Delta(key=key, text=text):
                self._summary(key, text, out, begin=False)
            case Open():
                self._open(event, out)
            case Close(key=key):
                self._close(key, out)
            case Set():
                self._set(event, out)
            case StopEvent():
                if event.choice == 0:
                    self._stop = event.stop
                    self._leave(out)
            case UsageEvent(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case Extra():
                self._extra(event)
            case Start():
                self._start(event, out)
            case Ping():
                out.append(write_comment(b"ping"))
            case Error(failure=failure):
                self._error(failure, out)
            case End():
                self._end(out)
            case _:
                assert_never(event)

    def _say(self, kind: str, out: list[bytes], **members: Any) -> None:
        """Write one event."""
        document = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        out.append(write_event(dumps(document), kind.encode()))

    # the answer

    def _start(self, start: Start, out: list[bytes]) -> None:
        self._scope.home = start.protocol == NAME
        if self._scope.home:
            known = {wire: value for name, wire in _WIRE.items() if (value := getattr(start, name)) is not UNSET}
            self._envelope = {"object": "response", **known, **(start.echo or {}), **(start.ext or {})}
            if self._context.remade:
                self._owners = Owners(start.id or "")
        else:
            self._scope.ext(start.ext, "")
            blank = Response(
                id=start.id,
                model=start.model,
                created=start.created,
                service_tier=start.service_tier,
                origin=Origin(protocol=start.protocol),
            )
            id_ = answer_id(replace(blank, created=self._context.now)) if start.id is UNSET else start.id
            self._envelope = envelope_of(blank, self._context, self._scope, id_=id_)
        snapshot = {**self._envelope, "status": "in_progress", "output": [], "usage": None}
        self._say("response.created", out, response=snapshot)
        self._say("response.in_progress", out, response=snapshot)

    def _extra(self, event: Extra) -> None:
        if self._scope.home and event.at == "response" and self._envelope is not None:
            self._envelope.update(event.ext)
        elif event.choice == 0:
            turn = ".turns[0]" if event.at == "turn" else ""
            self._scope.ext(event.ext, "" if event.at == "response" else f"candidates[0]{turn}")

    def _final(self) -> Json:
        assert self._envelope is not None
        usage = None if self._usage is UNSET else encode_usage(self._usage, self._scope)
        output = [item for item in self._output if item is not None]
        return {**self._envelope, "output": output, "usage": usage}

    def _end(self, out: list[bytes]) -> None:
        self._leave(out)
        document = self._final()
        kept = document.pop(DETAILS, UNSET)
        encode_stop(
            self._stop,
            document,
            self._scope,
            "candidates[0].stop",
            calls=self._calls,
            refused=self._refused,
            kept=kept,
        )
        document.setdefault("status", COMPLETED)
        if kept is not UNSET:
            document.setdefault(DETAILS, kept)
        ending = "incomplete" if document["status"] == "incomplete" else "completed"
        self._say(f"response.{ending}", out, response=document)

    def _error(self, failure: Failure, out: list[bytes]) -> None:
        if self._envelope is None:
            out.append(encode_event(failure, self._number))
            self._number += 1
            return
        self._say(
            "response.failed", out, response={**self._final(), "status": "failed", "error": encode_failed(failure)}
        )

    # items

    def _begin(self, live: Live, kind: str, item: Json, out: list[bytes]) -> tuple[int, str]:
        """Announce the item of a part; gives its place and its id."""
        index = len(self._output)
        self._output.append(None)
        if self._owners is not None:
            live.about = self._owners.turn(live.about, kind, index)
        about = live.about
        if self._scope.home:
            id_ = "" if about.id is UNSET else about.id
        else:
            assert self._envelope is not None
            id_ = item_id(kind, f"{self._envelope['id']}:{index}")
        head: Json = {} if self._scope.home and about.id is UNSET else {"id": id_}
        if (about.status is not UNSET or not self._scope.home) and kind != "custom_tool_call":
            head["status"] = "in_progress"
        if about.phase is not UNSET:
            head["phase"] = about.phase
        self._say("response.output_item.added", out, output_index=index, item={**head, "type": kind, **item})
        return index, id_

    def _done(self, index: int, item: Json, out: list[bytes]) -> None:
        self._output[index] = item
        self._say("response.output_item.done", out, output_index=index, item=item)

    def _open(self, event: Open, out: list[bytes]) -> None:
        part = event.part
        if event.choice:
            self._scope.lacks(f"candidates[{event.choice}]", Severity.SEMANTIC, "second answer")
            return
        path = f"candidates[0].turns[0].parts[{self._parts}]"
        self._parts += 1
        about = turn_of(part)
        (place,) = about.form
        plain: Part = part
        if not isinstance(part, OpaquePart):
            plain, members = bare(part)
            about = amended(about, members)
        live = Live(plain, path, replace(about, form=()))
        match plain:
            case Text() | Refusal():
                self._open_text(live, plain, place, out)
            case Reasoning():
                self._leave(out)
                if self._scope.home or plain.text is not UNSET or plain.summary:
                    self._begin_reasoning(live, out)
            case ToolCall():
                self._leave(out)
                self._open_call(live, plain, out)
            case OpaquePart(json=json, protocol=protocol) if protocol == NAME:
                self._leave(out)
                index = len(self._output)
                self._output.append(None)
                self._say("response.output_item.added", out, output_index=index, item=json)
                self._done(index, json, out)
                return
            case _:
                self._scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
                return
        self._live[event.key] = live
        if isinstance(plain, Reasoning):
            for summary in plain.summary:
                self._summary(event.key, summary, out, begin=True)
        text = plain.arguments.text if isinstance(plain, ToolCall) else plain.text or ""
        if isinstance(plain, Text):
            live.citations += plain.citations or ()
        if text:
            out.append(self.write((Delta(event.key, text),)))

    def _open_text(self, live: Live, part: Text | Refusal, home: str, out: list[bytes]) -> None:
        message = self._message
        if message is None or message.place != home:
            self._leave(out)
            index, id_ = self._begin(live, "message", {"role": "assistant", "content": []}, out)
            about = live.about if self._scope.home else Turn(role="assistant", id=id_, status=COMPLETED)
            message = self._message = Message(home, index, about)
        live.message, live.at, live.index = message, len(message.content), message.index
        message.content.append(None)
        live.item = message.about.id or ""
        self._refused = self._refused or isinstance(part, Refusal)
        blank = _blank(part)
        if self._scope.home:
            blank = encode_part(replace(part, text=""), "assistant", live.path, self._scope) or blank
        place = _content_place(live)
        self._say("response.content_part.added", out, **place, part=blank)
        if isinstance(part, Text):
            live.head = _head("response.output_text.delta", {**place, "logprobs": []})
        else:
            live.head = _head("response.refusal.delta", place)

    def _begin_reasoning(self, live: Live, out: list[bytes]) -> None:
        live.index, live.item = self._begin(live, "reasoning", {"summary": []}, out)

    def _begin_thought(self, live: Live, out: list[bytes]) -> None:
        """Announce the text of a thought."""
        if live.index < 0:
            self._begin_reasoning(live, out)
        place = _content_place(live)
        self._say("response.content_part.added", out, **place, part=_thought_text(""))
        live.head = _head("response.reasoning_text.delta", place)

    def _open_call(self, live: Live, call: ToolCall, out: list[bytes]) -> None:
        self._calls = True
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
        live.index, live.item = self._begin(live, kind, {**known, key: ""}, out)
        event = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        live.head = _head(f"{event}.delta", {"item_id": live.item, "output_index": live.index})

    def _leave(self, out: list[bytes]) -> None:
        """Something else than text begins, or nothing more."""
        message, self._message = self._message, None
        if message is not None:
            message.left = True
            self._end_message(message, out)

    def _end_message(self, message: Message, out: list[bytes]) -> None:
        if not message.left or None in message.content:
            return
        about = amended(message.about, message.members)
        item: Json = {"type": "message", "role": "assistant", "content": message.content}
        for name in ("id", "status", "phase"):
            if getattr(about, name) is not UNSET:
                item[name] = getattr(about, name)
        self._done(message.index, {**(about.ext or {}), **item}, out)

    def _set(self, event: Set, out: list[bytes]) -> None:
        live = self._live.get(event.key)
        if live is None:
            return
        match event.field:
            case "opaque":
                live.opaque.append(event.value)
            case "citation":
                live.citations.append(event.value)
                if self._scope.home:
                    self._cite(live, encode_citation(event.value), out)
            case "summary":
                self._summary(event.key, event.value, out, begin=True)
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

    def _cite(self, live: Live, annotation: Json, out: list[bytes]) -> None:
        self._say(
            "response.output_text.annotation.added",
            out,
            **_content_place(live),
            annotation_index=live.cited,
            annotation=annotation,
        )
        live.cited += 1

    def _summary(self, key: int, text: str, out: list[bytes], *, begin: bool) -> None:
        """Begin a summary of a thought, or go on with one."""
        live = self._live.get(key)
        if live is None or not isinstance(live.part, Reasoning):
            return
        if live.index < 0:
            self._begin_reasoning(live, out)
        if begin or not live.summaries:
            self._end_summary(live, out)
            live.summaries.append("")
            self._say("response.reasoning_summary_part.added", out, **_summary_place(live), part=_summary_text(""))
        if text:
            live.summaries[-1] += text
            self._say("response.reasoning_summary_text.delta", out, **_summary_place(live), delta=text)

    def _end_summary(self, live: Live, out: list[bytes]) -> None:
        if live.summaries:
            text = live.summaries[-1]
            self._say("response.reasoning_summary_text.done", out, **_summary_place(live), text=text)
            self._say("response.reasoning_summary_part.done", out, **_summary_place(live), part=_summary_text(text))

    def _close(self, key: int, out: list[bytes]) -> None:
        live = self._live.pop(key, None)
        if live is None:
            return
        whole = live.whole()
        match whole:
            case Text() | Refusal():
                self._close_text(live, whole, out)
            case Reasoning():
                self._close_reasoning(live, whole, out)
            case ToolCall():
                self._close_call(live, whole, out)
            case _:
                pass

    def _close_text(self, live: Live, whole: Text | Refusal, out: list[bytes]) -> None:
        message = live.message
        document = encode_part(whole, "assistant", live.path, self._scope)
        assert message is not None
        assert document is not None
        place = _content_place(live)
        annotations = document.get("annotations")  # of our own provider: as it was, a list or not
        for annotation in annotations[live.cited :] if type(annotations) is list else ():
            self._cite(live, annotation, out)
        if isinstance(whole, Text):
            self._say("response.output_text.done", out, **place, text=whole.text, logprobs=[])
        else:
            self._say("response.refusal.done", out, **place, refusal=whole.text)
        self._say("response.content_part.done", out, **place, part=document)
        message.content[live.at] = document
        self._end_message(message, out)

    def _close_reasoning(self, live: Live, whole: Reasoning, out: list[bytes]) -> None:
        if live.index < 0 and sealed_by_us(whole):
            self._begin_reasoning(live, out)
        if live.index < 0:  # nothing in it that this client may know
            self._scope.opaque(whole.opaque, live.path)
            return
        self._end_summary(live, out)
        if live.texts:
            place = _content_place(live)
            self._say("response.reasoning_text.done", out, **place, text=whole.text)
            self._say("response.content_part.done", out, **place, part=_thought_text(whole.text or ""))
        if self._scope.home:
            (item,) = encode_item(replace(live.about, parts=(whole,)), live.path, self._scope)
        else:
            item = {"id": live.item, **thought_of(whole, live.path, self._scope)}
        self._done(live.index, item, out)

    def _close_call(self, live: Live, whole: ToolCall, out: list[bytes]) -> None:
        if self._scope.home:
            (item,) = encode_item(replace(live.about, parts=(whole,)), live.path, self._scope)
        else:
            item = {"id": live.item, **call_item(whole, live.path, self._context, self._scope), "call_id": whole.id}
        custom = item["type"] == "custom_tool_call"
        key = "input" if custom else "arguments"
        text = item.get(key) or ""
        place: Json = {"item_id": live.item, "output_index": live.index}
        if text and (live.held or not live.texts):
            out += (live.head, b"%d" % self._number, _MIDDLE, json_string(text), _END)
            self._number += 1
        kind = "response.custom_tool_call_input.done" if custom else "response.function_call_arguments.done"
        self._say(kind, out, **place, **{key: text})
        self._done(live.index, item, out)


def _blank(part: Text | Refusal) -> Json:
    """A content part as it is announced."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": ""}
    return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def _head(kind: str, members: Json) -> bytes:
    """What each delta of a part begins with, up to its number."""
    body = dumps({"type": kind, **members})[:-1]
    return b'event: %b\ndata: %b,"sequence_number":' % (kind.encode(), body)


def _content_place(live: Live) -> Json:
    return {"item_id": live.item, "output_index": live.index, "content_index": live.at}


def _thought_text(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _summary_place(live: Live) -> Json:
    return {"item_id": live.item, "output_index": live.index, "summary_index": max(len(live.summaries) - 1, 0)}


def _summary_text(text: str) -> Json:
    return {"type": "summary_text", "text": text}
