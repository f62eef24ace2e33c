"""Secrets in a configuration: where they are, not what they are.

| in the file | is |
|---|---|
| ``"env:OPENAI_KEY"`` | the value of an environment variable |
| ``"file:/run/secrets/openai"`` | a file's contents without white space around them; relative to the configuration |
| anything else | the secret itself, for a machine that nobody else reads |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Struct
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from ...asgi.secret import Secret
from ...errors import ConfigurationError

__all__ = ["Reference", "Surroundings"]

_LONGEST: Final = 64 * 1024  # bytes of a file with a secret


class Surroundings(Struct, frozen=True, kw_only=True):
    """Where references lead; pydantic's context while a file is validated.

    Attributes:
        environ: The environment.
        folder: What relative names of files start from.
    """

    environ: Mapping[str, str]
    folder: Path


def _resolve(value: Any, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError('is a string: "env:NAME", "file:PATH" or the secret itself')  # noqa: TRY004 - pydantic's
    surroundings: Surroundings | None = info.context
    kind, colon, name = value.partition(":")
    try:
        if surroundings is None or not colon or kind not in ("env", "file"):
            return Secret(value)
        if kind == "file":
            return Secret(_read(surroundings.folder / name))
        found = surroundings.environ.get(name)
        if not found:
            raise ValueError(f"the environment variable {name} is not set" + ("" if found is None else " to anything"))
        return Secret(found.strip())
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read the file of a secret: {error.strerror or type(error).__name__}") from None
    if len(content) > _LONGEST:
        raise ValueError("the file of a secret is over 64 KiB")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("the file of a secret is not text") from None


Reference = Annotated[
    Secret,
    PlainValidator(_resolve),
    WithJsonSchema(
        {
            "type": "string",
            "description": "A secret: env:NAME, file:PATH, or the secret itself.",
            "examples": ["env:OPENAI_KEY", "file:/run/secrets/openai"],
        }
    ),
]
"""A field that holds a `Secret`, given as a reference to one."""
