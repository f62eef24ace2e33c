"""What all tables of a configuration have in common: `Table`, and the types that several of them use.

Numbers and truths are strict: TOML has types, so ``"8000"`` is no port and ``1`` is not true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, Strict
from pydantic_core import core_schema

from .guess import near

__all__ = [
    "PATTERNS",
    "Amount",
    "Bytes",
    "Count",
    "Flag",
    "HeaderName",
    "HttpPath",
    "JsonObject",
    "Name",
    "OneOf",
    "RootPath",
    "Seconds",
    "Table",
    "Whole",
    "unknown",
]

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_HTTP_PATH: Final = r"^(/[A-Za-z0-9_-][A-Za-z0-9._~-]*)+$"
_HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
_ROOT_PATH: Final = r"^(/[A-Za-z0-9_-][A-Za-z0-9._~-]*)*$"

PATTERNS: Final = {
    _NAME: "must be a name of 1 to 64 letters, digits, dots, dashes and underscores",
    _HTTP_PATH: 'must be a path such as "/console", without / at its end',
    _ROOT_PATH: 'must be a path such as "/llm", without / at its end',
    _HEADER_NAME: "must be the name of a header",
}
"""What a value must be that a pattern refuses."""

Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Amount = Annotated[float, Strict()]
Seconds = Annotated[float, Strict(), Field(gt=0)]
Bytes = Annotated[int, Strict(), Field(gt=0)]
Count = Annotated[int, Strict(), Field(ge=1)]
Name = Annotated[str, Field(pattern=_NAME)]
HttpPath = Annotated[str, Field(pattern=_HTTP_PATH)]
RootPath = Annotated[str, Field(pattern=_ROOT_PATH)]
HeaderName = Annotated[str, Field(pattern=_HEADER_NAME)]
JsonObject = dict[str, Any]


class Table(BaseModel):
    """A table of the file: it never changes, and knows no other members than its own."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        field_title_generator=lambda name, _: name,
    )


class OneOf:
    """Metadata of a text that is a name out of a list which the code has.

    Args:
        what: What the names are of: ``"preset"``.
        known: All of them.
    """

    def __init__(self, what: str, known: Callable[[], Iterable[str]]) -> None:
        self._what = what
        self._known = known

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self._known())}

    def _check(self, value: str) -> str:
        names = tuple(self._known())
        if value not in names:
            raise ValueError(unknown(self._what, value, names))
        return value


def unknown(what: str, value: str, known: Iterable[str]) -> str:
    """That there is none of this name, in words that do not repeat it: it may be a key in the wrong place."""
    names = tuple(known)
    found = near(value, names)
    rest = f'did you mean "{found}"?' if found else "there are: " + ", ".join(names)
    return f"unknown {what}; {rest}"
