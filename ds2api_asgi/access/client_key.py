"""The keys that clients show: a digest, a name, and what their client may do.

A key is given as itself or as its SHA-256 (``"sha256:9f86…"``, 64 hex digits), so that configuration and databases need
hold no secret; only the digest is kept. ``printf %s "$KEY" | sha256sum`` makes one.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr

from ..asgi.secret import Secret, alias_of
from ..errors import ConfigurationError
from .client_limits import NO_LIMITS, ClientLimits
from .patterns import Patterns

__all__ = ["SHORTEST", "ClientKey", "digest_of"]

SHORTEST: Final = 16
"""Characters of a key; shorter ones are guessed, and their digests are undone, by trying."""

_DIGEST: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NAME: Final = re.compile(r"[\x21-\x7e]{1,64}")
# What stands in examples and is forgotten there: whoever has read the example has the key.
_PLACEHOLDER: Final = re.compile(
    r"(?i)change.?me|replace.?me|placeholder|your.{0,3}(?:api|secret|key|token)|(?:api|secret)[-_]?key.?here|<.*>|\.\.\.$"
)
_FEWEST: Final = 6  # different characters; "0000000000000000" is no key


def digest_of(token: bytes) -> str:
    """What a key is known by: ``"sha256:"`` and 64 hex digits.

    Args:
        token: The key as a client sent it, whatever bytes those are.
    """
    return f"sha256:{hashlib.sha256(token).hexdigest()}"


class ClientKey(Struct, frozen=True):
    """A client's key, and what the client may do.

    ::

        ClientKey("sha256:9f86d081884c7d65…", name="alice", models=("gpt-5*", "claude-opus-5"),
                  limits=ClientLimits(rpm=60))

    Attributes:
        key: Given as the key itself (at least `SHORTEST` characters), a `Secret` or a digest; what is kept is the
            digest.
        name: What the client is called in limits, facts and logs; ``""``: a name made of the digest. A client that
            gets another key keeps its name, and with it the use of its limits and its stored state.
        models: The only models that it may use, exactly or with ``*`` for any characters; None: all. With or without
            Gemini's ``models/`` in front and Ollama's ``:latest`` behind.
        limits: How much it may use.
        share: Its share of what is free, compared with other clients', where a pool has a queue.
        disabled: Whether the key opens nothing for now.
        expires_at: Unix time from which on it opens nothing; None: never.

    Raises:
        ConfigurationError: A key that is empty, too short, a placeholder, or cannot stand in a header; a name that is
            the key or not 1 to 64 printable characters; no models at all; a limit or a share that is no number above 0.
            No message holds the key.
    """

    key: str | Secret
    name: str = ""
    models: Sequence[str] | None = None
    limits: ClientLimits = NO_LIMITS
    share: float = 1.0
    disabled: bool = False
    expires_at: float | None = None

    def __post_init__(self) -> None:
        digest, revealed = _digest(self.key)
        name = self.name or alias_of(bytes.fromhex(digest[len("sha256:") :]))
        if not _NAME.fullmatch(name) or name == revealed:
            raise ConfigurationError("the name of a client key is the key itself, or not 1 to 64 printable characters")
        force_setattr(self, "key", digest)
        force_setattr(self, "name", name)
        if self.models is not None:
            if isinstance(self.models, str):
                raise ConfigurationError(f"models of {name} takes a list of names")
            force_setattr(self, "models", tuple(self.models))
            if not self.models:
                raise ConfigurationError(f"{name} is allowed for no model at all")
            Patterns(self.models)
        self.limits.check(name)
        if not (math.isfinite(self.share) and self.share > 0):
            raise ConfigurationError(f"the share of {name} is not a number above 0")
        if self.expires_at is not None and not math.isfinite(self.expires_at):
            raise ConfigurationError(f"expires_at of {name} is not a time")

    @property
    def digest(self) -> str:
        """The key's digest, as `digest_of` gives it."""
        assert isinstance(self.key, str)
        return self.key

    def opens(self, now: float) -> bool:
        """Whether the key is good.

        Args:
            now: Unix time.
        """
        return not self.disabled and (self.expires_at is None or now < self.expires_at)

    def __repr__(self) -> str:
        return f"ClientKey(name={self.name!r})"


def _digest(key: str | Secret) -> tuple[str, str]:
    """The digest, and the key itself where it was given."""
    if isinstance(key, str):
        found = _DIGEST.fullmatch(key)
        if found is not None:
            return f"sha256:{found[1].lower()}", ""
        if key.startswith("sha256:"):
            raise ConfigurationError("a client key that begins with sha256: is not followed by 64 hex digits")
        key = Secret(key)
    if not isinstance(key, Secret):
        raise ConfigurationError("a client key is a string or a Secret")
    revealed = key.reveal()
    if len(revealed) < SHORTEST or len(set(revealed)) < _FEWEST or _PLACEHOLDER.search(revealed):
        raise ConfigurationError(
            f"a client key is shorter than {SHORTEST} characters or a placeholder: anybody could guess it"
        )
    return digest_of(revealed.encode()), revealed
