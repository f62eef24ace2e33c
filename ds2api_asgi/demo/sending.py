"""Send an answer as it is, or as a fault has it: refused, cut, or never."""

from __future__ import annotations

import hashlib
from typing import Any

import anyio

from ..asgi.respond import respond
from ..asgi.types import Send
from ..framing.sse import write_event
from ..universal import jsontext
from .faults import Fault

__all__ = ["Cut", "send_stream", "send_whole"]


_HALF = ("cut", "eof", "stall")
"""The faults that let half of an answer through."""


class Cut(Exception):
    """The ordered end of a response in its middle; the server closes the connection."""


async def send_whole(send: Send, document: Any, fault: Fault | None, body: bytes) -> None:
    """Send a document in one piece, or as much of it as the fault lets through."""
    if fault is None:
        await respond(send, status=200, document=document, headers=[(b"x-request-id", _request_id(body))])
        return
    if fault.kind not in _HALF:
        await _fail(send, fault, body)
        return
    data = jsontext.dumps(document)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": data[: len(data) // 2], "more_body": True})
    await _end_early(fault)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_stream(send: Send, events: list[bytes], fault: Fault | None, body: bytes, *, pace: float) -> None:
    """Send the events of a stream one by one, or as many of them as the fault lets through.

    Args:
        send: The request's ``send``.
        events: The frames, ``[DONE]`` included.
        fault: What was ordered to happen.
        body: The request's body, for the request id.
        pace: Seconds to wait after each event.
    """
    if fault is not None:
        if fault.kind not in (*_HALF, "error", "first"):
            await _fail(send, fault, body)
            return
        events = events[: 0 if fault.kind == "first" else max(len(events) // 2, 1)]
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", _request_id(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await anyio.sleep(pace)
    last = b""
    if fault is not None:
        await _end_early(fault)
        if fault.problem is not None:
            last = write_event(jsontext.dumps(fault.problem.document))
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def _fail(send: Send, fault: Fault, body: bytes) -> None:
    problem = fault.problem
    if problem is None:  # hang
        await anyio.sleep_forever()
        return
    headers = (*problem.headers, (b"x-request-id", _request_id(body)))
    await respond(send, status=problem.status, document=problem.document, headers=headers)


async def _end_early(fault: Fault) -> None:
    if fault.kind == "stall":
        await anyio.sleep_forever()
    if fault.kind == "cut":
        raise Cut


def _request_id(body: bytes) -> bytes:
    return b"req_" + hashlib.sha256(body).hexdigest()[:24].encode()
