"""Model lists and descriptions, and the token counts that the protocol has not.

https://docs.ollama.com/api/tags and https://docs.ollama.com/api-reference/show-model-details (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import InvalidDocument
from ...universal.digest import sha256
from .times import unix_time, written

__all__ = ["decode_model", "decode_models", "decode_token_count", "encode_model", "encode_models", "encode_token_count"]

_DETAILS: Final = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}
_CAPABILITIES: Final = ("completion", "tools")
_NAMES: Final = ("model", "name")
_OWN: Final = frozenset({"id", "created", "owned_by"})


def decode_models(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A model list as rows; entries that name no model are left out.

    Raises:
        InvalidDocument: There is no ``models`` array.
    """
    models = document.get("models")
    if not isinstance(models, list):
        raise InvalidDocument("models", "must be an array")
    return [_row(entry) for entry in models if isinstance(entry, dict) and _name(entry)]


def encode_models(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A model list from rows; Ollama's own command needs ``digest`` and ``size``, so these are always there."""
    return {"models": [_entry(model) for model in models]}


def decode_model(document: dict[str, Any]) -> dict[str, Any]:
    """One model as a row; its id is ``""`` where the answer does not repeat the name that was asked for.

    Raises:
        InvalidDocument: It describes no model.
    """
    if not isinstance(document.get("details"), dict) and not _name(document):
        raise InvalidDocument("details", "must be an object")
    return _row(document)


def encode_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """One model from a row."""
    members = {key: value for key, value in model.items() if key not in _OWN}
    return {
        "model": model["id"],
        "modified_at": written(_created(model)),
        "details": dict(_DETAILS),
        "model_info": {},
        "capabilities": list(_CAPABILITIES),
        **members,
    }


def _name(entry: Mapping[str, Any]) -> str:
    return next((str(entry[key]) for key in _NAMES if isinstance(entry.get(key), str)), "")


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in entry.items() if key not in (*_NAMES, "modified_at")}
    created = unix_time(entry.get("modified_at"))
    return {"id": _name(entry), "created": created or 0, "owned_by": "", **row}


def _entry(model: Mapping[str, Any]) -> dict[str, Any]:
    name = str(model["id"])
    members = {key: value for key, value in model.items() if key not in _OWN}
    return {
        "name": name,
        "model": name,
        "modified_at": written(_created(model)),
        "size": 0,
        "digest": sha256(name).hex(),
        "details": dict(_DETAILS),
        **members,
    }


def _created(model: Mapping[str, Any]) -> float:
    created = model.get("created")
    return created if isinstance(created, (int, float)) else 0


def decode_token_count(document: dict[str, Any]) -> int:
    """The count in an answer.

    Raises:
        InvalidDocument: It states none.
    """
    tokens = document.get("prompt_eval_count")
    if type(tokens) is not int:
        raise InvalidDocument("prompt_eval_count", "must be an integer")
    return tokens


def encode_token_count(tokens: int) -> dict[str, Any]:
    """A token count; the protocol has no path for one, so this is the member that states it in answers."""
    return {"prompt_eval_count": tokens}
