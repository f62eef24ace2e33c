"""What is said when the app is not asked: errors in OpenAI's shape, with the words of its own API where they are known.

https://platform.openai.com/docs/guides/error-codes (read 2026-11-28).
"""

from __future__ import annotations

from typing import Any

from ..asgi.respond import respond
from ..asgi.types import Send
from ..errors import Ds2apiError, InvalidDocument
from ..protocols.openai_shared.errors import encode_error
from ..universal.failure import Failure, FailureKind

__all__ = [
    "Refused",
    "bad_gateway",
    "invalid",
    "item_not_found",
    "method_not_allowed",
    "misread",
    "overloaded",
    "previous_not_found",
    "refuse",
    "response_not_found",
    "store_failed",
    "too_large",
]


class Refused(Ds2apiError):
    """A request that is answered here; never leaves the part.

    Attributes:
        status: HTTP status.
        document: ``{"error": {"message", "type", "param", "code"}}``.
        headers: Further headers of the answer.
    """

    def __init__(self, failure: Failure, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(failure.message)
        wire = encode_error(failure, protocol="openai-responses")
        self.status = wire.status
        self.document: dict[str, Any] = wire.document
        self.headers = (*wire.headers, *headers)


def _refused(
    kind: FailureKind,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Refused:
    return Refused(Failure(kind=kind, message=message, param=param, code=code), headers=headers)


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> Refused:
    """A request that makes no sense: 400."""
    return _refused(FailureKind.INVALID, message, param=param, code=code)


def misread(error: InvalidDocument) -> Refused:
    """A document that cannot be read: 400, and where."""
    return invalid(str(error), param=error.path or None)


def previous_not_found(id_: str) -> Refused:
    """What a request continues is not there, or another's, which must look the same."""
    return invalid(
        f"Previous response with id '{id_}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def item_not_found(id_: str) -> Refused:
    """What an item refers to is not there, or another's."""
    return _refused(
        FailureKind.NOT_FOUND,
        f"Item with id '{id_}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input.",
        param="input",
    )


def response_not_found(id_: str) -> Refused:
    """A response that is not there, or another's."""
    return _refused(FailureKind.NOT_FOUND, f"Response with id '{id_}' not found.")


def method_not_allowed(method: str, allowed: str) -> Refused:
    """A path that knows other methods."""
    return _refused(
        FailureKind.METHOD,
        f"the method {method} is not allowed here",
        code="method_not_allowed",
        headers=((b"allow", allowed.encode()),),
    )


def too_large(message: str) -> Refused:
    """A body over its bound: 413."""
    return _refused(FailureKind.TOO_LARGE, message, code="request_too_large")


def bad_gateway(message: str) -> Refused:
    """An answer of the app that cannot be read: 502."""
    return _refused(FailureKind.BAD_GATEWAY, message, code="bad_gateway")


def overloaded(message: str) -> Refused:
    """Too much to do: 503."""
    return _refused(FailureKind.OVERLOADED, message, code="server_is_overloaded")


def store_failed() -> Refused:
    """What is kept cannot be reached: 500."""
    return _refused(FailureKind.SERVER, "the state of this server cannot be reached")


async def refuse(send: Send, refused: Refused, *, head: bool = False) -> None:
    """Answer with an error; the arguments are those of `respond`."""
    await respond(send, status=refused.status, document=refused.document, headers=refused.headers, head=head)
