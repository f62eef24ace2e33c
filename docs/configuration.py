"""Write `configuration.md`: every table and field of a gateway's file, from the models that read it.

    python docs/configuration.py > docs/pages/configuration.md

Examples stand here, one for each table; a test reads all of them with `read_config`.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ds2api_asgi.asgi.secret import Secret
from ds2api_asgi.gateway.config import Config, examine
from ds2api_asgi.gateway.config.base import Table

__all__ = ["EXAMPLES", "page"]

_WRONG: Final = """\
[upstreams.openai]
preset = "opnai"
key = "env:OPENAI_KEY"

[models.smart]
targets = ["claude/claude-opus-5"]
"""

_HEAD: Final = """\
# Configuration

A gateway is a file of TOML. Written by `docs/configuration.py` from the models that read it; members are called as the
parameters of the parts are. Unknown members are errors, with file, line and a suggestion:

```toml title="wrong.toml"
WRONG```

<!-- exit 1 -->
```sh
ds2api check wrong.toml
```

PROBLEMS
A whole one:

```toml title="gateway.toml"
[upstreams.openai]
preset = "openai"
keys = ["env:OPENAI_KEY_1", "env:OPENAI_KEY_2"]

[upstreams.claude]
preset = "anthropic"
keys = ["env:ANTHROPIC_KEY"]

[models.smart]
targets = ["claude/claude-opus-5", "openai/gpt-6"]

[access]
keys = ["env:GATEWAY_KEY"]
```

```sh
ds2api check gateway.toml
```

## Editors

```sh
ds2api check --schema > gateway.schema.json
```

With `#:schema ./gateway.schema.json` as the file's first line, editors that know Taplo (Even Better TOML) check and
complete it.

## Secrets

Where a type says *secret*:

| in the file | is |
|---|---|
| `"env:OPENAI_KEY"` | the value of an environment variable |
| `"file:/run/secrets/openai"` | a file's contents without white space around them; relative to the configuration |
| anything else | the secret itself, for a machine that nobody else reads |

