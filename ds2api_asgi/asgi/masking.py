"""Keys of ours in a provider's words: some repeat the key that they refuse, and clients shall not have it."""

from __future__ import annotations

from .types import Message, Send

__all__ = ["SHORTEST_MASKED", "mask", "masking"]

SHORTEST_MASKED = 12
"""Characters; "key" as a key (of a model server at home, say) would tear holes into words."""


def mask(message: Message, secret: str) -> Message:
    """Put stars in the place of a secret in a body message; the length stays as it was announced.

    Args:
        message: An ``http.response.body``; never changed.
        secret: What must not be in it.

    Returns:
        The message itself when the secret is not in it.
    """
    key = secret.encode("latin-1", "replace")
    body = message.get("body", b"")
    if len(key) < SHORTEST_MASKED or key not in body:
        return message
    return {**message, "body": body.replace(key, b"*" * len(key))}


def masking(send: Send, secret: str) -> Send:
    """Wrap a ``send``: the secret is masked in the body of an error answer, and nothing else is changed."""
    failed = False

    async def masked(message: Message) -> None:
        nonlocal failed
        if message["type"] == "http.response.start":
            failed = message["status"] >= 400
        elif failed:
            message = mask(message, secret)
        await send(message)

    return masked
