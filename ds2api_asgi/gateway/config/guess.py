"""What somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["SYNONYMS", "near"]

_LONGEST: Final = 100  # characters of a word that is compared with all others

SYNONYMS: Final = {
    "address": "base_url",
    "aliases": "models",
    "api_base": "base_url",
    "api_key": "keys secret key",
    "api_keys": "keys",
    "auth": "access",
    "bind": "host",
    "chatgpt": "openai",
    "claude": "anthropic",
    "clients": "access",
    "endpoint": "base_url",
    "key": "keys secret",
    "google": "gemini",
    "kind": "type",
    "listen": "host",
    "logging": "log",
    "prometheus": "metrics",
    "provider": "preset",
    "providers": "upstreams",
    "retries": "retry",
    "routes": "models",
    "secret": "key",
    "target": "targets",
    "timeout": "total_timeout",
    "token": "secret",
    "tracing": "telemetry",
    "upstream": "upstreams",
    "uri": "base_url",
    "url": "base_url",
    "value": "secret",
}
"""What others call names of ours; the first of these that may stand there is meant."""


def near(word: str, known: Iterable[str]) -> str | None:
    """The one of the known words that is nearest; None: none is near.

    Args:
        word: What was written; letter case and the choice of ``-`` or ``_`` count for nothing.
        known: What might have been meant.
    """
    if not 0 < len(word) <= _LONGEST:
        return None
    names = {_plain(name): name for name in known}
    plain = _plain(word)
    if plain in names:
        return names[plain]
    for other in SYNONYMS.get(plain.replace("-", "_"), "").split():
        if _plain(other) in names:
            return names[_plain(other)]
    found = get_close_matches(plain, names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
