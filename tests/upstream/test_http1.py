"""The fast sender's own: one connection at every chunking of its bytes, connections that wait, and new ones."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import aiohappyeyeballs
import anyio
import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2api_asgi.errors import BrokenStream, TransportError
from ds2api_asgi.upstream.http1.connection import MAX_HEAD, READ_BUFFER, Answer, Connection
from ds2api_asgi.upstream.http1.idle import Idle
from ds2api_asgi.upstream.http1.sender import Http1Sender
from ds2api_asgi.upstream.http1.target import Origin, Target
from ds2api_asgi.upstream.sender import KEEP_ALIVE
from raw_upstream import Connection as RawConnection
from raw_upstream import raw_upstream

ORIGIN = Origin("example.test", 80, secure=False)
LOOPS = ["asyncio", ("asyncio", {"use_uvloop": True})]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Wire:
    """A transport that writes down what is done to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False
        self.paused = False
        self.unsent = 0

    def is_closing(self) -> bool:
        return self.aborted

    def writelines(self, pieces: Sequence[bytes]) -> None:
        assert not self.aborted
        self.written.extend(pieces)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> None:
        return None


class Asked:
    """A connection that was asked, without a loop that runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, bodiless: bool = False) -> None:
        self.freed: list[Connection] = []
        self.lost: list[Connection] = []
        self.wire = Wire()
        self.connection = Connection(ORIGIN, loop, freed=self.freed.append, lost=self.lost.append)
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]
        self.answer = self.ask(bodiless=bodiless)

    def ask(self, *, bodiless: bool = False) -> Answer:
        self.freed.clear()
        self.answer = self.connection.ask([b"GET / HTTP/1.1\r\n\r\n"], bodiless=bodiless)
        return self.answer

    def feed(self, data: bytes, cuts: Sequence[int] = ()) -> None:
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for start, end in pairwise(edges):
            if start < end and not self.wire.aborted:
                self.connection.data_received(data[start:end])

    def end(self, error: Exception | None = None) -> None:
        self.connection.connection_lost(error)

    @property
    def body(self) -> bytes:
        return b"".join(self.answer.parts)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


# What an upstream may say, and its bytes.

tokens = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=12).map(str.encode)
values = st.text("abcXYZ019 ,;=/.\"'()", max_size=20).map(lambda text: text.strip().encode())
_FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive", b"proxy-connection"}
headers_of = st.lists(st.tuples(tokens, values).filter(lambda header: header[0].lower() not in _FRAMING), max_size=4)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str]:
    """Bytes of an answer; its status, its headers without framing, its body, and how that is framed."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 404, 429, 500, 529]))
    headers = draw(headers_of)
    framing = "none" if status in (204, 304) else draw(st.sampled_from(["length", "chunked", "close"]))
    pieces = [] if framing == "none" else draw(st.lists(st.binary(min_size=1, max_size=30), max_size=5))
    body = b"".join(pieces)
    wire = b"".join(
        b"HTTP/1.1 %d Interim\r\nlink: </a>\r\n\r\n" % interim
        for interim in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    )
    wire += b"HTTP/1.1 %d Some Reason\r\n" % status
    wire += b"".join(b"%b: %b\r\n" % header for header in headers)
    if framing == "length":
        wire += b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif framing == "chunked":
        wire += b"Transfer-Encoding: chunked\r\n\r\n"
        extension = draw(st.sampled_from([b"", b";a=b", b';a="b"']))
        wire += b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        wire += b"0\r\n" + draw(st.sampled_from([b"", b"x-trailer: t\r\n"])) + b"\r\n"
    else:
        wire += b"\r\n" + body
    return wire, status, headers, body, framing


cuts = st.lists(st.integers(0, 400), max_size=8)


