"""`Certificate`: what a server shows of itself, also after it was renewed in its files."""

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

    def look(self, context: ssl.SSLContext) -> None:
        """See whether the files have changed since this was made or last looked, and show what they hold now.

        The two are written one after the other, and what does not belong together is never shown.

        Args:
            context: Shows them.
        """
        changed = [watch.changed() for watch in self._watches]
        if not any(changed):
            return
        try:
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._pair)
            load_pair(context, *self._pair)
        except ConfigurationError as error:
            _logger.warning("the certificate was not renewed: %s", error)
        else:
            _logger.info("the certificate was renewed")
