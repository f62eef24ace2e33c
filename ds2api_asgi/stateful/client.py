"""Who a client is: nothing of one is ever shown to another."""

from __future__ import annotations

from collections.abc import Callable

from ..asgi.credentials import caller_of
from ..asgi.exchange import CREDENTIAL
from ..asgi.types import Scope
from ..errors import ConfigurationError
from ..universal.digest import sha256

__all__ = ["ClientOf", "credential_of", "digest_of"]

ClientOf = Callable[[Scope], str]
"""Tells clients apart: the same text for the same client, from the scope of a request."""


def credential_of(scope: Scope) -> str:
    """Whose key a part at the door found, else the API key that a client sent, in whichever header.

    All who sent none are one: ``""``.

    Raises:
        ConfigurationError: The key is a pool's and not the client's: state must stand around the pool, not within.
    """
    if scope.get(CREDENTIAL) is not None:
        raise ConfigurationError("StatefulResponses stands within a KeyPool and cannot tell clients apart")
    return caller_of(scope)


def digest_of(client: str) -> str:
    """What stores know a client by: never the credential itself."""
    return sha256(client).hex()
