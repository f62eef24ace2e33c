"""The answer: a message.

It follows https://docs.anthropic.com/en/api/messages and …/handling-stop-reasons (read 2026-11-22).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ...errors import InvalidDocument
from ...universal.content import Refusal, ToolCall
from ...universal.jsontext import dumps
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import Turn
from ...universal.response import Candidate, Response
from ..base import Context, Encoded
from ..fields import put, take
from ..scope import Scope
from .errors import decode_failure, encode_failure
from .fields import RESPONSE
from .parts import decode_answer, encode_part
from .profile import NAME, TARGET
from .stops import decode_stop, encode_stop
from .usage import decode_usage, encode_usage

__all__ = [
    "TIERS",
    "decode_response",
    "encode_response",
    "encode_tier",
    "invent_id",
    "settle",
    "split_usage",
]

_HANDLED: Final = frozenset(
    {"type", "role", "content", "usage", "stop_reason", "stop_sequence", "stop_details", "service_tier"}
)
TIERS: Final = {"default": "standard", "standard": "standard", "priority": "priority", "batch": "batch"}
"""Service tiers of other protocols that this one has, by another name or the same."""


def decode_response(document: dict[str, Any]) -> Response:
    """See `Protocol.decode_response`; an error document under a success status becomes ``error``."""
    origin = Origin(protocol=NAME)
    if document.get("type") == "error":
        return Response(error=decode_failure(document, UNSET), origin=origin)
    if document.get("type") != "message" and "content" not in document:
        raise InvalidDocument("", "is not a message")
    values, unknown = take(document, RESPONSE, handled=_HANDLED, strict=False)
    ext: dict[str, Any] = unknown or {}
    form: list[str] = []
    _keep_odd(document, ext, form)
    role = document.get("role")
    content = document.get("content")
    turn = Turn(
        role=role if type(role) is str else "assistant",
        parts=tuple([decode_answer(block) for block in content]) if type(content) is list else (),
    )
    stop, left = decode_stop(document)
    ext.update(left)
    if "usage" in document:
        usage = document["usage"]
        if type(usage) is dict:
            values["usage"], tier = split_usage(usage)
            if tier is not UNSET:
                values["service_tier"] = tier
        else:
            ext["usage"] = usage
    return Response(
        candidates=(Candidate(turns=(turn,), stop=stop),), ext=ext or UNSET, form=tuple(form), origin=origin, **values
    )


def split_usage(document: dict[str, Any]) -> tuple[Any, str | UnsetType]:
    """Read ``usage`` and the service tier that stands in it."""
    tier = document.get("service_tier")
    if type(tier) is str:
        return decode_usage({name: value for name, value in document.items() if name != "service_tier"}), tier
    return decode_usage(document), UNSET


def _keep_odd(document: dict[str, Any], ext: dict[str, Any], form: list[str]) -> None:
    """Members without which no message should be, where they are missing or odd."""
    if "service_tier" in document:
        ext["service_tier"] = document["service_tier"]
    for name, kind in (("content", list), ("role", str), ("type", str)):
        if name not in document:
            form.append(f"{name}:absent")
        elif type(document[name]) is not kind:
            ext[name] = document[name]
    if document.get("type", "message") != "message":
        ext["type"] = document["type"]


def encode_response(response: Response, context: Context) -> Encoded:
    """See `Protocol.encode_response`.

    Look at ``response.error`` before: where it is set, the document is the error's. Of several candidates the first
    is said. The id stays the upstream's, whatever it looks like; one is made of the content where there is none.
    """
    if response.error is not UNSET:
        return Encoded(document=encode_failure(response.error))
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document: dict[str, Any] = {}
    put(response, RESPONSE, document)
    candidate = response.candidates[0] if response.candidates else Candidate()
    role = candidate.turns[0].role if candidate.turns and scope.home else "assistant"
    content = _content(candidate, scope)
    members = {"type": "message", "role": role, "content": content}
    absent = response.form if scope.home else ()
    for name in [name for name in members if f"{name}:absent" in absent] if absent else ():
        del members[name]
    document.update(members)
    if candidate.stop is not UNSET:
        kinds: set[type] = set()
        for turn in candidate.turns:
            kinds.update(map(type, turn.parts))
        stop = encode_stop(candidate.stop, calls=ToolCall in kinds, refused=Refusal in kinds, scope=scope)
        document.update(stop)
    if not scope.home or response.usage is not UNSET:
        document["usage"] = encode_usage(response.usage, scope)
    if scope.home:
        if response.service_tier is not UNSET:
            document.setdefault("usage", {})["service_tier"] = response.service_tier
        document.update(response.ext or {})
    else:
        _adapt(response, document, context, scope)
    return Encoded(document=document, losses=tuple(scope.losses))


def _content(candidate: Candidate, scope: Scope) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for turn_index, turn in enumerate(candidate.turns):
        for index, part in enumerate(turn.parts):
            path = f"candidates[0].turns[{turn_index}].parts[{index}]"
            blocks += encode_part(part, path, scope)
    return blocks


def _adapt(response: Response, document: dict[str, Any], context: Context, scope: Scope) -> None:
    """What an answer from elsewhere lacks, and what of it has no place; its time is not missed, HTTP states one."""
    for name in ("container", "context_management"):
        if document.pop(name, None) is not None:
            scope.drop(name, Severity.DEGRADED, f"{NAME} means something else by it")
    document.setdefault("stop_reason", None)
    document.setdefault("stop_sequence", None)
    asked = context.request.model if context.request is not UNSET else UNSET
    if "model" not in document:
        document["model"] = asked or ""
        scope.add("model", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands it; it is the one asked for")
    if not response.id:
        document["id"] = invent_id(dumps(document["content"]), context.now)
        scope.add("id", LossKind.INVENTED, Severity.COSMETIC, f"{NAME} demands it; it is made of the content")
    if response.service_tier is not UNSET:
        encode_tier(response.service_tier, document["usage"], scope)
    for index, candidate in enumerate(response.candidates):
        path = f"candidates[{index}]"
        if index:
            scope.drop(path, Severity.SEMANTIC, f"{NAME} gives one answer")
            continue
        if candidate.logprobs is not UNSET:
            scope.drop(f"{path}.logprobs", Severity.SEMANTIC, f"{NAME} has none")
        if candidate.ext is not UNSET:
            scope.ext(candidate.ext, path)
        for number, turn in enumerate(candidate.turns):
            if turn.ext is not UNSET:
                scope.ext(turn.ext, f"{path}.turns[{number}]")
    if response.ext is not UNSET:
        scope.ext(response.ext, "")


def encode_tier(tier: str | UnsetType, usage: dict[str, Any], scope: Scope) -> None:
    """Write the service tier of an answer from elsewhere into its ``usage``."""
    if tier is UNSET:
        return
    if tier in TIERS:
        usage["service_tier"] = TIERS[tier]
    if usage.get("service_tier") != tier:
        scope.add("service_tier", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has other tiers")


def settle(response: Response) -> Response:
    """Give what a stream of ours said in passing (``container``, ``context_management``) its place in the answer."""
    ext = dict(response.ext or {})
    found = {name: ext.pop(name) for name in ("container", "context_management") if ext.get(name) is not None}
    return replace(response, ext=ext or UNSET, **found) if found else response


def invent_id(seed: bytes, now: int) -> str:
    """An id for an answer that has none: the same for the same answer."""
    return f"msg_{hashlib.sha256(b'%d:' % now + seed).hexdigest()[:24]}"
