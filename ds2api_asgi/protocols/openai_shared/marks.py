"""What many nodes of OpenAI's protocols have: members with no place, and cache marks.

https://platform.openai.com/docs/guides/prompt-caching (read 2026-11-23); ``cache_control`` is OpenRouter's spelling,
in chats only.

| form | on | the wire had |
|---|---|---|
| ``cache_control`` | `CacheMark` | that spelling of ``prompt_cache_breakpoint`` |
| ``bare`` | `CacheMark` | no mode or type |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import CacheMark
from ...universal.loss import Severity
from ..fields import STRING, Json
from ..scope import Scope

__all__ = ["SPELLINGS", "decode_cache", "encode_cache", "merge", "merged", "without"]

_BREAKPOINT: Final = "prompt_cache_breakpoint"
_CONTROL: Final = "cache_control"
SPELLINGS: Final = (_BREAKPOINT, _CONTROL)
"""Members that are cache marks, OpenAI's own first."""


def without(document: Json, *known: str) -> Json | UnsetType:
    """The members of an object but these; UNSET when nothing is left."""
    rest = {key: value for key, value in document.items() if key not in known}
    return rest or UNSET


def merged(document: Json, ext: Json | UnsetType, scope: Scope) -> Json:
    """The object with the members that its home protocol had beside; what it says itself wins."""
    if scope.home and ext is not UNSET:
        for key, value in ext.items():
            document.setdefault(key, value)
    return document


def merge(document: Json, ext: Json, key: str) -> None:
    """Write members back: those named ``key.x`` into the object at ``key``, the others beside it."""
    prefix = key + "."
    for name, value in ext.items():
        if name.startswith(prefix):
            document[key].setdefault(name[len(prefix) :], value)
        else:
            document.setdefault(name, value)


def decode_cache(
    document: Json, path: str, spellings: Iterable[str] = (_BREAKPOINT,)
) -> tuple[CacheMark | UnsetType, str]:
    """The cache mark on an object, and the member that it was (``""`` for none).

    Args:
        document: The object.
        path: Where it stands, for errors.
        spellings: Which of `SPELLINGS` count.

    Raises:
        InvalidDocument: Its lifetime is not a string.
    """
    for key in spellings:
        mark = document.get(key)
        if type(mark) is not dict:
            continue
        ttl = mark.get("ttl", UNSET)
        if ttl is not UNSET and type(ttl) is not str:
            raise InvalidDocument(f"{path}.{key}.ttl", f"must be {STRING}")
        own = ("mode", "explicit") if key == _BREAKPOINT else ("type", "ephemeral")
        plain = mark.get(own[0]) == own[1]
        rest = without(mark, "ttl", own[0]) if plain else without(mark, "ttl")
        forms = [] if key == _BREAKPOINT else [key]
        if own[0] not in mark:
            forms.append("bare")
        return CacheMark(ttl=ttl, ext=rest, form=tuple(sorted(forms))), key
    return UNSET, ""


def encode_cache(mark: CacheMark | UnsetType, document: Json, path: str, scope: Scope) -> None:
    """Write a cache mark onto an object.

    Marks of other protocols are dropped: this one caches by itself, its marks have other lifetimes, and only its
    newest models take them.
    """
    if mark is UNSET:
        return
    if not scope.home:
        scope.lacks(f"{path}.cache", Severity.COSMETIC, "such cache mark")
        return
    key = _CONTROL if _CONTROL in mark.form else _BREAKPOINT
    body: Json = {} if "bare" in mark.form else {"mode": "explicit"} if key == _BREAKPOINT else {"type": "ephemeral"}
    if mark.ext is not UNSET:
        body.update(mark.ext)
    if mark.ttl is not UNSET:
        body["ttl"] = mark.ttl
    document[key] = body