@given(responses(), cuts)
def test_an_answer_is_the_same_at_every_chunking(
    loop: asyncio.AbstractEventLoop, response: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], cuts: list[int]
) -> None:
    wire, status, headers, body, framing = response
    asked = Asked(loop)
    asked.feed(wire, cuts)
    assert asked.answer.ended == (framing != "close")
    if framing == "close":
        assert asked.freed == []
        asked.end()
    else:
        assert asked.freed == [asked.connection]
    answer = asked.answer
    assert (answer.status, asked.body, answer.ended) == (status, body, True)
    said = [header for header in answer.headers if header[0].lower() not in _FRAMING]
    assert said == headers
    assert all(asked.answer.parts)


@given(responses(), responses(), cuts)
def test_answers_on_one_connection_do_not_mix(
    loop: asyncio.AbstractEventLoop, first: Any, second: Any, cuts: list[int]
) -> None:
    asked = Asked(loop)
    asked.feed(first[0], cuts)
    if first[4] == "close":
        return
    before = asked.answer
    asked.ask()
    asked.feed(second[0], cuts)
    assert (before.status, b"".join(before.parts)) == (first[1], first[3])
    assert (asked.answer.status, asked.body) == (second[1], second[3])


@given(responses(), st.data())
def test_an_answer_that_is_cut_is_never_whole(
    loop: asyncio.AbstractEventLoop, response: Any, data: st.DataObject
) -> None:
    wire, *_, body, framing = response
    kept = data.draw(st.integers(0, len(wire) - 1))
    error = data.draw(st.sampled_from([None, ConnectionResetError()]))
    asked = Asked(loop)
    asked.feed(wire[:kept], data.draw(cuts))
    whole = asked.answer.ended  # a cut after the body takes an empty line only, if anything
    asked.end(error)
    assert asked.freed == [] or whole
    if framing == "close":
        head = len(wire) - len(body)
        assert asked.answer.ended == (kept >= head and error is None)
    else:
        assert asked.answer.ended == whole
        assert not whole
    assert body.startswith(asked.body)


@given(responses(), st.binary(min_size=1, max_size=20), cuts, st.booleans())
def test_a_connection_that_said_too_much_is_not_used_again(
    loop: asyncio.AbstractEventLoop, response: Any, surplus: bytes, cuts: list[int], at_once: bool
) -> None:
    wire, status, _, body, framing = response
    if framing == "close" or not surplus.strip(b"\r\n"):
        return
    asked = Asked(loop)
    asked.feed(wire + surplus if at_once else wire, cuts)
    asked.feed(b"" if at_once else surplus)
    assert asked.wire.aborted
    assert asked.freed == [] or not asked.connection.alive
    assert (asked.answer.status, asked.body, asked.answer.ended) == (status, body, True)


def by_h11(wire: bytes) -> tuple[int, bytes] | None:
    """What another reader makes of an answer and the connection's end; None: it is none."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        client.receive_data(wire)
        client.receive_data(b"")
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An answer with some bytes changed, dropped, doubled or put between."""
    wire = bytearray(draw(responses())[0])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(wire) - 1))
        what = draw(st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"0", b"9", b"f", b"\0", b";", b"\xff"]))
        how = draw(st.sampled_from(["put", "set", "drop", "double"]))
        if how == "put":
            wire[at:at] = what
        elif how == "set":
            wire[at : at + 1] = what
        elif how == "drop" and len(wire) > 1:
            del wire[at]
        else:
            wire[at:at] = wire[at : at + 9]
    return bytes(wire)


