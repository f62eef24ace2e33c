"""What a request is about, as far as a pool must know before it leases a key."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct

from ..asgi.headers import media_type
from ..asgi.path import relative_path
from ..asgi.types import Scope
from ..protocols.base import Claim, Operation
from ..protocols.resources import Resources

__all__ = ["Errand", "errand_of"]

_METHODS: Final = frozenset(("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"))
_BODILESS: Final = frozenset(("GET", "HEAD"))  # methods whose body servers need not deliver, so nobody reads it


class Errand(Struct, frozen=True, gc=False):
    """One request's.

    Attributes:
        method: Its method.
        operation: What a model is asked for; None: it is about things that accounts keep.
        model: The model that its path names, or None.
        path: Its path, if it is about such things, else ``""``.
        things: The ids in that path.
        whole: Whether it is about the first of them as a whole, and not about a part of it.
        bodiless: Whether there is no body to be waited for.
        tells: Whether its body may say what it wants.
    """

    method: str
    operation: Operation | None
    model: str | None = None
    path: str = ""
    things: tuple[str, ...] = ()
    whole: bool = False
    bodiless: bool = False
    tells: bool = True


def errand_of(claim: Claim | None, resources: Resources | None, scope: Scope) -> Errand | None:
    """What a request is about; None: nothing that a key is for.

    Args:
        claim: The protocol's.
        resources: What accounts keep in the protocol; None: nothing of it gets a key.
        scope: The request's.
    """
    method = scope["method"]
    bodiless = method in _BODILESS
    if claim is not None and claim.method_allowed:
        model = None if claim.model is UNSET else claim.model
        return Errand(method, claim.operation, model, bodiless=bodiless, tells=not bodiless)
    if resources is None or method not in _METHODS:
        return None
    path = relative_path(scope)
    found = resources.path.fullmatch(path)
    if found is None:
        return None
    id_, more = found["id"], found["more"]
    things = () if id_ is None else (id_, *more.split("/")[2::2])
    tells = not bodiless and media_type(scope["headers"]) == b"application/json"  # files come in other types
    return Errand(method, None, path=path, things=things, whole=more == "", bodiless=bodiless, tells=tells)
