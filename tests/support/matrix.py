"""Runs one cell of the failure matrix: a fault, a client's protocol, whole or stream.

The whole nest stands between: `Translator`, `Retry`, a `KeyPool` of two keys, `Upstream`, over a real socket. Bounds
are short here so that the matrix is quick; which of them ended a wait is read from the journal, not from a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import SocketAttribute

from dialogues import HEADERS, ended_well, error_of, events_of, is_error, path_of, request_in, text_of, words_of
from ds2api_asgi import (
    BrokenStream,
    ClientGone,
    InvalidDocument,
    KeyPool,
    Retry,
    Translator,
    Upstream,
    running,
)
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import Judged
from ds2api_asgi.testing import Answer, BrokenResponse, Driver
from failure_examples import EXAMPLES
from faults import TEXTS, Fault, Play, answer_well, said
from raw_upstream import Connection, raw_upstream

__all__ = ["BOUND", "CLIENTS", "Seen", "row", "run", "told"]

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")
BOUND = 0.6
"""Seconds of the bounds on first content, idle and content that the matrix runs with."""


@dataclass(frozen=True)
class Seen:
    """What came of a request.

    Attributes:
        client: What the client saw, in a few words: ``"200"``, ``"502"``, ``"200, error event"``.
        calls: Upstream calls that it took.
        rows: The ids of the rows by which the failed ones were judged, in order, each once.
    """

    client: str
    calls: int
    rows: tuple[str, ...]


async def run(fault: Fault, *, speaks: str, client: str, stream: bool, always: bool) -> Seen:
    """Run a cell.

    Args:
        fault: What goes wrong.
        speaks: The upstream's protocol.
        client: The client's.
        stream: Whether it asks for a stream.
        always: Whether every call fails so; else the first one does, and the next are answered well.
    """
    play = Play(speaks, stream)
    async with _server(fault, play, always=always) as (url, calls):
        upstream = Upstream(url, connect_timeout=2.0, first_byte_timeout=5 * BOUND, idle_timeout=2 * BOUND)
        pool = KeyPool(upstream, protocol=speaks, keys=["sk-one", "sk-two"], strategy="round-robin", queue_timeout=0.0)
        retry = Retry(
            pool, backoff=0.0, wait_cap=0.0, deadline=8 * BOUND,
            first_content_timeout=BOUND, idle_timeout=BOUND, content_timeout=2 * BOUND,
        )  # fmt: skip
        app = Translator(retry, speaks=speaks, on_loss="allow")
        exchange = Exchange(started=0.0)
        async with running(app):
            seen = await _ask(app, exchange, client, stream=stream)
    rows = tuple(dict.fromkeys(fact.verdict.row for fact in exchange.all(Judged)))
    return Seen(seen, len(calls), rows)


@asynccontextmanager
async def _server(fault: Fault, play: Play, *, always: bool) -> AsyncIterator[tuple[str, list[bytes]]]:
    calls: list[bytes] = []

    async def script(connection: Connection) -> None:
        if fault.early and (always or not calls):
            calls.append(b"")
            assert fault.act is not None
            await fault.act(connection, play)
            return
        while head := await connection.request():
            calls.append(head)
            if fault.act is None or (len(calls) > 1 and not always):
                await answer_well(connection, play)
            else:
                await fault.act(connection, play)

    if fault.act is None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)
        await listener.aclose()
        yield f"http://127.0.0.1:{port}", calls
        return
    async with raw_upstream(script) as server:
        yield server.url, calls


async def _ask(app: Any, exchange: Exchange, client: str, *, stream: bool) -> str:
    driver = Driver(app, headers=HEADERS[client], scope={KEY: exchange})
    try:
        answer = await driver.request("POST", path_of(client, stream=stream), json=request_in(client, stream=stream))
    except (BrokenResponse, BrokenStream, ClientGone):
        return "broken off"
    except BaseExceptionGroup as group:
        if group.subgroup(lambda error: not isinstance(error, BrokenStream | ClientGone)):
            raise
        return "broken off"
    if not answer.complete:
        return f"{answer.status}, broken off"
    try:
        return _told(client, answer, stream=stream)
    except (InvalidDocument, ValueError, LookupError, TypeError):
        return f"{answer.status}, **not of its protocol**"


def _told(client: str, answer: Answer, *, stream: bool) -> str:
    """What a client's program makes of a complete answer."""
    if answer.status >= 400:
        document = answer.json()
        try:
            error_of(client, document[0] if type(document) is list else document)  # Gemini's own lists pass as they are
        except (LookupError, TypeError, AssertionError):
            return f"{answer.status}, as the upstream says it"
        return str(answer.status)
    if not stream:
        good = words_of(client, answer.json()) == "".join(TEXTS)
        return str(answer.status) if good else f"{answer.status}, **something else**"
    events = events_of(answer.body)
    if is_error(events[-1]):
        error_of(client, events[-1])
        return f"{answer.status}, error event"
    if ended_well(client, answer.body) and text_of(client, answer.body) == "".join(TEXTS):
        return str(answer.status)
    return f"{answer.status}, **silently cut**"


def told(speaks: str) -> list[Fault]:
    """The errors of a provider: one of each row of its protocol's classification."""
    return [said(name, *cases[0]) for name, cases in EXAMPLES[speaks].items()]


async def row(fault: Fault, speaks: str) -> str:
    """A row of the page: what all five clients see, and who sees something else.

    Args:
        fault: What goes wrong.
        speaks: The upstream's protocol.
    """
    seen: dict[tuple[bool, bool], dict[str, Seen]] = {}

    async def cell(stream: bool, always: bool, client: str) -> None:
        seen.setdefault((stream, always), {})[client] = await run(
            fault, speaks=speaks, client=client, stream=stream, always=always
        )

    async with anyio.create_task_group() as group:
        for stream in (False, True):
            for always in (True, False):
                for client in CLIENTS:
                    group.start_soon(cell, stream, always, client)
    cells = [_cell(seen[key]) for key in ((False, True), (False, False), (True, True), (True, False))]
    judged = sorted({name for group in seen.values() for one in group.values() for name in one.rows})
    return f"| {fault.name} | {' | '.join(cells)} | {', '.join(f'`{name}`' for name in judged)} |"


def _cell(seen: dict[str, Seen]) -> str:
    told = {client: f"{seen[client].client} \N{MULTIPLICATION SIGN}{seen[client].calls}" for client in CLIENTS}
    (most, _), *_ = Counter(told.values()).most_common()
    others = [f"{client}: {text}" for client, text in told.items() if text != most]
    return "; ".join([most, *others])