@given(damaged() | st.binary(max_size=60), cuts)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}", [])
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", [])
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", [])
@example(b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\nContent-Length: 0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\r\nx : a\r\nContent-Length: 0\r\n\r\n", [])
@example(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", [])
@example(b"HTTP/1.1 200 OK\r\nx: a  \t\r\nContent-Length: 0\r\n\r\n", [])
def test_what_is_taken_for_an_answer_is_one_to_another_reader_too(
    loop: asyncio.AbstractEventLoop, wire: bytes, cuts: list[int]
) -> None:
    """Two readers that disagree on where an answer ends are how answers are smuggled."""
    asked = Asked(loop)
    asked.feed(wire, cuts)
    asked.end()
    answer = asked.answer
    if not answer.ended:
        with pytest.raises((TransportError, BrokenStream)):
            drain(answer)
    for name, value in answer.headers:
        assert not set(name) & set(b"\r\n\0: ")
        assert not set(value) & set(b"\r\n\0")
        assert value == value.strip(b" \t")
    other = by_h11(wire)
    if answer.ended and other is not None:
        assert (answer.status, asked.body) == other


def drain(answer: Answer) -> bytes:
    """Read an answer that will not wait."""

    async def read() -> bytes:
        await answer.head()
        return b"".join([chunk async for chunk in answer.chunks])

    steps = read()
    try:
        steps.send(None)
    except StopIteration as stop:
        return bytes(stop.value)
    raise AssertionError("it waits")


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * (MAX_HEAD // 6 + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD // 25 + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: a\r\n" * (MAX_HEAD // 6 + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * MAX_HEAD,
    ],
    ids=["one header", "many headers", "interim answers", "trailers", "a chunk extension"],
)
def test_what_is_no_body_is_bounded(loop: asyncio.AbstractEventLoop, flood: bytes) -> None:
    asked = Asked(loop)
    asked.feed(flood, range(0, len(flood), 1000))
    assert asked.wire.aborted
    assert not asked.answer.ended
    with pytest.raises((TransportError, BrokenStream)) as raised:
        drain(asked.answer)
    assert raised.value.reason == "protocol"  # type: ignore[attr-defined]


def test_no_more_is_taken_from_the_upstream_than_is_read(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop)
    asked.feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (4 * READ_BUFFER))
    while not asked.wire.paused:
        asked.feed(bytes(10_000))
    assert READ_BUFFER < len(asked.body) <= READ_BUFFER + 10_000
    read = anext_of(asked.answer)
    assert len(read) > READ_BUFFER
    assert not asked.wire.paused
    while not asked.wire.paused:
        asked.feed(bytes(10_000))
    asked.feed(bytes(4 * READ_BUFFER - len(read) - len(asked.body)))  # TLS may give what it has all the same
    assert (asked.wire.paused, asked.freed) == (False, [asked.connection])  # nobody else's reading rests


def anext_of(answer: Answer) -> bytes:
    """The next read, which is there."""
    with pytest.raises(StopIteration) as stop:
        answer.__anext__().send(None)
    return bytes(stop.value.value)


@pytest.mark.parametrize("surplus", [b"", b"{}", b"x"])
@pytest.mark.parametrize(
    "framing", [b"content-length: 2", b"transfer-encoding: chunked", b"content-length: 0", b"x: y"]
)
def test_the_answer_to_head_has_no_body_whatever_its_headers_tell(
    loop: asyncio.AbstractEventLoop, framing: bytes, surplus: bytes
) -> None:
    asked = Asked(loop, bodiless=True)
    asked.feed(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + surplus)
    assert (asked.answer.ended, asked.body) == (True, b"")
    assert asked.freed == ([] if surplus or framing == b"x: y" else [asked.connection])
    if asked.freed:
        asked.ask()
        asked.feed(OK)
        assert (asked.answer.status, asked.body) == (200, b"{}")


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK\r\nConnection: x, Close"],
)
def test_a_connection_that_is_said_to_end_is_not_used_again(loop: asyncio.AbstractEventLoop, head: bytes) -> None:
    asked = Asked(loop)
    asked.feed(head + b"\r\nContent-Length: 2\r\n\r\n{}")
    assert (asked.answer.ended, asked.body) == (True, b"{}")
    assert (asked.freed, asked.wire.aborted) == ([], True)


