"""Answers that went wrong, held whole, and which of them the client should see: a plan may find nothing better."""

from __future__ import annotations

import math

from msgspec import Struct

from ..asgi.headers import RawHeaders, find, replace
from ..asgi.types import Send
from ..protocols.base import Protocol
from ..universal import jsontext
from ..universal.failure import Failure, Fault, KeyAction
from .plan import Failed

__all__ = ["FailedAnswer", "error_answer", "is_document", "preference"]

_RETRIED_BY_CLIENTS = frozenset({408, 409, 429})
"""Statuses below 500 that the official SDKs of OpenAI and Anthropic try again by themselves, twice."""

_OPEN = (b"{", b"[")
_CLOSED = (b"}", b"]")


class FailedAnswer(Struct, frozen=True):
    """An error answer, complete.

    Attributes:
        status: HTTP status.
        headers: As raw ASGI headers.
        body: All of it.
    """

    status: int
    headers: RawHeaders
    body: bytes

    def advised(self, failed: Failed, *, spent: bool) -> FailedAnswer:
        """The same answer, telling the client's SDK what we know about trying again.

        Args:
            failed: How the attempt that gave this answer ended.
            spent: Whether we have tried again already. Then an SDK's own repeats would only multiply ours.
        """
        if self.status < 500 and self.status not in _RETRIED_BY_CLIENTS:
            return self
        changes: dict[bytes, bytes | None] = {}
        if spent or failed.verdict.fault is Fault.QUOTA:
            changes[b"x-should-retry"] = b"false"
        wait = failed.verdict.hint if failed.empty is None else failed.empty.retry_after
        if wait is not None and 0 <= wait < math.inf:
            changes[b"retry-after-ms"] = b"%d" % math.ceil(wait * 1000)
            if find(self.headers, b"retry-after") is None:
                changes[b"retry-after"] = b"%d" % math.ceil(wait)
        return FailedAnswer(self.status, replace(self.headers, changes), self.body)

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Give it to the client.

        Args:
            send: The request's ``send``.
            head: The request was HEAD: no body.
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body, "more_body": False})


def error_answer(protocol: Protocol, failure: Failure) -> FailedAnswer:
    """Say a failure in a protocol's own error shape.

    Args:
        protocol: The client's.
        failure: What went wrong.

    Returns:
        The answer, with its content-length.
    """
    wire = protocol.encode_error(failure)
    body = jsontext.dumps(wire.document)
    length = (b"content-length", b"%d" % len(body))
    headers = [header for header in wire.headers if header[0] != b"content-length"]
    return FailedAnswer(wire.status, [*headers, length], body)


def is_document(body: bytes) -> bool:
    """Whether a whole body looks like JSON from its two ends; all else than a look at its middle, at no cost.

    Proxies' pages, empty bodies and documents that end too early do not: they are no answer of any protocol.
    """
    if body[:1] in _OPEN and body[-1:] in _CLOSED:
        return True
    stripped = body.removeprefix(b"\xef\xbb\xbf").strip()
    return stripped[:1] in _OPEN and stripped[-1:] in _CLOSED


_RANKS: dict[Fault, int] = {
    Fault.REQUEST: 0,
    Fault.RATE: 1,
    Fault.QUOTA: 1,
    Fault.MODEL: 2,
    Fault.PROVIDER: 2,
    Fault.KEY: 5,
    Fault.NETWORK: 6,
    Fault.SELF: 7,
    Fault.CLIENT: 8,
}
_UNKNOWN_MODEL = 3
_ALL_TRIED = 4


def preference(failed: Failed, *, number: int) -> tuple[int, int]:
    """The sort key of a failure among those of one request: the least is the one that the client should see.

    The request's own fault says most, then a rate or quota, an overload, a model that no key may use, a refused key
    (the client's own key is another one), an upstream that was not reached. A pool speaks for all its keys, so what it
    says stands with the rates; but that every key has failed says less than how. Among equals the newest counts, but
    of the request's faults the first.

    Args:
        failed: The outcome.
        number: 1 for the first attempt.

    Returns:
        The key.
    """
    rank = _rank(failed)
    return rank, number if rank == 0 else -number


def _rank(failed: Failed) -> int:
    if failed.empty is not None:
        # A pool whose keys all failed, or may not use the model, says less than the answers that made it so.
        return _ALL_TRIED if failed.empty.reason in ("tried", "blocked") else _RANKS[Fault.RATE]
    if failed.verdict.key is KeyAction.BLOCK_MODEL and failed.status == 404:
        return _UNKNOWN_MODEL
    return _RANKS[failed.verdict.fault]
