"""What differs between two trees of the universal format, and putting it back.

``patch(b, diff(a, b)) == a`` for all trees: so what a detour through a lossy protocol lost can be measured
mechanically, and a round trip can be restored, whatever the codec did. It is the oracle against which hand-written
loss reports are tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct

__all__ = ["Change", "Path", "diff", "format_path", "patch"]

Path: TypeAlias = tuple[str | int, ...]


class _Missing:
    """The element is not there (in a tuple that is shorter, in a dict without the key)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class Change(Struct, frozen=True):
    """At this path the first tree has this value (`MISSING`: nothing)."""

    path: Path
    value: Any


def diff(a: Any, b: Any, *, ignore: frozenset[str] = frozenset()) -> list[Change]:
    """Everything in which `a` differs from `b`.

    Args:
        a: A tree of structs, tuples, dicts, lists and scalars.
        b: Another.
        ignore: Names of struct members that do not count (``frozenset({"form", "origin"})``).

    Returns:
        One change per smallest differing place, in tree order, with `a`'s value.
    """
    return list(_walk(a, b, (), ignore))


def _walk(a: Any, b: Any, path: Path, ignore: frozenset[str]) -> Iterator[Change]:
    if a is b:
        return
    kind = type(a)
    if kind is not type(b):
        yield Change(path, a)
    elif isinstance(a, Struct):
        for name in a.__struct_fields__:
            if name not in ignore:
                yield from _walk(getattr(a, name), getattr(b, name), (*path, name), ignore)
    elif kind is tuple or kind is list:
        yield from _walk_items(a, b, path, ignore)
    elif kind is dict:
        yield from _walk_members(a, b, path, ignore)
    elif not _same_scalar(a, b):
        yield Change(path, a)


def _walk_items(a: Any, b: Any, path: Path, ignore: frozenset[str]) -> Iterator[Change]:
    shared = min(len(a), len(b))
    for index in range(shared):
        yield from _walk(a[index], b[index], (*path, index), ignore)
    for index in range(shared, len(a)):
        yield Change((*path, index), a[index])
    # From the end, so that removing one does not move the next.
    for index in reversed(range(shared, len(b))):
        yield Change((*path, index), MISSING)


def _walk_members(a: dict[str, Any], b: dict[str, Any], path: Path, ignore: frozenset[str]) -> Iterator[Change]:
    """Members in any order: it carries no meaning."""
    for key, value in a.items():
        if key in b:
            yield from _walk(value, b[key], (*path, key), ignore)
        else:
            yield Change((*path, key), value)
    for key in b:
        if key not in a:
            yield Change((*path, key), MISSING)


def _same_scalar(a: Any, b: Any) -> bool:
    text = getattr(a, "text", None)
    if text is not None and isinstance(a, float):
        return bool(text == b.text)
    return bool(a == b)


def patch(tree: Any, changes: Iterable[Change]) -> Any:
    """Put the changes into a tree.

    Args:
        tree: What `diff` got as its second tree.
        changes: What `diff` found, in its order.

    Returns:
        A new tree equal to `diff`'s first; the given one is not changed.
    """
    for change in changes:
        tree = _put(tree, change.path, change.value)
    return tree


def _put(node: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, Struct):
        name = str(head)
        return msgspec.structs.replace(node, **{name: _put(getattr(node, name), rest, value)})
    if isinstance(node, dict):
        copy = dict(node)
        if not rest and value is MISSING:
            copy.pop(str(head), None)
        else:
            copy[str(head)] = _put(copy.get(str(head), UNSET), rest, value)
        return copy
    index = int(head)
    items = list(node)
    if not rest and value is MISSING:
        del items[index]
    elif index == len(items):
        items.append(value)
    else:
        items[index] = _put(items[index], rest, value)
    return type(node)(items)


def format_path(path: Path) -> str:
    """Write a path as losses do: ``turns[2].parts[0].cache``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
