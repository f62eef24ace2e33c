"""What tables demand of each other: `found_in` tells every demand that a configuration does not meet.

A check sees tables that are right by themselves. It tells places and words, and makes parts only where they alone know
what they accept.

| checks | of |
|---|---|
| `check_upstreams` | presets and their parameters, addresses, keys |
| `check_models` | targets, fallbacks, rules |
| `check_access` | client keys |
| here | the server, stores, paths, what must be installed |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path as File
from typing import Final
from urllib.parse import urlsplit

from ...protocols import registry
from ...protocols.base import Operation
from .check_access import access_found
from .check_files import certificate_found, folders_found
from .check_models import models_found, rules_found
from .check_upstreams import upstreams_found
from .known import Found, Known
from .root import Config

__all__ = ["Known", "found_in", "is_own"]

_PASSWORD: Final = 12  # characters
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*)")
_STATEFUL: Final = ("/v1/responses", "/responses", "/v1/realtime")
"""Paths that no protocol claims and yet are its own."""


def found_in(config: Config, known: Known, folder: File) -> list[Found]:
    """Everything that is wrong between tables.

    Args:
        config: Tables that are right by themselves; those that are not are missing.
        known: Which tables the file has.
        folder: What relative names of files start from.
    """
    return [
        *upstreams_found(config, folder),
        *models_found(config, known),
        *rules_found(config, known),
        *access_found(config),
        *_server(config, known, folder),
        *_stores(config),
        *folders_found(config, folder),
        *_paths(config),
        *_installed(config),
    ]


def is_own(host: str) -> bool:
    """Whether a host is this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _server(config: Config, known: Known, folder: File) -> Iterator[Found]:
    server = config.server
    if not _is_host(server.host):
        yield ("server", "host"), "must be a name or an address, without http:// and port (which is server.port)"
    elif not is_own(server.host) and "access" not in known.tables:
        where = ("server", "host") if "server" in known.tables else ("server",)
        yield where, "other machines reach this: say in [access] who may come in, or open = true there for everybody"
    for number, proxy in enumerate(server.trust_forwarded):
        if proxy != "*" and not _is_network(proxy):
            yield ("server", "trust_forwarded", number), "must be an address, or a network as 10.0.0.0/8"
    yield from certificate_found(("server",), server, folder)


def _is_host(host: str) -> bool:
    address = host.removeprefix("[").removesuffix("]").partition("%")[0]
    return _HOST.fullmatch(host) is not None or ("/" not in address and _is_network(address))


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _stores(config: Config) -> Iterator[Found]:
    if config.store.type == "redis" and config.store.url is None:
        yield ("store", "url"), 'missing; the type "redis" needs it'
    if config.store.url is not None and not _is_redis(config.store.url.reveal()):
        yield (
            ("store", "url"),
            "is no address such as redis://:PASSWORD@HOST:6379/0, in which / ? # @ : are written %2F …",
        )
    if config.store.type != "redis" and config.store.url is not None:
        yield ("store", "url"), 'only the type "redis" has one'
    for name, store in (("store", config.store), ("responses", config.responses)):
        if store is None:
            continue
        if store.type == "sqlite" and not store.path:
            yield (name, "path"), 'missing; the type "sqlite" needs a file'
        if store.type != "sqlite" and store.path is not None:
            yield (name, "path"), 'only the type "sqlite" has one'
    if config.console is not None and len(config.console.password.reveal()) < _PASSWORD:
        yield ("console", "password"), f"has fewer than {_PASSWORD} characters"


def _is_redis(url: str) -> bool:
    """Whether an address can be one of Redis; the library's own words would repeat parts of it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("redis", "rediss", "unix") and port != 0


def _paths(config: Config) -> Iterator[Found]:
    """Pages of the gateway's own must not hide each other or what protocols serve."""
    pages = {name: table.path for name in ("console", "metrics") if (table := getattr(config, name)) is not None}
    for name, path in pages.items():
        owner = _owner(path)
        if owner is not None:
            yield (name, "path"), f"hides requests of {owner}; take another"
        for other, taken in pages.items():
            if other < name and (_beneath(path, taken) or _beneath(taken, path)):
                yield (name, "path"), f"is that of [{other}], or one of both is beneath the other"


def _beneath(path: str, other: str) -> bool:
    return path == other or path.startswith(other + "/")


def _owner(path: str) -> str | None:
    """The protocol that serves a path or something beneath it."""
    for name in registry.names():
        protocol = registry.get(name)
        if any(protocol.claim(method, path, {}, "") is not None for method in ("GET", "POST")):
            return name
        for operation in Operation:
            for model in ("m", "models/m"):
                route = protocol.route(operation, stream=False, model=model, dialect="")
                if route is not None and _beneath(route.path.partition("?")[0], path):
                    return name
    return "openai-responses" if any(_beneath(own, path) for own in _STATEFUL) else None


_EXTRAS: Final[Mapping[str, tuple[str, str]]] = {
    "cost": ("genai_prices", "cost"),
    "granian": ("granian", "granian"),
    "metrics": ("prometheus_client", "metrics"),
    "redis": ("redis", "redis"),
    "telemetry": ("opentelemetry", "otel"),
    "websockets": ("websockets", "websocket"),
}


def _installed(config: Config) -> Iterator[Found]:
    needed: list[tuple[str, tuple[str, ...]]] = []
    if config.server.server == "granian":
        needed.append(("granian", ("server", "server")))
    if config.metrics is not None:
        needed.append(("metrics", ("metrics",)))
    if config.store.type == "redis":
        needed.append(("redis", ("store", "type")))
    if config.telemetry is not None:
        needed.append(("telemetry", ("telemetry",)))
    if config.cost is not None and not config.cost.prices:
        needed.append(("cost", ("cost",)))
    needed += [
        ("websockets", ("upstreams", name, "websockets")) for name, one in config.upstreams.items() if one.websockets
    ]
    for what, place in needed:
        module, extra = _EXTRAS[what]
        if find_spec(module) is None:
            yield place, f"needs a package that is missing: pip install 'ds2api-asgi[{extra}]'"
