"""Seven frameworks on three servers: what is mounted under ``/llm`` works there as it does anywhere, over sockets.

Nothing waits for a fixed time: the provider makes an event only after the client has acknowledged the one before it.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from msgspec import Struct, field

from dialogues import ANTHROPIC_HEADERS
from ds2api_asgi import Mounted
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.testing import serve
from mount_hosts import HOSTS, FalconParts, make_llm
from mount_servers import SERVERS, granian_process

BOUND = 10.0
"""Seconds until what must happen has happened; it takes milliseconds."""

WORDS = ["one ", "two ", "three ", "four "]
NO_TRIO = {
    "quart": "Quart makes tasks of asyncio's running loop",
    "django": "asgiref's sync_to_async awaits futures of asyncio's running loop",
}
"""Frameworks whose own routes trio cannot serve, and why."""

OWN_BEHIND_PREFIX = {
    ("uvicorn", "falcon"): "Falcon takes the path with the root path in it, which uvicorn puts there",
    ("hypercorn", "quart"): "Quart serves nothing whose path does not begin with the root path",
    ("granian", "quart"): "Quart serves nothing whose path does not begin with the root path",
}
"""Where a host does not find its own routes when its server has a root path, and why."""

MOUNT_BEHIND_PREFIX = {
    ("uvicorn", "blacksheep"): "BlackSheep compares mounts with the path that has the root path in it",
    ("hypercorn", "blacksheep"): "BlackSheep tells its mounts a root path from which theirs cannot be told",
    ("granian", "blacksheep"): "BlackSheep tells its mounts a root path from which theirs cannot be told",
}
"""Where a host does not find what is mounted when its server has a root path, and why; `Mounted` around it does."""

CELLS = (
    [(server, host) for server in ("uvicorn", "granian", "hypercorn") for host in HOSTS]
    + [("uvicorn-h11", "starlette")]
    + [("hypercorn-trio", host) for host in HOSTS if host not in NO_TRIO]
)


class Exchange(Struct, eq=False):
    """One streamed request of a test, from both ends."""

    acknowledged: list[threading.Event] = field(default_factory=lambda: [threading.Event() for _ in WORDS])
    made: list[int] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


class Provider:
    """Speaks Chat Completions; what it does stands in the model's name: ``paced:ID``, ``endless:ID``, ``cut``, …"""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.exchanges: dict[str, Exchange] = {}

    def exchange(self, name: str) -> Exchange:
        return self.exchanges.setdefault(name, Exchange())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        if scope["path"] != "/v1/chat/completions":
            await _whole(send, 404, {"error": {"message": "nothing is here"}})
            return
        body = await read_body(receive)
        model = json.loads(body.body)["model"]
        self.models.append(model)
        kind, _, name = model.partition(":")
        match kind:
            case "paced":
                await self._paced(self.exchange(name), send)
            case "endless":
                await self._endless(self.exchange(name), body, send)
            case "cut":
                await _start(send, b"text/event-stream")
                await _event(send, chunk("one "))
                raise ConnectionResetError("in the middle")
            case "refused":
                await _whole(send, 400, {"error": {"message": "not like this", "type": "invalid_request_error"}})
            case _:
                message = {"role": "assistant", "content": model}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                document = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": choices}
                await _whole(send, 200, document)

    async def _paced(self, exchange: Exchange, send: Any) -> None:
        await _start(send, b"text/event-stream")
        for number, word in enumerate(WORDS):
            exchange.made.append(number)
            await _event(send, chunk(word))
            event = exchange.acknowledged[number]
            if not await anyio.to_thread.run_sync(event.wait, BOUND, abandon_on_cancel=True):
                raise TimeoutError(f"event {number} never arrived")
        await _event(send, chunk(None, finish="stop"))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _endless(self, exchange: Exchange, receive: Any, send: Any) -> None:
        await _start(send, b"text/event-stream")
        await _event(send, chunk("one "))
        while (await receive())["type"] != "http.disconnect":
            pass
        exchange.left.set()


def chunk(word: str | None, *, finish: str | None = None) -> Any:
    delta = {} if word is None else {"role": "assistant", "content": word}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


async def _start(send: Any, kind: bytes, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})


async def _event(send: Any, document: Any) -> None:
    data = b"data: " + json.dumps(document).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _whole(send: Any, status: int, document: Any) -> None:
    await _start(send, b"application/json", status)
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


