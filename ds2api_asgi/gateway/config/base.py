"""What all tables of a configuration have in common: `Table`, and the types that several of them use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Bytes", "Count", "JsonObject", "Name", "Seconds", "Table"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
JsonObject = dict[str, Any]


class Table(BaseModel):
    """A table of the file: it never changes, and knows no other members than its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)
