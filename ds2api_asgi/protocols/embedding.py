"""What the embeddings of all protocols share: numbers of vectors, and what an encoder cannot say of a request.

Each protocol that has embeddings says them in one module of four functions (`base.Embeddings`).
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ..errors import InvalidDocument
from ..universal.embedding import EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Vector, unpack
from ..universal.loss import Loss, LossKind, Severity
from ..universal.response import Usage
from .fields import NUMBER, expect, ext_losses

__all__ = ["Report", "numbers", "read_numbers", "texts_only", "vectors_for"]

_SEVERITY = {
    "dimensions": Severity.SEMANTIC,
    "encoding": Severity.COSMETIC,  # the answer is written as its client wants it all the same
    "user": Severity.COSMETIC,
    "truncate": Severity.DEGRADED,
    "task": Severity.DEGRADED,
    "title": Severity.DEGRADED,
}


class Report:
    """The losses of one run of an encoder of embeddings.

    Args:
        protocol: The protocol that is written.
        home: Whether the document was born in it.

    Attributes:
        home: As given.
        losses: In document order.
    """

    def __init__(self, protocol: str, *, home: bool) -> None:
        self.home = home
        self.losses: list[Loss] = []
        self._protocol = protocol

    def add(self, path: str, kind: LossKind, severity: Severity, reason: str) -> None:
        """Note a loss."""
        self.losses.append(Loss(path=path, kind=kind, severity=severity, reason=reason))

    def lacks(self, node: Any, path: str, *names: str) -> None:
        """Note members of a node that the protocol has no place for, and all that only its home knows."""
        for name in names:
            if getattr(node, name) is not UNSET:
                where = f"{path}.{name}" if path else name
                reason = f"{self._protocol} has no {name} of embeddings"
                self.add(where, LossKind.DROPPED, _SEVERITY.get(name, Severity.DEGRADED), reason)
        if not self.home:
            self.losses.extend(ext_losses(node.ext, path, self._protocol))

    def uncounted(self, usage: Usage | Any, *named: str) -> None:
        """Note counters of an answer that the protocol has no place for.

        Args:
            usage: The answer's; UNSET: nothing.
            named: The counters that it has.
        """
        if usage is UNSET or self.home:
            return
        self.losses.extend(ext_losses(usage.ext, "usage", self._protocol))
        for name in usage.__struct_fields__:
            if name not in ("ext", "form", *named) and getattr(usage, name) is not UNSET:
                self.add(f"usage.{name}", LossKind.DROPPED, Severity.COSMETIC, f"{self._protocol} has no {name}")


def texts_only(request: EmbeddingRequest, report: Report) -> list[tuple[int, EmbeddingInput, str]]:
    """The inputs that are texts, with their index; any other is refused, since its vector would be missing.

    Args:
        request: The request.
        report: Takes the losses.
    """
    found: list[tuple[int, EmbeddingInput, str]] = []
    for index, item in enumerate(request.inputs):
        if item.text is not UNSET:
            found.append((index, item, item.text))
            continue
        what = "token ids mean nothing to another tokenizer" if item.json is UNSET else "it embeds texts only"
        report.add(f"inputs[{index}]", LossKind.DROPPED, Severity.BLOCKING, what)
    return found


def read_numbers(values: Any, path: str) -> tuple[float | int, ...]:
    """The numbers of a vector.

    Raises:
        InvalidDocument: It is no list of numbers.
    """
    if type(values) is not list:
        raise InvalidDocument(path, "must be an array of numbers")
    for index, value in enumerate(values):
        expect(value, NUMBER, f"{path}[{index}]")
    return tuple(values)


def numbers(vector: Vector, path: str) -> list[float | int]:
    """The numbers of a vector, however it came.

    Raises:
        InvalidDocument: It came packed, and is not what it should be.
    """
    if vector.values is not UNSET:
        return list(vector.values)
    return [] if vector.packed is UNSET else list(unpack(vector.packed, path))


def vectors_for(response: EmbeddingResponse, request: EmbeddingRequest | Any) -> tuple[Vector, ...]:
    """The vectors in the order of the request's inputs.

    Raises:
        InvalidDocument: There are more or fewer than inputs.
    """
    return response.ordered(None if request is UNSET else len(request.inputs))