def test_a_connection_whose_request_is_still_on_its_way_is_not_used_again(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop)
    asked.wire.unsent = 1
    asked.feed(OK)
    assert (asked.answer.ended, asked.freed, asked.wire.aborted) == (True, [], True)


def test_closing_an_answer_that_has_ended_leaves_the_connection_to_the_next(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop)
    asked.feed(OK)
    first = asked.answer
    asked.ask()
    with pytest.raises(StopIteration):
        first.aclose().send(None)
    assert not asked.wire.aborted


def test_a_connection_that_has_ended_is_not_asked(loop: asyncio.AbstractEventLoop) -> None:
    asked = Asked(loop)
    asked.feed(OK)
    asked.end()
    assert asked.lost == [asked.connection]
    asked.ask()
    with pytest.raises(TransportError, match="reset"):
        drain(asked.answer)
    assert asked.answer.untouched


def test_who_leaves_with_the_answer_at_hand_leaves_the_connection_to_the_next(loop: asyncio.AbstractEventLoop) -> None:
    """The next request would fail, and go up once more."""
    asked = Asked(loop)
    waiting = asked.answer.head()
    waiting.send(None)
    asked.feed(OK)
    asked.ask()
    with pytest.raises(asyncio.CancelledError):
        waiting.throw(asyncio.CancelledError())
    assert not asked.wire.aborted


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])
def test_an_answer_that_we_cut_is_not_whole(loop: asyncio.AbstractEventLoop, head: bytes) -> None:
    asked = Asked(loop)
    asked.feed(head + b"abc")
    asked.connection.close()
    asked.end()
    with pytest.raises(BrokenStream, match="reset"):
        drain(asked.answer)


@pytest.mark.parametrize("more", [b"", b"content-length: 5\r\n"])
@pytest.mark.parametrize("status", [101, 104, 199])
def test_an_interim_answer_never_has_a_body(loop: asyncio.AbstractEventLoop, status: int, more: bytes) -> None:
    """To the parser all but three have one, and the answer proper would be it."""
    asked = Asked(loop)
    asked.feed(b"HTTP/1.1 %d Interim\r\n%b\r\nhello" % (status, more) + OK)
    assert (asked.wire.aborted, asked.body) == (True, b"")
    with pytest.raises(TransportError, match="protocol"):
        drain(asked.answer)


def test_a_connection_that_has_ended_is_no_garbage(loop: asyncio.AbstractEventLoop) -> None:
    gc.collect()
    asked = Asked(loop)
    asked.feed(OK)
    asked.freed.clear()
    asked.end()
    asked.lost.clear()
    del asked
    assert gc.collect() == 0


# Connections that wait.


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is told."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = Clock()
    yield made
    made.close()


def free_connection(clock: Clock) -> Asked:
    asked = Asked(clock)
    asked.feed(OK)
    return asked


def test_the_connection_used_last_is_used_next_and_none_that_has_waited_for_too_long(clock: Clock) -> None:
    idle = Idle(clock)
    old, young = free_connection(clock), free_connection(clock)
    idle.put(old.connection)
    clock.now += KEEP_ALIVE - 1
    idle.put(young.connection)
    assert idle.take(ORIGIN) is young.connection
    clock.now += 1
    assert idle.take(ORIGIN) is None
    assert old.wire.aborted
    assert idle.take(Origin("other.test", 80, secure=False)) is None
    idle.stop()


def test_connections_that_nobody_wants_are_closed_in_time(clock: Clock) -> None:
    idle = Idle(clock)
    old, dead, young = (free_connection(clock) for _ in range(3))
    idle.put(old.connection)
    clock.now += 30
    idle.put(dead.connection)
    idle.put(young.connection)
    dead.end()
    clock.now += KEEP_ALIVE - 30
    clock.call_soon(clock.stop)
    clock.run_forever()
    assert (old.wire.aborted, young.wire.aborted) == (True, False)
    clock.now += 30
    clock.call_soon(clock.stop)
    clock.run_forever()
    assert young.wire.aborted
    assert idle.take(ORIGIN) is None
    idle.stop()


