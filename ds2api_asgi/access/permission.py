"""Which models a request may ask for."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from ..protocols.base import Claim, Operation
from ..universal.failure import FailureKind
from .asked import models_of
from .client_key import ClientKey
from .patterns import Patterns
from .refusal import Refused

__all__ = ["Permission"]

_NAMES_NONE: Final = frozenset({Operation.LIST_MODELS, Operation.ABOUT})


class Permission:
    """What a key's allow-list says.

    Args:
        key: The key.
    """

    __slots__ = ("_patterns",)

    def __init__(self, key: ClientKey) -> None:
        self._patterns = None if key.models is None else Patterns(key.models)

    @property
    def limited(self) -> bool:
        """Whether there is anything that the key may not use."""
        return self._patterns is not None

    def sees(self, model: str) -> bool:
        """Whether a model may be used, and so be seen."""
        return self._patterns is None or self._patterns.match(model)

    def lists(self, claim: Claim | None) -> bool:
        """Whether the answer to a request is a list that is to be filtered."""
        if claim is None or not self.limited:
            return False
        return claim.operation is Operation.LIST_MODELS or "models" in (claim.about or {})  # Ollama's running ones

    def check(self, claim: Claim | None, body: bytes | None, form: bytes | None = None) -> None:
        """Look at what a request asks for.

        Args:
            claim: Whose it is; None: no protocol's.
            body: Its body; None: it has none.
            form: The ``content-type`` of a body that is a form; None: it is a document.

        Raises:
            Refused: It names a model that the key may not use, or none where it has to, so that nobody knows which
                one would be used.
        """
        if self._patterns is None:
            return
        by_path = claim is not None and claim.model is not UNSET
        if claim is not None and claim.operation in _NAMES_NONE:
            return
        names: list[str] | None = []
        if claim is not None and claim.model is not UNSET:
            names = [claim.model]
        if body is not None and (body or not by_path):
            more = models_of(body, form)
            names = None if more is None else [*(names or ()), *more]
        if claim is not None and claim.operation is Operation.GET_MODEL and names:
            if not all(map(self.sees, names)):
                raise Refused(
                    FailureKind.NOT_FOUND, 404, "This model does not exist, or the client key may not use it."
                )
            return
        if names is None or not names:
            if not body and claim is None:
                return  # asks for nothing: the state of an earlier answer, a page
            raise Refused(
                FailureKind.PERMISSION, 403, "This client key is for certain models, and the request names none."
            )
        if not all(map(self.sees, names)):
            raise Refused(
                FailureKind.PERMISSION, 403, "This client key may not use this model.", code="model_not_allowed"
            )
