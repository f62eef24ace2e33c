"""Ports for servers that choose none themselves."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["reserved_port"]


@contextmanager
def reserved_port() -> Iterator[int]:
    """A loopback port that the system gives to nobody until the end, and that whoever is told of it may listen on.

    A socket is bound to it, and does not listen. Servers ask for SO_REUSEADDR, so Linux lets them bind beside it; who
    takes any port gets another one.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port: int = keeper.getsockname()[1]
        if sys.platform != "linux":
            keeper.close()
        yield port
