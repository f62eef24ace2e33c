"""`Certificate`: what a server shows of itself, also after it was renewed in its files.

A context has a place for each kind of key, and of two kinds it shows the one that a client likes better; nor is a pair
whole while it is loaded into a context that is in use. So what was renewed is loaded into a context of its own, for
which a connection leaves the first one when its handshake begins (``sni_callback``, which OpenSSL also calls when a
client names no server).
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from ..assembly.certificates import load_pair
from ..watch import FileWatch

__all__ = ["Certificate"]

_logger: Final = logging.getLogger("ds2api_asgi.gateway")


class Certificate:
    """A certificate and its key, in files that somebody renews: the next connection is shown what they hold then.

    Args:
        certfile: PEM; the chain behind it may follow.
        keyfile: Its private key, PEM without a password.
    """

    def __init__(self, certfile: Path, keyfile: Path) -> None:
        self._pair = certfile, keyfile
        self._watches = FileWatch(certfile), FileWatch(keyfile)
        self._due = False  # the files have said something else since they were last shown
        self._told = ""  # why they could not be
        self._renewed: ssl.SSLContext | None = None

    def look(self, context: ssl.SSLContext) -> None:
        """See whether the files have changed since this was made or last looked, and show what they hold now.

        The two are written one after the other, and what does not belong together is never shown. What cannot be shown
        is tried again at each look, and why is told once.

        Args:
            context: What connections begin with; it asks for no certificates of clients.
        """
        changed = [watch.changed() for watch in self._watches]
        if any(changed):
            self._due = True
        elif not (self._due and all(watch.settled for watch in self._watches)):
            return
        renewed = ssl.SSLContext(context.protocol)
        # A connection keeps its options, but not the list of ciphers.
        renewed.set_ciphers(":".join(cipher["name"] for cipher in context.get_ciphers()))
        try:
            load_pair(renewed, *self._pair)
        except ConfigurationError as error:
            if str(error) != self._told:
                self._told = str(error)
                _logger.warning("the certificate was not renewed: %s", error)
        else:
            self._due, self._told, self._renewed = False, "", renewed
            context.sni_callback = self._show
            _logger.info("the certificate was renewed")

    def _show(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        if self._renewed is not None:
            connection.context = self._renewed
