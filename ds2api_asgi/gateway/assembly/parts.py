"""Single tables of a configuration as what parts take: one function for each, without any state.

Tables are called as the parts' own parameters, so most of this is one constructor call; what is one of several is
told apart by ``match``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, assert_never

from ...access import ClientKey, ClientLimits
from ...access.bounds import Checks
from ...asgi.secret import Secret
from ...errors import ConfigurationError
from ...observe import Price
from ...pool import Key, RateLimits, RedisKeyStore, SQLiteKeyStore
from ...pool.store import KeyStore, MemoryStore
from ...protocols.classification import rule
from ...resilience.breaker import BreakerPolicy
from ...resilience.budget import BudgetPolicy
from ...resilience.hedge import Hedge
from ...stateful import MemoryResponseStore, ResponseStore, SQLiteResponseStore
from ...transforms import TextTools, ThinkTags, Transform
from ...universal.failure import Row
from ..config.access import BoundsTable, ClientKeyTable, ClientLimitsTable
from ..config.models import ModelTable, TargetTable
from ..config.observing import CostTable
from ..config.resilience import BreakerTable, BudgetTable, FailoverTable, HedgeTable, RetryTable
from ..config.rules import RuleTable
from ..config.server import ResponsesTable, StoreTable
from ..config.upstreams import KeyTable, LimitsTable, TextToolsTable, ThinkTagsTable, TransformTable
from ..routing.routes import Route, Rules, Target

__all__ = [
    "checks_of",
    "client_key_of",
    "failover_arguments",
    "file_of",
    "key_of",
    "key_store_of",
    "prices_of",
    "response_store_of",
    "retry_arguments",
    "route_of",
    "rules_of",
    "transform_of",
]


def transform_of(table: TransformTable) -> Transform:
    """A transform.

    Raises:
        ConfigurationError: See the transform.
    """
    match table:
        case TextToolsTable():
            recognise = "auto" if table.recognise is None else table.recognise
            return TextTools(
                table.dialect,
                recognise=recognise,
                reasoning=table.reasoning,
                eager=table.eager,
                max_kept=table.max_kept,
            )
        case ThinkTagsTable():
            return ThinkTags(opening=table.opening, closing=table.closing, inside=table.inside)
        case _:
            assert_never(table)


def key_of(given: Secret | KeyTable) -> Key:
    """A provider's key."""
    match given:
        case Secret():
            return Key(secret=given)
        case KeyTable():
            return Key(
                secret=given.secret,
                alias=given.alias,
                weight=given.weight,
                quota_scope=given.quota_scope,
                models=None if given.models is None else frozenset(given.models),
                priority=given.priority,
                limits=_limits(given.limits),
                model_limits={model: _limits(limits) for model, limits in given.model_limits.items()},
            )
        case _:
            assert_never(given)


def client_key_of(given: Secret | ClientKeyTable) -> ClientKey:
    """A client's key.

    Raises:
        ConfigurationError: See `ClientKey`.
    """
    match given:
        case Secret():
            return ClientKey(given.reveal())  # a text, for it may be a digest
        case ClientKeyTable():
            return ClientKey(
                given.key.reveal(),
                name=given.name,
                models=given.models,
                limits=_client_limits(given.limits),
                share=given.share,
                disabled=given.disabled,
                expires_at=None if given.expires_at is None else given.expires_at.timestamp(),
            )
        case _:
            assert_never(given)


def checks_of(table: BoundsTable) -> Checks:
    """Bounds, as `Access` takes them."""
    return Checks(**table.model_dump())


def retry_arguments(table: RetryTable) -> dict[str, Any]:
    """What `Retry` is called with."""
    return {
        "max_attempts": table.max_attempts,
        "max_keys_tried": table.max_keys_tried,
        "max_calls": table.max_calls,
        "deadline": table.deadline,
        "wait_cap": table.wait_cap,
        "backoff": table.backoff,
        "backoff_cap": table.backoff_cap,
        "first_content_timeout": table.first_content_timeout,
        "idle_timeout": table.idle_timeout,
        "content_timeout": table.content_timeout,
        "early_commit_after": table.early_commit_after,
        "hedge": _hedge(table.hedge),
        "breaker": _breaker(table.breaker),
        "budget": _budget(table.budget),
        "keep_pace": table.keep_pace,
        "client_timeouts": table.client_timeouts,
        "timeout_header": table.timeout_header,
    }


