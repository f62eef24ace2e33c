"""What is wrong with a configuration: `Problem`, and pydantic's errors as ones.

An error of pydantic's is a place and a type; the words are ours (`_WORDS`), and of what was written they tell only what
kind of value it is: a key may stand anywhere by mistake.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

from msgspec import Struct
from pydantic_core import ErrorDetails

from .base import PATTERNS, Table, unknown
from .either import MARK
from .guess import near
from .places import Path, dotted

__all__ = ["Problem", "place_of", "problem_of", "tables_at"]


class Problem(Struct, frozen=True, kw_only=True):
    """Something that is wrong, or probably not meant.

    Attributes:
        file: As it was named.
        line: Counted from 1; None: of the file as a whole.
        path: In TOML's own spelling: ``upstreams.openai.keys[1]``; ``""``: the file as a whole.
        words: What is wrong; they hold no value of the file.
    """

    file: str
    line: int | None
    path: str
    words: str

    def __str__(self) -> str:
        """``gateway.toml:12: upstreams.openai.retries: unknown; did you mean "retry"?``."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(filter(None, (where, self.path, self.words)))


def place_of(error: ErrorDetails) -> Path:
    """Where an error of pydantic's is, without the tags of choices."""
    steps = [step for step in error["loc"] if not (isinstance(step, str) and step.startswith(MARK))]
    if steps and steps[-1] == "[key]":  # the name of a member, not its value
        steps.pop()
    if error["type"] in ("union_tag_not_found", "union_tag_invalid") and isinstance(error["input"], dict):
        steps.append("type")
    return tuple(steps)


def problem_of(error: ErrorDetails, root: type[Table]) -> tuple[Path, str]:
    """An error of pydantic's: its place, and our words.

    Args:
        error: With its input.
        root: The table that was validated.
    """
    place = place_of(error)
    kind = error["type"]
    if kind == "extra_forbidden":
        return place, _extra(place, root, error["input"])
    tell = _WORDS.get(kind)
    context = error.get("ctx", {})
    if tell is None:
        return place, "cannot be this"
    return place, tell(context, error["input"])


def _extra(place: Path, root: type[Table], given: object) -> str:
    name = str(place[-1])
    members = {member for table in tables_at(root, place[:-1]) for member in table.model_fields}
    meant = near(name, members)
    if meant is not None:
        return f'unknown; did you mean "{meant}"?'
    if len(place) > 1 and (table := near(name, root.model_fields)) in (name, name.replace("_", "-")):
        return f"unknown here; it is a table of its own, [{table}]"
    if isinstance(given, dict) and place[:-2] in _NAMED:  # [models.gpt-4.1]
        return f"unknown; a name with a dot needs quotes: [{dotted((*place[:-2], f'{place[-2]}.{name}'))}]"
    return f"unknown; there are: {', '.join(sorted(members))}" if members else "unknown"


def tables_at(root: type[Table], place: Path) -> list[type[Table]]:
    """The tables that may stand at a place."""
    found: list[Any] = [root]
    for step in place:
        found = [inner for outer in found for inner in _step(outer, step)]
    return [one for annotation in found for one in _alternatives(annotation) if _is_table(one)]


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Table)


def _alternatives(annotation: Any) -> list[Any]:
    """What an annotation allows, each by itself."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    if origin is not None and (origin is typing.Union or getattr(origin, "__name__", "") in ("UnionType", "Union")):
        return [one for inner in typing.get_args(annotation) for one in _alternatives(inner)]
    return [annotation]


def _step(annotation: Any, step: str | int) -> list[Any]:
    found: list[Any] = []
    for one in _alternatives(annotation):
        arguments = typing.get_args(one)
        if _is_table(one) and isinstance(step, str) and step in one.model_fields:
            field = one.model_fields[step]
            found.append(field.annotation)
        elif typing.get_origin(one) is dict and isinstance(step, str):
            found.append(arguments[1])
        elif typing.get_origin(one) is tuple and isinstance(step, int):
            found.append(arguments[0])
    return found


_NAMED: Final = (("upstreams",), ("models",), ("cost", "prices"))
"""Tables whose members have names of the user's own."""

_KINDS: Final[Sequence[tuple[type | tuple[type, ...], str]]] = (
    (bool, "true or false"),
    (str, "text"),
    ((int, float), "a number"),
    (list, "an array"),
    (dict, "a table"),
    ((datetime, date, time), "a date or a time"),
)


def _not(needed: str) -> Callable[[Mapping[str, Any], Any], str]:
    def tell(_context: Mapping[str, Any], given: Any) -> str:
        kind = next((words for types, words in _KINDS if isinstance(given, types)), "something else")
        return f"must be {needed}, and is {kind}"

    return tell


def _choice(context: Mapping[str, Any], given: Any) -> str:
    expected = str(context["expected"])
    if expected == "False":
        return "must be a table, or false"
    names = [name for name in expected.replace(" or ", ", ").replace("'", "").split(", ") if name]
    if not isinstance(given, str):
        return _not(f"one of {_listed(names)}")(context, given)
    return unknown("word", given, names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_Words = Callable[[Mapping[str, Any], Any], str]
_WORDS: Final[Mapping[str, _Words]] = {
    "missing": lambda _context, _given: "missing; it is needed",
    "value_error": lambda context, _given: str(context["error"]),
    "literal_error": _choice,
    "union_tag_invalid": lambda context, _given: (
        "unknown; there are: " + str(context["expected_tags"]).replace(MARK, "").replace("'", '"')
    ),
    "union_tag_not_found": lambda context, given: (
        "missing; it says what this table is"
        if isinstance(given, dict)
        else _not('a table that says what it is, as { type = "…" }')(context, given)
    ),
    "string_type": _not("text in quotes"),
    "string_too_short": lambda _context, _given: "must not be empty",
    "string_pattern_mismatch": lambda context, _given: PATTERNS[str(context["pattern"])],
    "bool_type": _not("true or false"),
    "int_type": _not("a whole number"),
    "int_from_float": lambda _context, _given: "must be a whole number",
    "float_type": _not("a number"),
    "finite_number": lambda _context, _given: "must be a finite number",
    "decimal_type": _not("a number"),
    "decimal_parsing": lambda _context, _given: "must be a number",
    "tuple_type": _not("an array, as [ … ]"),
    "dict_type": _not("a table"),
    "model_type": _not("a table"),
    "too_short": lambda _context, _given: "must not be empty",
    "greater_than": lambda context, _given: f"must be more than {_number(context['gt'])}",
    "greater_than_equal": lambda context, _given: f"must be at least {_number(context['ge'])}",
    "less_than": lambda context, _given: f"must be less than {_number(context['lt'])}",
    "less_than_equal": lambda context, _given: f"must be at most {_number(context['le'])}",
    "datetime_type": _not("a date with a time, as 2027-01-31T00:00:00Z"),
    "datetime_parsing": lambda _context, _given: "must be a date with a time, as 2027-01-31T00:00:00Z",
    "datetime_from_date_parsing": lambda _context, _given: "must be a date with a time, as 2027-01-31T00:00:00Z",
    "timezone_aware": lambda _context, _given: "must say its zone, as in 2027-01-31T00:00:00Z",
}
"""What each type of error says; the laws in the tests look for others."""
