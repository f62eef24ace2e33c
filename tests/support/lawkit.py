"""What the laws are stated over: all protocols, all pairs, and documents, answers and streams of each.

A protocol that joins adds its entry to `kits.KITS`; every law then holds for it and its pairs.
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from conformity import problems
from documents import documents_of, json_objects, mutated
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context, Operation, Protocol
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.content import Base64, Media, Part, Text, ToolCall, ToolResult
from ds2api_asgi.universal.events import Close, Delta, Event, Open, Set
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import FunctionTool, NamedTool, Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason, Usage
from kits import KITS

PROTOCOLS = tuple(KITS)
PAIRS = [(a, b) for a in PROTOCOLS for b in PROTOCOLS if a != b]
NOW = 1_700_000_000


def protocol(name: str) -> Protocol:
    return registry.get(name)


def plain_requests(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Request documents that the SDK's types allow; those of the API also have what it cannot do without."""
    kit = KITS[name]
    documents = [documents_of(kind, overrides=kit.overrides) for kind in kit.requests]
    return st.one_of(documents).map(lambda document: {**kit.needed, **document})


def request_documents(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Request documents, also with what nobody knows."""
    return mutated(plain_requests(name))


def response_documents(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Answer documents, also with what nobody knows."""
    kit = KITS[name]
    plain = documents_of(kit.response, overrides=kit.overrides) if kit.answers is None else kit.answers
    return mutated(plain)


def wire(document: Any) -> Any:
    """A document as it is after crossing the wire."""
    return jsontext.loads(jsontext.dumps(document))


def read_request(name: str, document: dict[str, Any], sent: Request | None = None) -> Request:
    """A request as its receiver reads it, with what only its path says.

    Args:
        name: The protocol.
        document: The body.
        sent: The request that the body was made of, whose path says the rest; None: the kit's path does.
    """
    codec, kit = protocol(name), KITS[name]
    request = codec.decode_request(codec.parse(jsontext.dumps(document)))
    if sent is None:
        claim = kit.claim()
    else:
        route = codec.route(Operation.GENERATE, stream=sent.stream is True, model=sent.model, dialect="")
        claim = None if route is None else kit.claim(f"{route.path}?{route.query.decode()}")
    if claim is not None:
        whole = claim.complete(request)
        # A request that is silent about its stream has the path of a plain answer, which is what silence means.
        return whole if sent is None or sent.stream is not UNSET else replace(whole, stream=request.stream)
    # Without a model there is no path, which is not the stream's loss.
    return request if sent is None or kit.path is None else replace(request, stream=sent.stream)


def read_response(name: str, document: dict[str, Any]) -> Response:
    codec = protocol(name)
    return codec.decode_response(codec.parse(jsontext.dumps(document)))


def request_problems(name: str, document: Any) -> list[str]:
    """In what a request document is not what the SDK's types say, unknown members included, extensions not."""
    found = [_problems(name, document, kind) for kind in KITS[name].requests]
    return min(found, key=len)


def response_problems(name: str, document: Any) -> list[str]:
    """The same for an answer."""
    return _problems(name, document, KITS[name].response)


def _problems(name: str, document: Any, kind: Any) -> list[str]:
    lines = problems(wire(document), kind)
    return [line for line in lines if not any(f".{member}:" in line for member in KITS[name].extensions)]


# -- the core: what every protocol can say ---------------------------------------------------------------------------

core_texts = st.text("abcde ", min_size=1, max_size=8).filter(str.strip)
call_ids = st.from_regex(r"call_[a-zA-Z0-9]{4,12}", fullmatch=True)
core_names = st.from_regex(r"[a-z][a-z_]{1,10}", fullmatch=True)
core_arguments = json_objects.map(JsonText.of)
core_schemas = st.fixed_dictionaries({"type": st.just("object"), "properties": st.just({})})
core_media = st.builds(
    Media,
    kind=st.just("image"),
    source=st.just(Base64("iVBORw0KGgo=")),
    mime=st.just("image/png"),  # which the data shows, for protocols that do not say it
)


@st.composite
def core_turns(draw: st.DrawFn, *, media: bool = True) -> tuple[Turn, ...]:
    """A conversation as agents have it: user, assistant, calls, results, and again."""
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn(role="system", parts=(Text(text=draw(core_texts)),)))
    ids = iter(draw(st.lists(call_ids, min_size=12, max_size=12, unique=True)))
    for _ in range(draw(st.integers(1, 3))):
        parts: list[Part] = [Text(text=draw(core_texts))]
        if media and draw(st.booleans()):
            parts.append(draw(core_media))
        turns.append(Turn(role="user", parts=tuple(parts)))
        for _ in range(draw(st.integers(0, 2))):
            calls = [
                ToolCall(id=next(ids), name=draw(core_names), arguments=draw(core_arguments))
                for _ in range(draw(st.integers(1, 2)))
            ]
            said: list[Part] = [Text(text=draw(core_texts))] if draw(st.booleans()) else []
            turns.append(Turn(role="assistant", parts=(*said, *calls)))
            for call in calls:
                result = ToolResult(call_id=call.id, parts=(Text(text=draw(core_texts)),))
                turns.append(Turn(role="tool", parts=(result,)))
        turns.append(Turn(role="assistant", parts=(Text(text=draw(core_texts)),)))
    turns.append(Turn(role="user", parts=(Text(text=draw(core_texts)),)))
    return tuple(turns)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(UNSET), values)


