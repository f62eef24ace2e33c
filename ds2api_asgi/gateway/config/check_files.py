"""Files that a configuration names, and folders of those that are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as File

from .known import Found
from .places import Path
from .root import Config
from .server import ServerTable
from .upstreams import TlsTable

__all__ = ["certificate_found", "folders_found", "is_file"]


def certificate_found(place: Path, table: ServerTable | TlsTable, folder: File) -> Iterator[Found]:
    """What is wrong with a certificate and its key, as far as their names tell."""
    for name, other in (("certfile", "keyfile"), ("keyfile", "certfile")):
        file = getattr(table, name)
        if file is None:
            continue
        if getattr(table, other) is None:
            yield (*place, name), f"needs {other} beside it"
        if not is_file(folder / file):
            yield (*place, name), "there is no such file"


def is_file(path: File) -> bool:
    """Whether there is a file of this name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file
        return False


def folders_found(config: Config, folder: File) -> Iterator[Found]:
    """Which files could not be written, for nobody makes their folders; most are only opened by a request."""
    responses = None if config.responses is None else config.responses.path
    files = (
        (("store", "path"), config.store.path),
        (("responses", "path"), responses),
        (("log", "file"), config.log.file),
    )
    for place, file in files:
        if file and not _is_folder((folder / file).parent):
            yield place, "there is no such folder to keep it in"


def _is_folder(path: File) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # no name of a folder
        return False
