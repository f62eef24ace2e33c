"""What a message of a websocket says, whether it came as text or as bytes."""

from __future__ import annotations

from .types import Message

__all__ = ["data_of"]


def data_of(message: Message) -> bytes:
    """What a ``websocket.receive`` or ``websocket.send`` says; half of a surrogate pair stays what it is."""
    text: str | None = message.get("text")
    return message.get("bytes") or b"" if text is None else text.encode("utf-8", "surrogatepass")
