"""Who may do what: `Guard`, in front of everything that shows or changes something.

A browser shows its session's cookie, which no other site can make it send (``SameSite=Strict``), and with every change
the session's CSRF token; the command ``ds2api keys`` shows the password itself. Who shows an ``authorization`` is
judged by that alone.

The ``Host`` that a request names decides nothing here: a page of a strange name that was made to point at us (DNS
rebinding) has no cookie of ours and would have to guess the password, as everybody else. Where names are given
(`Guard.hosts`), requests by any other name are refused besides.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from ...asgi.headers import find
from ...asgi.secret import Secret
from ...asgi.types import Scope
from ...errors import ConfigurationError
from .answers import Answer, failure
from .attempts import Attempts, address_of
from .sessions import Session, Sessions

__all__ = ["SHORTEST_PASSWORD", "Allowed", "Guard"]

SHORTEST_PASSWORD: Final = 12
"""Characters; fewer could be guessed within the rate that attempts have."""

_logger = logging.getLogger("ds2api_asgi.console")
_COOKIE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_SAFE: Final = frozenset({"GET", "HEAD"})


class Allowed(Struct, frozen=True, kw_only=True):
    """A request may be answered.

    Attributes:
        session: Whose it is; None: the password came with it.
    """

    session: Session | None


class Guard:
    """Knows the password and the sessions.

    Args:
        password: What opens the console.
        sessions: Who gave it.
        hosts: The only names by which it may be asked, without a port; None: any.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: The password is shorter than `SHORTEST_PASSWORD`.
    """

    def __init__(
        self, password: Secret, sessions: Sessions, *, hosts: Iterable[str] | None, clock: Callable[[], float]
    ) -> None:
        if len(password.reveal()) < SHORTEST_PASSWORD:
            raise ConfigurationError(f"the console's password has less than {SHORTEST_PASSWORD} characters")
        self._digest = password.digest()
        self._sessions = sessions
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._attempts = Attempts()
        self._clock = clock

    def admit(self, scope: Scope) -> Answer | None:
        """Whether the console may be asked by this name; else what is answered."""
        if self._hosts is None:
            return None
        try:
            host = urlsplit("//" + _header(scope, b"host")).hostname
        except ValueError:
            host = None
        if host in self._hosts:
            return None
        return failure(421, "misdirected", "The console does not answer to this name.")

    def check(self, given: bytes, scope: Scope) -> Answer | None:
        """Compare a password, in constant time and as often as may be; None: it is right.

        Args:
            given: As it came.
            scope: The request's, whose address is counted.
        """
        address = address_of(scope.get("client"))
        wait = self._attempts.take(address, self._clock())
        if wait is not None:
            seconds = max(1, int(wait + 0.999))
            return failure(
                429,
                "too_many_attempts",
                f"Too many wrong passwords: try again in {seconds} seconds.",
                headers=((b"retry-after", b"%d" % seconds),),
            )
        if not hmac.compare_digest(hashlib.sha256(given).digest(), self._digest):
            _logger.warning("the console was shown a wrong password", extra={"address": address})
            return failure(401, "wrong_password", "That is not the password.")
        self._attempts.forgive(address, self._clock())
        return None

    def authorize(self, scope: Scope) -> Allowed | Answer:
        """Let a call of the API in, or say what is answered instead."""
        shown = find(scope["headers"], b"authorization")
        if shown is not None:
            kind, _, given = shown.partition(b" ")
            if kind.lower() != b"bearer":
                return _unauthorized()
            refused = self.check(given.strip(), scope)
            return Allowed(session=None) if refused is None else refused
        session = self.session(scope)
        if session is None:
            return _unauthorized()
        if scope["method"] not in _SAFE:
            refused = self.same_origin(scope)
            if refused is not None:
                return refused
            if not self.has_token(session, find(scope["headers"], b"x-csrf-token") or b""):
                return failure(403, "csrf", "The call does not show the page's token; reload the page.")
        return Allowed(session=session)

    def session(self, scope: Scope) -> Session | None:
        """The session whose cookie a request shows."""
        return self._sessions.find(_cookie(scope, self.cookie_name(scope)))

    def is_open(self, allowed: Allowed) -> bool:
        """Whether who was let in would still be; a password that was right stays so."""
        return allowed.session is None or self._sessions.is_open(allowed.session)

    def has_token(self, session: Session, given: bytes) -> bool:
        """Whether a change shows the session's token."""
        return hmac.compare_digest(given, session.csrf.encode())

    def same_origin(self, scope: Scope) -> Answer | None:
        """Refuse what another site made a browser ask; None: none did.

        Browsers say where a request comes from: in ``sec-fetch-site`` where they may (https, and this machine), else in
        ``origin``. What says neither is no browser, and has no cookie that it did not choose to show.
        """
        site, origin = _header(scope, b"sec-fetch-site").lower(), _header(scope, b"origin")
        if site:
            foreign = site != "same-origin"
        elif origin:
            foreign = origin.partition("://")[2].lower() != _header(scope, b"host").lower()
        else:
            foreign = False
        return failure(403, "foreign_origin", "Another site made this request.") if foreign else None

    def begin(self, scope: Scope) -> tuple[bytes, bytes]:
        """A session for who gave the password: the header that hands it out."""
        return self._set_cookie(scope, self._sessions.begin(), "")

    def farewell(self, scope: Scope) -> tuple[bytes, bytes]:
        """The header that takes the cookie of a session back which has ended."""
        return self._set_cookie(scope, "", "; Max-Age=0")

    def cookie_name(self, scope: Scope) -> str:
        """One for each port: cookies do not tell ports apart, and two gateways of a machine would end each other's."""
        server = scope.get("server")
        port = server[1] if isinstance(server, tuple | list) and len(server) > 1 else None
        return f"ds2console-{port}" if isinstance(port, int) else "ds2console"

    def _set_cookie(self, scope: Scope, value: str, more: str) -> tuple[bytes, bytes]:
        """Without a path: browsers take that of the request (``{base}/login``), and only they know it for sure."""
        secure = scope.get("scheme") == "https" or _header(scope, b"origin").startswith("https://")
        cookie = f"{self.cookie_name(scope)}={value}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{more}"
        return b"set-cookie", cookie.encode("ascii")


def _unauthorized() -> Answer:
    return failure(
        401,
        "unauthorized",
        "Log in, or show the password.",
        headers=((b"www-authenticate", b'Bearer realm="console"'),),
    )


def _header(scope: Scope, name: bytes) -> str:
    return (find(scope["headers"], name) or b"").decode("latin-1")


def _cookie(scope: Scope, name: str) -> str | None:
    """The value of a cookie; None when it is not there exactly once, for then one of two was put there by others."""
    found: list[str] = []
    for key, value in scope["headers"]:
        if key.lower() == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                label, equals, text = pair.strip().partition("=")
                if equals and label == name:
                    found.append(text)
    return found[0] if len(found) == 1 and _COOKIE.fullmatch(found[0]) else None
