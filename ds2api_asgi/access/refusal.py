"""Answers of the door itself, in the words of whoever asked."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET, Struct

from ..asgi.headers import find, replace
from ..asgi.respond import respond
from ..asgi.types import Receive, Scope, Send
from ..protocols import registry
from ..protocols.base import Claim, Limits, Protocol, WireError
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind

__all__ = ["LOCAL", "Refused", "Words", "protocol_of", "refuse", "refuse_websocket", "words"]

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
        limits: The limits that the answer states.
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
        limits: Sequence[Limits] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.limits = limits
        self.failure = Failure(
            kind=kind,
            status=status,
            message=message,
            code=UNSET if code is None else code,
            type=UNSET if type_ is None else type_,
            retry_after=UNSET if retry_after is None else retry_after,
        )


class Words(Struct, frozen=True):
    """A refusal in a client's protocol.

    Attributes:
        status: HTTP status.
        headers: Lower-case names.
        document: The body.
    """

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


async def refuse(protocol: Protocol, refused: Refused, scope: Scope, send: Send, *, now: float | None = None) -> None:
    """Answer an HTTP request.

    Args:
        protocol: The client's.
        refused: Why.
        scope: The request's.
        send: The request's; no response may have started on it.
        now: Unix time, to write dates; None: the clock's.
    """
    said = words(protocol, refused, now=now)
    await respond(
        send, status=said.status, document=said.document, headers=said.headers, head=scope["method"] == "HEAD"
    )


async def refuse_websocket(
    protocol: Protocol, refused: Refused, scope: Scope, receive: Receive, send: Send, *, now: float | None = None
) -> None:
    """Turn a websocket away before it is accepted: with an HTTP answer where the server can, else by closing it."""
    if (await receive())["type"] != "websocket.connect":
        return
    if _DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": _POLICY, "reason": ""})
        return
    said = words(protocol, refused, now=now)
    body = jsontext.dumps(said.document)
    headers = [*said.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "websocket.http.response.start", "status": said.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def words(protocol: Protocol, refused: Refused, *, now: float | None = None) -> Words:
    """A refusal in a client's protocol; the arguments are those of `refuse`."""
    failure = refused.failure
    wire = protocol.encode_error(failure)
    changes: dict[bytes, bytes | None] = dict((*refused.headers, LOCAL))
    changes.update(protocol.encode_limits(refused.limits, now=time.time() if now is None else now))
    if failure.retry_after is not UNSET:
        changes[b"retry-after"] = b"%d" % math.ceil(failure.retry_after)
        changes[b"retry-after-ms"] = b"%d" % math.ceil(failure.retry_after * 1000)
    document = wire.document if wire.status == refused.status else _restated(wire, refused.status)
    return Words(refused.status, replace(wire.headers, changes), document)


def _restated(wire: WireError, status: int) -> dict[str, Any]:
    """An error document that repeats its status in its code (Gemini's does) under another status."""
    error = wire.document.get("error")
    if not isinstance(error, dict) or error.get("code") != wire.status:
        return wire.document
    return {**wire.document, "error": {**error, "code": status}}
