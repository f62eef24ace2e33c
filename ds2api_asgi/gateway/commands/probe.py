"""Whether providers can be reached and keys work: every upstream is asked for its models, with every key.

A list of models costs nothing, and a provider that serves it has accepted the key. What an answer means is told by the
same rows as in a gateway (`protocols.classification`); the words of a provider are not repeated, since some hold pieces
of the key.

| state | means |
|---|---|
| works | models were listed |
| fails | the key is refused or used up, the provider was not reached, or something else answers there |
| unknown | the provider lists no models, or not to this key |
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import anyio
from msgspec import Struct

from ...asgi.exchange import Exchange
from ...asgi.facts import Unreachable
from ...asgi.headers import decode
from ...asgi.lifespan import running
from ...asgi.own_scope import own_scope
from ...asgi.secret import Secret
from ...asgi.types import ASGIApp, Scope
from ...errors import Ds2apiError, InvalidDocument
from ...pool import Key, KeyPool
from ...protocols import registry
from ...protocols.base import Operation, Protocol
from ...protocols.classification import classify
from ...universal.failure import Fault, KeyAction
from ..assembly.line import leaf_of, spoken_by
from ..config import Config
from ..config.guess import near
from ..config.models import TargetTable
from ..config.places import dotted
from ..config.upstreams import UpstreamTable
from ..providers.presets import PRESETS
from ..routing.model_lists import Kept, read_list
from .understood import aliases

__all__ = ["MAX_AT_A_TIME", "Asked", "Probed", "probe"]

MAX_AT_A_TIME: Final = 8
"""Questions that are open at a time, over all upstreams."""

_PROGRESS: Final = 2.0
"""Seconds without a word of progress, where nobody watches a terminal."""

_MARKS: Final = {"works": "ok", "fails": "FAILS", "unknown": "?"}
_UNREACHABLE: Final = {
    "connect": "was not reached: nobody answers there",
    "tls": "was not reached: its certificate is not accepted, or it speaks no TLS",
    "timeout": "did not answer in time",
    "reset": "broke the connection off",
    "write": "broke the connection off",
    "protocol": "does not answer in HTTP",
}
_NO_LIST: Final = frozenset({404, 405, 501})

State = Literal["works", "fails", "unknown"]


class Asked(Struct, frozen=True, kw_only=True):
    """What came of asking an upstream with a key.

    Attributes:
        upstream: The upstream's name.
        key: The key's alias; None: it was asked without.
        state: See the module.
        words: What that means, without any secret.
        models: The ids that were listed.
        took: Seconds.
    """

    upstream: str
    key: str | None
    state: State
    words: str
    models: tuple[str, ...] = ()
    took: float = 0.0


class Probed(Struct, frozen=True, kw_only=True):
    """What came of asking them all.

    Attributes:
        asked: In the order of the configuration.
        unlisted: Places of targets whose models their upstreams do not list, and that in words.
    """

    asked: tuple[Asked, ...]
    unlisted: tuple[tuple[str, str], ...] = ()

    @property
    def works(self) -> bool:
        """Whether nothing failed."""
        return all(one.state != "fails" for one in self.asked)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        keys = [
            {"upstream": one.upstream, "key": one.key, "state": one.state, "words": one.words,
             "models": len(one.models), "took": round(one.took, 3)}
            for one in self.asked
        ]  # fmt: skip
        unlisted = [{"path": path, "words": words} for path, words in self.unlisted]
        return {"works": self.works, "keys": keys, "unlisted": unlisted}

    def lines(self) -> Iterator[str]:
        """As lines for people."""
        upstreams = max((len(one.upstream) for one in self.asked), default=0)
        keys = max((len(one.key or "-") for one in self.asked), default=0)
        for one in self.asked:
            yield f"{_MARKS[one.state]:<5}  {one.upstream:<{upstreams}}  {one.key or '-':<{keys}}  {one.words}"
        for path, words in self.unlisted:
            yield f"{path}: {words}"


class _Question(Struct, frozen=True):
    upstream: str
    table: UpstreamTable
    app: ASGIApp
    protocol: Protocol
    key: str | None


class _Progress:
    """Says on the way how many questions are answered.

    Args:
        out: Where to; None: nowhere.
        total: How many there are.
    """

    def __init__(self, out: TextIO | None, total: int) -> None:
        self._out = out
        self._terminal = out is not None and out.isatty()
        self._total = total
        self._done = 0
        self._told = time.monotonic()

    def step(self) -> None:
        self._done += 1
        if self._out is None:
            return
        words = f"asked {self._done} of {self._total}"
        if self._terminal:
            self._out.write(f"\r{words} " if self._done < self._total else f"\r{' ' * len(words)} \r")
        elif time.monotonic() - self._told > _PROGRESS:
            self._told = time.monotonic()
            self._out.write(f"{words}\n")
        self._out.flush()


def probe(config: Config, *, folder: Path, timeout: float, out: TextIO | None = None) -> Probed:
    """Ask all upstreams of a configuration for their models.

    Args:
        config: The configuration.
        folder: What relative paths in it start from.
        timeout: Seconds for each answer.
        out: Where progress is told; None: nowhere.
    """
    return anyio.run(_probe, config, folder, timeout, out)


async def _probe(config: Config, folder: Path, timeout: float, out: TextIO | None) -> Probed:
    found: dict[int, Asked] = {}
    limiter = anyio.CapacityLimiter(MAX_AT_A_TIME)
    async with AsyncExitStack() as stack:
        questions: list[_Question] = []
        for name, table in config.upstreams.items():
            protocol = registry.get(spoken_by(table)[0])
            leaf = leaf_of(table, protocol.name, folder)
            await stack.enter_async_context(running(leaf))
            questions += _questions(name, table, protocol, leaf)
        progress = _Progress(out, len(questions))

        async def ask(number: int, question: _Question) -> None:
            async with limiter:
                found[number] = await _ask(question, timeout)
            progress.step()

        async with anyio.create_task_group() as group:
            for number, question in enumerate(questions):
                group.start_soon(ask, number, question)
    asked = tuple(found[number] for number in sorted(found))
    return Probed(asked=asked, unlisted=tuple(_unlisted(config, asked)))


def _questions(name: str, table: UpstreamTable, protocol: Protocol, leaf: ASGIApp) -> list[_Question]:
    if not table.keys:
        return [_Question(name, table, leaf, protocol, None)]
    return [
        _Question(name, table, _with(leaf, protocol, secret), protocol, alias)
        for secret, alias in zip(table.secrets(), aliases(table), strict=True)
    ]


def _with(leaf: ASGIApp, protocol: Protocol, secret: Secret) -> ASGIApp:
    return KeyPool(leaf, protocol=protocol, keys=[Key(secret=secret)], queue_timeout=0, name="probe")


async def _ask(question: _Question, timeout: float) -> Asked:
    began = time.monotonic()
    exchange = Exchange(started=began)
    rows: list[dict[str, Any]] = []
    state: State = "fails"
    try:
        with anyio.fail_after(timeout):
            kept = await read_list(question.app, question.protocol, _scope(question), lambda: exchange, rows)
        state, words = _meaning(question, kept, exchange, rows)
    except TimeoutError:
        words = f"did not answer within {timeout:g} s"
    except InvalidDocument:
        words = "answers, but with no list of models: does base_url lead to an API?"
    except Ds2apiError as error:
        words = f"broke its answer off ({type(error).__name__})"
    ids = tuple(str(row["id"]) for row in rows) if state == "works" else ()
    took = time.monotonic() - began
    return Asked(upstream=question.upstream, key=question.key, state=state, words=words, models=ids, took=took)


def _scope(question: _Question) -> Scope:
    route = question.protocol.route(Operation.LIST_MODELS, stream=False, model="", dialect="")
    assert route is not None
    headers = [*route.headers, (b"accept", b"application/json")]
    return own_scope(route.method, route.path, query=route.query, headers=headers)


def _meaning(question: _Question, kept: Kept, exchange: Exchange, rows: Sequence[Any]) -> tuple[State, str]:
    unreachable = exchange.last(Unreachable)
    if unreachable is not None:
        if question.table.token is not None and unreachable.reason == "connect":
            return "fails", "was not reached, or its command gives no access token"
        return "fails", _UNREACHABLE.get(unreachable.reason, "was not reached")
    if kept.document() is not None:
        return "works", "works, 1 model" if len(rows) == 1 else f"works, {len(rows)} models"
    status = kept.status
    if status < 400:
        return "fails", f"answers {status}, but with no list of models: does base_url lead to an API?"
    if status in _NO_LIST:
        if question.table.base_url is None:
            return "unknown", f"lists no models ({status}), so nothing is known"
        return "fails", f"answers {status}: does base_url lead to an API?"
    verdict = classify(status, decode(kept.headers), kept.body, protocol=question.protocol)
    if verdict.key is KeyAction.DISABLE:
        return "fails", f"{'demands a key' if question.key is None else 'the key is refused'} ({status})"
    if verdict.key is KeyAction.EXHAUST:
        return "fails", f"credit or quota is used up ({status})"
    if verdict.key is KeyAction.COOL:
        return "fails", f"is over a rate limit now ({status}); ask again later"
    if verdict.key is KeyAction.BLOCK_MODEL:
        return "unknown", f"may not list models ({status}), so nothing else is known"
    if verdict.fault in (Fault.MODEL, Fault.PROVIDER):
        return "fails", f"the provider is in trouble ({status})"
    return "fails", f"answers {status}"


def _unlisted(config: Config, asked: Sequence[Asked]) -> Iterator[tuple[str, str]]:
    """Targets whose models are not among those that their upstream lists to any key."""
    listed: dict[str, set[str]] = {}
    for one in asked:
        if one.state == "works":
            listed.setdefault(one.upstream, set()).update(map(_plain, one.models))
    for name, model in config.models.items():
        for number, target in enumerate(model.targets):
            if isinstance(target, TargetTable):
                upstream, wanted = target.upstream, target.model
            else:
                upstream, _, rest = target.partition("/")
                wanted = rest or None
            wanted = wanted or ("" if "*" in name else name)
            preset = PRESETS.get(config.upstreams[upstream].preset or "")
            if not wanted or upstream not in listed or (preset is not None and not preset.lists):
                continue
            if _plain(wanted) not in listed[upstream]:
                meant = near(_plain(wanted), listed[upstream])
                words = f"{upstream} does not list this model" + (f'; did you mean "{meant}"?' if meant else "")
                yield dotted(("models", name, "targets", number)), words


def _plain(model: str) -> str:
    return model.removeprefix("models/").removesuffix(":latest")
