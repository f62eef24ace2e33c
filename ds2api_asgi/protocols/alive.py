"""What may be sent to a client that waits, and says nothing: proxies cut connections on which nothing moves.

An event stream has comments for it, and the SDKs of OpenAI and Anthropic read over them, before the first event too.
google-genai takes a comment for JSON and fails, ollama takes every line for JSON: there nothing is safe.
"""

from __future__ import annotations

import typing

from .base import Protocol

__all__ = ["KeepsAlive", "keep_alive_of"]


class KeepsAlive(typing.Protocol):
    r"""A protocol with a way to say nothing.

    Attributes:
        keep_alive: The bytes, which may stand between any two events and before the first: ``b": ping\n\n"``;
            ``b""``: there are none.
    """

    keep_alive: bytes


def keep_alive_of(protocol: Protocol) -> bytes:
    """What says nothing in a protocol's streams; ``b""`` where nothing is safe."""
    # Asked of every translated request, so not by isinstance, which walks through all members of such a class.
    found: bytes = getattr(protocol, "keep_alive", b"")
    return found
