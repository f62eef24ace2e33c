"""The scope of a request that a part makes by itself, of nobody's client: `own_scope`."""

from __future__ import annotations

from collections.abc import Iterable

from .path import percent_encode
from .types import Scope

__all__ = ["own_scope"]


def own_scope(method: str, path: str, *, query: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> Scope:
    """An ``http`` scope that was never a server's.

    Args:
        method: In upper case.
        path: Decoded (``"/v1/models"``).
        query: Encoded, without the question mark.
        headers: Names in lower case.
    """
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": percent_encode(path).encode("ascii"),
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": None,
        "server": None,
    }
