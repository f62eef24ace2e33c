"""Digests of texts from the wire, which may hold lone surrogates: JSON can spell them, UTF-8 cannot."""

from __future__ import annotations

import hashlib

__all__ = ["sha256"]


def sha256(text: str) -> bytes:
    """The SHA-256 of a text, 32 bytes; defined for every text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
