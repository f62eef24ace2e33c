"""`Peers`: the workers of a gateway ask each other, over Unix sockets in a folder of theirs.

Numbers are shared in files (`observe.workers`), which are written whether somebody looks or not. What only matters
while somebody looks at the console, and what an operator wants done everywhere, is asked for instead:

- Each worker listens at ``PID-RANDOM.sock``, as long as its gateway lives. The folder is the user's alone, so is the
  socket, and who is not that user gets no further.
- One connection is one question and one reply, each with its length in four bytes before it, both bounded.
- Who does not reply within `PATIENCE` is not asked again for `REST`, so nobody is held up by a worker that hangs. What
  matters is sent all the same (`Peers.ask`, `insist`): it waits in the socket until the worker has time for it.
- What a dead worker leaves refuses at once, and is cleared away.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from ...observe.workers import lives

__all__ = ["INSISTENCE", "MAX_ANSWERED", "MAX_QUESTION", "MAX_REPLY", "PATIENCE", "REST", "Peers", "Replies"]

PATIENCE: Final = 1.0
"""Seconds that another worker has to reply."""

INSISTENCE: Final = 3.0
"""The same, to what matters."""

REST: Final = 5.0
"""Seconds for which one that did not is left alone."""

MAX_QUESTION: Final = 64 * 1024
"""Bytes."""

MAX_REPLY: Final = 32 * 1024 * 1024
"""Bytes; a key takes 200 of them."""

MAX_ANSWERED: Final = 64
"""Questions that are answered at a time; others wait, for an order may be among them."""

_LENGTH: Final = 4  # bytes
_ARRIVAL: Final = 5.0  # seconds that a question may take to come, and its reply to go
_PAUSE: Final = 0.5  # seconds after which connections are taken again, when none could be

_logger = logging.getLogger("ds2api_asgi.gateway")


class Replies(Struct, frozen=True, kw_only=True):
    """What the others said.

    Attributes:
        told: By who said it.
        silent: Workers that are there, but did not reply, or were not asked because of that.
    """

    told: dict[str, bytes]
    silent: int


class Peers:
    """The workers of a gateway, as one of them sees the others.

    Args:
        folder: Where they meet: the user's alone (mode 700).
        count: How many they are, this one among them.
        clock: Monotonic seconds.

    Attributes:
        name: What the others call this one.
        count: How many they are.
        answer: Gives the reply to a question; b"" is none. It may raise; None: there is nobody to answer.
    """

    def __init__(
        self, folder: str | os.PathLike[str], count: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.count = count
        self.answer: Callable[[bytes], Awaitable[bytes]] | None = None
        self._folder = Path(folder)
        self._clock = clock
        self._resting: dict[str, float] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer the others as long as the context lasts. Where that cannot be, it is logged, and they do without."""
        try:
            listener = await self._listen()
        except OSError as error:
            _logger.error("the other workers cannot ask this one: %s", error.strerror or type(error).__name__)  # noqa: TRY400
            yield
            return
        try:
            async with listener, anyio.create_task_group() as group:
                group.start_soon(self._accept, listener, group)
                yield
                group.cancel_scope.cancel()
        finally:
            self._place(self.name).unlink(missing_ok=True)

    async def ask(self, question: bytes, *, insist: bool = False) -> Replies:
        """Ask all others at once, and wait for so long at most.

        Args:
            question: Up to `MAX_QUESTION` bytes.
            insist: Ask those too that did not reply lately; a question reaches them when they have time for it.
        """
        others, now = self._others(), self._clock()
        names = [name for name in others if insist or self._resting.get(name, -math.inf) <= now]
        silent = len(others) - len(names)
        told: dict[str, bytes] = {}
        late: list[str] = []

        async def one(name: str) -> None:
            try:
                with anyio.move_on_after(INSISTENCE if insist else PATIENCE) as patience:
                    told[name] = await self._ask_one(name, question)
                if not patience.cancelled_caught:
                    self._resting.pop(name, None)
                    return
            except (ConnectionRefusedError, FileNotFoundError):
                self._forget_dead(name)
                return
            except (OSError, EOFError, ValueError, anyio.BrokenResourceError, anyio.IncompleteRead):
                pass
            late.append(name)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(one, name)
        for name in late:
            self._resting[name] = self._clock() + REST
        return Replies(told={name: reply for name, reply in told.items() if reply}, silent=silent + len(late))

    def _place(self, name: str) -> Path:
        return self._folder / f"{name}.sock"

    def _others(self) -> list[str]:
        with contextlib.suppress(OSError):
            return sorted({path.stem for path in self._folder.glob("*.sock")} - {self.name})
        return []

    def _forget_dead(self, name: str) -> None:
        """Clear away what one leaves that was killed."""
        pid = name.partition("-")[0]
        if not pid.isdecimal() or not lives(int(pid)):
            self._resting.pop(name, None)
            with contextlib.suppress(OSError):
                self._place(name).unlink()

    async def _listen(self) -> anyio.abc.SocketListener:
        if sys.platform == "win32":
            raise OSError(0, "this system has no such sockets")
        about = self._folder.stat()
        if stat.S_IMODE(about.st_mode) & 0o077 or about.st_uid != os.getuid():
            raise PermissionError(0, "their folder is not this user's alone")
        fresh = self._folder / f"{self.name}.new"
        listener = await anyio.create_unix_listener(fresh, mode=0o600)
        fresh.rename(self._place(self.name))  # nobody sees it before it listens, and takes it for a dead one's
        return listener

    async def _accept(self, listener: anyio.abc.SocketListener, group: anyio.abc.TaskGroup) -> None:
        room = anyio.Semaphore(MAX_ANSWERED)
        while True:
            await room.acquire()
            try:
                stream = await listener.accept()
            except OSError as error:  # too many open files, as a rule
                _logger.warning("another worker could not be heard: %s", error.strerror)
                room.release()
                await anyio.sleep(_PAUSE)
            else:
                group.start_soon(self._heed, stream, room)

    async def _heed(self, stream: anyio.abc.SocketStream, room: anyio.Semaphore) -> None:
        """Answer a question; whatever comes, nothing of it ends the worker."""
        try:
            async with stream:
                await self._reply(stream)
        except (OSError, EOFError, ValueError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # it asked nonsense, or is gone
        except Exception:
            _logger.exception("another worker could not be answered")
        finally:
            room.release()

    async def _reply(self, stream: anyio.abc.SocketStream) -> None:
        with anyio.move_on_after(_ARRIVAL):
            question = await _read(stream, MAX_QUESTION)
            reply = b"" if self.answer is None else await self.answer(question)
            await _write(stream, reply if len(reply) <= MAX_REPLY else b"")

    async def _ask_one(self, name: str, question: bytes) -> bytes:
        async with await anyio.connect_unix(self._place(name)) as stream:
            await _write(stream, question)
            return await _read(stream, MAX_REPLY)


async def _read(stream: anyio.abc.ByteReceiveStream, limit: int) -> bytes:
    """A message.

    Raises:
        ValueError: It is longer than that.
        EOFError: It ends before its end.
    """
    buffered = BufferedByteReceiveStream(stream)
    try:
        length = int.from_bytes(await buffered.receive_exactly(_LENGTH))
        if length > limit:
            raise ValueError("a message is too long")
        return await buffered.receive_exactly(length)
    except (anyio.IncompleteRead, anyio.EndOfStream) as error:
        raise EOFError("a message ended too early") from error


async def _write(stream: anyio.abc.ByteSendStream, message: bytes) -> None:
    await stream.send(len(message).to_bytes(_LENGTH) + message)
