"""The proxy that stands between this machine and a provider, where one does."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..errors import ConfigurationError

__all__ = ["proxy_url"]

_UNSAFE = re.compile(r"[^!-~]")


def proxy_url(url: str) -> str:
    """The address of a proxy, if it can be one.

    Args:
        url: ``"http://proxy.example:3128"`` or ``"http://user:password@proxy.example:3128"``.

    Raises:
        ConfigurationError: It is no such address. What was given is not repeated: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, no IPv6 address
        usable = False
    if not usable or _UNSAFE.search(url) or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigurationError("proxy is no address such as http://proxy.example:3128")
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError("proxy takes http:// and https://; for others hand in a client")
    return url
