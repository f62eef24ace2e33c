"""Streams on their way to a client of another protocol: `pack`, one event after the other.

Text goes through as it comes. Payloads wait for the end of their part, since clients overwrite a signature with each
that comes, or join the pieces of what they do not know: each capsule is said once. Parts that only carry a capsule
come behind theirs. What is held back: a thought that has told nothing yet, since it may be one that only seals; and a
call whose id is made of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from ...universal.content import Part, Reasoning, Text, ToolCall
from ...universal.events import Close, Delta, End, Event, Extra, Open, Set, Start, StopEvent
from ...universal.jsontext import JsonText
from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Opaque
from ...universal.request import Turn
from .pack import Packer
from .parts import DETAILS, EXTRA, item_payloads

__all__ = ["MAX_DETAILS", "MAX_TOLD", "PackingEncoder", "StreamPacker"]

MAX_DETAILS: Final = 4096
"""Pieces of a vendor's ``reasoning_details`` that are put together; more are lost."""

MAX_TOLD: Final = 8 * 1024 * 1024
"""Code points of a part's text that are remembered until the part is complete; a longer part loses its payloads."""

_CARRIERS: Final = 1 << 40  # keys of our own, which no decoder gives


class _Live:
    """An open part.

    Attributes:
        part: As it opened, without payloads.
        choice: Its candidate.
        opaque: Payloads so far.
        about: Payloads of its item.
        summaries: Pieces of each summary.
        text: Pieces of its text; None: it has none so far.
        held: Events that wait; None: it is told as it comes.
        room: How much more of its text is remembered.
    """

    __slots__ = ("about", "choice", "held", "opaque", "part", "room", "summaries", "text")

    def __init__(self, part: Reasoning | Text | ToolCall, choice: int, about: tuple[Opaque, ...]) -> None:
        self.part = part
        self.choice = choice
        self.opaque: list[Opaque] = []
        self.about = about
        self.summaries: list[list[str]] = []
        self.text: list[str] | None = None
        self.held: list[Event] | None = None
        self.room = MAX_TOLD

    def whole(self) -> Part:
        """The part as it is now."""
        text = None if self.text is None else "".join(self.text)
        part = self.part
        changes: dict[str, Any] = {"opaque": tuple(self.opaque) if self.room >= 0 else ()}
        if isinstance(part, ToolCall):
            changes["arguments"] = JsonText(text or "")
        elif isinstance(part, Text):
            changes["text"] = text or ""
        else:
            changes["text"] = UNSET if text is None else text
            changes["summary"] = tuple("".join(pieces) for pieces in self.summaries)
        return replace(part, **changes)


