"""What a simulated client is about to ask: a `Request`, drawn by chance from what its group does."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from ..translator import convert
from ..universal import jsontext
from . import scenario, wire

__all__ = ["Request", "draw_request"]


class Request(Struct, frozen=True, kw_only=True):
    """What a client is about to ask.

    Attributes:
        group: Its group.
        protocol: What it speaks.
        model: What it asks for.
        method: HTTP method.
        path: With what follows ``?``.
        headers: Further headers.
        body: JSON.
        stream: Whether a stream is asked for.
        leave_after: Seconds after which it leaves; None: it stays.
        kill_after: Seconds after which the server cancels it; None: it does not.
    """

    group: scenario.Clients
    protocol: str
    model: str
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    stream: bool
    leave_after: float | None
    kill_after: float | None


def draw_request(group: scenario.Clients, speaks: str, number: int, rng: Random) -> Request:
    """Draw a request.

    Args:
        group: Who asks.
        speaks: What the providers speak.
        number: The request's.
        rng: Where its chance comes from.
    """
    stream = rng.random() < group.stream
    model = rng.choice(group.models)
    document = wire.request_document(
        model,
        number=number,
        prompt=max(1, round(group.prompt_tokens.draw(rng))),
        output=max(1, round(group.output_tokens.draw(rng))),
        stream=stream,
    )
    protocol = group.protocol or speaks
    method, path, headers, body = "POST", "/v1/chat/completions", (), jsontext.dumps(document)
    if protocol != speaks:
        converted = convert(document, kind="request", source=speaks, target=protocol)
        assert converted.route is not None
        method, body = converted.route.method, converted.body
        path = converted.route.path + (f"?{converted.route.query.decode()}" if converted.route.query else "")
    leave_after = group.patience.draw(rng) if rng.random() < group.leave else None
    kill_after = group.patience.draw(rng) if rng.random() < group.kill else None
    return Request(
        group=group, protocol=protocol, model=model, method=method, path=path, headers=headers, body=body,
        stream=stream, leave_after=leave_after, kill_after=kill_after,
    )  # fmt: skip
