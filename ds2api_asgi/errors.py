"""Every exception of the library; anything else raised out of a public call is a bug.

Ds2apiError
├── ConfigurationError (ValueError)   a constructor was given something it cannot work with
├── ConversionError (ValueError)      a document cannot be converted
│   ├── InvalidDocument               not JSON, or a value of the wrong type: names the path
│   └── LossRejected                  the target cannot carry it and the policy says reject
├── FramingError (ValueError)         bytes break the framing or one of its bounds
├── BodyTooLarge                      a body is over its bound
├── ClientGone                        the client left; nobody is there to be answered
├── TransportError                    an upstream could not be reached or did not answer
└── BrokenStream                      an upstream broke off after its response had started
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .universal.loss import Loss

__all__ = [
    "BodyTooLarge",
    "BrokenStream",
    "ClientGone",
    "ConfigurationError",
    "ConversionError",
    "Ds2apiError",
    "FramingError",
    "InvalidDocument",
    "LossRejected",
    "TransportError",
]


class Ds2apiError(Exception):
    """The root of the tree: ``except Ds2apiError`` catches all of ours and nothing else."""


class ConfigurationError(Ds2apiError, ValueError):
    """A constructor or configuration value that cannot work, found before any request is served."""


class ConversionError(Ds2apiError, ValueError):
    """A document cannot be converted."""


class InvalidDocument(ConversionError):
    """A document that is not JSON, or has a value of the wrong type or none where one is required.

    Attributes:
        path: Where, in the document's own spelling: ``messages[2].content[0].text``; ``""`` is the document itself.
        problem: What is wrong, in words that hold no value of the document.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class LossRejected(ConversionError):
    """The target protocol cannot carry part of the document and the policy is ``reject``.

    Attributes:
        losses: What would have been lost, in document order.
    """

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__("; ".join(f"{loss.path}: {loss.reason}" for loss in losses))
        self.losses = tuple(losses)


class FramingError(Ds2apiError, ValueError):
    """Bytes that break the framing (SSE, NDJSON, JSON array) or one of its bounds."""


class BodyTooLarge(Ds2apiError):
    """A body is over its bound.

    Attributes:
        limit: The bound in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over the limit of {limit} bytes")
        self.limit = limit


class ClientGone(Ds2apiError):
    """The client disconnected; there is nobody to answer."""

    def __init__(self) -> None:
        super().__init__("the client disconnected")


class TransportError(Ds2apiError):
    """An upstream could not be reached, or did not answer before its response started.

    Attributes:
        reason: One of ``connect``, ``tls``, ``write``, ``reset``, ``protocol``, ``timeout``, ``pool``.
        processed: Whether the upstream may have begun to work on the request (False: surely not).
    """

    def __init__(self, reason: str, message: str, *, processed: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.processed = processed


class BrokenStream(Ds2apiError):
    """An upstream broke off after its response had started: reset, cut, idle for too long, or over its total time.

    Attributes:
        reason: One of ``reset``, ``truncated``, ``idle``, ``total``, ``protocol``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
