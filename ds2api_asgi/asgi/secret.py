"""`Secret`: a key that nothing shows, of a provider or of a client."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NoReturn

from ..errors import ConfigurationError

__all__ = ["Secret", "alias_of"]

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


def alias_of(digest: bytes) -> str:
    """A short name that does not lead back to a key: ``"key-"`` and the first 12 hex digits of its SHA-256.

    Keys are random and long, so nobody finds one by trying digests, and 48 bits tell nothing of the rest. (A piece
    of the key itself would: logs that show first or last characters have been used against their owners.) Among
    10,000 keys, two aliases are the same by chance once in five million times; 32 bits: once in ninety.
    """
    return f"key-{digest.hex()[:12]}"


def _problem_of(value: str) -> str | None:
    if not value:
        return "is empty"
    if value.lower().startswith("bearer "):
        return 'begins with "Bearer", which is no part of it'
    if not _HEADER_SAFE.fullmatch(value):
        return "holds white space or other characters that no HTTP header can carry"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return "stands in quotes that are taken for a part of it (docker's --env-file keeps them)"
    return None


class Secret:
    """Holds a key so that it cannot be shown by accident: not by repr, str, format, pickle or msgspec.

    Secrets compare by their SHA-256 digests, in constant time.

    Args:
        value: The key as its issuer gave it.

    Raises:
        ConfigurationError: It is empty, holds what an HTTP header cannot carry (often a line end from a file), or
            stands in quotes or behind ``Bearer``.
    """

    __slots__ = ("_digest", "_value")

    def __init__(self, value: str) -> None:
        problem = _problem_of(value)
        if problem is not None:
            raise ConfigurationError(f"a key {problem}")
        self._value = value
        self._digest = hashlib.sha256(value.encode()).digest()

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def alias(self) -> str:
        """A short name that does not lead back to the key; see `alias_of`."""
        return alias_of(self._digest)

    def digest(self) -> bytes:
        """The SHA-256 of the key: 32 bytes."""
        return self._digest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._digest, other._digest)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")
