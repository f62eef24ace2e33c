"""What all requests of a `StatefulResponses` share."""

from __future__ import annotations

from collections.abc import Callable

from anyio.lowlevel import RunVar
from msgspec import Struct

from ..asgi.types import ASGIApp
from .client import ClientOf
from .store import ResponseStore
from .workshop import Workshop

__all__ = ["Settings"]


class Settings(Struct, frozen=True, kw_only=True):
    """See `component.StatefulResponses`.

    Attributes:
        workshop: Where background responses are worked on in the running event loop; unset without a lifespan.
    """

    app: ASGIApp
    store: ResponseStore
    client_of: ClientOf
    ask_encrypted: bool
    max_body: int
    max_answer: int
    clock: Callable[[], float]
    new_id: Callable[[], str]
    workshop: RunVar[Workshop]
