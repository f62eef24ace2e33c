"""Models and token counts, the same in every OpenAI protocol.

https://platform.openai.com/docs/api-reference/models (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InvalidDocument

__all__ = ["decode_model", "decode_models", "decode_token_count", "encode_model", "encode_models", "encode_token_count"]


def decode_models(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A model list as rows; entries that name no model are left out.

    Raises:
        InvalidDocument: There is no ``data`` array.
    """
    data = document.get("data")
    if not isinstance(data, list):
        raise InvalidDocument("data", "must be an array")
    return [decode_model(entry) for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def encode_models(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A model list from rows."""
    return {"object": "list", "data": [encode_model(model) for model in models]}


def decode_model(document: dict[str, Any]) -> dict[str, Any]:
    """One model as a row: all its members but ``object``.

    Raises:
        InvalidDocument: It has no id.
    """
    if not isinstance(document.get("id"), str):
        raise InvalidDocument("id", "must be a string")
    return {key: value for key, value in document.items() if key != "object"}


def encode_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """One model from a row; clients rely on ``created`` and ``owned_by``, so these are always there."""
    return {"created": 0, "owned_by": "", **model, "object": "model"}


def decode_token_count(document: dict[str, Any]) -> int:
    """The count in an answer.

    Raises:
        InvalidDocument: It states none.
    """
    tokens = document.get("input_tokens")
    if type(tokens) is not int:
        raise InvalidDocument("input_tokens", "must be an integer")
    return tokens


def encode_token_count(tokens: int) -> dict[str, Any]:
    """A token count, as ``/responses/input_tokens`` states it; Chat Completions has no path for one."""
    return {"object": "response.input_tokens", "input_tokens": tokens}
