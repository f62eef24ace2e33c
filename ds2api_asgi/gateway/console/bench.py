"""The translator bench: a pasted document in every protocol, with what it lost on the way to each.

Nothing of it is logged or kept.
"""

from __future__ import annotations

from typing import Any, Final

from ...errors import ConfigurationError, InvalidDocument
from ...protocols import registry
from ...translator import Converted, convert
from ...universal import jsontext
from .answers import Answer, failure, json_answer

__all__ = ["KINDS", "MAX_DOCUMENT", "translate"]

KINDS: Final = ("request", "response", "stream", "error")

MAX_DOCUMENT: Final = 1024 * 1024
"""Bytes of a call with its document; it becomes as many documents as there are protocols."""

_MAX_LOSSES: Final = 1000


def translate(body: bytes) -> Answer:
    """Answer ``{"kind": "request", "source": "anthropic", "document": "text as pasted"}``.

    Further members that a call may have are `convert`'s: ``model`` and ``stream`` of a request whose path says them,
    and ``source_dialect``.

    Args:
        body: The call's.

    Returns:
        For each protocol its document and losses, or why there is none; 400 where the call is none.
    """
    try:
        asked = jsontext.loads(body)
    except InvalidDocument:
        return failure(400, "invalid_request", "The call is not JSON.")
    problem = _problem(asked)
    if problem is not None:
        return failure(400, "invalid_request", problem)
    return json_answer({"targets": {target: _to(target, asked) for target in registry.names()}})


def _problem(asked: Any) -> str | None:
    if not isinstance(asked, dict):
        return "The call is not an object."
    if asked.get("kind") not in KINDS:
        return f"kind is one of {', '.join(KINDS)}."
    if asked.get("source") not in registry.names():
        return f"source is one of {', '.join(registry.names())}."
    if not isinstance(asked.get("document"), str):
        return "document is the text of a document."
    for name in ("model", "source_dialect"):
        if not isinstance(asked.get(name, ""), str | None):
            return f"{name} is a string."
    if not isinstance(asked.get("stream"), bool | None):
        return "stream is true or false."
    return None


def _to(target: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        converted = convert(
            asked["document"],
            kind=asked["kind"],
            source=asked["source"],
            target=target,
            source_dialect=asked.get("source_dialect") or "",
            model=asked.get("model"),
            stream=asked.get("stream"),
        )
    except InvalidDocument as error:
        return {"error": error.problem, "path": error.path}
    except ConfigurationError as error:
        return {"error": str(error), "path": ""}
    except RecursionError:
        return {"error": "is nested too deeply", "path": ""}
    return _converted(converted, is_stream=asked["kind"] == "stream")


def _converted(converted: Converted, *, is_stream: bool) -> dict[str, Any]:
    text = converted.body.decode("utf-8", "surrogatepass" if not is_stream else "replace")
    route = converted.route
    return {
        "document": text,
        "route": None if route is None else f"{route.method} {route.path}{_query(route.query)}",
        "losses": [
            {
                "path": loss.path,
                "kind": loss.kind.value,
                "severity": loss.severity.value,
                "reason": loss.reason,
            }
            for loss in converted.losses[:_MAX_LOSSES]
        ],
        "omitted": max(0, len(converted.losses) - _MAX_LOSSES),
    }


def _query(query: bytes) -> str:
    return "?" + query.decode("latin-1") if query else ""
