"""Certificates in files: those of servers, of upstreams, and what is said of such as are of no use."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from ...errors import ConfigurationError
from ..config.upstreams import TlsTable

__all__ = ["client_context", "load_pair"]


def load_pair(context: ssl.SSLContext, certfile: Path, keyfile: Path) -> None:
    """Let a context show a certificate.

    Args:
        context: The context.
        certfile: PEM; the chain behind it may follow.
        keyfile: Its private key, PEM without a password.

    Raises:
        ConfigurationError: One cannot be read, is none, needs a password, or the key is another one's.
    """
    try:
        context.load_cert_chain(certfile, keyfile, password=lambda: "")
    except ssl.SSLError as error:
        other = error.reason == "KEY_VALUES_MISMATCH"
        told = "the key is another certificate's" if other else "not PEM without a password"
        raise ConfigurationError(f"certfile, keyfile: {told}") from None
    except OSError as error:
        raise ConfigurationError(f"certfile, keyfile: cannot be read: {_reason(error)}") from None


def client_context(table: TlsTable, folder: Path) -> ssl.SSLContext | None:
    """How an upstream is asked over TLS; None: as all are that say nothing of it.

    Args:
        table: What it says.
        folder: What relative paths start from.

    Raises:
        ConfigurationError: A file is of no use.
    """
    if table == TlsTable():
        return None
    try:
        context = ssl.create_default_context(cafile=None if table.cafile is None else folder / table.cafile)
    except ssl.SSLError:
        raise ConfigurationError("tls.cafile: no certificates in PEM") from None
    except OSError as error:
        raise ConfigurationError(f"tls.cafile: cannot be read: {_reason(error)}") from None
    if table.certfile is not None and table.keyfile is not None:
        try:
            load_pair(context, folder / table.certfile, folder / table.keyfile)
        except ConfigurationError as error:
            raise ConfigurationError(f"tls: {error}") from None
    return context


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "no file's name"