class StreamPacker:
    """Puts the payloads of a stream into capsules.

    Args:
        packer: Of this answer.
        losses: Takes what is lost.
    """

    def __init__(self, packer: Packer, losses: list[Loss]) -> None:
        self._packer = packer
        self._losses = losses
        self._live: dict[int, _Live] = {}
        self._next = _CARRIERS
        self._protocol = ""
        self._details: dict[int, list[Any]] = {}

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The client's events for the upstream's."""
        out: list[Event] = []
        lives = self._live
        for event in events:
            if type(event) is not Delta:
                self._other(event, out)
                continue
            live = lives.get(event.key)
            if live is not None:
                live.room -= len(event.text)
                if live.held is not None or live.text is None or event.channel != "text" or live.room < 0:
                    self._delta(live, event, out)
                    continue
                live.text.append(event.text)
            out.append(event)
        return out

    def _delta(self, live: _Live, event: Delta, out: list[Event]) -> None:
        if live.room < 0 and not isinstance(live.part, ToolCall):
            pass  # too much of it
        elif event.channel == "summary":
            if not live.summaries:
                live.summaries.append([])
            live.summaries[-1].append(event.text)
        elif live.text is None:
            live.text = [event.text]
        else:
            live.text.append(event.text)
        self._tell(live, event, out, says=bool(event.text))

    def _tell(self, live: _Live, event: Event, out: list[Event], *, says: bool) -> None:
        if live.held is None:
            out.append(event)
            return
        live.held.append(event)
        if says and isinstance(live.part, Reasoning):
            out += live.held
            live.held = None

    def _other(self, event: Event, out: list[Event]) -> None:
        match event:
            case Open():
                self._open(event, out)
            case Set():
                self._set(event, out)
            case Close(key=key):
                live = self._live.pop(key, None)
                if live is None:
                    out.append(event)
                else:
                    self._close(key, live, out)
            case StopEvent(choice=choice):
                self._finish(choice, out)
                out.append(event)
            case Extra():
                self._extra(event, out)
            case End():
                for choice in list(self._details):  # the upstream gave no reason to stop
                    self._finish(choice, out)
                out.append(event)
            case Start(protocol=protocol):
                self._protocol = protocol
                out.append(event)
            case _:
                out.append(event)

    def _open(self, event: Open, out: list[Event]) -> None:
        part = event.part
        if not isinstance(part, (Reasoning, Text, ToolCall)):
            self._packer.part(part, event.choice)
            out.append(event)
            return
        about = _about(part) if self._protocol == "openai-responses" else ()
        live = self._live[event.key] = _Live(part, event.choice, about)
        live.opaque += part.opaque
        if isinstance(part, Reasoning):
            live.summaries = [[text] for text in part.summary]
            if part.text is not UNSET:
                live.text = [part.text]
            told = bool(part.text or any(part.summary))
            live.held = None if told else []
        elif isinstance(part, ToolCall):
            live.text = [part.arguments.text]
            live.held = [] if part.id is UNSET or "id:absent" in part.form else None
            if live.held is None:
                self._packer.identified(part, event.choice)  # it counts
            if part.ext is not UNSET and EXTRA in part.ext and self._protocol == "openai-chat":
                bare = {key: value for key, value in part.ext.items() if key != EXTRA}
                event = Open(event.key, replace(part, ext=bare or UNSET), event.choice)
        else:
            live.text = [part.text]
        if part.opaque:
            event = Open(event.key, replace(event.part, opaque=()), event.choice)
        if live.held is None:
            out.append(event)
        else:
            live.held.append(event)

    def _set(self, event: Set, out: list[Event]) -> None:
        live = self._live.get(event.key)
        if live is None:
            out.append(event)
        elif event.field == "opaque":
            live.opaque.append(event.value)
        elif event.field == "summary":
            if live.held is None and live.summaries and (said := "".join(live.summaries[-1])):
                out.extend(Set(event.key, "opaque", payload) for payload in self._packer.piece(said, live.choice))
            live.summaries.append([event.value])
            self._tell(live, event, out, says=bool(event.value))
        else:
            if event.field == "ext" and EXTRA in event.value and self._protocol == "openai-chat":
                members = dict(event.value)
                known = live.part.ext or {}
                live.part = replace(live.part, ext={**known, EXTRA: members.pop(EXTRA)})
                if not members:
                    return
                event = Set(event.key, "ext", members)
            self._tell(live, event, out, says=False)

    def _close(self, key: int, live: _Live, out: list[Event]) -> None:
        packer = self._packer
        whole = live.whole()
        if isinstance(whole, ToolCall) and live.held is not None:
            whole = packer.identified(whole, live.choice)
            assert isinstance(whole, ToolCall)
            opened = live.held[0]
            assert isinstance(opened, Open)
            out.append(Open(key, replace(opened.part, id=whole.id), live.choice))
            out += live.held[1:]
            live.held = None
        if live.room < 0 and live.opaque:
            path = f"candidates[{live.choice}].turns[0].parts"
            reason = "its part is too large to be known again"
            self._losses.append(Loss(path=path, kind=LossKind.DROPPED, severity=Severity.DEGRADED, reason=reason))
        known = len(packer.losses)
        packed = packer.part(whole, live.choice, live.about)
        self._losses += packer.losses[known:]
        if packed.parts and live.held:
            out += live.held
            live.held = None
        if live.held is None:
            said = getattr(packed.parts[-1], "opaque", ()) if packed.parts else ()
            out.extend(Set(key, "opaque", payload) for payload in said)
            out.append(Close(key))
        self._behind(packed.behind, live.choice, out)

    def _behind(self, parts: Iterable[Part], choice: int, out: list[Event]) -> None:
        for part in parts:
            out += (Open(self._next, part, choice), Close(self._next))
            self._next += 1

    def _extra(self, event: Extra, out: list[Event]) -> None:
        details = event.ext.get(DETAILS) if event.at == "turn" else None
        if type(details) is not list or self._protocol != "openai-chat":
            out.append(event)
            return
        _join(self._details.setdefault(event.choice, []), details)
        rest = {key: value for key, value in event.ext.items() if key != DETAILS}
        if rest:
            out.append(Extra(rest, "turn", event.choice))

    def _finish(self, choice: int, out: list[Event]) -> None:
        packer = self._packer
        known = len(packer.losses)
        details = self._details.pop(choice, None)
        if details:
            self._behind(packer.message(details, choice), choice, out)
        self._behind(packer.layout(choice), choice, out)
        self._losses += packer.losses[known:]


def _about(part: Any) -> tuple[Opaque, ...]:
    """The payloads of the item that a part stands in, which is in its form (``item:3:msg_1``, ``phase:…``)."""
    values: dict[str, str] = {}
    for form in part.form:
        name, _, rest = form.partition(":")
        if name == "item":
            _, known, id_ = rest.partition(":")
            if known:
                values["id"] = id_
        elif name == "phase":
            values["phase"] = rest
    return item_payloads(Turn(role="assistant", **values))  # type: ignore[arg-type]


def _join(into: list[Any], pieces: list[Any]) -> None:
    """Put pieces together as accumulating clients do: by their index, texts joined."""
    for piece in pieces:
        index = piece.get("index") if type(piece) is dict else None
        old = next((each for each in into if type(each) is dict and each.get("index") == index), None)
        if index is None or old is None:
            if len(into) < MAX_DETAILS:
                into.append(dict(piece) if type(piece) is dict else piece)
            continue
        for key, value in piece.items():
            known = old.get(key)
            grows = type(known) is str and type(value) is str and key in ("text", "summary", "data", "signature")
            old[key] = known + value if grows else value


class PackingEncoder:
    """A `StreamEncoder` behind a packer.

    Args:
        packer: See `StreamPacker`.
        encoder: The client's.
        done: Called when the stream is complete; gives what was lost by then.

    Attributes:
        losses: The encoder's, and payloads that were too large.
    """

    def __init__(self, packer: Packer, encoder: Any, done: Callable[[], Iterable[Loss]]) -> None:
        self.losses: list[Loss] = encoder.losses
        self._done = done
        self._feed = StreamPacker(packer, self.losses).feed
        self._write: Callable[[Iterable[Event]], bytes] = encoder.write

    def write(self, events: Iterable[Event]) -> bytes:
        """See `base.StreamEncoder.write`."""
        client = self._feed(events)
        if client and type(client[-1]) is End:
            self.losses += self._done()
        return self._write(client)
