"""Sessions: who gave the password holds a token that says so, signed, and the console remembers none of them.

A token is ``ID.EXPIRY.SIGNATURE``: 128 random bits, the Unix time at which it ends, and HMAC-SHA256 over both. It is
made when the password was right and never taken from a client, so nobody can be made to use one that somebody else
knows. What is remembered is which were ended before their time, and if that ever becomes too much, all are ended.

Each session has a CSRF token, derived from its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

__all__ = ["MAX_ENDED", "Session", "Sessions"]

MAX_ENDED: Final = 4096
"""Sessions that are remembered as ended; each took a right password, so that is far more than there are."""

_TOKEN: Final = re.compile(r"(?P<id>[A-Za-z0-9_-]{22})\.(?P<expires>[0-9]{1,12})\.(?P<signature>[A-Za-z0-9_-]{43})")


class Session(Struct, frozen=True, kw_only=True):
    """Somebody gave the password.

    Attributes:
        id: Which session it is.
        expires: Unix time.
        csrf: What its requests show that change something.
    """

    id: str
    expires: int
    csrf: str


class Sessions:
    """Begins, finds and ends sessions.

    Args:
        seconds: How long one lasts.
        key: What signs them, 16 bytes at least; processes with the same key accept each other's, also one after the
            other, but what is ended in one of them, the others do not know. It may be made of the password: it is
            stretched, so that whoever has a token cannot try passwords out faster than the console lets him. None:
            random.
        wall: Unix time.
    """

    def __init__(self, *, seconds: float, key: bytes | None = None, wall: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._key = secrets.token_bytes(32) if key is None else _stretched(key)
        self._wall = wall
        self._ended: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self) -> str:
        """A new session's token."""
        name = secrets.token_urlsafe(16)
        told = f"{name}.{int(self._wall() + self._seconds)}"
        return f"{told}.{self._sign(b'session', told)}"

    def find(self, token: str | None) -> Session | None:
        """The session of a token; None: it is none of ours, or over.

        Args:
            token: Whatever a client showed.
        """
        match = None if token is None else _TOKEN.fullmatch(token)
        if match is None:
            return None
        name, expires = match["id"], int(match["expires"])
        signature = self._sign(b"session", f"{name}.{match['expires']}")
        if not hmac.compare_digest(signature, match["signature"]):
            return None
        session = Session(id=name, expires=expires, csrf=self._sign(b"csrf", name))
        return session if self.is_open(session) else None

    def is_open(self, session: Session) -> bool:
        """Whether a session is neither ended nor over."""
        return session.id not in self._ended and self._wall() < session.expires

    def end(self, session: Session) -> None:
        """End a session now."""
        with self._lock:
            if len(self._ended) >= MAX_ENDED:
                now = self._wall()
                self._ended = {name: expires for name, expires in self._ended.items() if expires > now}
            if len(self._ended) >= MAX_ENDED:
                # To forget one that was ended would open it again: all end instead.
                self._key = secrets.token_bytes(32)
            self._ended[session.id] = session.expires

    def _sign(self, purpose: bytes, text: str) -> str:
        digest = hmac.digest(self._key, purpose + b"\0" + text.encode("ascii"), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _stretched(key: bytes) -> bytes:
    """What takes 50 ms and 16 MiB to compute, once for us and for every guess of others."""
    return hashlib.scrypt(key, salt=b"ds2api_asgi.console.sessions", n=2**14, r=8, p=1, dklen=32)
