"""Requests that need no translation but may hold the opaque state of another upstream.

A client that speaks the app's own protocol may have been answered by an upstream of another one the turn before, when
several stand behind one failover. What that one signed would be refused here, so it is taken out; a body without any
mark of a capsule passes as it came, byte for byte.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ..asgi.body import Replay, read_body
from ..asgi.exchange import enter
from ..asgi.headers import decode, find
from ..asgi.respond import respond
from ..asgi.types import Receive, Scope, Send
from ..errors import BodyTooLarge, InvalidDocument
from ..protocols.base import Claim, Operation
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind
from .carrying import Carrying
from .settings import Settings

__all__ = ["HISTORIES", "stripped"]

HISTORIES: Final = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS})
"""Operations whose requests hold a history."""


async def stripped(settings: Settings, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
    """Ask the app without the state of others.

    Raises:
        ClientGone: The client left while its body was read.
    """
    try:
        replay = await read_body(receive, limit=settings.max_body)
    except BodyTooLarge as error:
        failure = Failure(kind=FailureKind.TOO_LARGE, status=413, message=str(error))
        wire = settings.upstream.encode_error(failure)
        await respond(send, status=wire.status, document=wire.document, headers=wire.headers)
        return
    body = replay.body
    coded = find(scope["headers"], b"content-encoding")
    if settings.carriage.marked(body) and coded in (None, b"identity"):
        clean = _clean(settings, claim, scope, body)
        if clean is not None:
            length = (b"content-length", b"%d" % len(clean))
            headers = [header for header in scope["headers"] if header[0].lower() != b"content-length"]
            scope, _ = enter({**scope, "headers": [*headers, length]})
            await replay()  # the body itself; what is left is the disconnect
            await settings.app(scope, Replay(clean, replay), send)
            return
    await settings.app(scope, replay, send)


def _clean(settings: Settings, claim: Claim, scope: Scope, body: bytes) -> bytes | None:
    """The body without what others minted; None when there is none of it, or the body is for the app to refuse."""
    upstream = settings.upstream
    headers = decode(scope["headers"])
    dialect = upstream.dialect(headers) if claim.dialect is UNSET else claim.dialect
    try:
        document = upstream.parse(body)
        request = upstream.decode_request(document, dialect=dialect, operation=claim.operation)
    except InvalidDocument:
        return None
    scope, exchange = enter(scope)
    kept, losses = Carrying(settings.carriage, upstream.name, str).request(request)
    if kept is request:
        return None
    settings.losses.note(exchange, losses, of="request")
    encoded = upstream.encode_request(kept, dialect=dialect, operation=claim.operation)
    return jsontext.dumps(encoded.document)