@st.composite
def core_requests(draw: st.DrawFn, *protocols: str) -> Request:
    """Requests made only of what every protocol can say, these protocols for sure."""
    cannot = dict.fromkeys((member for name in protocols for member in KITS[name].cannot), UNSET)
    efforts = [word for word in KITS[PROTOCOLS[0]].efforts if all(word in KITS[name].efforts for name in protocols)]
    tools = draw(
        _maybe(
            st.lists(
                st.builds(FunctionTool, name=core_names, description=core_texts, schema=core_schemas),
                min_size=1,
                max_size=3,
                unique_by=lambda tool: tool.name,
            ).map(tuple)
        )
    )
    choice: Any = UNSET
    parallel: Any = UNSET
    if tools is not UNSET:
        choice = draw(st.sampled_from([UNSET, "auto", "none", "required", NamedTool(name=tools[0].name)]))
        if choice in ("auto", "required"):
            parallel = draw(_maybe(st.booleans()))
    whole = Request(
        model=draw(core_names),
        turns=draw(core_turns()),
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        max_output_tokens=draw(st.integers(1, 4096)),
        stop=draw(_maybe(st.lists(core_texts, min_size=1, max_size=3).map(tuple))),
        temperature=draw(_maybe(st.sampled_from([0, 0.5, 1]))),
        top_p=draw(_maybe(st.sampled_from([0.1, 0.9]))),
        reasoning_effort=draw(_maybe(st.sampled_from(efforts))),
        stream=draw(_maybe(st.booleans())),
        origin=Origin(protocol="core"),
    )
    return replace(whole, **cannot)


@st.composite
def core_responses(draw: st.DrawFn) -> Response:
    """Answers made only of what every protocol can say."""
    parts: list[Part] = [Text(text=draw(core_texts))] if draw(st.booleans()) else []
    calls = draw(
        st.lists(
            st.builds(ToolCall, id=call_ids, name=core_names, arguments=core_arguments),
            max_size=2,
            unique_by=lambda c: c.id,
        )
    )
    parts += calls
    if not parts:
        parts = [Text(text="a")]
    reason = StopReason.TOOL if calls else draw(st.sampled_from([StopReason.END, StopReason.LENGTH]))
    return Response(
        id=draw(st.from_regex(r"msg_[a-z0-9]{4}", fullmatch=True)),
        model=draw(core_names),
        created=NOW,
        candidates=(Candidate(turns=(Turn(role="assistant", parts=tuple(parts)),), stop=Stop(reason=reason)),),
        usage=Usage(input_total=draw(st.integers(0, 999)), output_total=draw(st.integers(0, 999))),
        origin=Origin(protocol="core"),
    )


