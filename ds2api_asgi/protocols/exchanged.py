"""What the sides of a protocol exchange with the rest of the library, beside requests, answers and events."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from ..universal.loss import Loss
from ..universal.request import Request

__all__ = ["Claim", "Context", "Encoded", "Limits", "Operation", "UpstreamRoute", "WireError"]


class Operation(StrEnum):
    """What a request asks for."""

    GENERATE = "generate"
    COUNT_TOKENS = "count_tokens"
    LIST_MODELS = "list_models"
    GET_MODEL = "get_model"
    EMBED = "embed"
    INFER = "infer"  # a model is asked in a form that is not translated: texts to complete, sound, pictures, ranks
    ABOUT = "about"  # what a server says of itself (``GET /api/version``)


class Claim(Struct, frozen=True, kw_only=True):
    """A protocol says: this HTTP request is mine.

    Attributes:
        protocol: The protocol's name.
        operation: What it asks for.
        prefix: What stood before the protocol's own path (``"/v1"``, or ``""`` where a client left it out).
        model: The model where the path names it; UNSET where the body does.
        stream: Whether the answer comes as a stream, where the path says it; UNSET where the body does.
        dialect: The dialect that the path's query tells; UNSET where headers do.
        sure: False for paths that several protocols share (``/v1/models``) when no header decided.
        method_allowed: False when the path is the protocol's but the method is not (answer 405).
        about: What answers `Operation.ABOUT`, of which no upstream needs to be asked; else None.
    """

    protocol: str
    operation: Operation
    prefix: str = ""
    model: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    dialect: str | UnsetType = UNSET
    sure: bool = True
    method_allowed: bool = True
    about: dict[str, Any] | None = None

    def asks_for_stream(self, said: bool | None, *, by_default: bool) -> bool:
        """Whether a stream is asked for.

        Args:
            said: What the body says, None when it does not.
            by_default: `Protocol.streams_by_default`.
        """
        if self.stream is not UNSET:
            return self.stream
        return by_default if said is None else said

    def complete(self, request: Request) -> Request:
        """The request with what the path says of it, which counts for more than what a body repeats."""
        if self.model is not UNSET and request.model != self.model:
            request = replace(request, model=self.model)
        if self.stream is not UNSET and request.stream is UNSET:
            request = replace(request, stream=self.stream)
        return request


class UpstreamRoute(Struct, frozen=True, kw_only=True):
    """How an operation is asked of an upstream that speaks a protocol.

    Attributes:
        method: ``"POST"``.
        path: ``"/v1/messages"``.
        query: Without the question mark; ``b""`` for none.
        headers: Headers that the protocol demands (``(b"anthropic-version", b"2023-06-01")``), lower-case names.
        document: The body, where the operation has one that says no more than the route's arguments; else None.
    """

    method: str
    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    document: dict[str, Any] | None = None


class Encoded(Struct, frozen=True, kw_only=True):
    """A document of the target protocol, and what it does not say.

    Attributes:
        document: A JSON value; `universal.jsontext.dumps` makes it bytes.
        losses: In document order; empty when nothing was lost.
        context: What the answer's translation needs to know (request encoders only).
    """

    document: dict[str, Any]
    losses: tuple[Loss, ...] = ()
    context: Context | None = None


class Context(Struct, kw_only=True):
    """What translating an answer needs to know of its request; made by `Protocol.encode_request`.

    Attributes:
        request: The client's request in universal form; UNSET when an answer is converted alone.
        tool_names: Upstream spelling to the client's, where a name had to change.
        call_ids: Upstream spelling to the client's, where a call id had to change.
        custom_tools: Names of tools that take free text, wrapped into functions for this upstream.
        now: Unix time for documents that must state one and whose source has none.
        remade: Whether parts of the answer may be new, made of others on its way: they have no ids of their own.
    """

    request: Request | UnsetType = UNSET
    tool_names: dict[str, str] = field(default_factory=dict)
    call_ids: dict[str, str] = field(default_factory=dict)
    custom_tools: frozenset[str] = frozenset()
    now: int = 0
    remade: bool = False


class WireError(Struct, frozen=True, kw_only=True):
    """An error answer in a protocol's spelling.

    Attributes:
        status: HTTP status.
        headers: Lower-case names; content-type included.
        document: The JSON body.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    document: dict[str, Any]


class Limits(Struct, frozen=True, kw_only=True):
    """What a provider's rate limit headers said about one dimension.

    Attributes:
        dimension: ``"requests"``, ``"tokens"``, ``"input-tokens"``, ``"output-tokens"``.
        limit: What is allowed in the window, or None.
        remaining: What is left of it, or None.
        reset_after: Seconds until it is whole again, or None.
    """

    dimension: str
    limit: float | None = None
    remaining: float | None = None
    reset_after: float | None = None
