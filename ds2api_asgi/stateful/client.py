"""Who a client is: nothing of one is ever shown to another."""

from __future__ import annotations

from collections.abc import Callable

from ..asgi.exchange import CREDENTIAL
from ..asgi.headers import CREDENTIALS, find
from ..asgi.types import Scope
from ..errors import ConfigurationError
from ..universal.digest import sha256

__all__ = ["ClientOf", "credential_of", "digest_of"]

ClientOf = Callable[[Scope], str]
"""Tells clients apart: the same text for the same client, from the scope of a request."""

_HEADERS = (b"authorization", *sorted(CREDENTIALS - {b"authorization"}))


def credential_of(scope: Scope) -> str:
    """The API key that a client sent, in whichever header; ``""`` for all who sent none.

    Raises:
        ConfigurationError: The key is a pool's and not the client's: state must stand around the pool, not within.
    """
    if scope.get(CREDENTIAL) is not None:
        raise ConfigurationError("StatefulResponses stands within a KeyPool and cannot tell clients apart")
    for name in _HEADERS:
        text = (find(scope["headers"], name) or b"").decode("latin-1").strip()
        if text[:7].lower() == "bearer ":
            text = text[7:].strip()
        if text:
            return text
    return ""


def digest_of(client: str) -> str:
    """What stores know a client by: never the credential itself."""
    return sha256(client).hex()
