"""`Readdressed`: a protocol's own paths and credential, said as a provider wants them.

Upstreams ask the paths of their protocol (``/v1/chat/completions``, ``/v1beta/models/x:generateContent``) under a base
URL, and show keys as the protocol does. A few providers serve the same documents elsewhere, want a parameter in the
query, or want the key in another header; this part stands before an `Upstream` of theirs and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ...asgi.exchange import CREDENTIAL
from ...asgi.masking import masking, masking_socket
from ...asgi.path import raw_relative_path, relative_path
from ...asgi.types import ASGIApp, Receive, Scope, Send
from ...pool.credentials import BEARER, with_credential

__all__ = ["Readdressed"]


class Readdressed:
    """Change path, query and credential header of each request, and nothing else.

    Args:
        app: The `Upstream`.
        strip: A pattern of what the protocol's paths begin with and the provider's do not (``"/v1"``).
        prefix: What comes instead of it (``"/publishers/google"``).
        query: What is added to the query (``b"api-version=2024-10-21"``).
        own: The header in which the protocol shows keys, in lower case.
        authorize: What makes a header of a key; None: the protocol's own header is right.
        api_key: Sent with every request that no key pool has equipped; None: nothing is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        strip: str = "",
        prefix: str = "",
        query: bytes = b"",
        own: bytes = b"authorization",
        authorize: Callable[[str], tuple[bytes, bytes]] | None = None,
        api_key: str | None = None,
    ) -> None:
        self.app = app
        self._strip = re.compile(f"(?:{strip})(?=/)") if strip else None
        self._prefix = prefix
        self._query = query
        self._own = own
        self._authorize = authorize
        self._api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a websocket on; everything else is the app's."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        scope = self._addressed(scope)
        if key is not None and self._authorize is not None:
            name, value = self._authorize(key)
            scope = with_credential(scope, (name, value), scope.get(CREDENTIAL) or "preset")
            send = masking_socket(send, key) if scope["type"] == "websocket" else masking(send, key)
        await self.app(scope, receive, send)

    def _key(self, scope: Scope) -> str | None:
        """The key of a pool above, else our own; None, too, for a token that is right where it is."""
        if scope.get(BEARER):
            return None
        if not scope.get(CREDENTIAL):
            return self._api_key
        value = next((value for name, value in scope["headers"] if name == self._own), None)
        if value is None:
            return None
        text: str = value.decode("latin-1")
        return text.removeprefix("Bearer ") if self._own == b"authorization" else text

    def _addressed(self, scope: Scope) -> Scope:
        path, raw = relative_path(scope), raw_relative_path(scope)
        if self._strip is not None:
            path, raw = _without(self._strip, path), _without(self._strip, raw)
        prefix = self._prefix if path else ""  # what lies outside of the mount stays there
        asked: bytes = scope.get("query_string") or b""
        query = b"&".join(part for part in (asked, self._query) if part)
        return {
            **scope,
            "root_path": "",
            "path": prefix + path,
            "raw_path": (prefix + raw).encode("latin-1"),
            "query_string": query,
        }


def _without(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.match(path)
    return path if found is None else path[found.end() :]
