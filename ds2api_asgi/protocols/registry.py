"""Protocols by name, and whose a request is.

Built-in protocols are imported when they are first asked for; others are found by the entry point group
``ds2api_asgi.protocols``, since configuration names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module, metadata

from ..errors import ConfigurationError
from .base import Claim, Protocol
from .dialects import unknown

__all__ = ["claim", "get", "in_dialect", "names"]

GROUP = "ds2api_asgi.protocols"

_BUILT_IN = {
    "anthropic": ".anthropic",
    "gemini": ".gemini",
    "ollama": ".ollama",
    "openai-chat": ".openai_chat",
    "openai-responses": ".openai_responses",
}
# Where a path belongs to several protocols and no header decides, the first of these that claims it has it.
_ORDER = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")


@cache
def get(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        ConfigurationError: No such protocol is installed.
    """
    if name in _BUILT_IN:
        protocol = import_module(_BUILT_IN[name], __package__).PROTOCOL
        assert isinstance(protocol, Protocol)
        return protocol
    for entry in metadata.entry_points(group=GROUP, name=name):
        protocol = entry.load()
        if not isinstance(protocol, Protocol):
            raise ConfigurationError(f"entry point {name!r} of {GROUP} is not a Protocol")
        return protocol
    raise ConfigurationError(f"unknown protocol {name!r}; installed: {', '.join(names())}")


def in_dialect(name: str, dialect: str) -> Protocol:
    """The protocol of this name, if it has this dialect.

    Raises:
        ConfigurationError: No such protocol is installed, or it has no such dialect.
    """
    protocol = get(name)
    if dialect not in protocol.dialects:
        raise unknown(protocol.dialects, dialect, name)
    return protocol


@cache
def names() -> tuple[str, ...]:
    """The names of all installed protocols; built-in ones first, in the order in which they claim shared paths."""
    others = sorted({entry.name for entry in metadata.entry_points(group=GROUP)} - set(_BUILT_IN))
    return (*_ORDER, *others)


def claim(
    method: str, path: str, headers: Mapping[str, str], query: str = "", *, among: Iterable[str] | None = None
) -> Claim | None:
    """Tell whose a request is.

    Args:
        method: ``"POST"``.
        path: Relative to the mount, as `asgi.path.relative_path` gives it.
        headers: Lower-case names.
        query: Without the question mark.
        among: Only these protocols; None: all installed.

    Returns:
        The claim of a protocol that is sure (and whose method it is, where several are), else of the first that
        claims; None when the request is nobody's.
    """
    sure: Claim | None = None
    unsure: Claim | None = None
    for name in names() if among is None else among:
        found = get(name).claim(method, path, headers, query)
        if found is None:
            continue
        if found.sure and found.method_allowed:
            return found
        if found.sure:
            sure = sure or found
        unsure = unsure or found
    return sure or unsure
