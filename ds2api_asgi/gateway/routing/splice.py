r"""Members of a JSON object changed in its bytes: what is not named stays as it was, byte for byte.

Strings are found by one regular expression and brackets are counted, so the time is linear in the body and nothing is
built. A name that stands twice is changed twice, since parsers differ in which of them they take. What is no JSON
object is left alone: whoever parses it says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from ...universal import jsontext

__all__ = ["Edits", "change", "rename", "renamed"]

# Possessive: what is no string to its end is one that has no end, so nothing is looked at twice.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}:,]', re.DOTALL)
_SPACE: Final = b" \t\r\n"
_MODEL: Final = re.compile(rb'"model"[ \t\r\n]*+:[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_ANY_MODEL: Final = b'"model"'
_ESCAPED: Final = b"\\u00"


class _Model(Struct):
    model: Any = None


_model_decoder = msgspec.json.Decoder(_Model)


class _Member(Struct, frozen=True, gc=False):
    """A member of an object: its name, and where it, its value and its end are."""

    name: str
    start: int
    value: int
    end: int


class Edits(Struct, frozen=True, kw_only=True):
    """What `change` did.

    Attributes:
        body: The body, changed.
        removed: Names of members that were there and are gone.
        overridden: Names of members that have their value from us, whether there was another one or none.
        defaulted: Names of members that were missing and are there.
    """

    body: bytes
    removed: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()


def rename(body: bytes, model: str, *, named: bool = False) -> bytes:
    """A request's body with another top-level ``model``.

    Args:
        body: A JSON object with a ``model``; anything else is given back as it is.
        model: The name to say.
        named: Whether it is known that the body is one and names a model, so that it need not be read for that.
    """
    encoded = jsontext.dumps(model)
    # A name that stands in the body once, and is a member of the document itself, needs no look at what is around it.
    at = body.find(_ANY_MODEL)
    if at >= 0 and body.find(_ANY_MODEL, at + 1) < 0 and _ESCAPED not in body:
        found = _MODEL.match(body, at)
        if found is not None and (named or _is_own(body)):
            return b"".join((body[: found.start(1)], encoded, body[found.end(1) :]))
    return renamed(body, encoded, names={"model"})


def _is_own(body: bytes) -> bool:
    try:
        return isinstance(_model_decoder.decode(body).model, str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def renamed(
    body: bytes,
    encoded: bytes,
    *,
    names: Collection[str],
    within: Collection[str] = (),
    once: bool = False,
    only: bytes | None = None,
) -> bytes:
    """A document with other values of some members.

    Args:
        body: A JSON object; anything else is given back as it is.
        encoded: The value, as JSON.
        names: Of the members; those whose value is no string are left alone.
        within: Names of members of the document whose own members are looked at, too.
        once: Whether the first of `names` is enough: no name stands twice in answers.
        only: The only value that is changed, as JSON; None: any string is.
    """
    found: list[tuple[int, int]] = []
    for member in _members(body, names if once else ()) or ():
        if member.name in names:
            if body[member.value : member.value + 1] == b'"':
                found.append((member.value, member.end))
        elif member.name in within:
            inner = _members(body[member.value : member.end], names if once else ()) or ()
            at = member.value
            found += [
                (at + one.value, at + one.end)
                for one in inner
                if one.name in names and body[at + one.value : at + one.value + 1] == b'"'
            ]
    if only is not None:
        text = _text(only)
        found = [(start, end) for start, end in found if _text(body[start:end]) == text]
    return _spliced(body, [(start, end, encoded) for start, end in found]) if found else body


def change(
    body: bytes,
    *,
    remove: Collection[str] = (),
    override: Mapping[str, Any] | None = None,
    default: Mapping[str, Any] | None = None,
) -> Edits:
    """Remove, set and add members of a document, in this order.

    Args:
        body: A JSON object; anything else is given back as it is.
        remove: Names of members that go.
        override: Members that get this value, or are added.
        default: Members that are added where they are missing.
    """
    members = _members(body)
    if members is None:
        return Edits(body=body)
    override, default = override or {}, default or {}
    gone = [member.name in remove for member in members]
    edits = _cuts(members, gone)
    kept = {member.name for member, goes in zip(members, gone, strict=True) if not goes}
    for member, goes in zip(members, gone, strict=True):
        if not goes and member.name in override:
            edits.append((member.value, member.end, jsontext.dumps(override[member.name])))
    defaulted = tuple(name for name in default if name not in kept and name not in override)
    added = [(name, override[name]) for name in override if name not in kept]
    added += [(name, default[name]) for name in defaulted]
    if added:
        text = b",".join(jsontext.dumps(name) + b":" + jsontext.dumps(value) for name, value in added)
        end = members[-1].end if members else body.index(b"{") + 1
        edits.append((end, end, b"," + text if kept else text))
    return Edits(
        body=_spliced(body, edits) if edits else body,
        removed=tuple(dict.fromkeys(member.name for member, goes in zip(members, gone, strict=True) if goes)),
        overridden=tuple(override),
        defaulted=defaulted,
    )


def _cuts(members: list[_Member], gone: list[bool]) -> list[tuple[int, int, bytes]]:
    """What goes with members that go: the comma before each, and after those that are first."""
    if not any(gone):
        return []
    first = gone.index(False) if False in gone else len(gone)
    cuts: list[tuple[int, int, bytes]] = []
    if first:
        cuts.append((members[0].start, members[first].start if first < len(members) else members[-1].end, b""))
    cuts += [
        (members[index - 1].end, members[index].end, b"") for index in range(max(first, 1), len(members)) if gone[index]
    ]
    return cuts


def _spliced(body: bytes, edits: Iterable[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, text in sorted(edits, key=lambda edit: edit[:2]):
        pieces += (body[at:start], text)
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def _members(body: bytes, until: Collection[str] = ()) -> list[_Member] | None:
    """The members of the document itself, in order; None when it is no object that ends.

    One of a name in `until` is the last that is looked for.
    """
    opened = body.find(b"{")
    if opened < 0 or body[:opened].strip(_SPACE):
        return None
    members: list[_Member] = []
    depth = 1
    name: bytes | None = None
    start = value = -1
    for match in _TOKEN.finditer(body, opened + 1):
        token = match[0]
        if depth > 1:
            depth += 1 if token in b"[{" else -1 if token in b"]}" else 0
        elif token[:1] == b'"':
            if value < 0:
                name, start = token, match.start()
        elif token in b"[{":
            depth += 1
        elif token == b":":
            value = _after_space(body, match.end()) if value < 0 else value
        elif name is not None and value >= 0:
            end = value + len(body[value : match.start()].rstrip(_SPACE))
            members.append(_Member(_text(name), start, value, end))
            if token == b"}" or members[-1].name in until:
                return members
            name, value = None, -1
        else:
            return members if token == b"}" and not members and name is None else None
    return None


def _after_space(body: bytes, at: int) -> int:
    while body[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
        at += 1
    return at


def _text(string: bytes) -> str:
    """What a JSON string says; one that is none says what it looks like."""
    if b"\\" not in string:
        return string[1:-1].decode("utf-8", "replace")
    try:
        return str(jsontext.loads(string))
    except ValueError:
        return string[1:-1].decode("utf-8", "replace")
