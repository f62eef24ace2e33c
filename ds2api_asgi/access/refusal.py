"""Answers of the door itself, in the words of whoever asked."""

from __future__ import annotations

import math
from typing import Any, Final

from msgspec import UNSET, Struct

from ..asgi.headers import find, replace
from ..asgi.respond import respond
from ..asgi.types import Receive, Scope, Send
from ..protocols import registry
from ..protocols.base import Claim, Protocol, WireError
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind

__all__ = ["LOCAL", "Refused", "protocol_of", "refuse", "refuse_websocket"]

LOCAL: Final = (b"x-ds2-refused", b"local")
"""Tells our refusals from those of a provider behind us."""

_DENIAL: Final = "websocket.http.response"
_POLICY: Final = 1008  # RFC 6455, 7.4.1: "violates its policy"


class Refused(Exception):
    """A request goes no further.

    Attributes:
        status: HTTP status.
        failure: What its client is told; holds no secret, and nothing of the request.
        headers: Further headers.
    """

    def __init__(
        self,
        kind: FailureKind,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type_: str | None = None,
        retry_after: float | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.failure = Failure(
            kind=kind,
            status=status,
            message=message,
            code=UNSET if code is None else code,
            type=UNSET if type_ is None else type_,
            retry_after=UNSET if retry_after is None else retry_after,
        )


class _Words(Struct, frozen=True):
    status: int
    headers: list[tuple[bytes, bytes]]
    document: dict[str, Any]


def protocol_of(claim: Claim | None, scope: Scope) -> Protocol:
    """In which protocol a client is told something: its claim's, else the one that its headers look like."""
    if claim is not None:
        return registry.get(claim.protocol)
    headers = scope["headers"]
    if find(headers, b"anthropic-version") is not None:
        return registry.get("anthropic")
    if find(headers, b"x-goog-api-key") is not None or find(headers, b"x-goog-api-client") is not None:
        return registry.get("gemini")
    return registry.get("openai-chat")


async def refuse(protocol: Protocol, refused: Refused, scope: Scope, send: Send) -> None:
    """Answer an HTTP request.

    Args:
        protocol: The client's.
        refused: Why.
        scope: The request's.
        send: The request's; no response may have started on it.
    """
    words = _words(protocol, refused)
    # What was not read of the body is on the connection still: it cannot be used for another request.
    await respond(
        send, status=words.status, document=words.document, headers=words.headers, head=scope["method"] == "HEAD"
    )


async def refuse_websocket(protocol: Protocol, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Turn a websocket away before it is accepted: with an HTTP answer where the server can, else by closing it."""
    if (await receive())["type"] != "websocket.connect":
        return
    if _DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": _POLICY, "reason": ""})
        return
    words = _words(protocol, refused)
    body = jsontext.dumps(words.document)
    headers = [*words.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "websocket.http.response.start", "status": words.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _words(protocol: Protocol, refused: Refused) -> _Words:
    failure = refused.failure
    wire = protocol.encode_error(failure)
    changes: dict[bytes, bytes | None] = dict((*refused.headers, LOCAL))
    if failure.retry_after is not UNSET:
        changes[b"retry-after"] = b"%d" % math.ceil(failure.retry_after)
        changes[b"retry-after-ms"] = b"%d" % math.ceil(failure.retry_after * 1000)
    document = wire.document if wire.status == refused.status else _restated(wire, refused.status)
    return _Words(refused.status, replace(wire.headers, changes), document)


def _restated(wire: WireError, status: int) -> dict[str, Any]:
    """An error document that repeats its status in its code (Gemini's does) under another status."""
    error = wire.document.get("error")
    if not isinstance(error, dict) or error.get("code") != wire.status:
        return wire.document
    return {**wire.document, "error": {**error, "code": status}}
