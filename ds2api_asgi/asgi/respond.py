"""A whole JSON answer in two messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..universal import jsontext
from .types import Send

__all__ = ["respond"]


async def respond(
    send: Send,
    *,
    status: int,
    document: Any,
    headers: Iterable[tuple[bytes, bytes]] = (),
    content_type: bytes = b"application/json",
    head: bool = False,
) -> None:
    """Send a JSON document as the whole answer.

    Args:
        send: The request's ``send``; no response may have started on it.
        status: HTTP status.
        document: A JSON value.
        headers: Further headers, lower-case names; a ``content-type`` among them stands for the default.
        content_type: What the document is.
        head: The request was HEAD: headers as for GET, and no body (daphne would write it).
    """
    body = jsontext.dumps(document)
    fields = [header for header in headers if header[0] != b"content-length"]
    if not any(name == b"content-type" for name, _ in fields):
        fields.append((b"content-type", content_type))
    fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else body, "more_body": False})
