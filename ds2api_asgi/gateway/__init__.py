"""Room 4: the command line, and the only place that knows of servers and argument parsing.

`Gateway` is imported from here when it is asked for: it needs the extra ``serve``, and nothing else does.

| module | noun |
|---|---|
| `gateway` | `Gateway`: one app from a configuration, which takes over another one at work |
| `config` | a gateway's configuration as data |
| `assembly` | from a configuration to parts |
| `providers` | providers that are known by name |
| `routing` | which app a request goes to, by the model that it names |
| `front`, `pages` | what is answered beside the protocols: first page and 404; health, console, metrics |
| `console` | a page to look at rather than read logs |
| `serving` | servers, workers, signals and logs of a gateway in a process of its own |
| `watch` | tells that files have changed |
| `cli` | the command ``ds2api``: its parser and exit codes |
| `commands` | what ``ds2api`` can be told to do, a module for each command |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gateway import Gateway

__all__ = ["Gateway"]


def __getattr__(name: str) -> Any:
    if name != "Gateway":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .gateway import Gateway
    except ModuleNotFoundError as error:
        from ..errors import ConfigurationError

        raise ConfigurationError(f"Gateway needs {error.name}: pip install 'ds2api-asgi[serve]'") from error
    return Gateway
