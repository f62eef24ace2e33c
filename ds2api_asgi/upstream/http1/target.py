"""Where requests go, and their bytes on the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Origin", "Target"]

_LARGE_BODY = 64 * 1024  # bytes from which a body is not copied to stand behind its headers
_VISIBLE = re.compile(r"[!-~]+")
_PORTS = {"http": 80, "https": 443}
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # methods of which a missing length says that, too


class Origin(NamedTuple):
    """What a connection leads to.

    Attributes:
        host: A name or an address, without brackets.
        port: Of TCP.
        secure: Whether TLS is spoken there.
    """

    host: str
    port: int
    secure: bool


class Target:
    """A method and a URL, as a request begins with them.

    Args:
        method: ``"POST"``.
        url: Absolute, percent-encoded.

    Attributes:
        origin: Where it is.

    Raises:
        ValueError: Nothing can be there, or it would be more than one line.
    """

    __slots__ = ("_may_lack_length", "_start", "origin")

    def __init__(self, method: str, url: str) -> None:
        if not _VISIBLE.fullmatch(url) or not _VISIBLE.fullmatch(method):
            raise ValueError("an address holds a blank, a line break or what is not ASCII")
        parts = urlsplit(url)
        usual = _PORTS.get(parts.scheme)
        host, port = parts.hostname, parts.port or usual
        if not host or usual is None or port is None:
            raise ValueError("not an absolute http or https URL")
        named = f"[{host}]" if ":" in host else host
        if port != usual:
            named = f"{named}:{port}"
        asked = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        self.origin = Origin(host, port, parts.scheme == "https")
        self._start = f"{method} {asked} HTTP/1.1\r\nHost: {named}\r\n".encode("ascii")
        self._may_lack_length = method in _WITHOUT_BODY

    def message(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> list[bytes]:
        """The bytes of a request.

        Args:
            headers: Without ``host`` and ``content-length``.
            body: All of it.

        Raises:
            ValueError: A header would make another one, or another request.
        """
        fields = b"".join([b"%b: %b\r\n" % field for field in headers])
        if fields.count(b"\n") != len(headers) or fields.count(b"\r") != len(headers) or b"\0" in fields:
            raise ValueError("a header holds a line break or NUL")
        length = b"\r\n" if not body and self._may_lack_length else b"Content-Length: %d\r\n\r\n" % len(body)
        if len(body) < _LARGE_BODY:
            return [b"".join((self._start, fields, length, body))]
        return [b"".join((self._start, fields, length)), body]
