"""What works but is probably not meant: `doubts_about` a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from shutil import which

from ..providers.presets import PRESETS
from ..routing.routes import Table as Routes
from .access import ClientKeyTable
from .checks import is_own
from .known import Found, Known
from .models import ModelTable, TargetTable
from .root import Config

__all__ = ["doubts_about"]


def doubts_about(config: Config, known: Known) -> list[Found]:
    """Everything that is doubtful.

    Args:
        config: One without problems.
        known: Which tables the file has.
    """
    return [*_keys(config), *_models(config), *_access(config), *_others_machines(config, known), *_workers(config)]


def _keys(config: Config) -> Iterator[Found]:
    for name, upstream in config.upstreams.items():
        preset = None if upstream.preset is None else PRESETS[upstream.preset]
        if preset is not None and not preset.keyless and not upstream.keys and upstream.token is None:
            yield ("upstreams", name), f"has no keys, though {preset.title} demands one"
        for number, secret in enumerate(upstream.secrets()):
            if "," in secret.reveal():
                yield ("upstreams", name, "keys", number), "has a comma: several keys are as many members of the list"
        if upstream.token is not None and which(upstream.token.command[0]) is None:
            yield ("upstreams", name, "token", "command"), "there is no such program on this machine"
        if upstream.conversation_header is not None and upstream.strategy != "affinity":
            yield ("upstreams", name, "conversation_header"), 'counts only for the strategy "affinity"'
        if upstream.base_url is not None and upstream.base_url.startswith("http:") and upstream.keys:
            host = re.sub(r"^http://|[:/].*$", "", upstream.base_url)
            if not is_own(host) and "." in host:
                yield ("upstreams", name, "base_url"), "sends keys without TLS"


def _models(config: Config) -> Iterator[Found]:
    for name, hidden_by in _shadowed(config.models):
        yield ("models", name), f'is never reached: "{hidden_by}" comes first'
    for name, model in config.models.items():
        for member in model.default:
            if member not in model.override and member not in model.remove:
                continue
            yield ("models", name, "default", member), "counts for nothing, since it is overridden or removed"
        targets = [target for target in model.targets if isinstance(target, TargetTable)]
        if len(targets) == len(model.targets) and all(target.can is not None for target in targets):
            lacking = {"vision", "tools", "reasoning"}.difference(*(target.can or () for target in targets))
            if lacking and not model.fallbacks:
                words = ", ".join(sorted(lacking))
                yield ("models", name, "targets"), f"no target has {words}; requests that need it are refused"


def _shadowed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Patterns that another one comes before, whatever is asked for.

    One with more characters that are no star comes first, so only one with the very same ones can hide another.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        if "*" in name:
            alike.setdefault(name.replace("*", ""), []).append(name)
    for group in alike.values():
        group.sort(key=lambda name: name.count("*"))
        for number, name in enumerate(group):
            for earlier in group[:number]:
                pieces = (re.escape(piece) for piece in re.split(r"\*+", earlier))
                # A star of the later one is any text, which only a star of the earlier one matches.
                if re.fullmatch(".*".join(pieces), re.sub(r"\*+", "\0", name), re.DOTALL):
                    yield name, earlier
                    break


def _access(config: Config) -> Iterator[Found]:
    if config.access is None:
        return
    routes = Routes(config.upstreams, {name: _route(model) for name, model in config.models.items()}, prefixes=True)
    now = datetime.now(UTC)
    providers = {secret: name for name, upstream in config.upstreams.items() for secret in upstream.secrets()}
    for number, key in enumerate(config.access.keys):
        secret = key.key if isinstance(key, ClientKeyTable) else key
        if secret in providers:
            words = f"is a key of upstreams.{providers[secret]} as well, which clients would then hold"
            yield ("access", "keys", number), words
        if not isinstance(key, ClientKeyTable):
            continue
        if key.expires_at is not None and key.expires_at <= now:
            yield ("access", "keys", number, "expires_at"), "is in the past, so the key opens nothing"
        for at, model in enumerate(key.models or ()):
            if "*" not in model and routes.find(model) is None:
                yield ("access", "keys", number, "models", at), "is no model of this file"


def _route(model: ModelTable) -> list[str]:
    return [target.upstream if isinstance(target, TargetTable) else target for target in model.targets]


def _others_machines(config: Config, known: Known) -> Iterator[Found]:
    server = config.server
    if is_own(server.host):
        if config.access is not None and config.access.open:
            yield ("access", "open"), "counts for nothing while only this machine reaches the server"
        return
    tls = server.certfile is not None or bool(server.trust_forwarded)
    if config.access is not None and config.access.open:
        yield ("access", "open"), "everybody who reaches the port may use the providers' keys"
    if config.console is not None and not tls:
        yield ("console",), "its password and what it shows go over the network without TLS"
    if config.metrics is not None and config.metrics.token is None:
        yield ("metrics",), "everybody who reaches the port may read them; a token keeps them private"
    if config.access is not None and config.access.keys and not tls:
        yield ("server", "host") if "server" in known.tables else ("server",), "client keys come without TLS"
    if "*" in server.trust_forwarded:
        yield ("server", "trust_forwarded"), "everybody may say whose address a request comes from"


def _workers(config: Config) -> Iterator[Found]:
    if config.server.workers == 1:
        return
    place = ("server", "workers")
    if config.store.type == "memory":
        yield place, "each worker learns for itself how keys are, and limits hold for each; give them a [store]"
    limited = config.access is not None and any(
        isinstance(key, ClientKeyTable) and key.limits.model_fields_set for key in config.access.keys
    )
    if limited and config.store.type == "sqlite":
        yield place, "the limits of clients are counted by each worker; only a [store] of redis shares them"
    if config.responses is not None and config.responses.type == "memory":
        yield place, "each worker has its own responses, so previous ones are often not found; keep them in sqlite"
