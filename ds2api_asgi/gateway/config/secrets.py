"""Secrets in a configuration, and other values that stand elsewhere: where they are, not what they are.

| in the file | is |
|---|---|
| ``"env:OPENAI_KEY"`` | the value of an environment variable |
| ``"file:/run/secrets/openai"`` | a file's contents without white space around them; relative to the configuration |
| anything else | the value itself; a secret only on a machine that nobody else reads |

No error holds a value. The name of a variable is told where it looks like one (``OPENAI_KEY``): after ``env:``, too,
people have put the key itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Struct, field
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from ...asgi.secret import Secret
from ...errors import ConfigurationError
from .contents import LONGEST, contents, digest
from .guess import near

__all__ = ["Followed", "FollowedFile", "Hidden", "HiddenText", "Reference", "Referred", "Surroundings", "Text"]

_SHOWN: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SHELL: Final = re.compile(r"\$(?:\{[A-Za-z_]\w*\}|[A-Za-z_]\w*|\([^)]*\))|%[A-Za-z_]\w*%")
_KINDS: Final = re.compile(r"(?i)\s*(env|file)\s*:")
_DIGEST: Final = "sha256:"


class Surroundings(Struct, kw_only=True):
    """Where references lead; pydantic's context while a file is validated.

    Attributes:
        environ: The environment.
        folder: What relative names of files start from.
        literals: How many secrets stood in the file itself.
        files: The files that were referred to, and what they said (`contents.digest`); None: they could not be read.
    """

    environ: Mapping[str, str]
    folder: Path
    literals: int = field(default=0)
    files: dict[Path, bytes | None] = field(default_factory=dict)


def _here() -> Surroundings:
    """Where the references of a configuration lead that is no file's."""
    return Surroundings(environ=os.environ, folder=Path())


class Hidden(str):
    """A text that its ``repr`` does not show, and with it no table's."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Referred(Hidden):
    """One that stood elsewhere than in the file: a secret, most likely."""

    __slots__ = ()


class Followed(str):
    """The name of a file, which is another one when it says something else.

    Attributes:
        said: What it said (`contents.digest`); None: it could not be read, or nobody has looked.
    """

    __slots__ = ("said",)

    said: bytes | None

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and getattr(other, "said", None) == self.said

    def __ne__(self, other: object) -> bool:
        return not self == other  # a text has its own, which knows the name only

    __hash__ = str.__hash__


def _followed(name: str, info: ValidationInfo) -> Followed:
    followed = Followed(name)
    followed.said = None
    if isinstance(info.context, Surroundings):
        path = info.context.folder / name
        with suppress(OSError, ValueError):  # what is wrong with it, checks tell
            followed.said = digest(path)
        info.context.files[path] = followed.said
    return followed


FollowedFile = Annotated[str, AfterValidator(_followed)]
"""A file beside the configuration that is read with it; when it changes, the configuration has."""


def _found(value: Any, info: ValidationInfo) -> tuple[str, bool]:
    """What a reference leads to, and whether it stood in the file itself."""
    if not isinstance(value, str):
        raise ValueError('must be text: "env:NAME", "file:PATH" or the value itself')  # noqa: TRY004 - pydantic's
    surroundings = info.context if isinstance(info.context, Surroundings) else _here()
    kind, colon, name = value.partition(":")
    if not colon or kind not in ("env", "file"):
        if _KINDS.match(value):
            raise ValueError('write "env:NAME" or "file:PATH", in lower case and without white space')
        if _SHELL.fullmatch(value):
            raise ValueError('write "env:NAME" for the value of an environment variable')
        return value, True
    if name != name.strip() or not name:
        raise ValueError(f'write "{kind}:{"NAME" if kind == "env" else "PATH"}", without white space')
    return (_read(surroundings, name) if kind == "file" else _variable(surroundings.environ, name)), False


def _variable(environ: Mapping[str, str], name: str) -> str:
    found = environ.get(name)
    if found is not None and found.strip():
        return found.strip()
    said = f"the environment variable {name}" if _SHOWN.fullmatch(name) else "the environment variable after env:"
    if found is not None:
        raise ValueError(f"{said} is empty")
    meant = near(name, environ)
    raise ValueError(f"{said} is not set" + (f'; did you mean "env:{meant}"?' if meant else ""))


def _read(surroundings: Surroundings, name: str) -> str:
    path = surroundings.folder / name
    surroundings.files[path] = None
    try:
        surroundings.files[path] = digest(path)  # before it is read: what changes in between is seen
        content = contents(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not the name of a file"
        raise ValueError(f"cannot read the file after file: ({reason})") from None
    if len(content) > LONGEST:
        raise ValueError("the file after file: is over 64 KiB")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("the file after file: is not text") from None
    if not text:
        raise ValueError("the file after file: is empty")
    return text


def _secret(value: Any, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    found, literal = _found(value, info)
    try:
        secret = Secret(found)
    except ConfigurationError as error:
        raise ValueError(str(error).removeprefix("a key ")) from None
    _count(found, info, literal=literal)
    return secret


def _hidden(value: Any, info: ValidationInfo) -> Hidden:
    if isinstance(value, Hidden):
        return value
    found, literal = _found(value, info)
    return Hidden(found) if literal else Referred(found)


def _text(value: Any, info: ValidationInfo) -> str:
    return _found(value, info)[0]


def _count(found: str, info: ValidationInfo, *, literal: bool) -> None:
    if literal and isinstance(info.context, Surroundings) and not found.startswith(_DIGEST):
        info.context.literals += 1


_EXAMPLES: Final = ["env:OPENAI_KEY", "file:/run/secrets/openai"]

Reference = Annotated[
    Secret,
    PlainValidator(_secret),
    PlainSerializer(lambda _: "***", return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "description": "A secret: env:NAME, file:PATH, or the secret itself.",
            "examples": _EXAMPLES,
        }
    ),
]
"""A field that holds a `Secret`, given as a reference to one."""

HiddenText = Annotated[
    str,
    PlainValidator(_hidden),
    PlainSerializer(lambda _: "***", return_type=str),
    WithJsonSchema(
        {"type": "string", "description": "A value that is not shown: env:NAME, file:PATH, or the value itself."}
    ),
]
"""A text that may be a secret, and may have white space within (a header's value)."""

Text = Annotated[str, BeforeValidator(_text)]
"""A text that may differ from machine to machine: ``env:NAME``, ``file:PATH``, or the text itself."""
