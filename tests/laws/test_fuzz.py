"""Whatever bytes come, from clients or from upstreams: nothing but the documented errors, and nothing that hangs.

Random bytes, and documents and streams of each protocol with bytes, tokens and values replaced. What can be read must
also be writable, for its own protocol and for all others. ``DS2API_FUZZ`` is how many byte strings each protocol gets.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.base import Context, Operation, Protocol
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.content import Base64, Media, Reasoning, Text, ToolCall, ToolResult
from ds2api_asgi.universal.failure import Failure, FailureKind
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import FunctionTool, OutputFormat, Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage
from kits import KITS
from lawkit import PROTOCOLS, protocol
from shared import corpus_bodies

COUNT = int(os.environ.get("DS2API_FUZZ", "400"))

CALLS = (
    ToolCall(id="call_1", name="w", arguments=JsonText('{"a": 1.0}')),
    ToolCall(id="call_2", name="w", arguments=JsonText("{}")),
)
REQUEST = Request(
    model="m",
    turns=(
        Turn(role="system", parts=(Text(text="be brief"),)),
        Turn(role="user", parts=(Text(text="q"), Media(kind="image", source=Base64("aQ=="), mime="image/png"))),
        Turn(role="assistant", parts=(Reasoning(text="hm"), Text(text="so"), *CALLS)),
        *(Turn(role="tool", parts=(ToolResult(call_id=call.id, parts=(Text(text="r"),)),)) for call in CALLS),
        Turn(role="user", parts=(Text(text="go on"),)),
    ),
    tools=(FunctionTool(name="w", description="d", schema={"type": "object", "properties": {}}),),
    tool_choice="auto",
    max_output_tokens=9,
    stop=("x",),
    temperature=0.5,
    reasoning_effort="low",
    output_format=OutputFormat(kind="json_schema", name="n", schema={"type": "object"}),
    stream=True,
    origin=Origin(protocol="core"),
)
RESPONSE = Response(
    id="msg_1",
    model="m",
    created=1_700_000_000,
    candidates=(
        Candidate(
            turns=(Turn(role="assistant", parts=(Reasoning(text="hm"), Text(text="Grüße"), *CALLS)),),
            stop=Stop(reason=StopReason.TOOL),
        ),
    ),
    usage=Usage(input_total=3, output_total=2),
    origin=Origin(protocol="core"),
)
MODEL = {"id": "m", "created": 1, "owned_by": "me"}


def _documents(codec: Protocol) -> Iterator[bytes]:
    """Documents of a protocol, as it writes them itself and as they were recorded."""
    yield jsontext.dumps(codec.encode_request(REQUEST).document)
    yield jsontext.dumps(codec.encode_request(REQUEST, operation=Operation.COUNT_TOKENS).document)
    yield jsontext.dumps(codec.encode_response(RESPONSE, Context()).document)
    failure = Failure(kind=FailureKind.RATE, message="m", retry_after=1.5)
    yield jsontext.dumps(codec.encode_error(failure).document)
    yield jsontext.dumps(codec.encode_models([MODEL]))
    yield jsontext.dumps(codec.encode_model(MODEL))
    yield jsontext.dumps(codec.encode_token_count(3))
    for kind in ("request", "response"):
        bodies = sorted((body for _, body in corpus_bodies(KITS[codec.name].corpus, kind)), key=len)
        yield from bodies[: len(bodies) // 2 : 3]


def _streams(codec: Protocol) -> Iterator[bytes]:
    for chunk in (1, None):
        yield codec.stream_encoder(Context()).write(unfold(RESPONSE, chunk=chunk))
    streams = sorted((data for _, data in KITS[codec.name].streams()), key=len)
    yield from streams[: len(streams) // 2 : 2]


@cache
def _seeds(name: str) -> tuple[list[bytes], list[bytes]]:
    codec = protocol(name)
    return list(_documents(codec)), list(_streams(codec))


TOKENS = (
    b"null", b"true", b"-1", b"1e999", b"0", b'""', b"[]", b"{}", b'"\\ud800"', b"[" * 200, b'{"a":' * 200, b"\xff",
    b"\n\n", b"\r", b"\x00", b"data:", b"data: [DONE]\n\n", b"event: error\n", b"[", b"]", b"}", b",\n", b'"', b"\\",
    b"9" * 400, "\u2028".encode(), b"NaN", b'"error"', b"18446744073709551616",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**70, 1.5, 1e300, "", "x", "\ud800", [], {}, [None], {"x": 1}, [[]], [{}], "null", "{}",
    {"type": "x"}, [{"type": "text"}], "9" * 5000,
)  # fmt: skip


def _bent(document: Any, chance: random.Random) -> Any:
    """A JSON document with some of its values replaced, dropped, doubled or renamed."""
    document = json.loads(json.dumps(document))
    for _ in range(chance.randint(1, 3)):
        nodes = list(_nodes(document))
        holder, key = chance.choice(nodes)
        match chance.randrange(5):
            case 0 | 1:
                holder[key] = deepcopy(chance.choice(VALUES))  # else documents come to hold themselves
            case 2:
                del holder[key]
            case 3:
                other, name = chance.choice(nodes)
                holder[key] = json.loads(json.dumps(other[name])) if _has(other, name) else None
            case _ if isinstance(holder, list):
                holder.insert(key, json.loads(json.dumps(holder[key])))
            case _:
                holder[chance.choice(("type", "role", "x", "", key + "s"))] = holder.pop(key)
        if not list(_nodes(document)):
            break
    return document


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [value]  # no recursion: what replaces values may be deep
    while waiting:
        holder = waiting.pop()
        members = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, member in list(members):
            yield holder, key
            waiting.append(member)


def _cut_up(data: bytes, chance: random.Random) -> bytes:
    """Bytes with some of them replaced, doubled, dropped, or tokens put between."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0:
                out[at:at] = chance.choice(TOKENS)
            case 1:
                del out[at : at + chance.randint(1, 30)]
            case 2:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                out[at:at] = out[at : at + chance.randint(1, 60)]
    return bytes(out)