class Cell(Struct, kw_only=True, eq=False):
    """A framework on a server."""

    server: str
    host: str
    url: str
    provider: Provider
    http: Any

    @property
    def id(self) -> str:
        return f"{self.server}-{self.host}"

    def ask(self, model: str, *, stream: bool = False, at: str = "/llm/v1/messages") -> Any:
        return self.http.stream("POST", self.url + at, json=question(model, stream), headers=ANTHROPIC_HEADERS)

    def post(self, path: str, model: str = "plain", **headers: str) -> Any:
        return self.http.post(self.url + path, json=question(model), headers={**ANTHROPIC_HEADERS, **headers})


def question(model: str, stream: bool = False) -> Any:
    return {"model": model, "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[Provider, str]]:
    one = Provider()
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serve(one)) as url,
    ):
        yield one, url


@contextmanager
def served(server: str, host: str, provider: tuple[Provider, str], log: Path, **options: Any) -> Iterator[Cell]:
    app = HOSTS[host](make_llm(provider[1], log))
    with SERVERS[server](app, **options) as url, httpx2.Client(timeout=BOUND) as http:
        yield Cell(server=server, host=host, url=url, provider=provider[0], http=http)


@pytest.fixture(scope="module", params=CELLS, ids="-".join)
def cell(
    request: pytest.FixtureRequest, provider: tuple[Provider, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cell]:
    """A cell, started once; when its server has ended, the parts that its host opened are closed."""
    server, host = request.param
    log = tmp_path_factory.mktemp("cell") / "log"
    with served(server, host, provider, log) as one:
        assert log.read_text() == "opened\n"  # before the first request
        yield one
    assert log.read_text() == "opened\nclosed\n"


def lines(response: Any) -> Iterator[Any]:
    """The documents of a stream, as they arrive."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_every_event_arrives_before_the_next_one_is_made(cell: Cell) -> None:
    exchange = cell.provider.exchange(cell.id)
    heard: list[str] = []
    with cell.ask(f"paced:{cell.id}", stream=True) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        kinds = []
        for document in lines(response):
            kinds.append(document["type"])
            if document["type"] == "content_block_delta":
                assert exchange.made == list(range(len(heard) + 1))  # nothing was made ahead
                exchange.acknowledged[len(heard)].set()
                heard.append(document["delta"]["text"])
    assert heard == WORDS
    assert kinds[-1] == "message_stop"


def test_the_provider_learns_that_the_client_has_left(cell: Cell) -> None:
    exchange = cell.provider.exchange(cell.id)
    with httpx2.Client(timeout=BOUND) as http:
        asked = http.stream("POST", f"{cell.url}/llm/v1/messages", json=question(f"endless:{cell.id}", stream=True))
        with asked as response:
            read = lines(response)  # kept: when a reader goes, its connection is closed
            while next(read)["type"] != "content_block_delta":
                pass
            assert not exchange.left.is_set()
    assert exchange.left.wait(BOUND)


def test_an_error_before_the_stream_is_an_error_of_the_clients_protocol(cell: Cell) -> None:
    for stream in (False, True):
        with cell.ask("refused", stream=stream) as response:
            document = json.loads(response.read())
        assert response.status_code == 400
        assert (document["type"], document["error"]["message"]) == ("error", "not like this")


def test_a_stream_that_breaks_is_told_as_broken_and_never_ends_well(cell: Cell) -> None:
    kinds: list[str] = []
    with cell.ask("cut", stream=True) as response:
        assert response.status_code == 200
        try:
            kinds += [document["type"] for document in lines(response)]
        except httpx2.RemoteProtocolError:
            kinds.append("broken off")
    assert "content_block_delta" in kinds
    assert kinds.count("error") == 1
    assert "message_stop" not in kinds


def test_the_hosts_own_routes_go_on_working(cell: Cell) -> None:
    assert cell.http.get(f"{cell.url}/own").text == "own"
    assert cell.http.post(f"{cell.url}/own/echo", content=b"said").text == "said"
    assert cell.http.get(f"{cell.url}/nothing").status_code == 404


def test_only_what_is_beneath_the_mount_is_ours(cell: Cell) -> None:
    before = len(cell.provider.models)
    for path in ("/llm/v1/messages", "/llm/v1/messages/", "/llm/messages"):
        answer = cell.post(path)
        assert (answer.status_code, answer.json()["content"][0]["text"]) == (200, "plain"), path
    assert len(cell.provider.models) == before + 3
    for path in ("/llmx/v1/messages", "/x/llm/v1/messages", "/v1/messages"):
        # Servers close a connection whose request was not read, and may do so as the next one arrives.
        assert cell.post(path, connection="close").status_code in (404, 405), path
    assert cell.http.get(f"{cell.url}/llm").status_code in (307, 404)  # Starlette leads to /llm/
    assert cell.http.get(f"{cell.url}/llm/elsewhere").status_code == 404
    assert len(cell.provider.models) == before + 3


def test_encoded_characters_of_a_path_stay_what_they_were(cell: Cell) -> None:
    for written, model in [
        ("vendor%2Fmodel", "vendor/model"),
        ("a%20b", "a b"),
        ("caf%C3%A9", "café"),
        ("x%3Fy", "x?y"),
        ("100%25", "100%"),
    ]:
        answer = cell.http.post(
            f"{cell.url}/llm/v1beta/models/{written}:generateContent?key=sk-client",
            json={"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        )
        assert answer.status_code == 200, (written, answer.text)
        assert cell.provider.models[-1] == model
        assert answer.json()["candidates"][0]["content"]["parts"][0]["text"] == model


# --- apart from the cells ---


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian"])
def test_behind_a_proxy_that_strips_a_prefix_the_mount_is_found(
    server: str, host: str, provider: tuple[Provider, str], tmp_path: Path
) -> None:
    with served(server, host, provider, tmp_path / "log", root_path="/api") as cell:
        answer = cell.post("/llm/v1/messages")
        if (server, host) in MOUNT_BEHIND_PREFIX:
            assert answer.status_code == 404
        else:
            assert (answer.status_code, answer.json()["content"][0]["text"]) == (200, "plain")
        own = cell.http.get(f"{cell.url}/own")
        if (server, host) in OWN_BEHIND_PREFIX:
            assert own.status_code == 404
        else:
            assert own.text == "own"
        before = len(cell.provider.models)
        assert cell.post("/llmx/v1/messages").status_code in (404, 405)
        assert len(cell.provider.models) == before


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian"])
def test_around_blacksheep_mounted_finds_its_path_behind_every_prefix(
    server: str, provider: tuple[Provider, str], tmp_path: Path
) -> None:
    from blacksheep import Application, Router

    app = Mounted(Application(router=Router()), "/llm", make_llm(provider[1], tmp_path / "log"))
    with SERVERS[server](app, root_path="/api") as url, httpx2.Client(timeout=BOUND) as http:
        cell = Cell(server=server, host="blacksheep", url=url, provider=provider[0], http=http)
        assert cell.post("/llm/v1/messages").json()["content"][0]["text"] == "plain"
        assert cell.post("/llmx/v1/messages").status_code == 404
    assert (tmp_path / "log").read_text() == "opened\nclosed\n"


@pytest.mark.parametrize("host", NO_TRIO)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_under_trio_what_is_mounted_is_served_also_where_the_framework_is_not(
    host: str, provider: tuple[Provider, str], tmp_path: Path
) -> None:
    with served("hypercorn-trio", host, provider, tmp_path / "log") as cell:
        assert cell.http.get(f"{cell.url}/own").status_code == 500
        test_every_event_arrives_before_the_next_one_is_made(cell)
        test_the_provider_learns_that_the_client_has_left(cell)
        test_a_stream_that_breaks_is_told_as_broken_and_never_ends_well(cell)
    gc.collect()  # what the framework left lying about is warned of here, and not in the next test


@pytest.mark.parametrize("host", ["starlette", "litestar"])
def test_granian_as_a_process_streams_and_closes_what_was_opened(
    host: str, provider: tuple[Provider, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with granian_process(host, provider[1], log) as url, httpx2.Client(timeout=BOUND) as http:
        cell = Cell(server="granian-process", host=host, url=url, provider=provider[0], http=http)
        test_every_event_arrives_before_the_next_one_is_made(cell)
        test_the_provider_learns_that_the_client_has_left(cell)
    assert log.read_text() == "opened\nclosed\n"


def test_falcons_own_way_to_open_parts_works_too(provider: tuple[Provider, str], tmp_path: Path) -> None:
    import falcon.asgi

    log = tmp_path / "log"
    llm = make_llm(provider[1], log)
    inner = falcon.asgi.App(middleware=[FalconParts(llm)])

    class Without:
        """A mount that has no lifespan of its own: Falcon's middleware opens the parts."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                raise RuntimeError("not mine")
            await llm(scope, receive, send)

    with SERVERS["uvicorn"](Mounted(inner, "/llm", Without())) as url, httpx2.Client(timeout=BOUND) as http:
        assert log.read_text() == "opened\n"
        cell = Cell(server="uvicorn", host="falcon", url=url, provider=provider[0], http=http)
        assert cell.post("/llm/v1/messages").status_code == 200
    assert log.read_text() == "opened\nclosed\n"
