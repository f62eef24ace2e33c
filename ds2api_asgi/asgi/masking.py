"""Keys of ours in a provider's words: some repeat the key that they refuse, and clients shall not have it."""

from __future__ import annotations

from .types import Message, Send

__all__ = ["SHORTEST_MASKED", "Mask", "masking", "masking_socket"]

SHORTEST_MASKED = 12
"""Characters; "key" as a key (of a model server at home, say) would tear holes into words."""


class Mask:
    """Puts stars in the place of a secret in the body of one answer; the length stays as it was announced.

    Where more is to come, as many bytes are held back as may be the beginning of the secret.

    Args:
        secret: What must not be in the body; one shorter than `SHORTEST_MASKED` is left alone.
    """

    __slots__ = ("_held", "_key")

    def __init__(self, secret: str) -> None:
        self._key = secret.encode("latin-1", "replace")
        self._held = b""

    def __call__(self, message: Message) -> Message:
        """Take an ``http.response.body``; it is not changed, another is given."""
        key = self._key
        if len(key) < SHORTEST_MASKED:
            return message
        body = (self._held + message.get("body", b"")).replace(key, b"*" * len(key))
        keep = self._beginning(body) if message.get("more_body", False) else 0
        self._held = body[len(body) - keep :]
        return {**message, "body": body[: len(body) - keep]}

    def _beginning(self, body: bytes) -> int:
        """How many bytes at the end of a body may begin the secret."""
        longest = min(len(self._key) - 1, len(body))
        return next((size for size in range(longest, 0, -1) if self._key.startswith(body[len(body) - size :])), 0)


def masking(send: Send, secret: str) -> Send:
    """Wrap a ``send``: the secret is masked in the body of an error answer, and nothing else is changed."""
    mask: Mask | None = None

    async def masked(message: Message) -> None:
        nonlocal mask
        if message["type"] == "http.response.start":
            mask = Mask(secret) if message["status"] >= 400 else None
        elif mask is not None:
            message = mask(message)
        await send(message)

    return masked


def masking_socket(send: Send, secret: str) -> Send:
    """Wrap a websocket's ``send``: the secret is masked in text messages, close reasons and the body of a denial."""
    mask = Mask(secret)
    stars = "*" * len(secret)

    async def masked(message: Message) -> None:
        kind = message["type"]
        if len(secret) >= SHORTEST_MASKED:
            member = "text" if kind == "websocket.send" else "reason"
            said = message.get(member)
            if kind == "websocket.http.response.body":
                message = mask(message)
            elif said and secret in said:
                message = {**message, member: said.replace(secret, stars)}
        await send(message)

    return masked
