"""Room 4: the command line, and the only place that knows of servers and argument parsing.

`Gateway` is imported from here when it is asked for: it needs the extra ``serve``, and nothing else does.

| module | noun |
|---|---|
| `address` | a protocol's own paths and credential, said as a provider wants them |
| `attended` | a gateway in a process of its own, which heeds signals |
| `build` | what a configuration means: its parts, put together |
| `check` | ``ds2api check``: what a configuration means, or what is wrong with it |
| `cli` | the command ``ds2api``: its parser and exit codes |
| `config` | a gateway's configuration as data |
| `console` | a page to look at rather than read logs |
| `convert` | ``ds2api convert``: a document from one protocol to another |
| `crew` | worker processes that serve one port |
| `demo` | ``ds2api demo``: a gateway over the demo model on a port |
| `draft` | what somebody chose for a gateway, as a commented file |
| `explain` | the command that tells from a log what happened to requests |
| `foreign` | pages of other sites, which a browser on this machine may show |
| `front` | the app around a gateway: a first page, and 404 for what no protocol claims |
| `gateway` | `Gateway`: one app from a configuration, which takes over another one at work |
| `granian_server` | granian as the server of a gateway |
| `init` | ``ds2api init``: a configuration by asking which providers there are |
| `keys` | ``ds2api keys``: the keys of a running gateway |
| `line` | one upstream of a gateway, from translator to connections |
| `logs` | one place and one format for the log of a process
| `model_lists` | one list of models out of those of several apps |
| `needs` | what a request needs of a model |
| `orders` | what a command line says about serving |
| `pages` | what a gateway answers beside its protocols |
| `parts` | single tables of a configuration as what parts take |
| `presets` | providers as data: where each is, what it speaks, how it wants its key |
| `probe` | whether providers can be reached and keys work |
| `questions` | plain questions on a terminal or a pipe |
| `quickstart` | ready requests for every protocol of a gateway |
| `renamed` | answers that say the model that the client asked for |
| `renamed_socket` | the same for the messages of a websocket, in both directions |
| `resource` | a part with a lifespan, which several generations of a gateway use |
| `router` | an app over apps, by the model that a request names |
| `routes` | which models go where |
| `serve` | ``ds2api serve``: a gateway from a file, on a port |
| `serving` | a server on a port, its start told and its end bounded |
| `setup` | what ``init`` does: choose, make secrets, write |
| `simulate` | ``ds2api simulate``: clients, keys and providers in virtual time |
| `splice` | members of a JSON object changed in its bytes |
| `target_app` | one target of a route as an app |
| `understood` | what a configuration means, in data and in lines |
| `watch` | tells that a file has changed |
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
