"""Raw ASGI headers: read, edited, and let through by allow-lists.

Headers stay lists of byte pairs, duplicates and order kept. What crosses us in either direction is named here;
anything else (credentials, cookies, forwarding headers, hop-by-hop headers and those that ``connection`` names) stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

__all__ = [
    "CREDENTIALS",
    "HOP_BY_HOP",
    "Headers",
    "RawHeaders",
    "credential",
    "decode",
    "find",
    "form_type",
    "is_urlencoded",
    "may_state_limits",
    "media_type",
    "readable_type",
    "replace",
    "request_headers",
    "response_headers",
]

RawHeaders = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1, and the headers of its ancestors that clients still send."""

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
"""Headers that carry an API key in one of the protocols."""
_BY_NAME = tuple(sorted(CREDENTIALS))

_REQUEST = frozenset(
    {
        b"accept",
        b"anthropic-beta",
        b"anthropic-version",
        b"content-encoding",
        b"content-type",
        b"idempotency-key",
        b"openai-beta",
        b"traceparent",
        b"tracestate",
        b"x-client-request-id",
    }
)
_REQUEST_WITH_CREDENTIALS = _REQUEST | CREDENTIALS | {b"openai-organization", b"openai-project"}

_RESPONSE = frozenset(
    {
        b"allow",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-type",
        b"openai-processing-ms",
        b"openai-version",
        b"request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-accel-buffering",
        b"x-request-id",
        b"x-should-retry",
    }
)
_SILENT = (_RESPONSE - {b"retry-after", b"retry-after-ms"}) | {b"content-length", b"date", b"server"}
_RATE_LIMITS = (b"x-ratelimit-", b"x-tokenlimit-", b"anthropic-ratelimit-", b"anthropic-priority-", b"ratelimit")
_UNSAFE = re.compile(rb"[\r\n\0]")
_TYPE_LENGTH = len(b"content-type")
_CODING_LENGTH = len(b"content-encoding")
_TYPES = 256  # that are remembered; others choose them, so there is a bound


