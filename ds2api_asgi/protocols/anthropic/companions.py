"""Models and token counts.

It follows https://docs.anthropic.com/en/api/models-list and …/messages-count-tokens (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ...errors import InvalidDocument
from ..fields import INTEGER, STRING, expect
from .profile import NAME
from .times import unix_time

__all__ = [
    "decode_model",
    "decode_models",
    "decode_token_count",
    "encode_model",
    "encode_models",
    "encode_token_count",
]

_ROW: Final = frozenset({"id", "created", "owned_by", "object", "display_name", "created_at"})


def decode_models(document: dict[str, Any]) -> list[dict[str, Any]]:
    """See `Protocol.decode_models`; of a page, the rows.

    Raises:
        InvalidDocument: It is no list of models.
    """
    data = document.get("data")
    if type(data) is not list:
        raise InvalidDocument("data", "must be an array")
    return [decode_model(expect(model, "an object", f"data[{index}]")) for index, model in enumerate(data)]


def encode_models(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """See `Protocol.encode_models`; all of them on one page."""
    data = [encode_model(model) for model in models]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def decode_model(document: dict[str, Any]) -> dict[str, Any]:
    """See `Protocol.decode_model`; members of ours stay in the row as they are.

    Raises:
        InvalidDocument: It has no id.
    """
    row = {name: value for name, value in document.items() if name != "type"}
    expect(row.get("id"), STRING, "id")
    row["owned_by"] = NAME
    created = document.get("created_at")
    if type(created) is str and (seconds := unix_time(created)) is not None:
        row["created"] = int(seconds)
    return row


def encode_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """See `Protocol.encode_model`; a time that nobody knows is the epoch, as the provider has it."""
    created = model.get("created")
    moment = datetime.fromtimestamp(created if type(created) is int else 0, UTC)
    document = {
        "type": "model",
        "id": model["id"],
        "display_name": model.get("display_name", model["id"]),
        "created_at": model.get("created_at", moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
    }
    document.update((name, value) for name, value in model.items() if name not in _ROW)
    return document


def decode_token_count(document: dict[str, Any]) -> int:
    """See `Protocol.decode_token_count`.

    Raises:
        InvalidDocument: It states no count.
    """
    count = expect(document.get("input_tokens"), INTEGER, "input_tokens")
    assert isinstance(count, int)
    return count


def encode_token_count(tokens: int) -> dict[str, Any]:
    """See `Protocol.encode_token_count`."""
    return {"input_tokens": tokens}
