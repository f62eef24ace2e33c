"""Where a request points, relative to where we are mounted: frameworks and servers tell it in five different ways.

| who hands us the scope | ``path`` | ``root_path`` |
|---|---|---|
| Starlette, FastAPI, BlackSheep, `lifespan.Mounted` under ``/llm`` | ``/llm/v1/messages`` | ``/llm`` |
| the same under ``uvicorn --root-path /api`` | ``/api/llm/v1/messages`` | ``/api/llm`` |
| the same under hypercorn, granian, daphne with a root path | ``/llm/v1/messages`` | ``/api/llm`` |
| Litestar under ``/llm`` | ``/v1/messages/`` | ``""`` |
| any server, not mounted | ``/v1/messages`` | ``""`` or ``/api`` |

The one rule: a prefix ends at a ``/`` or is none. Litestar's mount ``/llm`` also catches ``/llmx/v1`` and hands us
``x/v1/``; BlackSheep's does, too, and says ``/llmx/v1`` with the root path ``/ll``. Such a path lies outside of the
mount, and its relative path is ``""``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from .types import Scope

__all__ = ["percent_encode", "query", "raw_relative_path", "relative_path", "with_path"]

_PATHS = 64  # that are remembered encoded; some have a model in them, and clients choose models
_AS_IT_IS = re.compile(r"[A-Za-z0-9/_.~-]*")
_SAFE = "/:@!$&'()*+,;=~"  # RFC 3986, 3.3: pchar and "/"; letters, digits and "_.-~" are safe anyway


def relative_path(scope: Scope) -> str:
    """Find the path of a request relative to where we are mounted.

    Args:
        scope: An ``http`` or ``websocket`` scope.

    Returns:
        A decoded path such as ``"/v1/messages"``: it begins with ``/`` and does not end with one, except ``"/"``
        itself. ``""`` when the request lies outside of the mount.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    if root:
        path = _within_root(path, root, scope.get("app_root_path") or "")
    if len(path) > 1 and path[-1] == "/":
        path = path[:-1]
    return path if path[:1] == "/" else ""


def _within_root(path: str, root: str, app_root: str) -> str:
    inner = _after(path, root)
    if inner is None and app_root:
        mount = _after(root, app_root)
        inner = _after(path, mount) if mount else None
    if inner is None:
        return "" if path.startswith(root) else path
    return inner or "/"


def _after(path: str, prefix: str) -> str | None:
    """What follows a prefix that ends at a ``/``, or None when it is no prefix of the path."""
    prefix = prefix.rstrip("/")
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    return rest if not rest or rest[0] == "/" else None


def raw_relative_path(scope: Scope) -> str:
    """Find the relative path as the client percent-encoded it: ``%2F`` in a model's name stays apart from ``/``.

    Args:
        scope: An ``http`` or ``websocket`` scope; ``raw_path`` may be missing.

    Returns:
        An encoded path that decodes to ``relative_path(scope)``; ``""`` outside of the mount.
    """
    relative = relative_path(scope)
    raw = scope.get("raw_path") or b""
    if b"%" in raw:
        # The mount's prefix may be encoded too, so the part that decodes to the relative path is looked for.
        encoded = relative.encode("utf-8", "surrogatepass")
        raw = raw.split(b"?", 1)[0]
        raw = raw[:-1] if len(raw) > 1 and raw.endswith(b"/") else raw
        start = raw.find(b"/")
        while start >= 0 and relative:
            if unquote_to_bytes(raw[start:]) == encoded:
                return percent_encode(raw[start:].decode("latin-1"), keep="%")
            start = raw.find(b"/", start + 1)
    return percent_encode(relative)


def query(scope: Scope) -> str:
    """The query as the client percent-encoded it, without its question mark."""
    asked: bytes = scope.get("query_string") or b""
    return asked.decode("latin-1")


def percent_encode(path: str, *, keep: str = "") -> str:
    """Percent-encode a path for the wire, as little as RFC 3986 demands.

    Args:
        path: A decoded path.
        keep: Further characters that stay as they are.
    """
    if _AS_IT_IS.fullmatch(path):
        return path
    return quote(path, safe=_SAFE + keep, errors="surrogatepass")


def with_path(scope: Scope, relative: str, query: bytes) -> Scope:
    """Point a request at another path under the same mount, for an app beneath us.

    Args:
        scope: An ``http`` or ``websocket`` scope; never changed.
        relative: The new path relative to the mount, decoded; begins with ``/``.
        query: The new query string, without the question mark.

    Returns:
        A copy for which ``relative_path(copy) == relative``, in the form of the ASGI specification (``path`` includes
        ``root_path``), which every framework understands.
    """
    path = (scope.get("root_path") or "").rstrip("/") + relative
    return {**scope, "path": path, "raw_path": _raw(path), "query_string": query}


@lru_cache(_PATHS)
def _raw(path: str) -> bytes:
    return percent_encode(path).encode("ascii")
