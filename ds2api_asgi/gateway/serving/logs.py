"""Where the log of a process goes: `start_logs`, for commands that own the process; a library leaves that to its host.

Every logger writes to one place in one format, uvicorn's and granian's as well, provided that the server does not set
its own up (uvicorn: ``log_config=None, access_log=False``; granian: ``log_enabled=False``). The access log is ours: a
server's would show the queries of URLs, and some clients put their key there. For the same reason HTTP clients tell
only of trouble, whatever the level.

A file is opened again when somebody has moved or removed it, as logrotate does: the next line finds out, and no signal
is needed. Each line is written by one call, so that the workers of a gateway may share a file.
"""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import WatchedFileHandler
from typing import Final

from ...observe.json_lines import JsonLines, TextLines
from ..config.observing import LogTable

__all__ = ["NAME", "LineFile", "start_logs"]

NAME: Final = "ds2api"
"""The name of the handler, by which it is found again."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET: Final = ("httpcore", "httpcore2", "httpx", "httpx2", "redis", "websockets")
"""Loggers that show URLs or headers, in which keys stand."""

_SERVERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access", "_granian", "granian.access")


class LineFile(WatchedFileHandler):
    """Appends lines to a file, each by one call, and opens it again when it was moved."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            line = self.format(record) + self.terminator
            self.reopenIfNeeded()
            if self.stream is None:
                self.stream = self._open()
            os.write(self.stream.fileno(), line.encode("utf-8", "replace"))
        except Exception:  # noqa: BLE001 - as handlers do
            self.handleError(record)


def start_logs(table: LogTable) -> logging.Handler:
    """Send all loggers of this process to one place; called again (a reload), the new place replaces the old one.

    Args:
        table: ``[log]``. Its level is that of our own loggers; others tell from ``info`` on at most.

    Returns:
        The handler.

    Raises:
        OSError: The file cannot be opened.
    """
    handler: logging.Handler
    handler = logging.StreamHandler(sys.stderr) if table.file is None else LineFile(table.file, encoding="utf-8")
    handler.setFormatter(JsonLines() if table.format == "json" else TextLines())
    level = _LEVELS[table.level]
    root = logging.getLogger()
    old = [one for one in root.handlers if one.name == NAME]
    handler.name = NAME
    root.addHandler(handler)
    for one in old:
        root.removeHandler(one)
        one.close()
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("ds2api_asgi").setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _SERVERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
        server.setLevel(logging.WARNING if name.endswith("access") else logging.NOTSET)
    logging.captureWarnings(capture=True)
    return handler
