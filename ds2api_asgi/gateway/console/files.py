"""The console's own files: script, style and icon.

All are read once and found by their name, so no path of a request ever reaches the disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from ...asgi.headers import find
from ...asgi.types import Scope
from .answers import Answer, failure

__all__ = ["Static"]

_HERE: Final = Path(__file__).parent
_KINDS: Final = {
    ".css": b"text/css; charset=utf-8",
    ".ico": b"image/x-icon",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
}


class Static:
    """Files that never change while a process lives.

    Args:
        folder: Where they are; those of an unknown kind are left out.
    """

    def __init__(self, folder: Path = _HERE / "static") -> None:
        self._answers: dict[str, Answer] = {}
        for path in sorted(folder.iterdir()):
            kind = _KINDS.get(path.suffix)
            if kind is not None and path.is_file():
                body = path.read_bytes()
                tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
                self._answers[path.name] = Answer(body=body, kind=kind, headers=((b"etag", tag),), cache=b"no-cache")

    @property
    def names(self) -> tuple[str, ...]:
        """What there is."""
        return tuple(self._answers)

    def answer(self, name: str, scope: Scope) -> Answer:
        """A file; 304 where the client has it already.

        Args:
            name: As the path says it.
            scope: The request's.
        """
        found = self._answers.get(name)
        if found is None:
            return failure(404, "not_found", "There is no such file.")
        tag = found.headers[0][1]
        known = find(scope["headers"], b"if-none-match") or b""
        if tag in (one.strip().removeprefix(b"W/") for one in known.split(b",")):
            return Answer(status=304, headers=found.headers, cache=found.cache)
        return found
