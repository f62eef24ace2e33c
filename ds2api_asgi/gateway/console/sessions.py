"""Sessions: who gave the password holds a token that says so, signed, and the console remembers none of them.

A token is ``ID.EXPIRY.SIGNATURE``: 128 random bits, the Unix time at which it ends, and HMAC-SHA256 over both. It is
made when the password was right and never taken from a client, so nobody can be made to use one that somebody else
knows. What is remembered is which were ended before their time. If that ever becomes too much, all are ended, and
another turn begins, with another key. Processes with one key have the same in each turn, and tell each other what was
ended.

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
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

__all__ = ["MAX_ENDED", "Session", "Sessions"]

MAX_ENDED: Final = 4096
"""Sessions that are remembered as ended; each took a right password, so that is far more than there are."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_LAST_TURN: Final = 2**31
_TOKEN: Final = re.compile(r"(?P<id>[A-Za-z0-9_-]{22})\.(?P<expires>[0-9]{1,12})\.(?P<signature>[A-Za-z0-9_-]{43})")


class Session(Struct, frozen=True, kw_only=True):
    """Somebody gave the password.

    Attributes:
        id: Which session it is.
        expires: Unix time.
        csrf: What its requests show that change something.
        turn: In which it was begun.
    """

    id: str
    expires: int
    csrf: str
    turn: int = 0


class Sessions:
    """Begins, finds and ends sessions.

    Args:
        seconds: How long one lasts.
        key: What signs them, 16 bytes at least; processes with the same key accept each other's, also one after the
            other, and know of what another one ended what they `take`. It may be made of the password: it is
            stretched, so that whoever has a token cannot try passwords out faster than the console lets him. None:
            random.
        wall: Unix time.
    """

    def __init__(self, *, seconds: float, key: bytes | None = None, wall: Callable[[], float] = time.time) -> None:
        self._seconds = seconds
        self._key = secrets.token_bytes(32) if key is None else _stretched(key)
        self._wall = wall
        self._turn = 0
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
        session = Session(id=name, expires=expires, csrf=self._sign(b"csrf", name), turn=self._turn)
        return session if self.is_open(session) else None

    def is_open(self, session: Session) -> bool:
        """Whether a session is neither ended nor over."""
        return session.turn == self._turn and session.id not in self._ended and self._wall() < session.expires

    def end(self, session: Session) -> None:
        """End a session now."""
        self.take(session.turn, {session.id: session.expires})

    @property
    def ended(self) -> tuple[int, dict[str, int]]:
        """The turn, and what was ended in it with the Unix times at which it would have been over: to be taken."""
        with self._lock:
            return self._turn, dict(self._ended)

    def take(self, turn: int, ended: Mapping[str, int]) -> bool:
        """End what was ended here, or elsewhere with the same key.

        Args:
            turn: In which it was; what is older is over already.
            ended: From `ended`; what cannot be one is left out.

        Returns:
            Whether all of it is ended now.
        """
        found = {name: expires for name, expires in ended.items() if _NAME.fullmatch(name)}
        with self._lock:
            if self._turn < turn <= _LAST_TURN:
                self._turn, self._ended = turn, {}
            if turn == self._turn:
                self._end(found)
        return len(found) == len(ended) and turn <= _LAST_TURN

    def _end(self, found: Mapping[str, int]) -> None:
        self._ended.update(found)
        if len(self._ended) > MAX_ENDED:
            now = self._wall()
            self._ended = {name: expires for name, expires in self._ended.items() if expires > now}
        if len(self._ended) > MAX_ENDED:
            # To forget one that was ended would open it again: all end instead.
            self._turn, self._ended = self._turn + 1, {}

    def _sign(self, purpose: bytes, text: str) -> str:
        told = b"%s\0%d\0%s" % (purpose, self._turn, text.encode("ascii"))
        digest = hmac.digest(self._key, told, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _stretched(key: bytes) -> bytes:
    """What takes 50 ms and 16 MiB to compute, once for us and for every guess of others."""
    return hashlib.scrypt(key, salt=b"ds2api_asgi.console.sessions", n=2**14, r=8, p=1, dklen=32)