# -- streams ---------------------------------------------------------------------------------------------------------


def context(request: Request | None = None) -> Context:
    return Context(request=UNSET if request is None else request, now=NOW)


@st.composite
def interleaved(draw: st.DrawFn, response: Response, *, chunk: int | None = 2) -> list[Event]:
    """A legal stream of an answer in which open tool calls grow side by side."""
    events = unfold(response, chunk=chunk)
    first = next(
        (i for i, event in enumerate(events) if isinstance(event, Open) and isinstance(event.part, ToolCall)), None
    )
    if first is None:
        return events
    last = max(i for i, event in enumerate(events) if isinstance(event, (Open, Close)))
    tracks: dict[int, list[Event]] = {}
    for event in events[first : last + 1]:
        if isinstance(event, (Open, Close, Delta, Set)):
            tracks.setdefault(event.key, []).append(event)
    opened: list[Event] = [track.pop(0) for _, track in sorted(tracks.items())]
    mixed: list[Event] = []
    while any(tracks.values()):
        key = draw(st.sampled_from([key for key, track in tracks.items() if track]))
        mixed.append(tracks[key].pop(0))
    return [*events[:first], *opened, *mixed, *events[last + 1 :]]


def cuts_of(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes in pieces."""
    return st.lists(st.integers(0, len(data)), max_size=6).map(
        lambda cuts: _pieces(data, sorted({*cuts, 0, len(data)}))
    )


def _pieces(data: bytes, at: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in itertools.pairwise(at)]


def decode_stream(name: str, pieces: list[bytes]) -> list[Event]:
    decoder = protocol(name).stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def encode_stream(name: str, events: list[Event], request: Request | None = None) -> bytes:
    return protocol(name).stream_encoder(context(request)).write(events)


def translate_stream(source: str, target: str, pieces: list[bytes], request: Request | None = None) -> list[bytes]:
    """What the client gets for each piece of the upstream's stream, the last for its end."""
    decoder, encoder = protocol(source).stream_decoder(), protocol(target).stream_encoder(context(request))
    return [encoder.write(decoder.feed(piece)) for piece in pieces] + [encoder.write(decoder.close())]


def plain(response: Response, *through: str) -> Response:
    """An answer without what is only spelling: one turn, one text per run of text, no counts of nothing.

    Protocols of items give each part a turn and the turn an id, repeat the request, and count what did not happen.

    Args:
        response: The answer.
        through: Protocols that it has been through: what they have no place for is taken out too.
    """
    return replace(
        response,
        id=UNSET if any(KITS[name].nameless for name in through) else response.id,
        origin=Origin(protocol=""),
        form=(),
        ext=UNSET,
        echo=UNSET,
        usage=UNSET if response.usage is UNSET else _counted(response.usage),
        candidates=tuple(
            replace(
                c,
                form=(),
                ext=UNSET,
                turns=(Turn(role="assistant", parts=_joined(tuple(part for turn in c.turns for part in turn.parts))),),
            )
            for c in response.candidates
        ),
    )


def _counted(usage: Usage) -> Usage:
    return replace(
        usage, **{name: UNSET for name in ("cache_read", "cache_write", "reasoning") if not getattr(usage, name)}
    )


def _joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    out: list[Part] = []
    for part in parts:
        bare = replace(part, form=()) if hasattr(part, "form") else part
        if isinstance(bare, Text) and not bare.text and not bare.citations:
            continue
        if isinstance(bare, Text) and out and isinstance(out[-1], Text):
            out[-1] = Text(text=out[-1].text + bare.text)
        elif isinstance(bare, Text):
            out.append(Text(text=bare.text))
        else:
            out.append(bare)
    return tuple(out)
