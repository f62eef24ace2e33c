"""Answers of the console: `Answer`, and the headers that all of them have.

Nothing of another origin may run in the page, be loaded by it, or put it into a frame, and nobody keeps an answer.
Trusted types are required and none is allowed: no script can make markup of a text, not even ours by mistake.

``referrer-policy`` is ``same-origin``: it tells others as little as ``no-referrer`` does, but that one would make
browsers say ``origin: null`` with the login form (https://fetch.spec.whatwg.org/#append-a-request-origin-header, read
2026-11-29), by which nobody can tell our own form from a stranger's.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from ...asgi.types import Send
from ...universal import jsontext

__all__ = ["HEADERS", "Answer", "failure", "json_answer", "moved"]

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
"""What every answer of the console says."""

Pairs = tuple[tuple[bytes, bytes], ...]


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer.

    Attributes:
        status: HTTP status.
        body: All of it.
        kind: Its media type.
        headers: Further headers, lower-case names.
        cache: What caches may do with it.
    """

    status: int = 200
    body: bytes = b""
    kind: bytes = b"application/json"
    headers: Pairs = ()
    cache: bytes = b"no-store"

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it.

        Args:
            send: The request's.
            head: The request was HEAD: there is no body, and its length is told.
        """
        about: Pairs = ()
        if self.status not in (204, 304):
            about = ((b"content-type", self.kind), (b"content-length", b"%d" % len(self.body)))
        headers = [*about, (b"cache-control", self.cache), *HEADERS, *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body, "more_body": False})


def json_answer(document: Any, *, status: int = 200, headers: Pairs = ()) -> Answer:
    """A JSON document."""
    return Answer(status=status, body=jsontext.dumps(document), headers=headers)


def failure(status: int, kind: str, message: str, *, headers: Pairs = (), **more: Any) -> Answer:
    """``{"error": {"type": "not_found", "message": "Nothing is here."}}``.

    Args:
        status: HTTP status.
        kind: What went wrong, in one word.
        message: The same for people; nothing of the request's is in it.
        headers: Further headers.
        more: Further members.
    """
    return json_answer({"error": {"type": kind, "message": message, **more}}, status=status, headers=headers)


def moved(where: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Go there with GET.

    Args:
        where: Relative to the request's own address: which prefix that has, only the browser knows for sure.
        headers: Further headers.
    """
    return Answer(status=303, kind=b"text/plain", headers=((b"location", where.encode()), *headers))
