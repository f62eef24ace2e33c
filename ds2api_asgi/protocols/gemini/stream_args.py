"""Arguments of a call that come in pieces: ``partialArgs``, each with the place of its value.

It follows https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content#PartialArg
(read 2026-11-23).
"""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

from ...universal.jsontext import JsonText
from .spelling import canonical

__all__ = ["PartialArgs"]

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,5})\]|\[['\"]([^'\"]*)['\"]\]")
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")
_SNAKE: Final = {"json_path": "jsonPath", "string_value": "stringValue", "number_value": "numberValue"}
_MOST: Final = 10_000  # elements of an array


class PartialArgs:
    """The arguments of one call, in the making."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, pieces: Any) -> None:
        """Take the ``partialArgs`` of a chunk; what is no piece is passed over."""
        for piece in pieces if type(pieces) is list else ():
            if type(piece) is dict:
                document = {_SNAKE.get(key, key): value for key, value in canonical(piece)[0].items()}
                self._one(document)

    def whole(self, args: Any) -> None:
        """Take ``args`` that came whole."""
        if type(args) is dict:
            self._root.update(args)

    def _one(self, piece: dict[str, Any]) -> None:
        path = piece.get("jsonPath")
        name = next((name for name in _VALUES if name in piece), None)
        if type(path) is not str or not path.startswith("$") or name is None:
            return
        value = None if name == "nullValue" else piece[name]
        steps = [_step(match) for match in _STEP.finditer(path, 1)]
        if steps:
            self._put(steps, value)

    def _put(self, steps: list[str | int], value: Any) -> None:
        node: Any = self._root
        for step, following in itertools.pairwise(steps):
            old = _get(node, step)
            if type(old) not in (dict, list):
                old = [] if isinstance(following, int) else {}
                if not _set(node, step, old):
                    return
            node = old
        old = _get(node, steps[-1])
        if type(old) is str and type(value) is str:
            value = old + value
        _set(node, steps[-1], value)

    def text(self) -> str:
        """All that came, as JSON."""
        return JsonText.of(self._root).text


def _step(match: re.Match[str]) -> str | int:
    if match[2] is not None:
        return int(match[2])
    return match[1] if match[1] is not None else match[3]


def _get(node: Any, step: str | int) -> Any:
    if type(node) is dict:
        return node.get(str(step))
    if type(node) is list and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _set(node: Any, step: str | int, value: Any) -> bool:
    if type(node) is dict:
        node[str(step)] = value
        return True
    if type(node) is list and isinstance(step, int) and step < _MOST:
        node.extend([None] * (step + 1 - len(node)))
        node[step] = value
        return True
    return False