# Where requests go.


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://a.test", ("a.test", 80, False), b"a.test"),
        ("https://A.test:443/x?y=%20", ("a.test", 443, True), b"a.test"),
        ("https://a.test:80/", ("a.test", 80, True), b"a.test:80"),
        ("http://[::1]:8080/", ("::1", 8080, False), b"[::1]:8080"),
    ],
)
def test_a_url_says_where(url: str, origin: tuple[str, int, bool], host: bytes) -> None:
    target = Target("GET", url)
    assert target.origin == origin
    assert b"\r\nHost: " + host + b"\r\n\r\n" in target.message([], b"")[0]


@pytest.mark.parametrize(
    "url", ["", "/a", "ftp://a.test/", "http:///a", "http://a.test:0x1/", "http://a.test:99999/", "http://ä.test/"]
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Target("GET", url)


@given(
    st.lists(st.tuples(tokens, values), max_size=4), st.binary(max_size=50), st.sampled_from(["GET", "POST", "HEAD"])
)
def test_a_server_reads_the_request_that_was_meant(
    headers: list[tuple[bytes, bytes]], body: bytes, method: str
) -> None:
    headers = [header for header in headers if header[0].lower() not in _FRAMING]
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"".join(Target(method, "http://a.test/b?c=d").message(headers, body)))
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (method.encode(), b"/b?c=d")
    names = {name.lower() for name, _ in headers}
    own = [header for header in request.headers.raw_items() if header[0].lower() in names - {b"host"}]
    assert own == [header for header in headers if header[0].lower() != b"host"]
    read = b""
    while isinstance(event := server.next_event(), h11.Data):
        read += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert read == body


# On the network.


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[Http1Sender]:
    sender = Http1Sender(**options)
    try:
        yield sender
    finally:
        await sender.aclose()


async def answers(connection: RawConnection) -> None:
    while await connection.request():
        await connection.send(OK)


