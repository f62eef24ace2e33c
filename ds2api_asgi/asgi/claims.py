"""Whose a request is, remembered: nearly all requests ask one of a few paths, and their path alone tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from ..protocols.base import Claim
from .headers import Headers
from .path import query, relative_path
from .types import Scope

__all__ = ["Claims"]

_PATHS = 64  # claims that are remembered; clients choose their paths, so there is a bound

Ask = Callable[[str, str, Mapping[str, str], str], Claim | None]


class Claims:
    """Asks whose a request is, each path once; headers are looked at only where the path is not enough.

    Args:
        ask: `registry.claim`, or the ``claim`` of one protocol. Headers may change what it says of a path that it
            claims, but must not make one its own.
    """

    __slots__ = ("_ask", "_of_path")

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

        @lru_cache(_PATHS)
        def of_path(
            method: str, path: str, root: str | None, app_root: str | None, asked: bytes | None
        ) -> Claim | None:
            scope = {"path": path, "root_path": root, "app_root_path": app_root, "query_string": asked}
            return ask(method, relative_path(scope), {}, query(scope))

        self._of_path = of_path

    def of(self, scope: Scope) -> Claim | None:
        """The claim on an ``http`` request; None when it is nobody's."""
        get = scope.get
        claim = self._of_path(
            scope["method"], scope["path"], get("root_path"), get("app_root_path"), get("query_string")
        )
        if claim is None or claim.sure:
            return claim
        return self._ask(scope["method"], relative_path(scope), Headers(scope["headers"]), query(scope))
