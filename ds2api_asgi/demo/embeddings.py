"""Embeddings: unit vectors from the digests of a text's tokens, so texts that share words are near each other.

https://platform.openai.com/docs/api-reference/embeddings/create (read 2026-11-23).
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidDocument
from .tokens import count_tokens

__all__ = ["embed"]

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 1_024
MAX_INPUTS = 256
MAX_WORDS = 64
"""Words of a text that shape its vector."""


def embed(document: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Answer a request for embeddings.

    Args:
        document: The request; ``input`` is a string, a list of strings, token ids, or a list of lists of them.
        model: The model's name for the answer.

    Raises:
        InvalidDocument: With the path of what is missing or wrong.
    """
    texts, tokens = _inputs(document.get("input"))
    size = document.get("dimensions")
    if size is None:
        size = DEFAULT_DIMENSIONS
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_DIMENSIONS:
        raise InvalidDocument("dimensions", f"must be a whole number from 1 to {MAX_DIMENSIONS}")
    form = document.get("encoding_format")
    if form not in (None, "float", "base64"):
        raise InvalidDocument("encoding_format", "must be float or base64")
    vectors = [_vector(text, size) for text in texts]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if form == "base64" else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(value: Any) -> tuple[list[str], int]:
    """The texts to embed (token ids as text) and how many tokens they have."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value or len(value) > MAX_INPUTS:
        raise InvalidDocument("input", f"must be a string or an array of 1 to {MAX_INPUTS} inputs")
    if all(_is_token(item) for item in value):
        value = [value]
    texts, tokens = [], 0
    for index, item in enumerate(value):
        if isinstance(item, str) and item:
            texts.append(item)
            tokens += count_tokens(item)
        elif isinstance(item, list) and item and all(_is_token(token) for token in item):
            texts.append(" ".join(map(str, item)))
            tokens += len(item)
        else:
            raise InvalidDocument(f"input[{index}]", "must be a text or an array of token ids, and not empty")
    return texts, tokens


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


def _vector(text: str, size: int) -> list[float]:
    sums = [0] * size
    for word in text.casefold().split()[:MAX_WORDS] or [text]:
        digest = hashlib.shake_256(word.encode("utf-8", "surrogatepass")).digest(2 * size)
        sums = [total + part for total, part in zip(sums, struct.unpack(f"<{size}h", digest), strict=True)]
    length = math.sqrt(sum(part * part for part in sums))
    return [part / length for part in sums] if length else [1.0] + [0.0] * (size - 1)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