async def get(sender: Http1Sender, url: str) -> bytes:
    answer = await sender.send("GET", url, [], b"")
    return b"".join([chunk async for chunk in answer.chunks])


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Gives names addresses; the list tells who was asked for."""

    def give(name: str, *addresses: str) -> list[str]:
        asked: list[str] = []
        real = socket.getaddrinfo

        def lookup(host: str, port: int, *rest: Any, **more: Any) -> Any:
            if host != name or more.get("flags"):
                return real(host, port, *rest, **more)
            asked.append(host)
            return [found for address in addresses for found in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        return asked

    return give


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_name_is_looked_up_once_for_many_connections(named: Any) -> None:
    asked = named("provider.test", "127.0.0.1")
    async with raw_upstream(answers) as server, sending() as sender:
        url = server.url.replace("127.0.0.1", "provider.test")
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(get, sender, url)
    assert server.connections == 20
    assert asked == ["provider.test"]
    assert b"host: provider.test:" in server.heads[0].lower()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_next_address_is_tried_when_one_does_not_answer(named: Any) -> None:
    named("provider.test", "127.0.0.2", "127.0.0.1")
    async with raw_upstream(answers) as server, sending() as sender:
        assert await get(sender, server.url.replace("127.0.0.1", "provider.test")) == b"{}"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_name_that_nobody_knows_was_surely_not_asked() -> None:
    async with sending() as sender:
        for url in ("http://nobody.invalid/", "http://" + "a" * 70 + ".test/"):
            with pytest.raises(TransportError) as raised:
                await get(sender, url)
            assert (raised.value.reason, raised.value.processed) == ("connect", False)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_connecting_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", never)
    async with sending(connect_timeout=0.05) as sender:
        with pytest.raises(TransportError) as raised:
            await get(sender, "http://127.0.0.1:1/")
    assert (raised.value.reason, raised.value.processed) == ("connect", False)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_says_nothing_to_tls_is_given_up() -> None:
    async def silent(connection: RawConnection) -> None:
        await connection.eof()

    async with raw_upstream(silent) as server, sending(connect_timeout=0.2) as sender:
        with pytest.raises(TransportError) as raised:
            await get(sender, server.url.replace("http:", "https:"))
        assert (raised.value.reason, raised.value.processed) == ("connect", False)
        with anyio.fail_after(20):
            await server.left.wait()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_closing_ends_connections_that_are_in_use_too() -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        await connection.eof()

    async with raw_upstream(script) as server:
        sender = Http1Sender()
        answer = await sender.send("GET", server.url, [], b"")
        await sender.aclose()
        with anyio.fail_after(20):
            await server.left.wait()
        with pytest.raises(BrokenStream):
            b"".join([chunk async for chunk in answer.chunks])
        await sender.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, ids=["asyncio", "uvloop"])
async def test_closing_is_no_reason_to_ask_again() -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(OK)
        connection.server.asked = anyio.Event()
        await connection.request()
        await connection.eof()

    async with raw_upstream(script) as server:
        sender = Http1Sender()
        await get(sender, server.url)
        async with anyio.create_task_group() as group:

            async def again() -> None:
                with pytest.raises(TransportError) as raised:
                    await get(sender, server.url)
                assert (raised.value.reason, raised.value.processed) == ("reset", True)

            group.start_soon(again)
            await anyio.lowlevel.checkpoint()
            await server.asked.wait()
            group.start_soon(sender.aclose)
            group.start_soon(sender.aclose)
        with pytest.raises(TransportError) as raised:
            await get(sender, server.url)
        assert (raised.value.reason, raised.value.processed) == ("connect", False)
    assert server.connections == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, ids=["asyncio", "uvloop"])
async def test_nothing_is_sent_over_a_connection_that_was_made_while_all_were_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = aiohappyeyeballs.start_connection

    async def start(*given: Any, **more: Any) -> Any:
        await sender.aclose()
        return await real(*given, **more)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start)
    async with raw_upstream(answers) as server:
        sender = Http1Sender()
        with pytest.raises(TransportError) as raised:
            await get(sender, server.url)
        assert (raised.value.reason, raised.value.processed) == ("connect", False)
    assert server.heads == []


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, ids=["asyncio", "uvloop"])
async def test_nobody_waits_to_send_what_the_upstream_will_not_answer() -> None:
    """It has said all, and reads no more, though it leaves the connection open."""
    over = anyio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.stream.receive()
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\n\r\nno")
        await connection.stream.send_eof()
        await over.wait()

    async with raw_upstream(script) as server, sending() as sender:
        with anyio.fail_after(20):
            answer = await sender.send("POST", server.url, [], bytes(16_000_000))
            assert [chunk async for chunk in answer.chunks] == [b"no"]
        over.set()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loop_that_takes_a_free_socket_for_a_taken_one_was_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("File descriptor 7 is used by transport")

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", taken)
    async with sending() as sender:
        with pytest.raises(TransportError) as raised:
            await get(sender, "http://127.0.0.1:1/")
    assert (raised.value.reason, raised.value.processed) == ("connect", False)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_connection_that_nobody_waits_for_any_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was made just as the wait for it ended: asyncio would let TLS take its leave in peace."""
    wire, channels = Wire(), []

    async def create(make: Callable[[], Any], *, sock: socket.socket, **_: Any) -> Any:
        make().connection_made(wire)
        channels.append(sock)
        raise asyncio.CancelledError

    async with raw_upstream(answers) as server, sending() as sender:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "create_connection", create)
            with pytest.raises(asyncio.CancelledError):
                await get(sender, server.url)
    assert (wire.aborted, channels[0].fileno()) == (True, -1)


def test_it_is_made_where_asyncio_runs() -> None:
    with pytest.raises(RuntimeError):
        Http1Sender()
