"""`FileWatch`: tells that files have changed, by looking.

A look costs one ``stat`` for each; a file is read when that tells of another file or another time. It has changed when
it says something else than when it was last read, and says the same in two looks: who looks while it is being written
would read half of it. A file that is away for a while has not changed, and links are followed, so it does not matter
how a file is replaced: in its place, by another one of its name, or by a link to another folder, as Kubernetes does it.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from .config.contents import digest

__all__ = ["FileWatch"]

_Sign = tuple[int, int, int, int]


class FileWatch:
    """Looks at a file, and at those that it refers to.

    Args:
        path: The file, or a link to it; it may be replaced or be missing for a while.
    """

    def __init__(self, path: Path) -> None:
        self._first = _Followed(path, _said(path))
        self._others: tuple[_Followed, ...] = ()

    def follow(self, others: Mapping[Path, bytes | None]) -> None:
        """Look at other files from now on, besides the first, in place of those so far.

        Args:
            others: What they said when they were read (`contents.digest`); None: they could not be. What has changed
                since then is seen.
        """
        self._others = tuple(_Followed(path, said) for path, said in others.items())

    def changed(self) -> bool:
        """Look; whether any says something new, and has done so at the last look as well."""
        changed = [file.changed() for file in (self._first, *self._others)]
        return any(changed)

    @property
    def settled(self) -> bool:
        """Whether at the last look all said what has been told of: none is away, or being written."""
        return all(file.settled for file in (self._first, *self._others))


class _Followed:
    def __init__(self, path: Path, known: bytes | None) -> None:
        self._path = path
        self._known = known  # what it said when it was taken
        self._seen = known  # what it said at the last look
        self._sign: _Sign | None = None  # of which nobody has looked yet

    @property
    def settled(self) -> bool:
        return self._seen == self._known

    def changed(self) -> bool:
        sign = _sign(self._path)
        if sign == self._sign and self._seen == self._known:
            return False
        self._sign = sign
        before, self._seen = self._seen, None if sign is None else _said(self._path)
        if self._seen == self._known or self._seen != before or self._seen is None:
            return False
        self._known = self._seen
        return True


def _sign(path: Path) -> _Sign | None:
    """What tells of another file or another time; None: there is no file that could be read."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _said(path: Path) -> bytes | None:
    try:
        return digest(path)
    except (OSError, ValueError):
        return None
