"""Embeddings: texts that become vectors, as a request and as an answer.

The rule: vectors keep their number and their order, and each number the digits that the wire gave it; a vector that
came packed (base64 of little-endian float32) stays packed until somebody needs its numbers.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from ..errors import InvalidDocument
from .node import Node, Origin
from .response import Usage

__all__ = ["EmbeddingInput", "EmbeddingRequest", "EmbeddingResponse", "Vector", "pack", "unpack"]


class EmbeddingInput(Node, frozen=True, kw_only=True):
    """One thing to embed: exactly one of the first three members is set.

    Attributes:
        text: A text.
        tokens: The ids of its tokens, which only the model's own tokenizer can read.
        json: Anything else (media), verbatim.
        task: What the vector is for (``"RETRIEVAL_QUERY"``), as its home spells it.
        title: Title of a document.
    """

    text: str | UnsetType = UNSET
    tokens: tuple[int, ...] | UnsetType = UNSET
    json: Any = UNSET
    task: str | UnsetType = UNSET
    title: str | UnsetType = UNSET


class EmbeddingRequest(Node, frozen=True, kw_only=True):
    """What a client wants embedded; every member that a client may leave out is UNSET when it did.

    Attributes:
        model: The model's name as the client wrote it.
        inputs: In order; the answer has one vector for each.
        dimensions: Numbers of each vector.
        encoding: How vectors are written: ``"float"`` as numbers, ``"base64"`` packed.
        truncate: Whether an input that is too long is cut (else it is an error).
        user: An end user's id.
        origin: Where the document came from; its dialect tells how one input is asked for and answered.
    """

    model: str | UnsetType = UNSET
    inputs: tuple[EmbeddingInput, ...] = ()
    dimensions: int | UnsetType = UNSET
    encoding: Literal["float", "base64"] | UnsetType = UNSET
    truncate: bool | UnsetType = UNSET
    user: str | UnsetType = UNSET
    origin: Origin


class Vector(Node, frozen=True, kw_only=True):
    """One vector: `values` or `packed`.

    Attributes:
        values: Its numbers, which keep their digits (`jsontext.NumberText`).
        packed: Base64 of its numbers as little-endian float32.
        index: The input that it belongs to, where the wire says it.
    """

    values: tuple[float | int, ...] | UnsetType = UNSET
    packed: str | UnsetType = UNSET
    index: int | UnsetType = UNSET


class EmbeddingResponse(Node, frozen=True, kw_only=True):
    """The vectors.

    Attributes:
        model: The model that made them.
        vectors: In the order of the wire.
        usage: What they cost.
        origin: Where the document came from.
    """

    model: str | UnsetType = UNSET
    vectors: tuple[Vector, ...] = ()
    usage: Usage | UnsetType = UNSET
    origin: Origin

    def ordered(self, count: int | None = None) -> tuple[Vector, ...]:
        """The vectors in the order of their inputs.

        Args:
            count: How many inputs there were; None: unknown.

        Raises:
            InvalidDocument: There are more or fewer vectors than inputs.
        """
        if count is not None and len(self.vectors) != count:
            raise InvalidDocument("vectors", f"{len(self.vectors)} for {count} inputs")
        indexes = [vector.index for vector in self.vectors]
        if sorted(index for index in indexes if index is not UNSET) != list(range(len(indexes))):
            return self.vectors  # the wire does not number them
        return tuple(sorted(self.vectors, key=lambda vector: vector.index or 0))


def unpack(packed: str, path: str) -> tuple[float, ...]:
    """The numbers of a packed vector, exactly: each float32 is a float64 too.

    Args:
        packed: Base64 of little-endian float32.
        path: For errors.

    Raises:
        InvalidDocument: It is no such thing, or holds what JSON has no number for.
    """
    try:
        data = base64.b64decode(packed, validate=True)
        numbers = struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, struct.error, ValueError):
        raise InvalidDocument(path, "must be base64 of little-endian float32") from None
    if not all(-3.5e38 < number < 3.5e38 for number in numbers):
        raise InvalidDocument(path, "must have finite numbers only")
    return numbers


def pack(values: tuple[float | int, ...], path: str) -> str:
    """Numbers as a packed vector: each becomes the float32 next to it.

    Args:
        values: The numbers.
        path: For errors.

    Raises:
        InvalidDocument: A number is beyond float32.
    """
    try:
        data = struct.pack(f"<{len(values)}f", *values)
    except (OverflowError, struct.error):
        raise InvalidDocument(path, "must have numbers that fit float32") from None
    return base64.b64encode(data).decode("ascii")
