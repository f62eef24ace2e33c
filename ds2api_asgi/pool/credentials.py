"""The one place where a key leaves its `Secret`: into the scope of an attempt, and nobody else's key beside it."""

from __future__ import annotations

from ..asgi.credentials import without_credentials, without_query_credentials
from ..asgi.exchange import CREDENTIAL
from ..asgi.headers import CREDENTIALS
from ..asgi.types import Scope

__all__ = ["BEARER", "with_credential"]

BEARER = "ds2api_asgi.bearer"
"""Scope key of a credential that is an access token: it stays in the header that it is in, wherever keys belong."""


def with_credential(scope: Scope, header: tuple[bytes, bytes], alias: str) -> Scope:
    """Put a pool's key into a request.

    Every other credential is taken out, for the client's key opens our door and not the provider's: headers that carry
    keys in any protocol, the query parameters ``key``, ``api_key`` and ``access_token``, and a websocket's subprotocol.

    Args:
        scope: An ``http`` or ``websocket`` scope; never changed.
        header: Lower-case name and value.
        alias: What the key is called.

    Returns:
        A copy.
    """
    if scope["type"] == "websocket":
        scope = without_credentials(scope)
    theirs = CREDENTIALS if header[0] in CREDENTIALS else CREDENTIALS | {header[0]}
    headers = [field for field in scope["headers"] if field[0].lower() not in theirs]
    headers.append(header)
    return {
        **scope,
        "headers": headers,
        "query_string": without_query_credentials(scope.get("query_string") or b""),
        CREDENTIAL: alias,
    }
