"""Headers of translated answers: what the app said of its body goes, the rest of its headers stays."""

from __future__ import annotations

from collections.abc import Iterable

from ..asgi.headers import HOP_BY_HOP, RawHeaders

__all__ = ["document_headers", "error_headers", "stream_headers"]

# About a body that the client never sees, or what the server says again.
_OF_THE_BODY = HOP_BY_HOP | {
    b"accept-ranges",
    b"content-encoding",
    b"content-length",
    b"content-md5",
    b"content-range",
    b"content-type",
    b"date",
    b"digest",
    b"etag",
    b"last-modified",
    b"server",
}
_OF_A_SUCCESS = frozenset({b"age", b"cache-control", b"expires"})
_NO_BUFFERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


def document_headers(headers: RawHeaders, length: int) -> RawHeaders:
    """Headers of a whole answer.

    Args:
        headers: The app's, lower-case names.
        length: Bytes of the body.
    """
    kept = _without(headers, _OF_THE_BODY)
    kept += (b"content-type", b"application/json"), (b"content-length", b"%d" % length)
    return kept


def stream_headers(headers: RawHeaders, content_type: str) -> RawHeaders:
    """Headers of a stream, which no proxy shall hold back.

    Args:
        headers: The app's, lower-case names.
        content_type: Of the client's stream.
    """
    dropped = _OF_THE_BODY | {name for name, _ in _NO_BUFFERS}
    return [*_without(headers, dropped), (b"content-type", content_type.encode("ascii")), *_NO_BUFFERS]


def error_headers(headers: RawHeaders, own: Iterable[tuple[bytes, bytes]], *, succeeded: bool) -> RawHeaders:
    """Headers of an error.

    Args:
        headers: The app's, lower-case names.
        own: The error's; the app's of the same names give way.
        succeeded: Whether the app's were those of a success, which may have been cached.
    """
    own = list(own)
    dropped = _OF_THE_BODY | {name for name, _ in own} | (_OF_A_SUCCESS if succeeded else frozenset())
    return [*_without(headers, dropped), *own]


def _without(headers: RawHeaders, names: Iterable[bytes]) -> RawHeaders:
    return [header for header in headers if header[0] not in names]
