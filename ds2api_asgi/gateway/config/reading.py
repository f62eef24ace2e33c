"""A configuration from its file, with everything that is wrong with it.

`examine` tells all problems and warnings; `read_config` gives a configuration or raises.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path as File
from typing import Any, Final

from msgspec import Struct
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ...errors import ConfigurationError
from .checks import found_in
from .known import Found, Known
from .places import Places, dotted
from .problems import Problem, place_of, problem_of
from .root import Config
from .secrets import Surroundings
from .warnings import doubts_about

__all__ = ["Examined", "examine", "read_config"]

_NO_RULE: Final = {"id": "none", "then": "stop", "message": "none"}  # stands for a rule that is wrong
_LARGEST: Final = 4 * 1024 * 1024  # bytes of a configuration
_DEEPEST: Final = 64  # tables and lists in one another
_BEYOND: Final = "is nested too deeply, or has a number that is too long"
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX: Final = (
    ("Cannot declare", "this table stands in the file already"),
    ("Cannot overwrite", "this name stands in the file already, with another value"),
    ("Cannot mutate", "this table was complete where it was written in one line; add to it there"),
    ("Cannot redefine", "this name stands in the file already, as something else"),
    ("Duplicate inline table key", "this name stands in the table already"),
    ("Expected '=' after a key", "a name must be followed by = and a value"),
    ("Expected ']' at the end of a table declaration", "the name of a table must end with ]"),
    ("Expected ']]' at the end of an array declaration", "the name of an array of tables must end with ]]"),
    ("Expected newline or end of document", "there is something behind the value; does it need quotes?"),
    ("Expected", "text does not end; was a quote forgotten?"),
    ("Found invalid character", "a character that cannot stand here"),
    ("Illegal character", "a character that cannot stand here; was a quote forgotten?"),
    ("Invalid date or datetime", "this is no date"),
    ("Invalid hex value", "\\u needs hexadecimal digits"),
    ("Invalid initial character for a key part", "a name must stand here; any but A-Z a-z 0-9 _ - need quotes"),
    ("Invalid statement", "a line must be a table's [name], or a name with = and a value"),
    ("Invalid value", "a value must stand here; text needs quotes"),
    ("Unclosed array", "an array does not end"),
    ("Unclosed inline table", "a table does not end on its line"),
    ("Unescaped '\\' in a string", "a backslash must be doubled here, or text be put into single quotes"),
    ("Unterminated string", "text does not end; was a quote forgotten?"),
    ("Escaped character is not a Unicode scalar value", "\\u does not name a character"),
)  # fmt: skip
"""What tomllib says, and what we say: its own messages repeat names and values."""


_logger = logging.getLogger("ds2api_asgi.gateway")


class Examined(Struct, frozen=True, kw_only=True):
    """A file and what was found in it.

    Attributes:
        config: The configuration; None when there are problems.
        problems: What is wrong, by line.
        warnings: What works but is probably not meant, by line.
        files: The files that it refers to (``file:``), and what they said (`contents.digest`); None: they could not be
            read.
    """

    config: Config | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    files: Mapping[File, bytes | None] = {}

    def usable(self) -> Config:
        """The configuration; what is doubtful about it goes to the logger.

        Raises:
            ConfigurationError: There are problems; see `read_config`.
        """
        if self.config is None:
            raise ConfigurationError("\n".join(map(str, self.problems)))
        for warning in self.warnings:
            _logger.warning("%s", warning)
        return self.config


def read_config(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration; what is doubtful about it goes to the logger ``ds2api_asgi.gateway``.

    Args:
        path: A TOML file.
        environ: What ``env:NAME`` refers to; None: the environment of the process.

    Raises:
        ConfigurationError: The file cannot be read or used. The message has a line for each problem, as
            ``gateway.toml:12: upstreams.openai.retries: unknown; did you mean "retry"?``, and no secret in it.
    """
    return examine(path, environ=environ).usable()


