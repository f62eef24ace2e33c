"""API keys: the secret, which nothing shows, and what a pool is told about it.

A key goes by its alias in every log, fact, snapshot and error. The secret itself leaves its `Secret` in one place only:
where the credential header of an upstream request is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from ..asgi.secret import Secret
from ..errors import ConfigurationError
from .limits import NO_LIMITS, RateLimits

__all__ = ["ALIAS", "Key", "Secret", "as_keys"]

ALIAS = re.compile(r"[\x21-\x7e]{1,64}")
"""What an alias looks like."""


class Key(Struct, frozen=True, kw_only=True):
    """One API key of a pool.

    Attributes:
        secret: The key.
        alias: What it is called where the secret must not stand; ``""``: `Secret.alias`.
        weight: Its share compared with the others' (2.0: twice as much).
        quota_scope: Keys with the same label share their provider's limits, so that what one of them meets holds for
            all: a rate limit of its model, a used up quota. Anthropic and OpenAI count by organisation (OpenAI also by
            project), Gemini by project. None: the key is alone.
        models: The only models it may be used for; None: all.
        priority: Keys of a higher priority are used first, those of a lower one when no other can be.
        limits: What may be asked of it, or of its quota scope as a whole, whose keys then must all state the same.
        model_limits: The same for single models, beside `limits`.
    """

    secret: Secret
    alias: str = ""
    weight: float = 1.0
    quota_scope: str | None = None
    models: frozenset[str] | None = None
    priority: int = 0
    limits: RateLimits = NO_LIMITS
    model_limits: Mapping[str, RateLimits] = MappingProxyType({})


def as_keys(given: Iterable[Key | str]) -> tuple[Key, ...]:
    """Check a pool's keys, and give each its alias.

    Args:
        given: Keys, or plain secrets.

    Returns:
        The keys in the same order.

    Raises:
        ConfigurationError: None were given; a secret or an alias stands there twice; a weight or a limit is not a
            positive number; an allow-list is empty; keys of one quota scope state different limits. Its message names
            aliases or positions, never a secret.
    """
    if isinstance(given, str | bytes | Mapping):  # whose letters or names would be keys
        raise ConfigurationError("keys takes a list of keys")
    keys = tuple(_checked(position, item) for position, item in enumerate(given))
    if not keys:
        raise ConfigurationError("a pool needs at least one key")
    aliases: set[str] = set()
    scopes: dict[str, Key] = {}
    secrets: dict[Secret, str] = {}
    for key in keys:
        if key.secret in secrets:
            raise ConfigurationError(f"{secrets[key.secret]} and {key.alias} are the same key")
        if key.alias in aliases:
            raise ConfigurationError(f"two keys have the alias {key.alias!r}")
        if key.quota_scope is not None:
            first = scopes.setdefault(key.quota_scope, key)
            if (first.limits, dict(first.model_limits)) != (key.limits, dict(key.model_limits)):
                raise ConfigurationError(f"{first.alias} and {key.alias} share a quota scope but not its limits")
        secrets[key.secret] = key.alias
        aliases.add(key.alias)
    return keys


def _checked(position: int, item: Key | str) -> Key:
    key = Key(secret=Secret(item)) if isinstance(item, str) else item
    if not isinstance(key, Key) or not isinstance(key.secret, Secret):
        raise ConfigurationError(f"keys[{position}] is neither a Key with a Secret nor a string")
    if not key.alias:
        key = replace(key, alias=key.secret.alias())
    if not ALIAS.fullmatch(key.alias) or key.alias == key.secret.reveal():
        raise ConfigurationError(
            f"the alias of keys[{position}] is the key itself, or not 1 to 64 printable characters"
        )
    if not (math.isfinite(key.weight) and key.weight > 0):
        raise ConfigurationError(f"the weight of {key.alias} is not a positive number")
    for limits in (key.limits, *key.model_limits.values()):
        limits.check(key.alias)
    if key.models is not None and not key.models:
        raise ConfigurationError(f"{key.alias} is allowed for no model at all")
    return key
