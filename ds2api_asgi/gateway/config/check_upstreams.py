"""Upstreams: presets and their parameters, addresses, dialects, keys, what is done about failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as File

from ...asgi.secret import Secret
from ...errors import ConfigurationError
from ...pool.keys import ALIAS
from ...protocols import registry
from ...resilience.budget import BudgetPolicy
from ...resilience.hedge import Hedge
from ...upstream.address import Address
from ...upstream.component import NOT_CONFIGURED
from ...upstream.proxy import proxy_url
from ..providers.presets import PRESETS, Preset
from .base import unknown
from .check_files import certificate_found, is_file
from .known import Found
from .places import Path
from .resilience import RetryTable
from .root import Config
from .upstreams import KeyTable, UpstreamTable

__all__ = ["upstreams_found"]


def upstreams_found(config: Config, folder: File) -> Iterator[Found]:
    """What is wrong with upstreams.

    Args:
        config: The configuration.
        folder: What relative names of files start from.
    """
    for name, upstream in config.upstreams.items():
        place: Path = ("upstreams", name)
        yield from _where(place, upstream)
        yield from _headers(place, upstream)
        yield from _way(place, upstream, folder)
        yield from _keys(place, upstream)
        if upstream.token is not None and upstream.keys:
            yield (*place, "token"), "stands in place of keys; leave out one of both"
        if upstream.retry is not False:
            yield from _retry((*place, "retry"), upstream.retry)
    yield from _retry(("failover",), config.failover)


def _where(place: Path, upstream: UpstreamTable) -> Iterator[Found]:
    preset = None if upstream.preset is None else PRESETS[upstream.preset]
    if upstream.base_url is not None:
        try:
            Address(upstream.base_url)
        except (ConfigurationError, ValueError) as error:
            known = isinstance(error, ConfigurationError)
            yield (*place, "base_url"), str(error).removeprefix("base_url ") if known else "is no address"
    if preset is None:
        for member in ("protocol", "base_url"):
            if getattr(upstream, member) is None:
                yield (*place, member), "missing; without a preset it is needed"
        if upstream.parameters:
            yield (*place, "parameters"), "only presets have any"
    else:
        if upstream.protocol is not None and upstream.protocol != preset.protocol:
            yield (*place, "protocol"), f'the preset speaks "{preset.protocol}"; leave this out'
        yield from _parameters(place, upstream, preset)
    protocol = preset.protocol if preset is not None else upstream.protocol
    if protocol is not None and upstream.dialect is not None:
        dialects = registry.get(protocol).dialects
        if upstream.dialect not in dialects:
            yield (*place, "dialect"), unknown(f"dialect of {protocol}", upstream.dialect, filter(None, dialects))


def _parameters(place: Path, upstream: UpstreamTable, preset: Preset) -> Iterator[Found]:
    for name in upstream.parameters:
        if name not in preset.parameters:
            words = unknown("parameter", name, preset.parameters) if preset.parameters else "this preset has none"
            yield (*place, "parameters", name), words
    needed = preset.needed(elsewhere=upstream.base_url is not None)
    missing = [name for name in needed if name not in upstream.parameters]
    for name in missing:
        yield (*place, "parameters", name), f"missing; {preset.title} needs it"
    own = {name: value for name, value in upstream.parameters.items() if name in preset.parameters}
    if missing:
        return
    try:
        preset.check(own, elsewhere=upstream.base_url is not None)
    except ConfigurationError as error:
        yield (*place, "parameters"), str(error).removeprefix(f"the preset {preset.name}: ")


def _headers(place: Path, upstream: UpstreamTable) -> Iterator[Found]:
    for name, value in upstream.headers.items():
        if name.lower().encode() in NOT_CONFIGURED:
            yield (*place, "headers", name), "is set by the gateway itself"
        if any((one < " " and one != "\t") or one == "\x7f" for one in value):
            yield (*place, "headers", name), "has control characters, which no header can carry"


def _way(place: Path, upstream: UpstreamTable, folder: File) -> Iterator[Found]:
    if upstream.proxy is not None:
        try:
            proxy_url(upstream.proxy.reveal())
        except ConfigurationError as error:
            yield (*place, "proxy"), str(error).removeprefix("proxy ")
    tls: Path = (*place, "tls")
    yield from certificate_found(tls, upstream.tls, folder)
    if upstream.tls.cafile is not None and not is_file(folder / upstream.tls.cafile):
        yield (*tls, "cafile"), "there is no such file"


def _keys(place: Path, upstream: UpstreamTable) -> Iterator[Found]:
    secrets: dict[Secret, int] = {}
    aliases: dict[str, int] = {}
    scopes: dict[str, tuple[int, KeyTable]] = {}
    for number, given in enumerate(upstream.keys):
        key = given if isinstance(given, KeyTable) else KeyTable(secret=given)
        here: Path = (*place, "keys", number)
        first = secrets.setdefault(key.secret, number)
        if first != number:
            yield here, f"is the same key as keys[{first}]"
            continue
        alias = key.alias or key.secret.alias()
        if not ALIAS.fullmatch(alias):
            yield (*here, "alias"), "must be 1 to 64 printable characters without white space"
        elif alias == key.secret.reveal():
            yield (*here, "alias"), "is the key itself, and would be shown"
        elif aliases.setdefault(alias, number) != number:
            yield (*here, "alias"), f"is that of keys[{aliases[alias]}] as well"
        if key.models is not None and not key.models:
            yield (*here, "models"), "allows no model at all; leave it out to allow all"
        if key.quota_scope is not None:
            other, same = scopes.setdefault(key.quota_scope, (number, key))
            if (same.limits, same.model_limits) != (key.limits, key.model_limits):
                yield here, f"shares its quota_scope with keys[{other}], but not its limits"


def _retry(place: Path, retry: RetryTable) -> Iterator[Found]:
    if retry.hedge is not None:
        try:
            Hedge(**retry.hedge.model_dump()).check()
        except ConfigurationError as error:
            yield (*place, "hedge"), str(error)
    if retry.budget is not False:
        try:
            BudgetPolicy(**retry.budget.model_dump()).check()
        except ConfigurationError:
            yield (*place, "budget"), "a capacity below per_retry allows no repeat; use max_attempts = 1 for that"