def _framed(stream: bytes, chance: random.Random) -> bytes:
    """A stream with the JSON of one of its lines bent."""
    lines = stream.split(b"\n")
    at = chance.randrange(len(lines))
    head, brace, rest = lines[at].partition(b"{")
    try:
        document = json.loads(brace + rest)
    except ValueError:
        return _cut_up(stream, chance)
    lines[at] = head + json.dumps(_bent(document, chance)).encode()
    return b"\n".join(lines)


def byte_strings(name: str, count: int) -> Iterator[bytes]:
    """What the protocol of this name gets, the same each time."""
    documents, streams = _seeds(name)
    chance = random.Random(name)
    for number in range(count):
        match number % 8:
            case 0:
                yield chance.randbytes(chance.randrange(60))
            case 1:
                yield b"".join(chance.choice(TOKENS) for _ in range(chance.randrange(8)))
            case 2:
                yield _cut_up(chance.choice(documents), chance)
            case 3 | 4:
                document = json.loads(chance.choice(documents))
                yield json.dumps(_bent(document, chance)).encode()
            case 5 | 6:
                yield _framed(chance.choice(streams), chance)
            case _:
                yield _cut_up(chance.choice(streams), chance)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_bytes_raise_anything_but_documented_errors(name: str) -> None:
    codec = protocol(name)
    read = 0
    for number, data in enumerate(byte_strings(name, COUNT)):
        try:
            read += _whole(codec, data)
            _error(codec, data, (400, 401, 429, 500, 599, UNSET)[number % 6])
            _stream(codec, data)
        except Exception as error:
            error.add_note(f"byte string {number} of {name}: {data[:3000]!r}")
            raise
    assert read > COUNT // 8  # some of it was sound enough to be read


def _whole(codec: Protocol, data: bytes) -> bool:
    """Read as a document of every kind; tells whether it was one."""
    try:
        document = codec.parse(data)
    except InvalidDocument:
        return False
    before = jsontext.dumps(document)
    sound = False
    for operation in (Operation.GENERATE, Operation.COUNT_TOKENS):
        request = _read(lambda: codec.decode_request(codec.parse(data), operation=operation))  # noqa: B023 - run at once
        if request is not None:
            sound = True
            if request.model is UNSET:
                request = replace(request, model="m")
            for target in map(protocol, PROTOCOLS):
                jsontext.dumps(target.encode_request(request, operation=operation).document)
    response = _read(lambda: codec.decode_response(document))
    if response is not None:
        sound = True
        for target in map(protocol, PROTOCOLS):
            if response.error is UNSET:
                jsontext.dumps(target.encode_response(response, Context()).document)
            else:
                jsontext.dumps(target.encode_error(response.error).document)
    for reader in (codec.decode_models, codec.decode_model, codec.decode_token_count):
        sound |= _read(lambda: reader(document)) is not None  # noqa: B023 - run at once
    assert jsontext.dumps(document) == before  # what was read is not changed
    return sound


def _read(reader: Callable[[], Any]) -> Any:
    try:
        return reader()
    except InvalidDocument:
        return None


def _error(codec: Protocol, data: bytes, status: Any) -> None:
    failure = codec.decode_error(status, {}, data)
    assert codec.classify(failure, {}, now=0.0).row
    for target in map(protocol, PROTOCOLS):
        wire = target.encode_error(failure)
        assert 400 <= wire.status <= 599
        jsontext.dumps(wire.document)
        assert target.stream_error(failure)


def _stream(codec: Protocol, data: bytes) -> None:
    decoder, watch = codec.stream_decoder(), codec.stream_watch()
    middle = len(data) // 2
    for piece in (data[:middle], data[middle:]):
        watch.feed(piece)
    events = decoder.feed(data[:middle]) + decoder.feed(data[middle:]) + decoder.close()
    lifecycle = Lifecycle()
    for event in events:
        lifecycle.step(event)
    for target in map(protocol, PROTOCOLS):
        target.stream_encoder(Context()).write(events)
