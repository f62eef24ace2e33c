"""Keys of ours in a provider's words: some repeat the key that they refuse, and clients shall not have it.

Errors come under a success status too, whole and in the middle of a stream, so every answer is looked through. Of a
stream nearly every part is whole lines, which costs one search.
"""

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
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._held:
            body = self._held + body
        elif len(key) < SHORTEST_MASKED or (key not in body and not (more and self._beginning(body))):
            return message
        body = body.replace(key, b"*" * len(key))
        keep = self._beginning(body) if more else 0
        self._held = body[len(body) - keep :]
        return {**message, "body": body[: len(body) - keep]}

    def _beginning(self, body: bytes) -> int:
        """How many bytes at the end of a body may begin the secret."""
        if body.endswith(b"\n"):  # which no secret has
            return 0
        end, first = len(body), self._key[:1]
        at = body.find(first, max(0, end - len(self._key) + 1))
        while at != -1:
            if self._key.startswith(body[at:]):
                return end - at
            at = body.find(first, at + 1)
        return 0


def masking(send: Send, secret: str) -> Send:
    """Wrap a ``send``: the secret is masked in the body of an answer, and nothing else is changed."""
    mask = Mask(secret)

    async def masked(message: Message) -> None:
        if message["type"] == "http.response.body":
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
