"""Attempts at the password: how often it may be guessed, by each address and by all together, in bounded memory.

Who guessed right gets the attempt back, so a page or a command with the right password is never in its own way. While
all together may guess no more, only addresses that were right before may try: a crowd that guesses keeps nobody out who
was in. Refused attempts are not compared, so that nobody learns whether they were right.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from typing import Any, Final

from ...access.gcra import Denied, Gcra

__all__ = ["BURST", "BURST_OF_ALL", "MAX_ADDRESSES", "Attempts", "address_of"]

BURST: Final = 8
"""Wrong passwords that an address may give at once; then one in twelve seconds."""

BURST_OF_ALL: Final = 60
"""Those of all addresses together; then one in a second."""

MAX_ADDRESSES: Final = 1024
"""Addresses that are remembered; who was not heard of for longest is forgotten, and is still one of all."""

_RATE, _RATE_OF_ALL = 1 / 12, 1.0
_MAX_KNOWN = 64


class Attempts:
    """Allows attempts."""

    def __init__(self) -> None:
        self._all = Gcra(rate=_RATE_OF_ALL, burst=BURST_OF_ALL)
        self._each: OrderedDict[str, Gcra] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._each)

    def take(self, address: str, now: float) -> float | None:
        """Take an attempt.

        Args:
            address: From `address_of`.
            now: Monotonic seconds.

        Returns:
            None: it may be made. Else the seconds after which another may.
        """
        with self._lock:
            own = self._each.get(address)
            if own is None:
                own = self._each[address] = Gcra(rate=_RATE, burst=BURST, now=now)
                if len(self._each) > MAX_ADDRESSES:
                    self._each.popitem(last=False)
            self._each.move_to_end(address)
            taken = own.take(1, now)
            if isinstance(taken, Denied):
                return taken.retry_after
            if address in self._known:
                return None
            taken = self._all.take(1, now)
            if isinstance(taken, Denied):
                own.refund(1, now)
                return taken.retry_after
            return None

    def forgive(self, address: str, now: float) -> None:
        """The attempt was right."""
        with self._lock:
            own = self._each.get(address)
            if own is not None:
                own.refund(1, now)
            if address not in self._known:
                self._all.refund(1, now)
            self._known[address] = None
            self._known.move_to_end(address)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)


def address_of(client: Any) -> str:
    """Who asks, as far as guesses are counted: an address, of IPv6 its network of 64 bits.

    Args:
        client: The scope's member; ``None`` for a Unix socket.
    """
    try:
        address = ipaddress.ip_address(client[0])
    except (TypeError, ValueError, IndexError, KeyError):
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.packed[:8].hex()