def failover_arguments(table: FailoverTable, targets: int) -> dict[str, Any]:
    """What `Failover` is called with.

    Args:
        table: The table.
        targets: How many apps it has: the last one must be within its bound of calls.
    """
    arguments = retry_arguments(table)
    arguments["max_calls"] = max(table.max_calls, targets)
    return {**arguments, "fallback_on": table.fallback_on}


def rules_of(tables: Iterable[RuleTable], upstream: str | None = None) -> tuple[Row, ...]:
    """What failures mean, in the order in which they are looked at.

    Args:
        tables: All rules.
        upstream: The upstream whose answers are judged; None: any, so that only rules about all of them count.

    Raises:
        ConfigurationError: See `rule`.
    """
    return tuple(
        rule(**table.as_options())
        for table in tables
        if table.upstreams is None or (upstream is not None and upstream in table.upstreams)
    )


def route_of(table: ModelTable, apps: Mapping[str, Any]) -> Route:
    """What a model's name means.

    Args:
        table: The table.
        apps: Apps with transforms of this model's own, by the upstream's name.
    """
    return Route(
        targets=tuple(_target(target) for target in table.targets),
        fallbacks=table.fallbacks,
        rules=Rules(default=table.default, override=table.override, remove=frozenset(table.remove)),
        rename_answers=table.rename_answers,
        listed=table.listed,
        apps=dict(apps),
    )


def prices_of(table: CostTable | None) -> dict[str, Price]:
    """Prices of one's own, by model."""
    return {} if table is None else {model: Price(**price.model_dump()) for model, price in table.prices.items()}


def key_store_of(table: StoreTable, name: str, folder: Path) -> KeyStore:
    """Where a pool's keys live.

    Args:
        table: The table.
        name: What the pool is called there: its upstream's name, so that it keeps what it knows when keys change.
        folder: What relative paths start from.

    Raises:
        ConfigurationError: A member that this type needs is missing, or see the store.
    """
    options: dict[str, Any] = {"name": name, "on_failure": table.on_failure}
    if table.timeout is not None:
        options["timeout"] = table.timeout
    match table.type:
        case "memory":
            return MemoryStore()
        case "sqlite":
            return SQLiteKeyStore(file_of(table.path, folder, "store"), **options)
        case "redis":
            if table.url is None:
                raise ConfigurationError("store: the type redis needs a url")
            return RedisKeyStore(table.url.reveal(), **options)
        case _:
            assert_never(table.type)


def response_store_of(table: ResponsesTable, folder: Path) -> ResponseStore:
    """Where responses are kept; see `key_store_of`."""
    match table.type:
        case "memory":
            return MemoryResponseStore(ttl=table.ttl)
        case "sqlite":
            return SQLiteResponseStore(file_of(table.path, folder, "responses"), ttl=table.ttl)
        case _:
            assert_never(table.type)


def file_of(path: str | None, folder: Path, table: str) -> Path:
    """A file that a table names.

    Raises:
        ConfigurationError: It names none.
    """
    if not path:
        raise ConfigurationError(f"{table}: the type sqlite needs a path")
    return folder / path


def _target(given: str | TargetTable) -> Target | str:
    match given:
        case str():
            return given
        case TargetTable():
            return Target(
                app=given.upstream,
                model=given.model,
                weight=given.weight,
                priority=given.priority,
                can=None if given.can is None else frozenset(given.can),
            )
        case _:
            assert_never(given)


def _limits(table: LimitsTable) -> RateLimits:
    return RateLimits(**table.model_dump())


def _client_limits(table: ClientLimitsTable) -> ClientLimits:
    return ClientLimits(**table.model_dump())


def _hedge(table: HedgeTable | None) -> Hedge | None:
    return None if table is None else Hedge(**table.model_dump())


def _breaker(table: BreakerTable | bool) -> BreakerPolicy | None:
    return BreakerPolicy(**table.model_dump()) if isinstance(table, BreakerTable) else None


def _budget(table: BudgetTable | bool) -> BudgetPolicy | None:
    return BudgetPolicy(**table.model_dump()) if isinstance(table, BudgetTable) else None
