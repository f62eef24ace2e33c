"""`TargetApp`: one target of a route as an app: asked for the model that it knows, by the rules of its route.

The router finds out what a request asks for and leaves it in the scope (`Asked`), since a failover may stand between.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import UNSET, Struct

from ...asgi.body import Replay, read_body
from ...asgi.exchange import enter
from ...asgi.headers import form_type, replace
from ...asgi.path import relative_path, with_path
from ...asgi.respond import respond
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...errors import BodyTooLarge, FramingError
from ...framing.form import with_field
from ...protocols import registry
from ...protocols.base import Claim, Operation, Protocol
from ...universal import jsontext
from ...universal.failure import Failure, FailureKind
from .renamed import Renamed
from .routes import Leg, Routed, Ruled
from .splice import change, rename, renamed

__all__ = ["ASKED", "Asked", "TargetApp", "fail"]

ASKED: Final = "ds2api_asgi.asked"
"""Scope key of what a router found out about a request."""

_PATH: Final = re.compile(
    r"(?P<head>.*?/(?:models|tunedModels)/)(?P<model>.+?)"
    r"(?P<verb>:(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents|predict))?"
)
_STATUS: Final = {
    FailureKind.INVALID: 400,
    FailureKind.NOT_FOUND: 404,
    FailureKind.METHOD: 405,
    FailureKind.TOO_LARGE: 413,
}


class Asked(Struct, frozen=True, kw_only=True, eq=False):
    """What a leg needs to know of its request.

    Attributes:
        claim: Whose it is.
        model: What the client asked for.
        own: What a target without a model of its own is asked for.
    """

    claim: Claim
    model: str
    own: str


class TargetApp:
    """Ask one target: for the name that it knows, by the rules of its route.

    Args:
        app: The target's.
        leg: The target, and the route's rules.
        rename_answers: Whether answers say the name that the client asked for.
        max_body: Bytes of a body that has to be changed.

    Attributes:
        leg: As given.
    """

    def __init__(self, app: ASGIApp, leg: Leg, *, rename_answers: bool, max_body: int) -> None:
        self._app = app
        self.leg = leg
        self._rename_answers = rename_answers
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask it; raises ClientGone when the client left while its body was read."""
        asked: Asked = scope[ASKED]
        claim = asked.claim
        model = self.leg.target.model or asked.own
        scope, exchange = enter(scope)
        exchange.note(Routed(model=asked.model, target=self.leg.target.app, upstream_model=model))
        ruled = self.leg.rules if self.leg.rules and claim.operation is Operation.GENERATE else None
        other = model != asked.model
        repeated = claim.model is not UNSET and claim.operation in (Operation.EMBED, Operation.COUNT_TOKENS)
        if other and claim.model is not UNSET:
            scope = _at_path(scope, claim, model)
        if ruled is not None or (other and (claim.model is UNSET or repeated)):
            try:
                replay = await read_body(receive, limit=self._max_body)
            except BodyTooLarge as error:
                await fail(registry.get(claim.protocol), scope, send, FailureKind.TOO_LARGE, str(error))
                return
            body = replay.body
            if other:
                try:
                    body = _renamed(scope, body, model) if claim.model is UNSET else _repeated(body, model)
                except FramingError as error:
                    await fail(registry.get(claim.protocol), scope, send, FailureKind.INVALID, str(error))
                    return
            if ruled is not None:
                edits = change(body, remove=ruled.remove, override=ruled.override, default=ruled.default)
                body = edits.body
                if edits.removed or edits.overridden or edits.defaulted:
                    exchange.note(Ruled(removed=edits.removed, overridden=edits.overridden, defaulted=edits.defaulted))
            receive = replay
            if body is not replay.body:
                replay.take()
                named, streams = replay.peek(scope["headers"])
                receive = Replay(body, replay, peeked=(model if claim.model is UNSET else named, streams))
                scope = {**scope, "headers": replace(scope["headers"], {b"content-length": b"%d" % len(body)})}
        await self._app(scope, receive, Renamed(send, asked.model) if self._rename_answers else send)


def _at_path(scope: Scope, claim: Claim, model: str) -> Scope:
    """The request with another model in its path."""
    path = relative_path(scope)
    match = _PATH.fullmatch(path)
    if match is None:
        return scope
    head, verb = match["head"], match["verb"] or ""
    if claim.protocol != "gemini" and verb:  # a part of the name
        verb = ""
    if head.endswith("/tunedModels/"):
        head = head.removesuffix("tunedModels/") + "models/"
    if model.startswith("tunedModels/"):
        head = head.removesuffix("models/")
    return with_path(scope, head + model + verb, scope.get("query_string") or b"")


def _renamed(scope: Scope, body: bytes, model: str) -> bytes:
    """The body with another model, which it is known to name.

    Raises:
        FramingError: It is a form that cannot name it.
    """
    kind = form_type(scope["headers"])
    return rename(body, model, named=True) if kind is None else with_field(body, kind, "model", model)


def _repeated(body: bytes, model: str) -> bytes:
    """The body of a Gemini request that repeats the path's model in its members."""
    if b'"model"' not in body:
        return body
    encoded = jsontext.dumps(f"models/{model}")
    changed = renamed(body, encoded, names={"model"}, within={"generateContentRequest"})
    try:
        document = jsontext.loads(changed)
    except ValueError:
        return body
    requests = document.get("requests") if isinstance(document, dict) else None
    if not isinstance(requests, list):
        return changed
    own = [{**one, "model": f"models/{model}"} if isinstance(one, dict) and "model" in one else one for one in requests]
    return change(changed, override={"requests": own}).body


async def fail(
    protocol: Protocol, scope: Scope, send: Send, kind: FailureKind, message: str, *, status: int | None = None
) -> None:
    """Answer with an error in the client's protocol; with another status than the kind's where documents have none."""
    wire = protocol.encode_error(Failure(kind=kind, status=_STATUS[kind], message=message))
    head = scope["method"] == "HEAD"
    await respond(send, status=status or wire.status, document=wire.document, headers=wire.headers, head=head)