def decode(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as text, for those who only read.

    Args:
        raw: Byte pairs; names in any case.

    Returns:
        Lower-case names to latin-1 values; a repeated header's values joined with ``", "``.
    """
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


class Headers(Mapping[str, str]):
    """What `decode` gives, decoded when it is first asked for: most requests are claimed by their path alone.

    Args:
        raw: Byte pairs; names in any case.
    """

    __slots__ = ("_decoded", "_raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._decoded: dict[str, str] | None = None

    def _text(self) -> dict[str, str]:
        if self._decoded is None:
            self._decoded = decode(self._raw)
        return self._decoded

    def __getitem__(self, name: str) -> str:
        return self._text()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._text())

    def __len__(self) -> int:
        return len(self._text())


def find(raw: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The first value of a header, or None.

    Args:
        raw: Byte pairs; names in any case.
        wanted: The name in lower case.
    """
    length = len(wanted)
    for name, value in raw:
        if len(name) == length and name.lower() == wanted:
            return value
    return None


def media_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The ``content-type`` without its parameters, in lower case; ``b""`` when there is none."""
    return _without_parameters(find(headers, b"content-type") or b"")


def form_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The ``content-type`` of a form, with its boundary; None where the body is none.

    All of them where there are several, which no reader of forms takes: another one may take another.
    """
    if media_type(headers) != b"multipart/form-data":
        return None
    return b", ".join(value for name, value in headers if name.lower() == b"content-type")


def is_urlencoded(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether some reader may take a body for a form of pairs: one of the types that it is said to have is theirs."""
    return any(
        name.lower() == b"content-type" and b"application/x-www-form-urlencoded" in value.lower()
        for name, value in headers
    )


def readable_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What `media_type` says of a body that can be read as it is; None when it has a ``content-encoding``."""
    kind: bytes | None = None
    for name, value in headers:
        length = len(name)
        if length == _TYPE_LENGTH and kind is None and name.lower() == b"content-type":
            kind = _without_parameters(value)
        elif length == _CODING_LENGTH and name.lower() == b"content-encoding" and (value or b"identity") != b"identity":
            return None
    return kind or b""


def may_state_limits(raw: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether an answer's headers may say how much is left of rate limits, in whatever protocol.

    False only when all of them are known to say nothing of that. Asked of every answer, for it is much cheaper than to
    `decode` them. Names in lower case, as ASGI has them; any other may state limits.
    """
    for name, _ in raw:  # noqa: SIM110 - a generator costs as much as the loop
        if name not in _SILENT:
            return True
    return False


def credential(headers: RawHeaders, first: bytes = b"authorization") -> str:
    """The API key that a client sent, ``""`` if it sent none.

    Args:
        headers: The client's.
        first: The header that is looked at before all others.
    """
    for name in (first, *_BY_NAME):
        text = (find(headers, name) or b"").decode("latin-1").strip()
        scheme, _, key = text.partition(" ")
        if name == b"authorization" and scheme.lower() == "bearer":  # with no key behind it, it is none
            text = key.strip()
        if text:
            return text
    return ""


def replace(raw: Iterable[tuple[bytes, bytes]], changes: Mapping[bytes, bytes | None]) -> RawHeaders:
    """Copy headers with some of them set or removed.

    Args:
        raw: Byte pairs; names in any case; never changed.
        changes: Lower-case names to the one value they shall have, or None to remove them.

    Returns:
        A new list. A replaced header stays where its first occurrence was, new ones come last.
    """
    left = dict(changes)
    headers: RawHeaders = []
    for name, value in raw:
        key = name.lower()
        if key not in changes:
            headers.append((name, value))
            continue
        wanted = left.pop(key, None)
        if wanted is not None:
            headers.append((key, wanted))
    headers.extend((key, wanted) for key, wanted in left.items() if wanted is not None)
    return headers


def request_headers(
    raw: Iterable[tuple[bytes, bytes]], *, credentials: bool = False, without: frozenset[bytes] = frozenset()
) -> RawHeaders:
    """What of a client's headers an upstream may see.

    Args:
        raw: The request's headers.
        credentials: Whether the headers of `CREDENTIALS` (and OpenAI's organization and project) are among it.
        without: Lower-case names that stop here all the same, because the caller sets them.

    Returns:
        A new list with lower-case names. Values with CR, LF or NUL are left out.
    """
    allowed = _REQUEST_WITH_CREDENTIALS if credentials else _REQUEST
    headers: RawHeaders = []
    named: frozenset[bytes] = frozenset()
    for name, value in raw:
        key = name.lower()
        if key in allowed:
            if key not in without and not _UNSAFE.search(value):
                headers.append((key, value))
        elif key == b"connection":
            named |= _named(value)
    return _drop(headers, named) if named else headers


def response_headers(raw: Iterable[tuple[bytes, bytes]], *, rate_limits: bool = True) -> RawHeaders:
    """What of an upstream's headers may go on to the client.

    ``content-length`` is not among it: who sends the body states its length.

    Args:
        raw: The answer's headers.
        rate_limits: Whether the provider's rate limits are among it. Key pools read them; at the edge they would tell
            clients how large a pool is.

    Returns:
        A new list with lower-case names. Values with CR, LF or NUL are left out.
    """
    headers: RawHeaders = []
    named: frozenset[bytes] = frozenset()
    for name, value in raw:
        key = name.lower()
        if key in _RESPONSE or (rate_limits and key.startswith(_RATE_LIMITS)):
            if not _UNSAFE.search(value):
                headers.append((key, value))
        elif key == b"connection":
            named |= _named(value)
    return _drop(headers, named) if named else headers


@lru_cache(_TYPES)
def _without_parameters(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def _named(connection: bytes) -> frozenset[bytes]:
    if connection in (b"keep-alive", b"close"):
        return frozenset()
    return frozenset(name.strip().lower() for name in connection.split(b","))


def _drop(headers: RawHeaders, names: frozenset[bytes]) -> RawHeaders:
    return [header for header in headers if header[0] not in names]
