"""The client's end of a request, shared by all attempts: the one reader of ``receive``, and what went wrong with it.

Servers tell of a disconnect on ``receive`` only, some of them once only, and to one reader (measured: hypercorn,
daphne). So while an attempt runs, the app beneath reads through us; between attempts we read ourselves (`pause`).
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.lowlevel

from ..asgi.types import Message, Receive, Send

__all__ = ["ClientLine"]


class ClientLine:
    """The client of one request.

    Args:
        receive: The request's ``receive``.
        send: The request's ``send``.

    Attributes:
        gone: Whether the client left.
        error: What the server's (or host's) ``receive`` or ``send`` raised. It is not the app's failure and goes on
            outwards untouched: hosts raise exceptions of their own through us.
        on_gone: Called once, when the client leaves.
        sending: Whether a message is under way; if it still is after the attempt, it was interrupted, and nobody knows
            what of it arrived.
    """

    __slots__ = ("_heard", "_receive", "_send", "_waiting", "error", "gone", "on_gone", "sending")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._heard = False
        self._waiting: anyio.CancelScope | None = None
        self.gone = False
        self.error: Exception | None = None
        self.on_gone: Callable[[], None] | None = None
        self.sending = False

    async def receive(self) -> Message:
        """The next message of the client; ``http.disconnect`` again and again once it left."""
        if self.gone or self._heard:
            return {"type": "http.disconnect"}
        message: Message | None = None
        try:
            if self.on_gone is None:  # no attempt is running that could be heard out
                message = await self._receive()
            else:
                with anyio.CancelScope() as self._waiting:
                    message = await self._receive()
        except Exception as error:
            self.error = error
            raise
        finally:
            self._waiting = None
        if message is None:  # heard out
            return {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()
        return message

    def heard(self, *, out: bool) -> None:
        """Say whether the app beneath was heard out, though the client knows of nothing.

        Servers answer ``receive`` with ``http.disconnect`` once a response is complete, and some apps (Quart's) end
        only then.
        """
        self._heard = out
        if out and self._waiting is not None:
            self._waiting.cancel()

    def through(self, send: Send) -> None:
        """From now on send through another ``send``."""
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message to the client."""
        self.sending = True
        try:
            await self._send(message)
            self.sending = False
        except Exception as error:
            self.error = error
            raise

    async def pause(self, seconds: float) -> bool:
        """Wait, and listen meanwhile.

        Args:
            seconds: How long; 0 only asks whether the client is still there.

        Returns:
            Whether the client is still there.
        """
        with anyio.move_on_after(seconds):
            while (await self.receive())["type"] != "http.disconnect":
                await anyio.lowlevel.checkpoint()  # an empty rest of the body; a stub may send it for ever
        return not self.gone
