"""What a configuration means, for people and for machines: `understood` as data, `told` as lines.

Nothing in it is a secret: keys go by their aliases, clients by their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...access.client_key import ClientKey
from ...asgi.secret import Secret
from ..assembly.line import spoken_by
from ..config import Config
from ..config.access import AccessTable, ClientKeyTable
from ..config.checks import is_own
from ..config.models import ModelTable, TargetTable
from ..config.upstreams import KeyTable, UpstreamTable

__all__ = ["aliases", "told", "understood"]


def understood(config: Config) -> dict[str, Any]:
    """What a configuration means, as JSON.

    ::

        {
            "listens": {"url": "http://127.0.0.1:8000", "server": "uvicorn", "workers": 1, "others": false},
            "access": {"open": false, "clients": [{"name": "alice", "models": ["gpt-*"], "limits": {"rpm": 60}}]},
            "upstreams": {"openai": {"protocol": "openai-chat", "base_url": "…", "keys": ["key-…"], …}},
            "models": {"smart": {"targets": [{"upstream": "openai", "model": "gpt-6", …}], "fallbacks": []}},
            "pages": {"console": "/console"},
            "store": "memory"
        }

    ``access`` is null where there is no such table.
    """
    pages = {name: table.path for name in ("console", "metrics") if (table := getattr(config, name)) is not None}
    return {
        "listens": _listens(config),
        "access": None if config.access is None else _access(config.access),
        "upstreams": {name: _upstream(table) for name, table in config.upstreams.items()},
        "models": {name: _model(table) for name, table in config.models.items()},
        "pages": pages,
        "store": config.store.type,
    }


def aliases(table: UpstreamTable) -> list[str]:
    """What the keys of an upstream are called, in their order."""
    return [key.alias or key.secret.alias() if isinstance(key, KeyTable) else key.alias() for key in table.keys]


def _listens(config: Config) -> dict[str, Any]:
    server = config.server
    host = f"[{server.host}]" if ":" in server.host and not server.host.startswith("[") else server.host
    scheme = "http" if server.certfile is None else "https"
    return {
        "url": f"{scheme}://{host}:{server.port}",
        "server": server.server,
        "workers": server.workers,
        "others": not is_own(server.host),
    }


def _access(table: AccessTable) -> dict[str, Any]:
    return {"open": table.open, "clients": [_client(key) for key in table.keys]}


def _client(given: Secret | ClientKeyTable) -> dict[str, Any]:
    if isinstance(given, Secret):
        return {"name": ClientKey(given.reveal()).name}
    client: dict[str, Any] = {"name": ClientKey(given.key.reveal(), name=given.name).name}
    if given.models is not None:
        client["models"] = list(given.models)
    if given.limits.model_fields_set:
        client["limits"] = {name: getattr(given.limits, name) for name in sorted(given.limits.model_fields_set)}
    if given.disabled:
        client["disabled"] = True
    if given.expires_at is not None:
        client["expires_at"] = given.expires_at.isoformat()
    return client


def _upstream(table: UpstreamTable) -> dict[str, Any]:
    protocol, dialect, _, address = spoken_by(table)
    return {
        "preset": table.preset,
        "protocol": protocol,
        "dialect": dialect,
        "base_url": address,
        "keys": aliases(table),
        "token": None if table.token is None else table.token.command[0],
        "strategy": table.strategy,
    }


def _model(table: ModelTable) -> dict[str, Any]:
    return {"targets": [_target(target) for target in table.targets], "fallbacks": list(table.fallbacks)}


def _target(target: str | TargetTable) -> dict[str, Any]:
    if isinstance(target, str):
        upstream, _, model = target.partition("/")
        return {"upstream": upstream, "model": model or None}
    found: dict[str, Any] = {"upstream": target.upstream, "model": target.model}
    for name in ("weight", "priority", "can"):
        if name in target.model_fields_set:
            value = getattr(target, name)
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def told(found: dict[str, Any]) -> Iterator[str]:
    """The same as lines.

    Args:
        found: From `understood`.
    """
    listens = found["listens"]
    reach = "other machines reach it" if listens["others"] else "only this machine reaches it"
    workers = "" if listens["workers"] == 1 else f", {listens['workers']} workers"
    yield f"listens    {listens['url']} ({listens['server']}{workers}; {reach})"
    yield from _columns("clients", list(_clients(found["access"])))
    yield from _columns("upstreams", [_upstream_row(name, one) for name, one in found["upstreams"].items()])
    if found["models"]:
        yield from _columns("models", [_model_row(name, one) for name, one in found["models"].items()])
    else:
        yield "models     none: clients name an upstream and its model, as in upstream/model"
    if found["pages"]:
        yield from _columns("pages", list(map(list, found["pages"].items())))


def _columns(title: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows under each other, the title beside the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{'' if number else title:<10} {'  '.join(cells)}".rstrip()


def _clients(access: dict[str, Any] | None) -> Iterable[list[str]]:
    if access is None:
        yield ["everybody on this machine, without a key", ""]
        return
    if access["open"]:
        yield ["everybody, without a key", ""]
    for client in access["clients"]:
        what = [f"only {', '.join(client['models'])}"] if "models" in client else []
        what += [f"{amount:g} {name}" for name, amount in client.get("limits", {}).items()]
        what += ["disabled"] if client.get("disabled") else []
        what += [f"until {client['expires_at']}"] if "expires_at" in client else []
        yield [client["name"], "; ".join(what)]


def _upstream_row(name: str, one: dict[str, Any]) -> list[str]:
    keys = one["keys"]
    named = f": {', '.join(keys[:4])}{', …' if len(keys) > 4 else ''}" if keys else ""
    strategy = f" ({one['strategy']})" if len(keys) > 1 else ""
    return [name, one["protocol"], one["base_url"], f"{_credentials(one)}{strategy}{named}"]


def _credentials(one: dict[str, Any]) -> str:
    if one["token"]:
        return f"token of {one['token']}"
    count = len(one["keys"])
    return "no keys" if not count else "1 key" if count == 1 else f"{count} keys"


def _model_row(name: str, one: dict[str, Any]) -> list[str]:
    targets = ", ".join(map(_target_words, one["targets"]))
    after = f"; then as {', '.join(one['fallbacks'])}" if one["fallbacks"] else ""
    return [name, f"{targets}{after}"]


def _target_words(target: dict[str, Any]) -> str:
    name = target["upstream"] + (f"/{target['model']}" if target["model"] else "")
    what = [f"{member} {target[member]:g}" for member in ("weight", "priority") if member in target]
    if target.get("can") is not None:
        what.append(f"can {', '.join(target['can']) or 'nothing special'}")
    return f"{name} ({', '.join(what)})" if what else name
