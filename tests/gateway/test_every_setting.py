"""Every setting does something: the parts of a gateway are others when any one of them is.

What parts are made of is compared: all numbers, texts and truths that can be reached from the app, tables of the
configuration aside. Settings of the process are looked for in the modules that serve.
"""

from __future__ import annotations

import ast
import enum
import functools
import re
import time
import types
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anyio.lowlevel import RunVar
from pydantic import BaseModel

import ds2api_asgi
from ds2api_asgi import Secret
from ds2api_asgi.gateway.config import Config
from ds2api_asgi.gateway.config.base import Table
from ds2api_asgi.gateway.config.upstreams import ThinkTagsTable, TokenTable
from ds2api_asgi.gateway.gateway import Gateway
from gateways import config_of

FILE = """
[upstreams.azure]
preset = "azure"
parameters = { resource = "mine" }
keys = [
    { secret = "sk-one-0000000000", limits = { rpm = 5 }, model_limits = { m = { rpm = 5 } } },
    "sk-two-0000000000",
]
[[upstreams.azure.transforms]]
type = "text-tools"
[[upstreams.azure.transforms]]
type = "think-tags"
[upstreams.azure.retry.hedge]
[upstreams.azure.retry.breaker]
[upstreams.azure.retry.budget]

[upstreams.other]
protocol = "openai-chat"
base_url = "http://127.0.0.1:9"

[upstreams.token]
preset = "vertex"
parameters = { project = "mine" }
token = { command = ["true"] }

[models.smart]
targets = [{ upstream = "azure", model = "gpt" }, "other"]
fallbacks = ["plain"]
[models.plain]
targets = ["other/x"]

[failover.hedge]
[failover.breaker]
[failover.budget]

[[rules]]
id = "plan"
then = "exhaust-key"
status = [403]

[access]
keys = [{ key = "sk-client-0123456789", limits = { rpm = 5 } }, "sk-client-9876543210"]

[store]
type = "sqlite"
path = "keys.db"

[responses]
type = "sqlite"
path = "state.db"

[metrics]
[telemetry]
[cost.prices.m]
input = 1
output = 2
[console]
password = "a-long-enough-password"
"""

# What a setting is changed to, where that cannot be told by its type.
OTHERS: dict[str, Any] = {
    "AccessTable.open": True,
    "AccessTable.others": "refuse",
    "CarryTable.secret": Secret("another-secret"),
    "ClientKeyTable.expires_at": datetime(2030, 1, 1, tzinfo=UTC),
    "ClientKeyTable.models": ("m",),
    "FailoverTable.fallback_on": ("context-window",),
    "FailoverTable.timeout_header": "x-wait",
    "FailoverTable.early_commit_after": 3.0,
    "KeyTable.models": ("m",),
    "KeyTable.quota_scope": "org",
    "LogTable.header": "x-trace",
    "MetricsTable.token": Secret("a-scraper"),
    "ModelTable.default": {"temperature": 1},
    "ModelTable.fallbacks": (),
    "ModelTable.override": {"top_p": 1},
    "ModelTable.remove": ("n",),
    "ModelTable.rename_answers": True,
    "ModelTable.targets": ("azure",),
    "ModelTable.transforms": (ThinkTagsTable(type="think-tags"),),
    "PriceTable.cached": Decimal(7),
    "RetryTable.early_commit_after": 3.0,
    "RetryTable.timeout_header": "x-wait",
    "RouterTable.default": "other",
    "RouterTable.per": "request",
    "RuleTable.code": ("gone",),
    "RuleTable.message": "no",
    "RuleTable.reason": "context-window",
    "RuleTable.status": (404,),
    "RuleTable.then": "cool-key",
    "RuleTable.upstreams": ("other",),
    "RuleTable.wait": 5.0,
    "StoreTable.on_failure": "refuse",
    "TargetTable.can": ("vision",),
    "TargetTable.upstream": "other",
    "TextToolsTable.dialect": "hermes",
    "TokenTable.command": ("echo", "token"),
    "UpstreamTable.token": None,
    "TextToolsTable.recognise": ("hermes",),
    "UpstreamTable.base_url": "http://127.0.0.1:10",
    "UpstreamTable.conversation_header": "x-talk",
    "UpstreamTable.dialect": "mistral",
    "UpstreamTable.headers": {"x-more": "1"},
    "UpstreamTable.max_concurrency": 7,
    "UpstreamTable.max_total": 7,
    "UpstreamTable.on_loss": "reject",
    "UpstreamTable.proxy": Secret("http://proxy.example:3128"),
    "UpstreamTable.parameters": {"resource": "yours"},
    "UpstreamTable.strategy": "round-robin",
}
# One of two that cannot be without the other: both are changed.
TOGETHER: dict[str, dict[str, Any]] = {
    "AccessTable.open": {"keys": ()},
    "ResponsesTable.type": {"type": "memory", "path": None},
    "StoreTable.type": {"type": "memory", "path": None},
    "StoreTable.url": {"type": "redis", "path": None, "url": Secret("redis://127.0.0.1:1")},
    "UpstreamTable.token": {"keys": (), "token": TokenTable(command=("echo", "token"))},
    "UpstreamTable.preset": {"preset": "groq", "parameters": {}},
    "UpstreamTable.protocol": {
        "preset": None,
        "parameters": {},
        "protocol": "anthropic",
        "base_url": "http://a.example",
    },
}
# What the process does with them, not the app.
OF_THE_PROCESS = {"ServerTable", "ReloadTable", "LogTable"}
SERVES = ("gateway.py", "commands/serve.py", "serving/*.py")
# Of files, which tests/gateway/test_configured_egress.py has.
OF_FILES = {"TlsTable.cafile", "TlsTable.certfile", "TlsTable.keyfile"}
WORDS = {"TextToolsTable.type", "ThinkTagsTable.type"}  # which table it is
ATOMS = (str, bytes, int, float, Decimal, bool, type(None), enum.Enum)
SKIPPED = (type, types.ModuleType, Random, RunVar, BaseModel, types.CodeType)


