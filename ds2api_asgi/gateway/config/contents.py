"""What a file holds, read without waiting, and whether two readings are of the same."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

__all__ = ["LONGEST", "contents", "digest"]

LONGEST: Final = 64 * 1024
"""Bytes that are taken of a file, as a secret's; one more is read, to see that it holds more."""


def contents(path: Path) -> bytes:
    """Read a file, up to a byte more than `LONGEST`.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: This can be no name of a file.
    """
    with _opened(path) as file:
        return file.read(LONGEST + 1)


def digest(path: Path) -> bytes:
    """A short word for all that a file says, however long it is, that is another one when that is.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: This can be no name of a file.
    """
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    # Opening a pipe would wait for who writes to it, and a gateway reads its secrets anew at each reload.
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield file


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
