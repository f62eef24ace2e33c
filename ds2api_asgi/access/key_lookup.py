"""Where client keys are looked up: by their full digest, in memory or wherever users keep them."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping

from ..errors import ConfigurationError
from .client_key import ClientKey

__all__ = ["ClientKeys", "KeyLookup", "as_lookup"]


class KeyLookup(typing.Protocol):
    """Finds client keys; for those who keep them in a database.

    ::

        class Customers:
            async def find(self, digest: str) -> ClientKey | None:
                row = await db.fetch_one("select * from keys where digest = $1", digest)
                return row and ClientKey(row["digest"], name=row["customer"], limits=ClientLimits(rpm=row["rpm"]))
    """

    async def find(self, digest: str) -> ClientKey | None:
        """The key with this digest, or None.

        It is asked for every request, also for those of strangers, before anything is read of them: keep it fast.
        What it raises is logged, and the request is answered 503.

        Args:
            digest: ``"sha256:"`` and 64 lower-case hex digits; never the key itself.
        """
        ...


class ClientKeys:
    """Client keys in memory; they may be replaced at any time.

    Args:
        keys: `ClientKey` s, plain keys, or digests.

    Raises:
        ConfigurationError: None at all, one twice, or two of one name.
    """

    def __init__(self, keys: Iterable[ClientKey | str]) -> None:
        self._keys = _by_digest(keys)

    def replace(self, keys: Iterable[ClientKey | str]) -> None:
        """Put others in their place, all at once; requests that were let in go on.

        Raises:
            ConfigurationError: As when made; the old ones then stay.
        """
        self._keys = _by_digest(keys)

    async def find(self, digest: str) -> ClientKey | None:
        """See `KeyLookup.find`."""
        return self._keys.get(digest)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<ClientKeys of {len(self._keys)}>"


def as_lookup(keys: Iterable[ClientKey | str] | KeyLookup) -> KeyLookup:
    """A lookup as it is, or a list of keys as one.

    Raises:
        ConfigurationError: As `ClientKeys`.
    """
    if hasattr(keys, "find") and not isinstance(keys, str):
        return typing.cast("KeyLookup", keys)
    return ClientKeys(keys)


def _by_digest(given: Iterable[ClientKey | str]) -> dict[str, ClientKey]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):  # names would be keys
        raise ConfigurationError("keys takes a list of keys")
    keys: dict[str, ClientKey] = {}
    names: set[str] = set()
    for position, item in enumerate(given):
        if not isinstance(item, ClientKey | str):
            raise ConfigurationError(f"keys[{position}] is neither a ClientKey nor a string")
        key = ClientKey(item) if isinstance(item, str) else item
        if key.digest in keys:
            raise ConfigurationError(f"{keys[key.digest].name} and {key.name} are the same key")
        if key.name in names:
            raise ConfigurationError(f"two client keys have the name {key.name!r}")
        names.add(key.name)
        keys[key.digest] = key
    if not keys:
        raise ConfigurationError("without client keys nobody could be let in")
    return keys
