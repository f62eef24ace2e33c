"""What optional dependencies are asked for by: their import, or the words that say which extra brings them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import ConfigurationError

__all__ = ["need"]


def need(module: str, *, extra: str) -> Any:
    """Import a module of an optional dependency.

    Args:
        module: Its dotted name.
        extra: The extra of this package that installs it.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigurationError(f"{package} is not installed: pip install 'ds2api-asgi[{extra}]'") from error
