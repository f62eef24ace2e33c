"""What many nodes have: members with no place, and cache marks.

https://platform.openai.com/docs/guides/prompt-caching (read 2026-11-23).
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType

from ...errors import InvalidDocument
from ...universal.content import CacheMark
from ...universal.loss import Severity
from ..fields import STRING, Json
from ..scope import Scope

__all__ = ["BREAKPOINT", "decode_cache", "encode_cache", "merged", "without"]

BREAKPOINT: Final = "prompt_cache_breakpoint"


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


def decode_cache(part: Json, path: str) -> tuple[CacheMark | UnsetType, str]:
    """The cache mark on a part, and the member that it was (``""`` for none); the form ``bare`` is on one without mode.

    Raises:
        InvalidDocument: Its lifetime is not a string.
    """
    mark = part.get(BREAKPOINT)
    if type(mark) is not dict:
        return UNSET, ""
    ttl = mark.get("ttl", UNSET)
    if ttl is not UNSET and type(ttl) is not str:
        raise InvalidDocument(f"{path}.{BREAKPOINT}.ttl", f"must be {STRING}")
    rest = without(mark, "ttl", "mode") if mark.get("mode") == "explicit" else without(mark, "ttl")
    return CacheMark(ttl=ttl, ext=rest, form=() if "mode" in mark else ("bare",)), BREAKPOINT


def encode_cache(mark: CacheMark | UnsetType, part: Json, path: str, scope: Scope) -> None:
    """Write a cache mark onto a part.

    Marks of other protocols are dropped: this one caches by itself, its marks have other lifetimes, and only its
    newest models take them.
    """
    if mark is UNSET:
        return
    if not scope.home:
        scope.lacks(f"{path}.cache", Severity.COSMETIC, "such cache mark")
        return
    body: Json = {} if "bare" in mark.form else {"mode": "explicit"}
    if mark.ext is not UNSET:
        body.update(mark.ext)
    if mark.ttl is not UNSET:
        body["ttl"] = mark.ttl
    part[BREAKPOINT] = body
