"""Write `metrics.md`: every metric with its labels, from the registry that `Metrics` fills.

python docs/metrics.py > docs/pages/metrics.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import anyio

from ds2api_asgi import Failover, KeyPool, Metrics, Retry, Translator, running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import Driver

__all__ = ["page"]

_HEAD: Final = """\
# Metrics

What `Metrics` counts, and what a gateway with a table `[metrics]` shows. Extra: `metrics`. Written by `docs/metrics.py`
from the registry. Names are as Prometheus reads them; those of histograms have `_bucket`, `_sum` and `_count` behind.

```python
from ds2api_asgi import KeyPool, Metrics, Retry, Translator, Upstream

metrics = Metrics()
openai = metrics.calls(Upstream("https://api.openai.com"), name="openai")
pool = KeyPool(openai, protocol="openai-chat", keys=["sk-1", "sk-2"])
app = metrics.requests(Translator(Retry(pool), speaks="openai-chat"))
metrics.pool(pool)
```

<!-- check
await kit.answers(app)
from ds2api_asgi.testing import Driver
scraped = await Driver(metrics.exposition).request("GET", "/metrics")
assert 'ds2api_requests_total{end="complete",model="demo-small"' in scraped.text
-->

`metrics.exposition` is an ASGI app to mount where Prometheus looks (`host.mount("/metrics", metrics.exposition)`).
`metrics.requests` goes around everything, `Access` as well, else refusals are not seen.

In a gateway's file:

```toml title="gateway.toml"
[upstreams.openai]
preset = "openai"
keys = ["env:OPENAI_KEY"]

[metrics]
token = "env:METRICS_TOKEN"
```

Each process counts for itself. `ds2api serve` with several workers lets each tell the numbers of all. In a program of
yours, set `PROMETHEUS_MULTIPROC_DIR` before prometheus-client is imported, and run `Metrics.publishing` in each worker.

Labels have few values: a client chooses a model's name, so a model has a label of its own only after an answer that
succeeded, and at most `max_models` do; the others are `other`. No label ever holds a key or a text: keys are called by
their aliases.

| metric | type | labels | |
|---|---|---|---|
"""

_TOTALS: Final = {"counter": "_total"}
_LABELS: Final = {
    "protocol": "the client's protocol",
    "operation": "`generate`, `embed`, `infer`, `count_tokens`, `list_models`, `get_model`",
    "model": "what the client asked for",
    "status": "`2xx` … `5xx`; `1xx`: a websocket; `none`: no answer",
    "end": "`complete`, `failed`, `cut`, `gone`, `raised`, `cancelled`",
    "kind": "`input`, `output`; of input: `cached`, `audio_input`, `audio_cached`; "
    "of output: `reasoning`, `audio_output`",
    "direction": "of a websocket's messages: `received` from the client, or `sent` to it",
    "caller": "the client key's name",
    "code": "why a request was turned away; of a websocket, the code that it was closed with",
    "upstream": "the name given to `calls`",
    "reason": "why",
    "by": "which part judged or gave up",
    "fault": "whose fault it was",
    "second": "whether the second attempt was the one cut off",
    "pool": "the pool's name",
    "key": "the key's alias",
    "state": "of a key: `active`, `half_open`, `cooling`, `exhausted`, `blocked`, `disabled`; "
    "of a breaker: `closed`, `half_open`, `open`",
    "part": "the name given to `breakers`",
    "target": "the app's number in its failover, from 0",
}


def page() -> str:
    """The page."""
    families = anyio.run(_families)
    lines = [_row(*one) for one in families]
    used = {label for *_, labels in families for label in labels}
    legend = [f"| `{label}` | {words} |" for label, words in _LABELS.items() if label in used]
    missing = used - set(_LABELS)
    assert not missing, f"labels without words: {missing}"
    return "\n".join([_HEAD + "\n".join(lines), "", "## Labels", "", "| label | |", "|---|---|", *legend, ""])


def _row(name: str, kind: str, words: str, labels: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{label}`" for label in labels) or "-"
    return f"| `{name}{_TOTALS.get(kind, '')}` | {kind} | {shown} | {words} |"


async def _families() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Every metric: those that count, and those that are looked up at a scrape."""
    metrics = Metrics(cost=True)
    pool = KeyPool(DemoModel(), protocol="openai-chat", keys=["k1", "k2"])
    failover = Failover([Retry(pool), DemoModel()], protocol="openai-chat")
    metrics.pool(pool)
    metrics.breakers("failover", failover)
    app = metrics.requests(Translator(failover, speaks="openai-chat"))
    async with running(app):
        await Driver(app).request("POST", "/v1/chat/completions", json={"model": "demo-small", "messages": []})
        await Driver(metrics.exposition).request("GET", "/")
    return list(_told(metrics))


def _told(metrics: Any) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    for collector in dict.fromkeys(metrics.registry._collector_to_names):
        for family in collector.collect():
            labels = getattr(family, "_labelnames", None) or getattr(collector, "_labelnames", ())
            yield family.name, family.type, family.documentation, tuple(labels)


if __name__ == "__main__":
    sys.stdout.write(page())
