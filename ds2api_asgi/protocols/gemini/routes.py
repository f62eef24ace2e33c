"""Paths: which requests are this protocol's, and how an upstream is asked.

``/v1beta/models/{model}:generateContent``, ``:streamGenerateContent`` (with ``alt=sse`` server-sent events, else a JSON
array), ``:countTokens``, ``:embedContent``, ``:batchEmbedContents``, ``:predict``; the same under ``/v1``, for
``tunedModels/…``, and under Vertex AI's ``…/publishers/google/models/…``. It follows https://ai.google.dev/api (read
2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from msgspec import UNSET, UnsetType

from ..base import Claim, Operation, UpstreamRoute
from .profile import BATCH, JSON_ARRAY, NAME

__all__ = ["authorize", "claim", "dialect", "route"]

_PREFIX: Final = "/v1beta"
_METHODS: Final = {
    "generateContent": (Operation.GENERATE, False),
    "streamGenerateContent": (Operation.GENERATE, True),
    "countTokens": (Operation.COUNT_TOKENS, False),
    "embedContent": (Operation.EMBED, False),
    "batchEmbedContents": (Operation.EMBED, False),
    "predict": (Operation.INFER, False),  # pictures; ``predictLongRunning`` begins work that is kept (`resources`)
}
_VERBS: Final = {
    Operation.COUNT_TOKENS: "countTokens",
    Operation.EMBED: "batchEmbedContents",
}
_OPERATION: Final = "/operations/"
_SSE: Final = re.compile(r"(?:^|&)(?:alt|%24alt|\$alt)=sse(?:&|$)")
_PATH: Final = re.compile(
    r"(?P<prefix>(?:/v1(?:beta\d?|alpha)?)?(?:/projects/[^/]+/locations/[^/]+)?)"
    r"(?P<folder>/(?:publishers/[^/]+/)?models|/tunedModels)(?:/(?P<name>.+))?",
    re.DOTALL,  # a decoded path: a name may have any character, ? and # too
)


def claim(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Claim | None:
    """Tell whether a request is this protocol's; of ``/v1/models`` and ``/models`` only its own headers make sure.

    The query tells the framing of a stream: without ``alt=sse`` it is a JSON array.
    """
    # Clients whose base URL ends in a slash send two at the beginning, which the provider takes.
    match = _PATH.fullmatch("/" + path.strip("/"))
    if match is None:
        return None
    prefix, name = match["prefix"], match["name"]
    if name is not None and _OPERATION in name:
        return None  # work under way, which an account keeps
    tuned = match["folder"] == "/tunedModels"
    shared = prefix in {"", "/v1"} and not tuned and "publishers" not in match["folder"]
    sure = not shared or "x-goog-api-key" in headers or "x-goog-api-client" in headers
    if name is None:
        return Claim(
            protocol=NAME,
            operation=Operation.LIST_MODELS,
            prefix=prefix,
            sure=sure,
            method_allowed=method == "GET",
        )
    model, colon, verb = name.rpartition(":")
    known = _METHODS.get(verb) if colon else None
    if known is None:
        return Claim(
            protocol=NAME,
            operation=Operation.GET_MODEL,
            prefix=prefix,
            model=_model(name, tuned=tuned),
            sure=sure,
            method_allowed=method == "GET",
        )
    if not model:
        return None
    operation, stream = known
    return Claim(
        protocol=NAME,
        operation=operation,
        prefix=prefix,
        model=_model(model, tuned=tuned),
        stream=stream if operation is Operation.GENERATE else UNSET,
        dialect=_dialect(verb, query),
        sure=sure or method == "POST",  # what is asked with GET may be another protocol's model of an odd name
        method_allowed=method == "POST",
    )


def _dialect(verb: str, query: str) -> str:
    if verb == "batchEmbedContents":
        return BATCH
    return JSON_ARRAY if verb == "streamGenerateContent" and not _SSE.search(query) else ""


def _model(name: str, *, tuned: bool) -> str:
    return ("tunedModels/" if tuned else "") + unquote(name)


def route(
    operation: Operation,
    *,
    stream: bool,
    model: str | UnsetType,
    dialect: str,  # noqa: ARG001 - upstreams are always asked for server-sent events
) -> UpstreamRoute | None:
    """How to ask an upstream; without a model only its list can be asked for."""
    if operation is Operation.LIST_MODELS:
        return UpstreamRoute(method="GET", path=f"{_PREFIX}/models")
    if not model or operation is Operation.INFER:
        return None
    path = f"{_PREFIX}/{_resource(model)}"
    if operation is Operation.GET_MODEL:
        return UpstreamRoute(method="GET", path=path)
    if operation is Operation.GENERATE and stream:
        return UpstreamRoute(method="POST", path=f"{path}:streamGenerateContent", query=b"alt=sse")
    return UpstreamRoute(method="POST", path=f"{path}:{_VERBS.get(operation, 'generateContent')}")


def _resource(model: str) -> str:
    """``models/x`` of ``x``; what could lead elsewhere (``..``, ``?``, ``#``) is quoted or refused by its spelling."""
    name = model.removeprefix("models/")
    folder = "" if name.startswith("tunedModels/") else "models/"
    segments = [quote(segment, safe=":@") for segment in name.split("/")]
    return folder + "/".join("%2E" * len(segment) if segment in {".", ".."} else segment for segment in segments)


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header that carries an API key: ``x-goog-api-key: AIza…``; never the query, which logs show."""
    return b"x-goog-api-key", secret.encode()


def dialect(headers: Mapping[str, str]) -> str:  # noqa: ARG001 - all clients speak the same
    """The dialect a client speaks, from its headers: there is only one (`profile.JSON_ARRAY` is told by the query)."""
    return ""
