"""Models and token counts.

It follows https://ai.google.dev/api/models and https://ai.google.dev/api/tokens (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import InvalidDocument
from ..fields import INTEGER, OBJECT, STRING, expect
from .profile import NAME
from .spelling import canonical

__all__ = [
    "decode_model",
    "decode_models",
    "decode_token_count",
    "encode_model",
    "encode_models",
    "encode_token_count",
]

_PREFIXES: Final = ("models/", "tunedModels/", "publishers/google/models/")
_ROW: Final = frozenset({"id", "created", "owned_by", "object", "display_name", "created_at", "type"})
_METHODS: Final = ["generateContent", "streamGenerateContent", "countTokens"]


def decode_models(document: dict[str, Any]) -> list[dict[str, Any]]:
    """See `Protocol.decode_models`; of a page, the rows.

    Raises:
        InvalidDocument: It is no list of models.
    """
    models = document.get("models", document.get("publisherModels", []))
    if type(models) is not list:
        raise InvalidDocument("models", "must be an array")
    return [decode_model(expect(model, OBJECT, f"models[{index}]")) for index, model in enumerate(models)]


def encode_models(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """See `Protocol.encode_models`; all of them on one page."""
    return {"models": [encode_model(model) for model in models]}


def decode_model(document: dict[str, Any]) -> dict[str, Any]:
    """See `Protocol.decode_model`; members of ours stay in the row as they are.

    Raises:
        InvalidDocument: It has no name.
    """
    document, _ = canonical(document)
    name = str(expect(document.get("name"), STRING, "name"))
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    row: dict[str, Any] = {"id": name, "owned_by": NAME}
    for key, value in document.items():
        row["display_name" if key == "displayName" else key] = value
    return row


def encode_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """See `Protocol.encode_model`; what a model can do is not known of others, so it is what we translate."""
    document = {
        "name": f"models/{model['id']}",
        "displayName": model.get("display_name", model["id"]),
        "supportedGenerationMethods": _METHODS,
    }
    document.update((name, value) for name, value in model.items() if name not in _ROW)
    return document


def decode_token_count(document: dict[str, Any]) -> int:
    """See `Protocol.decode_token_count`; a count of zero may be left out.

    Raises:
        InvalidDocument: It states no count.
    """
    document, _ = canonical(document)
    count = expect(document.get("totalTokens", 0), INTEGER, "totalTokens")
    assert isinstance(count, int)
    return count


def encode_token_count(tokens: int) -> dict[str, Any]:
    """See `Protocol.encode_token_count`."""
    return {"totalTokens": tokens}
