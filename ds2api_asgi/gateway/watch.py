"""`FileWatch`: tells that a file has changed, by looking.

A look costs one ``stat``; the file is read when that tells of another file or another time. It has changed when it says
something else than when it was last said to, and says the same in two looks: who looks while it is being written would
read half of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["FileWatch"]

_Sign = tuple[int, int, int]


class FileWatch:
    """Looks at a file.

    Args:
        path: The file, or a link to it; it may be replaced or be missing for a while.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._digest()  # what it said when it was taken
        self._seen = self._known  # what it said at the last look
        self._sign = self._stat()

    def changed(self) -> bool:
        """Look; whether it says something new, and has done so at the last look as well."""
        sign = self._stat()
        if sign == self._sign and self._seen == self._known:
            return False
        self._sign = sign
        before, self._seen = self._seen, self._digest()
        if self._seen == self._known or self._seen != before or self._seen is None:
            return False
        self._known = self._seen
        return True

    def _stat(self) -> _Sign | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _digest(self) -> bytes | None:
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return None
