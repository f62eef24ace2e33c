"""Ways in which an upstream fails, on the bytes of its socket: one table for the failure matrix.

A fault is a script: what one connection does with one request. It knows which protocol it plays, and whether a stream
was asked for; the answer that it spoils is a good one of that protocol.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from dialogues import STREAM_TYPES, answer_in, error_in, frames_in
from raw_upstream import Connection

__all__ = ["FAULTS", "Fault", "Play", "answer_well", "said"]

TEXTS = ("Good ", "m\N{LATIN SMALL LETTER O WITH DIAERESIS}rning", " to you")
_READ = 0.05  # seconds in which what was sent is surely read; what follows is a read of its own
_FOR_EVER = 60.0  # seconds; the client's bounds end it sooner


@dataclass(frozen=True)
class Play:
    """What an upstream plays.

    Attributes:
        protocol: What it speaks.
        stream: Whether a stream was asked for.
    """

    protocol: str
    stream: bool

    @property
    def head(self) -> bytes:
        """The head of a good answer, chunked."""
        kind = STREAM_TYPES[self.protocol] if self.stream else "application/json"
        return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()

    @property
    def parts(self) -> list[bytes]:
        """The body of a good answer."""
        if self.stream:
            return frames_in(self.protocol, *TEXTS)
        text = json.dumps(answer_in(self.protocol, "".join(TEXTS)), ensure_ascii=False).encode()
        return [text[: len(text) // 2], text[len(text) // 2 :]]

    @property
    def body(self) -> bytes:
        """The body in one piece, with its letters as UTF-8 where JSON would escape them."""
        return b"".join(self.parts).replace(b"\\u00f6", "\N{LATIN SMALL LETTER O WITH DIAERESIS}".encode())


Act = Callable[[Connection, Play], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        name: Of the row.
        says: What happens, for a reader.
        act: What a connection does after it has read a request; None: nobody listens at all.
        early: It acts before it has read anything.
        ends: It ends well after all: the client may see a success.
    """

    name: str
    says: str
    act: Act | None
    early: bool = False
    ends: bool = False


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP/1.1."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def plain(status: str, kind: str, body: bytes, *headers: str) -> bytes:
    """A whole answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def answer_well(connection: Connection, play: Play) -> None:
    """Answer as a provider does."""
    await connection.send(play.head + b"".join(chunk(part) for part in play.parts) + b"0\r\n\r\n")


async def _reset(connection: Connection, play: Play) -> None:
    await connection.reset()


async def _close(connection: Connection, play: Play) -> None:
    await connection.stream.aclose()


async def _silence(connection: Connection, play: Play) -> None:
    await anyio.sleep(_FOR_EVER)


async def _silence_after_headers(connection: Connection, play: Play) -> None:
    await connection.send(play.head)
    await anyio.sleep(_FOR_EVER)


async def _silence_in_the_middle(connection: Connection, play: Play) -> None:
    await connection.send(play.head + b"".join(chunk(part) for part in _half(play)))
    await anyio.sleep(_FOR_EVER)


async def _comments_only(connection: Connection, play: Play) -> None:
    await connection.send(play.head)
    while True:
        await connection.send(chunk(b"\n" if play.protocol == "ollama" or not play.stream else b": wait\n\n"))
        await anyio.sleep(0.05)


async def _drip(connection: Connection, play: Play) -> None:
    await connection.send(play.head)
    body = play.body
    for index in range(0, len(body), 16):
        await connection.send(chunk(body[index : index + 16]))
        await anyio.sleep(0.001)
    await connection.send(b"0\r\n\r\n")


async def _cut_between(connection: Connection, play: Play) -> None:
    await connection.send(play.head + b"".join(chunk(part) for part in _half(play)))
    await anyio.sleep(_READ)
    await connection.stream.aclose()


async def _cut_in_a_frame(connection: Connection, play: Play) -> None:
    half = b"".join(_half(play))
    await connection.send(play.head + chunk(half[:-5]))
    await anyio.sleep(_READ)
    await connection.stream.aclose()


async def _cut_in_a_letter(connection: Connection, play: Play) -> None:
    cut = play.body.index("\N{LATIN SMALL LETTER O WITH DIAERESIS}".encode()) + 1
    await connection.send(play.head + chunk(play.body[:cut]))
    await anyio.sleep(_READ)
    await connection.reset()


async def _end_too_early(connection: Connection, play: Play) -> None:
    await connection.send(play.head + b"".join(chunk(part) for part in _half(play)))
    await anyio.sleep(_READ)
    await connection.send(b"0\r\n\r\n")


async def _nothing(connection: Connection, play: Play) -> None:
    await connection.send(play.head + b"0\r\n\r\n")


async def _short_length(connection: Connection, play: Play) -> None:
    head = play.head.replace(b"transfer-encoding: chunked", b"content-length: %d" % (len(play.body) + 100))
    await connection.send(head + play.body)
    await connection.stream.aclose()


async def _small_length(connection: Connection, play: Play) -> None:
    head = play.head.replace(b"transfer-encoding: chunked", b"content-length: %d" % (len(play.body) // 2))
    await connection.send(head + play.body)
    await connection.stream.aclose()


async def _garbage_gzip(connection: Connection, play: Play) -> None:
    head = play.head.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    packed = gzip.compress(play.body)
    await connection.send(head + chunk(packed[:12] + b"\xff" * 40) + b"0\r\n\r\n")


async def _good_gzip(connection: Connection, play: Play) -> None:
    head = play.head.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    await connection.send(head + chunk(gzip.compress(play.body)) + b"0\r\n\r\n")


async def _html_502(connection: Connection, play: Play) -> None:
    await connection.send(plain("502 Bad Gateway", "text/html", b"<html><h1>502 Bad Gateway</h1></html>"))


async def _html_200(connection: Connection, play: Play) -> None:
    await connection.send(plain("200 OK", "text/html", b"<html>Please log in to the hotel's network.</html>"))


async def _redirect(connection: Connection, play: Play) -> None:
    await connection.send(plain("302 Found", "text/plain", b"", "location: http://127.0.0.1:9/elsewhere"))


async def _garbage(connection: Connection, play: Play) -> None:
    body = b"data: {not json\n\n" if play.stream else b"{not json"
    await connection.send(play.head + chunk(body) + b"0\r\n\r\n")


async def _not_http(connection: Connection, play: Play) -> None:
    await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    await connection.stream.aclose()


async def _error_inside(connection: Connection, play: Play) -> None:
    await connection.send(play.head + chunk(_said_error(play)) + b"0\r\n\r\n")


async def _error_after_content(connection: Connection, play: Play) -> None:
    if not play.stream:
        await _error_inside(connection, play)
        return
    await connection.send(play.head + b"".join(chunk(part) for part in _half(play)))
    await anyio.sleep(_READ)
    await connection.send(chunk(_said_error(play)) + b"0\r\n\r\n")


async def _informed(connection: Connection, play: Play) -> None:
    await connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")
    await answer_well(connection, play)


async def _trailers(connection: Connection, play: Play) -> None:
    parts = b"".join(chunk(part) for part in play.parts)
    await connection.send(play.head + parts + b"0\r\nx-checksum: 1\r\n\r\n")


def _half(play: Play) -> list[bytes]:
    """The parts up to and with the first content, whatever the protocol."""
    parts = play.parts
    if not play.stream:
        return parts[:1]
    first = next(index for index, part in enumerate(parts) if b"Good " in part)
    return parts[: first + 1]


def _said_error(play: Play) -> bytes:
    document = error_in(play.protocol, "the server had an error")
    if not play.stream:
        return json.dumps(document).encode()
    if play.protocol == "ollama":
        return json.dumps(document).encode() + b"\n"
    if play.protocol == "openai-responses":
        document = {"type": "error", "code": "server_error", "message": "the server had an error",
                    "param": None, "sequence_number": 9}  # fmt: skip
    name = b"event: error\n" if play.protocol in ("anthropic", "openai-responses") else b""
    return name + b"data: " + json.dumps(document).encode() + b"\n\n"


FAULTS = (
    Fault("refuse", "nobody listens", None),
    Fault("reset at once", "the connection is reset before anything is read", _reset, early=True),
    Fault("close at once", "the connection is closed before anything is read", _close, early=True),
    Fault("reset", "the connection is reset after the request", _reset),
    Fault("close", "the connection is closed after the request", _close),
    Fault("stall before headers", "silence after the request", _silence),
    Fault("stall after headers", "200, then silence", _silence_after_headers),
    Fault("stall mid-answer", "200, some of the answer, then silence", _silence_in_the_middle),
    Fault("comments only", "200, then nothing but comments (or white space)", _comments_only),
    Fault("drip", "the answer, sixteen bytes at a time", _drip, ends=True),
    Fault("cut between frames", "the connection is closed after some of the answer", _cut_between),
    Fault("cut mid-frame", "the connection is closed in the middle of a frame", _cut_in_a_frame),
    Fault("cut mid-UTF-8", "the connection is reset in the middle of a letter", _cut_in_a_letter),
    Fault("early end", "the body ends properly, but the answer is not complete", _end_too_early),
    Fault("empty", "200 and an empty body", _nothing),
    Fault("length too long", "content-length says more than is sent", _short_length),
    Fault("length too short", "content-length says less than is sent", _small_length),
    Fault("garbage gzip", "content-encoding: gzip over what is none", _garbage_gzip),
    Fault("gzip nobody asked for", "a good answer, compressed though identity was asked for", _good_gzip, ends=True),
    Fault("HTML 502", "a proxy's page with status 502", _html_502),
    Fault("HTML 200", "a proxy's page with status 200", _html_200),
    Fault("redirect", "302 to another host", _redirect),
    Fault("garbage", "200, and JSON that is none", _garbage),
    Fault("not HTTP", "another protocol answers", _not_http),
    Fault("error inside 200", "200, and the answer is an error", _error_inside),
    Fault("error after content", "200, content, then an error event", _error_after_content),
    Fault("1xx first", "103, then a good answer", _informed, ends=True),
    Fault("trailers", "a good answer with trailers", _trailers, ends=True),
)
"""Every fault of the matrix."""


def said(name: str, status: int, body: bytes) -> Fault:
    """A provider that says an error.

    Args:
        name: Of the row.
        status: HTTP status; 0: an error inside an answer of status 200, the first event where it is a stream.
        body: The error document.
    """

    async def act(connection: Connection, play: Play) -> None:
        if status:
            kind = "text/html" if body.startswith(b"<") else "application/json"
            await connection.send(plain(f"{status} Failed", kind, body))
        else:
            await connection.send(play.head + chunk(_framed(play, body)) + b"0\r\n\r\n")

    return Fault(name, "", act)


def _framed(play: Play, document: bytes) -> bytes:
    if not play.stream:
        return document
    if play.protocol == "ollama":
        return document + b"\n"
    name = b"event: error\n" if play.protocol == "anthropic" else b""
    return name + b"data: " + document + b"\n\n"
