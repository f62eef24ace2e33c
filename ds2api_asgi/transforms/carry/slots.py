"""Where a client's protocol keeps what is opaque to it, so that capsules can stand there.

| client | thought with text | payload alone | payload of a text or call | several of a kind |
|---|---|---|---|---|
| anthropic | ``thinking.signature`` | ``redacted_thinking.data`` | a redacted thought behind it | in order |
| openai-responses | ``reasoning.encrypted_content`` | the same | a reasoning item behind it | in order |
| gemini | ``thoughtSignature`` | the same | the same, on the part | in order |
| openai-chat | ``reasoning_details[].signature`` | ``reasoning_details[].data`` | the same | as one, with a layout |
| ollama and others | nothing: `store` | | | |
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from msgspec import Struct

from ...universal.capsule import Capsule, read
from ...universal.node import Opaque

__all__ = ["SLOTS", "Slots"]

_PLAIN: Final = bytes.maketrans(b"-_", b"+/")


class Slots(Struct, frozen=True, kw_only=True):
    """The slots of one protocol.

    Attributes:
        protocol: Whose.
        thought: The kind of payload that stands on a thought with text.
        sealed: The kind that stands alone.
        inline: Any part can have it.
        gathered: A message has one text of each kind, whatever stood between.
        split: Each summary of a thought is a thought of its own.
        summaries: A thought has summaries.
        base64: The slot takes base64 only.
    """

    protocol: str
    thought: str
    sealed: str
    inline: bool = False
    gathered: bool = False
    split: bool = False
    summaries: bool = False
    base64: bool = False

    def put(self, capsule: str, kind: str) -> Opaque:
        """A capsule's text as a payload of the client's protocol."""
        value = base64.b64encode(capsule.encode("ascii")).decode() if self.base64 else capsule
        return Opaque(kind=kind, value=value, protocol=self.protocol)

    def take(self, payload: Opaque, secret: bytes | None) -> Capsule | None:
        """The capsule that a payload of the client's protocol is, if it is one."""
        if payload.protocol != self.protocol:
            return None
        return self.opened(payload.value, secret)

    def opened(self, text: str, secret: bytes | None) -> Capsule | None:
        """The capsule that a slot's text is, if it is one."""
        if self.base64:
            try:
                # google-genai reads one alphabet and writes the other.
                plain = text.encode("ascii").translate(_PLAIN)
                text = base64.b64decode(plain, validate=True).decode("ascii")
            except (binascii.Error, ValueError):
                return None
        return read(text, secret)


SLOTS: Final = {
    slots.protocol: slots
    for slots in (
        Slots(protocol="anthropic", thought="signature", sealed="redacted", split=True),
        Slots(protocol="openai-responses", thought="encrypted", sealed="encrypted", summaries=True),
        Slots(protocol="gemini", thought="thought_signature", sealed="thought_signature", inline=True, base64=True),
        Slots(protocol="openai-chat", thought="signature", sealed="redacted", gathered=True),
    )
}
"""By protocol; one that is missing keeps nothing."""