def config() -> Config:
    return config_of(FILE)


def tables(table: Table, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Table]]:
    """A table and all beneath it, with where each is."""
    yield path, table
    for name in type(table).model_fields:
        value = getattr(table, name)
        items: Any = ()
        if isinstance(value, Table):
            items = [((), value)]
        elif isinstance(value, dict):
            items = [((key,), one) for key, one in value.items()]
        elif isinstance(value, tuple):
            items = [((number,), one) for number, one in enumerate(value)]
        for more, one in items:
            if isinstance(one, Table):
                yield from tables(one, (*path, name, *more))


def changed(table: Any, path: tuple[Any, ...], update: Mapping[str, Any]) -> Any:
    """The same with another table somewhere."""
    if not path:
        return table.model_copy(update=update)
    head, *rest = path
    if isinstance(table, Table):
        return table.model_copy(update={head: changed(getattr(table, head), tuple(rest), update)})
    if isinstance(table, dict):
        return {**table, head: changed(table[head], tuple(rest), update)}
    return tuple(changed(one, tuple(rest), update) if number == head else one for number, one in enumerate(table))


def other(name: str, value: Any) -> Any:
    """Another value of a setting."""
    if name in OTHERS:
        return OTHERS[name]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return (value + 1) / 2 if value < 1 else value * 2
        case Decimal():
            return value + 1
        case Secret():
            return Secret("sk-another-0123456789")
        case str():
            return value + "x" if value else "another"
        case Table():
            return False
        case None:
            return 4.0 if name.endswith("timeout") else 4
        case _:
            raise AssertionError(f"say in OTHERS what {name} is changed to")


