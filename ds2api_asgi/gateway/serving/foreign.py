"""Pages of other sites: a browser reaches what listens on its machine only, and any page can make it ask.

Where a gateway wants no key, such a page could have answers made that its victim pays for, and read them through a
websocket or a name that was made to point here. Browsers say with all of these, in ``origin``, whose page it is
(https://fetch.spec.whatwg.org/#origin-header, read 2026-11-29). Apps and extensions say a scheme of their own there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ...asgi.headers import find
from ...asgi.types import Scope
from ..config.checks import is_own

__all__ = ["is_foreign"]


def is_foreign(scope: Scope) -> bool:
    """Whether a page that is none of this machine's made a browser ask.

    Args:
        scope: An ``http`` or ``websocket`` scope.
    """
    origin = find(scope["headers"], b"origin")
    if origin is None:
        return False
    text = origin.decode("latin-1").lower()
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in ("http", "https"):
        return False
    try:
        host = urlsplit(text).hostname
    except ValueError:
        return True
    return host is None or not is_own(host)  # "null" is any page in a frame without rights
