"""The JSON schema of a configuration, for editors: Taplo and Even Better TOML check and complete by it.

They find it by the file's first line, ``#:schema ./gateway.schema.json``.
"""

from __future__ import annotations

from typing import Any

from .root import Config

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """The schema as JSON: draft 2020-12, without anything that must be fetched."""
    made = Config.model_json_schema()
    for table in (made, *made["$defs"].values()):
        table["description"] = table["description"].partition("\n")[0]  # what follows are examples for people
        for member in table["properties"].values():
            if isinstance(member.get("default"), dict):
                del member["default"]  # a table's members say their own
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Configuration of a ds2api gateway",
    }