A file that is replaced is read anew, as this one is ([`[reload]`](#reload)).
"""

EXAMPLES: Final = {
    "upstreams.NAME": """\
[upstreams.azure]
preset = "azure"
parameters = { resource = "my-resource" }
keys = ["env:AZURE_KEY"]
first_byte_timeout = 120

[upstreams.own]
protocol = "openai-chat"
base_url = "http://127.0.0.1:9000"
dialect = "vllm"
retry = false
""",
    "upstreams.NAME.keys": """\
[[upstreams.openai.keys]]
secret = "env:OPENAI_KEY_1"
alias = "blue"
quota_scope = "org-blue"
limits = { rpm = 500, tpm = 200_000 }

[[upstreams.openai.keys]]
secret = "file:secrets/openai"
alias = "spare"
priority = -1
""",
    "upstreams.NAME.keys.limits": """\
[upstreams.openai]
preset = "openai"
keys = [{ secret = "env:OPENAI_KEY", limits = { rpm = 500 }, model_limits = { gpt-6 = { rpd = 100 } } }]
""",
    "upstreams.NAME.token": """\
[upstreams.vertex]
preset = "vertex"
parameters = { project = "my-project" }
token = { command = ["gcloud", "auth", "print-access-token"] }
""",
    "upstreams.NAME.tls": """\
[upstreams.inside]
protocol = "openai-chat"
base_url = "https://llm.internal.example"
tls = { cafile = "internal-ca.pem" }
""",
    "upstreams.NAME.retry": """\
[upstreams.openai.retry]
max_attempts = 2
deadline = 120
early_commit_after = 15
""",
    "upstreams.NAME.retry.hedge": """\
[upstreams.openai.retry]
hedge = { share = 0.02, least = 3 }
""",
    "upstreams.NAME.retry.breaker": """\
[failover.breaker]
consecutive = 3
longest_rest = 60
""",
    "upstreams.NAME.retry.budget": """\
[upstreams.openai.retry]
budget = { capacity = 20 }
""",
    "upstreams.NAME.transforms": """\
[upstreams.local]
preset = "llama.cpp"
transforms = [{ type = "text-tools", dialect = "hermes" }, { type = "think-tags" }]
""",
    "models.NAME": """\
[models.smart]
targets = ["claude/claude-opus-5", "openai/gpt-6"]
fallbacks = ["small"]
default = { temperature = 0.2 }
remove = ["metadata"]

[models.small]
targets = ["openai/gpt-6-mini"]

[models."gpt-*"]
targets = ["openai"]
listed = false
""",
    "models.NAME.targets": """\
[[models.vision.targets]]
upstream = "openai"
model = "gpt-6"
weight = 3
can = ["vision", "tools"]

[[models.vision.targets]]
upstream = "claude"
model = "claude-opus-5"
""",
    "router": """\
[router]
prefixes = false
default = "openai"
rename_answers = true
""",
    "failover": """\
[failover]
max_calls = 4
fallback_on = ["context-window"]
""",
    "rules": """\
[[rules]]
id = "plan"
status = [403]
message = "upgrade your plan"
then = "exhaust-key"
wait = 3600
upstreams = ["openai"]
""",
    "access": """\
[access]
keys = ["env:GATEWAY_KEY"]
others = "refuse"
""",
    "access.keys": """\
[[access.keys]]
key = "env:SHOP_KEY"
name = "shop"
models = ["gpt-*"]
share = 2.0
expires_at = 2027-01-31T00:00:00Z
""",
    "access.keys.limits": """\
[access]
keys = [{ key = "env:SHOP_KEY", name = "shop", limits = { rpm = 60, budget = 2_000_000, budget_period = 604_800 } }]
""",
    "bounds": """\
[bounds]
max_body = 4_194_304
""",
    "server": """\
[access]
keys = ["env:GATEWAY_KEY"]

[server]
host = "0.0.0.0"
port = 8080
workers = 2
graceful_timeout = 60

[store]
type = "sqlite"
path = "keys.db"
""",
    "reload": """\
[reload]
watch = false
""",
    "store": """\
[store]
type = "redis"
url = "env:REDIS_URL"
on_failure = "refuse"
""",
    "responses": """\
[responses]
type = "sqlite"
path = "responses.db"
ttl = 604_800
""",
    "carry": """\
[carry]
secret = "env:CARRY_SECRET"
""",
    "log": """\
[log]
format = "json"
file = "gateway.log"
""",
    "metrics": """\
[metrics]
token = "env:METRICS_TOKEN"
""",
    "telemetry": """\
[telemetry]
contents = false
""",
    "cost": """\
[cost]
""",
    "cost.prices.NAME": """\
[cost.prices.house-model]
input = 0.20
output = 0.80
""",
    "console": """\
[console]
password = "env:CONSOLE_PASSWORD"
""",
}
"""By table: a configuration, or a part of one that lacks nothing but upstreams."""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD.replace("WRONG", _WRONG).replace("PROBLEMS", "".join(f"    {line}\n" for line in _problems()))
    yield "## The file"
    yield ""
    yield from _members(Config, "")
    for path, tables in _tables().items():
        yield f"## `{_heading(path)}` {{ #{_anchor(path)} }}"
        yield ""
        for table in tables:
            if len(tables) > 1:
                yield f"### {_variant(table)}"
                yield ""
            yield (table.__doc__ or "").split("\n\n")[0].replace("``", "`").replace("\n", " ").strip()
            yield ""
            yield from _members(table, path)
        if path in EXAMPLES:
            yield "```toml"
            yield EXAMPLES[path].rstrip()
            yield "```"
            yield ""


def _problems() -> list[str]:
    """What is said of a file that is wrong."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "wrong.toml"
        file.write_text(_WRONG)
        file.chmod(0o600)
        return [str(problem).replace(f"{folder}/", "") for problem in examine(file, environ={}).problems]


def _tables() -> dict[str, list[type[Table]]]:
    """Tables by where they stand first; those that stand in several places are described once."""
    found: dict[str, list[type[Table]]] = {}
    seen: set[type[Table]] = set()

    def walk(table: type[Table], path: str) -> None:
        for name, info in table.model_fields.items():
            place = _place(path, name, info)
            inner = [one for one in _inner(info.annotation) if one not in seen]
            seen.update(inner)
            if inner:
                found[place] = inner
            for one in inner:
                walk(one, place)

    walk(Config, "")
    return found


def _place(path: str, name: str, info: FieldInfo) -> str:
    own = f"{path}.{name}" if path else name
    return f"{own}.NAME" if _is_mapping(info.annotation) and name != "model_limits" else own


def _is_mapping(annotation: Any) -> bool:
    return any(get_origin(one) is dict and any(_inner(arm) for arm in get_args(one)) for one in _arms(annotation))


def _inner(annotation: Any) -> list[type[Table]]:
    """The tables that a type has within."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [table for arm in get_args(annotation) if arm is not Literal for table in _inner(arm)]


def _arms(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _arms(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for arm in get_args(annotation):
            yield from _arms(arm)
    else:
        yield annotation


def _heading(path: str) -> str:
    parts = path.split(".")
    return f"[[{path}]]" if parts[-1] in ("keys", "targets", "transforms", "rules") else f"[{path}]"


def _anchor(path: str) -> str:
    return path.lower().replace(".", "-")


def _variant(table: type[Table]) -> str:
    kind = table.model_fields.get("type")
    return f'`type = "{get_args(kind.annotation)[0]}"`' if kind is not None else table.__name__


def _members(table: type[Table], path: str) -> Iterator[str]:
    yield "| member | type | default | |"
    yield "|---|---|---|---|"
    for name, info in table.model_fields.items():
        words = (info.description or "").replace("\n", " ").replace("|", "\\|").strip()
        yield f"| `{name}` | {_type(info, path, name)} | {_default(info)} | {words} |"
    yield ""


def _type(info: FieldInfo, path: str, name: str) -> str:
    said = _said(info.annotation, _anchor(_place(path, name, info)))
    bounds = [
        f"{sign} {getattr(one, attribute)}"
        for one in info.metadata
        for attribute, sign in _SIGNS
        if getattr(one, attribute, None) is not None
    ]
    return f"{said}, {', '.join(bounds)}" if bounds and "list" not in said else said


_SIGNS: Final = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_NAMES: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Secret: "secret",
    SecretStr: "string",
    type(None): "",
}


def _said(annotation: Any, anchor: str) -> str:
    words: list[str] = []
    for arm in _arms(annotation):
        word = _word(arm, anchor)
        if word and word not in words:
            words.append(word)
    return " or ".join(words)


def _word(arm: Any, anchor: str) -> str:
    origin = get_origin(arm)
    if isinstance(arm, type) and issubclass(arm, Table):
        home = next((place for place, tables in _tables().items() if arm in tables), None)
        return f"[table](#{_anchor(home) if home else anchor})"
    if origin is Literal:
        return ", ".join(
            f"`{str(word).lower() if isinstance(word, bool) else chr(34) + word + chr(34)}`" for word in get_args(arm)
        )
    if origin is tuple:
        return f"list of {_plural(_said(get_args(arm)[0], anchor))}"
    if origin is dict:
        value = get_args(arm)[1]
        return "table" if value is Any else f"table of {_plural(_said(value, anchor))}"
    return _NAMES.get(
        arm, "number" if getattr(arm, "__name__", "") == "Decimal" else getattr(arm, "__name__", "date and time")
    )


def _plural(words: str) -> str:
    return words.replace("string", "strings").replace("secret", "secrets").replace("[table]", "[tables]")


def _default(info: FieldInfo) -> str:
    default = info.default
    if default is PydanticUndefined:
        return "**needed**" if info.is_required() else "-"
    if default is None or isinstance(default, Table) or default in ({}, ()):
        return "-"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, float) and default.is_integer():
        return f"`{int(default)}`"
    return f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(page())
