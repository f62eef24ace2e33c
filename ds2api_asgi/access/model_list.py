"""Lists of models without those that a key may not use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..asgi.headers import find, replace
from ..asgi.types import Message, Send
from ..errors import InvalidDocument
from ..protocols.base import Protocol
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind

__all__ = ["MAX_LIST", "ModelList", "filtered"]

MAX_LIST: Final = 4 * 1024 * 1024
"""Bytes of a list that is filtered; no provider's has a tenth of it."""

_LISTS: Final = ("data", "models", "publisherModels")


def filtered(document: dict[str, Any], protocol: Protocol, allowed: Callable[[str], bool]) -> dict[str, Any]:
    """A list of models with those that are allowed; what stays of it is not touched.

    Args:
        document: The answer to `Operation.LIST_MODELS`.
        protocol: Its protocol.
        allowed: Tells whether a model may be seen.

    Raises:
        InvalidDocument: It is no list of models.
    """
    name = next((name for name in _LISTS if isinstance(document.get(name), list)), None)
    if name is None:
        if document and "nextPageToken" not in document:
            raise InvalidDocument("", "no list of models")
        return document  # an empty page of Gemini's
    entries = [entry for entry in document[name] if _is_allowed({**document, name: [entry]}, protocol, allowed)]
    ends = {key: entries[at].get("id") if entries else None for key, at in (("first_id", 0), ("last_id", -1))}
    return {**document, name: entries, **{key: end for key, end in ends.items() if key in document}}


def _is_allowed(document: dict[str, Any], protocol: Protocol, allowed: Callable[[str], bool]) -> bool:
    try:
        rows = protocol.decode_models(document)
    except InvalidDocument:
        return False
    return bool(rows) and all(allowed(str(row["id"])) for row in rows)


class ModelList:
    """A ``send`` that filters the answer to a question for models; an answer that cannot be read is not passed on.

    Args:
        send: The client's.
        protocol: The client's.
        allowed: Tells whether a model may be seen.
    """

    def __init__(self, send: Send, protocol: Protocol, allowed: Callable[[str], bool]) -> None:
        self._send = send
        self._protocol = protocol
        self._allowed = allowed
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Take a message of the app."""
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            if len(self._body) <= MAX_LIST:
                self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        if not self._body:  # HEAD
            kept = replace(start.get("headers", ()), {b"content-length": None})
            await self._send({**start, "headers": kept})
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        status, headers = 200, start.get("headers", ())
        try:
            document = self._read(headers)
        except InvalidDocument:
            failure = Failure(kind=FailureKind.BAD_GATEWAY, status=502, message="the list of models cannot be read")
            wire = self._protocol.encode_error(failure)
            status, headers, document = wire.status, wire.headers, wire.document
        body = jsontext.dumps(document)
        headers = replace(headers, {b"content-length": b"%d" % len(body), b"etag": None})
        await self._send({**start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _read(self, headers: Any) -> dict[str, Any]:
        if len(self._body) > MAX_LIST or (find(headers, b"content-encoding") or b"identity") != b"identity":
            raise InvalidDocument("", "too large, or compressed")
        document = jsontext.loads(bytes(self._body))
        if not isinstance(document, dict):
            raise InvalidDocument("", "no list of models")
        return filtered(document, self._protocol, self._allowed)
