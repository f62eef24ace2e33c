"""Client keys: that each can work, and none stands there twice."""

from __future__ import annotations

from collections.abc import Iterator

from ...access.client_key import ClientKey
from ...access.patterns import Patterns
from ...errors import ConfigurationError
from .access import ClientKeyTable
from .known import Found
from .places import Path
from .root import Config

__all__ = ["access_found"]


def access_found(config: Config) -> Iterator[Found]:
    """What is wrong with ``[access]``."""
    if config.access is None:
        return
    if config.access.open and config.access.keys:
        yield ("access", "open"), "is for a gateway without keys; leave out one of both"
    if not config.access.open and not config.access.keys:
        yield ("access", "keys"), "missing; without keys nobody could come in (open = true lets everybody in)"
    digests: dict[str, int] = {}
    names: dict[str, int] = {}
    for number, given in enumerate(config.access.keys):
        here: Path = ("access", "keys", number)
        table = given if isinstance(given, ClientKeyTable) else ClientKeyTable(key=given)
        if table.models is not None:
            yield from _models((*here, "models"), table.models)
        try:
            key = ClientKey(table.key.reveal(), name=table.name)
        except ConfigurationError as error:
            in_name = str(error).startswith("the name")
            words = str(error).removeprefix("the name of a client key ").removeprefix("a client key ")
            yield ((*here, "name") if in_name else (*here, "key") if given is table else here), words
            continue
        if digests.setdefault(key.digest, number) != number:
            yield here, f"is the same key as keys[{digests[key.digest]}]"
        elif names.setdefault(key.name, number) != number:
            yield (*here, "name"), f"is that of keys[{names[key.name]}] as well"


def _models(place: Path, models: tuple[str, ...]) -> Iterator[Found]:
    if not models:
        yield place, "allows no model at all; leave it out to allow all"
    for number, model in enumerate(models):
        try:
            Patterns([model])
        except ConfigurationError as error:
            yield (*place, number), str(error).removeprefix("a model pattern ")