def made_of(root: Any, since: tuple[float, float]) -> Counter[str]:
    """All numbers, texts and truths that can be reached, but for times since a moment (of both clocks)."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    left: deque[Any] = deque([root])
    keep: list[Any] = []
    while left:
        one = left.popleft()
        if isinstance(one, ATOMS):
            if _is_of_the_moment(one, since):
                continue
            found[f"{type(one).__name__} {one!r}"] += 1
            continue
        if isinstance(one, SKIPPED) or type(one).__module__ in ("_thread", "threading"):
            continue
        if id(one) in seen:
            found[f"again {type(one).__qualname__} {getattr(one, 'name', '')!s:.40}"] += 1
            continue
        seen.add(id(one))
        keep.append(one)
        found[type(one).__qualname__] += 1
        match one:
            case Secret():
                found[one.alias()] += 1
            case re.Pattern():
                found[f"{one.pattern!r}"] += 1
            case Mapping():
                left.extend(one.keys())
                left.extend(one.values())
            case list() | tuple() | set() | frozenset() | deque():
                left.extend(one)
                left.append(getattr(one, "maxlen", None))
            case functools.partial():
                left.extend((one.func, one.args, one.keywords))
            case types.MethodType():
                left.append(one.__self__)
            case types.FunctionType():
                cells = [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]
                left.extend((cells, one.__defaults__, one.__kwdefaults__))
            case _:
                left.append(getattr(one, "__wrapped__", None))
                left.extend(_members(one))
    return found


def _is_of_the_moment(one: Any, since: tuple[float, float]) -> bool:
    """Times, and names that are drawn or counted.

    A machine that has just been started has a clock that shows what settings also say: 30.0 is a time only while
    that is the time.
    """
    match one:
        case float():
            return any(began <= one <= now for began, now in zip(since, _moment(), strict=True))
        case str():
            return re.fullmatch(r"ds2api_asgi\.observe\.\d+|[0-9a-f]{5,8}", one) is not None
        case int():
            return one > 1 << 40
        case _:
            return False


def _moment() -> tuple[float, float]:
    return time.time(), time.monotonic()


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - to see whether there are any
    except ValueError:
        return False
    return True


def _members(one: Any) -> Iterator[Any]:
    yield from getattr(one, "__dict__", {}).values()
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            name = f"_{kind.__name__.lstrip('_')}{slot}" if slot.startswith("__") and not slot.endswith("__") else slot
            if hasattr(one, name):
                yield getattr(one, name)
    for name in getattr(one, "__struct_fields__", ()):
        yield getattr(one, name)


def parts(settings: Config) -> Counter[str]:
    since = _moment()
    gateway = Gateway(settings, folder=Path("/nowhere"), wall=lambda: 0.0)
    legs = [leg for way in gateway._current.router._table.ways.values() for leg in way.legs]
    failover = gateway._current.failover([gateway._current.router._asking(leg) for leg in legs])
    return made_of([gateway._current.app, gateway._current.lines, failover], since)


CASES = {
    f"{type(table).__name__}.{name}": (path, name)
    for path, table in reversed(list(tables(config())))
    for name in type(table).model_fields
    if type(table) is not Config and type(table).__name__ not in OF_THE_PROCESS
}
"""Every setting, and where its table is first in the file."""


@pytest.fixture(scope="module")
def base() -> Counter[str]:
    """What the parts are made of; the same each time."""
    found = parts(config())
    assert found == parts(config())
    return found


@pytest.mark.parametrize("setting", [name for name in CASES if name not in WORDS | OF_FILES])
def test_another_value_makes_other_parts(setting: str, base: Counter[str]) -> None:
    path, name = CASES[setting]
    settings = config()
    table: Any = settings
    for step in path:
        table = getattr(table, step) if isinstance(table, Table) else table[step]
    value = getattr(table, name)
    if setting in TOGETHER:
        update = {name: other(setting, value), **TOGETHER[setting]}
    elif isinstance(value, Table) or (isinstance(value, tuple | dict) and _has_tables(value)):
        pytest.skip("its own settings are looked at")
    else:
        update = {name: other(setting, value)}
    assert parts(changed(settings, path, update)) != base


def _has_tables(value: Any) -> bool:
    return any(isinstance(one, Table) for one in (value.values() if isinstance(value, dict) else value))


def test_every_table_is_looked_at() -> None:
    looked = {type(table) for _, table in tables(config())}
    left = [Table]
    every: set[type] = set()
    while left:
        kinds = left.pop().__subclasses__()
        left += kinds
        every |= {kind for kind in kinds if kind.__module__.startswith("ds2api_asgi.")}
    assert {kind.__name__ for kind in every - looked} == set()


def test_every_setting_of_the_process_is_read_by_who_serves() -> None:
    folder = Path(ds2api_asgi.__file__).parent / "gateway"
    read = {
        node.attr
        for pattern in SERVES
        for module in folder.glob(pattern)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute)
    }
    for _, table in tables(config()):
        if type(table).__name__ in OF_THE_PROCESS and type(table).__name__ != "LogTable":
            assert set(type(table).model_fields) <= read
        if type(table).__name__ == "LogTable":
            assert {"format", "level", "file"} <= read
    assert parts(changed(config(), ("log",), {"header": "x-trace"})) != parts(config())
