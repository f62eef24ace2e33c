"""What a request needs of a model: tools, pictures, thinking; told from the request as its protocol understands it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, UnsetType

from ...asgi.headers import decode
from ...asgi.types import Scope
from ...errors import InvalidDocument
from ...protocols.base import Claim, Operation, Protocol
from ...universal.content import Media, ToolResult
from ...universal.request import Request

__all__ = ["needs_of"]


def needs_of(protocol: Protocol, claim: Claim, scope: Scope, body: bytes) -> frozenset[str]:
    """What a request needs of a model.

    Args:
        protocol: The client's.
        claim: The request's.
        scope: The request's.
        body: All of it.

    Returns:
        Some of `routes.CAPABILITIES`; none where the body cannot be read, which the app will say.
    """
    if claim.operation in (Operation.EMBED, Operation.INFER):
        return frozenset()
    dialect = protocol.dialect(decode(scope["headers"])) if claim.dialect is UNSET else claim.dialect
    try:
        request = protocol.decode_request(protocol.parse(body), dialect=dialect, operation=claim.operation)
    except InvalidDocument:
        return frozenset()
    return frozenset(_needed(request))


def _needed(request: Request) -> Iterable[str]:
    if request.tools is not UNSET and request.tools:
        yield "tools"
    if any(_has_picture(turn.parts) for turn in request.turns):
        yield "vision"
    if request.reasoning_mode == "disabled" or request.reasoning_effort == "none":
        return
    if any(
        value is not UNSET and value
        for value in (request.reasoning_effort, request.reasoning_budget, request.reasoning_mode)
    ):
        yield "reasoning"


def _has_picture(parts: Iterable[Any] | UnsetType) -> bool:
    return parts is not UNSET and any(
        (isinstance(part, Media) and part.kind == "image")
        or (isinstance(part, ToolResult) and _has_picture(part.parts))
        for part in parts
    )
