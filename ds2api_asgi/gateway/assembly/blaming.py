"""`blaming`: says in which table of a configuration the trouble is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import ConfigurationError

__all__ = ["blaming"]


@contextmanager
def blaming(table: str) -> Iterator[None]:
    """Put the table's name before what is said of a value that cannot work.

    Args:
        table: Its path, as ``upstreams.openai``.

    Raises:
        ConfigurationError: What was raised within, and where.
    """
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"[{table}] {error}") from error
