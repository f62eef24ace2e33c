"""Paths of OpenAI's protocols: each has some of its own, and many in common.

https://platform.openai.com/docs/api-reference (read 2026-11-23). Beside what it documents, servers that speak like it
fill in the middle (https://docs.mistral.ai/api, ``POST /v1/fim/completions``) and rank documents
(https://docs.vllm.ai/en/stable/serving/online_serving, ``POST /v1/rerank``, which is Jina's; both read 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from msgspec import UNSET, UnsetType

from ..base import Claim, Operation, UpstreamRoute

__all__ = ["Paths", "authorize"]

_PREFIX: Final = "/v1"
_COMMON: Final = {
    "/embeddings": ("POST", Operation.EMBED),
    "/models": ("GET", Operation.LIST_MODELS),
}
_INFER: Final = dict.fromkeys(
    (
        "/completions",
        "/fim/completions",
        "/moderations",
        "/images/generations",
        "/images/edits",
        "/images/variations",
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/rerank",
    ),
    ("POST", Operation.INFER),
)
"""What is not translated: each of them has a request and an answer of its own."""


class Paths:
    """The paths of one protocol.

    Args:
        protocol: Its name.
        own: Its own paths, without ``/v1``, and what they are for.
        shared: Operations on paths that other protocols have too: their claims are not sure.
    """

    def __init__(
        self, protocol: str, own: Mapping[str, tuple[str, Operation]], *, shared: frozenset[Operation]
    ) -> None:
        self._protocol = protocol
        asked = {**own, **_COMMON}
        self._paths = {**asked, **_INFER}
        self._routes = {
            operation: UpstreamRoute(method=method, path=_PREFIX + path) for path, (method, operation) in asked.items()
        }
        self._shared = shared

    def claim(self, method: str, path: str) -> Claim | None:
        """See `base.Routes.claim`."""
        prefix = _PREFIX if path == _PREFIX or path.startswith(_PREFIX + "/") else ""
        path = path[len(prefix) :].rstrip("/")
        known = self._paths.get(path)
        model: str | UnsetType = UNSET
        if known is None:
            _, found, name = path.partition("/models/")
            if not found or not name or not path.startswith("/models/"):
                return None
            known = ("GET", Operation.GET_MODEL)
            model = unquote(name)
        allowed, operation = known
        return Claim(
            protocol=self._protocol,
            operation=operation,
            prefix=prefix,
            model=model,
            sure=operation not in self._shared,
            method_allowed=method == allowed,
        )

    def route(self, operation: Operation, *, model: str | UnsetType) -> UpstreamRoute | None:
        """How to ask an upstream; None for an operation that has no path."""
        if operation is Operation.GET_MODEL:
            return UpstreamRoute(method="GET", path=f"{_PREFIX}/models/{quote(model or '', safe='/:')}")
        return self._routes.get(operation)


def authorize(secret: str) -> tuple[bytes, bytes]:
    """The header that carries an API key: ``authorization: Bearer sk-…``."""
    return b"authorization", b"Bearer " + secret.encode()