def examine(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Examined:
    """Read a configuration, and tell everything that is wrong or doubtful.

    Args:
        path: A TOML file.
        environ: As for `read_config`.
    """
    file = File(path)
    name = str(path)
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
            mode = os.fstat(opened.fileno()).st_mode
    except FileNotFoundError:
        return _failed(name, None, "there is no such file (ds2api init writes one)")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not the name of a file"
        return _failed(name, None, f"cannot be read: {reason}")
    if len(raw) > _LARGEST:
        return _failed(name, None, "is over 4 MiB")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")  # editors of Windows put a mark in front
    except UnicodeDecodeError as error:
        return _failed(name, raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _failed(name, *_syntax(str(error), text))
    except (RecursionError, ValueError):
        return _failed(name, None, _BEYOND)
    if _is_deep(document):  # dotted names nest without brackets, which tomllib does not mind
        return _failed(name, None, _BEYOND)
    surroundings = Surroundings(environ=os.environ if environ is None else environ, folder=file.parent)
    places = Places(text)

    def told(found: Sequence[Found]) -> tuple[Problem, ...]:
        problems = (
            Problem(file=name, line=places.line(path) if path else None, path=dotted(path), words=words)
            for path, words in dict.fromkeys(found)
        )
        return tuple(sorted(problems, key=lambda problem: problem.line or 0))

    config, found = _validated(document, surroundings)
    doubts = [] if config is None or found else doubts_about(config, Known.of(document))
    if surroundings.literals and mode & 0o077:
        doubts.append(((), f"holds secrets, and others than its owner may read it: chmod 600 {name}"))
    return Examined(
        config=None if found else config,
        problems=told(found),
        warnings=told(doubts),
        files=surroundings.files,
    )


def _failed(name: str, line: int | None, words: str) -> Examined:
    return Examined(config=None, problems=(Problem(file=name, line=line, path="", words=words),))


def _is_deep(document: dict[str, Any]) -> bool:
    level: list[Any] = [document]
    for _ in range(_DEEPEST):
        inner = [one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer)]
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True


def _syntax(message: str, text: str) -> tuple[int, str]:
    """The line of an error of tomllib's, and our words."""
    where = _WHERE.search(message)
    line = int(where[1]) if where is not None and where[1] else text.rstrip("\n").count("\n") + 1
    words = next((words for begin, words in _SYNTAX if message.startswith(begin)), "something is wrong here")
    return line, f"not TOML: {words}"


def _validated(document: dict[str, Any], surroundings: Surroundings) -> tuple[Config | None, list[Found]]:
    """The configuration, as far as its tables are right, and what is wrong."""
    known = Known.of(document)
    try:
        config = Config.model_validate(document, context=surroundings)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        return config, found_in(config, known, surroundings.folder)
    problems: list[Found] = [problem_of(one, Config) for one in errors]
    quiet = Surroundings(environ=surroundings.environ, folder=surroundings.folder)
    try:
        partial = Config.model_validate(_without(document, errors), context=quiet)
    except ValidationError:
        return None, problems
    return partial, problems + found_in(partial, known, surroundings.folder)


def _without(document: dict[str, Any], errors: Sequence[ErrorDetails]) -> dict[str, Any]:
    """A document without what is wrong: members that are unknown, and tables that have any other error.

    So that what is wrong elsewhere is told at once, and nothing is told that only follows.
    """
    rest = deepcopy(document)
    for error in errors:
        place = place_of(error)
        if error["type"] != "extra_forbidden":
            place = place[: 2 if place[0] in ("upstreams", "models", "rules") else 1]
        table: Any = rest
        for step in place[:-1]:
            table = _member(table, step)
        if isinstance(table, dict):
            table.pop(place[-1], None)
        elif isinstance(table, list):
            table[int(place[-1])] = _NO_RULE
    if not isinstance(rest.get("upstreams"), dict) or not rest["upstreams"]:
        rest["upstreams"] = {"none": {"preset": "ollama"}}  # nothing is ever wrong with this one
    return rest


def _member(table: Any, step: str | int) -> Any:
    if isinstance(table, dict):
        return table.get(str(step))
    return table[int(step)] if isinstance(table, list) else None
