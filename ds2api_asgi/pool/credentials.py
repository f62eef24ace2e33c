"""The one place where a key leaves its `Secret`: into the scope of an attempt, and nobody else's key beside it."""

from __future__ import annotations

from urllib.parse import unquote_plus

from ..asgi.exchange import CREDENTIAL
from ..asgi.headers import CREDENTIALS
from ..asgi.types import Scope

__all__ = ["with_credential"]

_QUERY_CREDENTIALS = frozenset({"access_token", "api_key", "key"})


def with_credential(scope: Scope, header: tuple[bytes, bytes], alias: str) -> Scope:
    """Put a pool's key into a request.

    Every other credential is taken out, for the client's key opens our door and not the provider's: headers that carry
    keys in any protocol, and the query parameters ``key``, ``api_key`` and ``access_token``.

    Args:
        scope: An ``http`` scope; never changed.
        header: Lower-case name and value.
        alias: What the key is called.

    Returns:
        A copy.
    """
    ours = header[0]
    headers = [field for field in scope["headers"] if (name := field[0].lower()) not in CREDENTIALS and name != ours]
    headers.append(header)
    return {
        **scope,
        "headers": headers,
        "query_string": _without_credentials(scope.get("query_string") or b""),
        CREDENTIAL: alias,
    }


def _without_credentials(query: bytes) -> bytes:
    """The query without keys; what stays is not touched, not even its encoding."""
    if not query:
        return query
    return b"&".join(pair for pair in query.split(b"&") if not _is_credential(pair))


def _is_credential(pair: bytes) -> bool:
    name = pair.split(b"=", 1)[0].decode("latin-1")
    return unquote_plus(name, encoding="latin-1").strip().lower() in _QUERY_CREDENTIALS
