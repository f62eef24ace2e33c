"""L17 short way: a plain request, and a plain answer, says the same as by way of the universal format, or is not taken.

Whatever comes from clients and from apps, a translator with short ways and one without them do the same: the app is
asked the same, the client is told the same, and the same is noted, logged and raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import plain_documents
from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.facts import AccountGroup
from ds2api_asgi.errors import BrokenStream, ClientGone, InvalidDocument, TransportError
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.openai_chat.dialects import DIALECTS
from ds2api_asgi.protocols.plain import ShortWay, short_way
from ds2api_asgi.translator import Translator
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.loss import LossKind
from shared import corpus_bodies, needs_shared

PAIRS: Final = (("anthropic", "openai-chat"), ("openai-chat", "anthropic"))
PATHS: Final = {"anthropic": "/v1/messages", "openai-chat": "/v1/chat/completions"}
CORPUS: Final = {"anthropic": "anthropic_messages", "openai-chat": "openai_chat"}
NOW: Final = 1_700_000_000
MANY: Final = settings(max_examples=5 * settings().max_examples)
SELDOM: Final = (0, 0, 0, 1)  # odd things in documents, where others happen, too
pairs = pytest.mark.parametrize(("client", "speaks"), PAIRS)


def way_of(client: str, speaks: str, dialect: str = "") -> ShortWay:
    way = short_way(registry.get(client), registry.get(speaks), dialect)
    assert way is not None
    return way


def same(one: bytes, other: Any) -> bool:
    return jsontext.equal(jsontext.loads(one), jsontext.loads(jsontext.dumps(other)))


def asks_the_same(client: str, speaks: str, dialect: str, body: bytes) -> bool:
    """Whether a request is plain; then it asks what the long way asks."""
    found = way_of(client, speaks, dialect).request(body)
    if found is None:
        return False
    plain, asked, losses = found
    source = registry.get(client)
    request = source.decode_request(source.parse(body))
    encoded = registry.get(speaks).encode_request(request, dialect=dialect)
    assert same(asked, encoded.document)
    assert losses == encoded.losses
    assert (plain.model, plain.stream) == (request.model, request.stream)
    assert request.stream is not True
    return True


def tells_the_same(client: str, speaks: str, body: bytes) -> bool:
    """Whether an answer is plain; then it tells what the long way tells."""
    found = way_of(client, speaks).answer(body, NOW)
    if found is None:
        return False
    told, losses = found
    target = registry.get(speaks)
    encoded = registry.get(client).encode_response(target.decode_response(target.parse(body)), Context(now=NOW))
    assert same(told, encoded.document)
    assert losses == encoded.losses
    return True


@pytest.mark.parametrize(
    ("client", "speaks", "dialect"),
    [("openai-chat", "anthropic", ""), *(("anthropic", "openai-chat", d) for d in DIALECTS)],
)
@MANY
@given(data=st.data())
def test_a_plain_request_asks_what_the_long_way_asks(
    client: str, speaks: str, dialect: str, data: st.DataObject
) -> None:
    asks_the_same(client, speaks, dialect, data.draw(plain_documents.requests(client)))


@pairs
@MANY
@given(data=st.data())
def test_a_plain_answer_tells_what_the_long_way_tells(client: str, speaks: str, data: st.DataObject) -> None:
    tells_the_same(client, speaks, data.draw(plain_documents.answers(speaks)))


ANSWER: Final = """{"id": "c", "object": "chat.completion", "created": 1, "model": "gpt",
"choices": [{"index": 0, "message": {"role": "assistant", "content": "a\\nb"}, "finish_reason": "stop"}],
"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7%s}}"""
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda name: f'"{name}":',
    lambda name: f'"{name}" :',
    lambda name: f'"\\u{ord(name[0]):04x}{name[1:]}":',
)
LOST: Final = st.tuples(
    st.sampled_from(["cost", "cost_details", "is_byok"]),
    st.sampled_from(SPELLINGS),
    st.sampled_from(["1", '"cost"', '{"cost":2}', '{"is_byok" :2}', '{"\\u0063ost":[]}', '"\\""']),
)


@given(st.lists(LOST, max_size=3, unique_by=lambda member: member[0]))
@example([("cost", SPELLINGS[2], "1"), ("cost_details", SPELLINGS[0], '{"cost":2}')])
@example([("cost", SPELLINGS[1], "1"), ("cost_details", SPELLINGS[0], '{"cost":2}')])
def test_what_is_lost_is_told_in_its_order_however_it_is_spelled(
    members: list[tuple[str, Callable[[str], str], str]],
) -> None:
    said = "".join(f", {spelled(name)}{value}" for name, spelled, value in members)
    tells_the_same("anthropic", "openai-chat", (ANSWER % said).encode())


def test_a_line_break_in_a_text_is_no_doubt() -> None:
    assert tells_the_same("anthropic", "openai-chat", (ANSWER % ', "is_byok": 0, "cost": 1').encode())


@needs_shared
@pairs
def test_recorded_requests_and_answers_do(client: str, speaks: str) -> None:
    requests = [asks_the_same(client, speaks, "", body) for _, body in corpus_bodies(CORPUS[client], "request")]
    answers = [tells_the_same(client, speaks, body) for _, body in corpus_bodies(CORPUS[speaks], "response")]
    assert any(requests)
    assert sum(answers) > 50


@pytest.mark.parametrize("member", ["temperature", "x_groq", "cost"])
def test_what_is_nested_without_end_is_not_plain(member: str) -> None:
    """msgspec says so by another exception than for all else."""
    endless = b'"%b":' % member.encode() + b"[" * 99_999
    assert way_of("anthropic", "openai-chat").request(b"{" + endless) is None
    assert way_of("anthropic", "openai-chat").answer(b"{" + endless, NOW) is None
    assert way_of("anthropic", "openai-chat").answer(b'{"usage":{' + endless, NOW) is None


# --- whole requests

JSON: Final = (b"content-type", b"application/json")
POLICIES: Final[tuple[Any, ...]] = (
    "allow",
    "warn",
    "reject",
    {LossKind.INVENTED: "reject", LossKind.DROPPED: "allow"},
    lambda losses: "reject" if len(losses) > 2 else "warn",
)
FAILURES: Final[tuple[Callable[[], Exception], ...]] = (
    lambda: ValueError("odd"),
    lambda: TransportError("timeout"),
    lambda: BrokenStream("cut"),
    ClientGone,
    lambda: ExceptionGroup("one", [OSError("lost")]),
)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


@contextmanager
def logged() -> Iterator[list[Any]]:
    records: list[Any] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage(), record.__dict__.get("losses")))  # type: ignore[method-assign]
    logger = logging.getLogger("ds2api_asgi")
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


class Course:
    """What happens in one request, and all that is seen of it."""

    def __init__(self, plot: dict[str, Any]) -> None:
        self.plot = plot
        self.incoming = list(plot["incoming"])
        self.sent = 0
        self.seen: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent += 1
        if self.sent == self.plot["breaks"]:
            raise OSError("the client's connection")
        self.seen.append(("told", _document(message)))

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.seen.append(("asked", {key: value for key, value in scope.items() if key != KEY}))
        self.seen.append(("peeked", receive.peek()))
        if self.plot["reads"]:
            self.seen.append(("read", _document(await receive())))
        if self.plot["group"]:
            scope[KEY].note(AccountGroup(group="blue"))
        for step in self.plot["answer"]:
            if step == "raise":
                failure: Exception = self.plot["failure"]()
                raise failure
            if step == "listen":
                self.seen.append(("heard", _document(await receive())))
            else:
                await send(step)

    def play(self, *, short: bool) -> list[Any]:
        """Everything that is seen."""
        plot = self.plot
        translator = Translator(self.app, speaks=plot["speaks"], clock=lambda: NOW, **plot["options"])
        if not short:
            translator._settings = replace(translator._settings, short_ways={})
        exchange = Exchange(started=0.0, clock=lambda: 0.0)
        scope = {**plot["scope"], **({KEY: exchange} if plot["within"] else {})}
        with logged() as records:
            try:
                run(translator(scope, self.receive, self.send))
            except Exception as error:
                self.seen.append(("raised", repr(error)))
        return [*self.seen, ("left", len(self.incoming)), ("facts", list(exchange)), ("logged", records)]


def _document(message: dict[str, Any]) -> Any:
    """A message whose body counts as the document that it is."""
    body = message.get("body", b"")
    try:
        return {**message, "body": _Exactly(jsontext.loads(body))}
    except InvalidDocument:
        return message


class _Exactly:
    """A document; its order of members counts for nothing, the text of its numbers does."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exactly) and jsontext.equal(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.value)


def _mostly(usual: Any, *odd: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * 5 * len(odd) + list(odd))


def _pieces(draw: st.DrawFn, body: bytes, kind: str) -> list[dict[str, Any]]:
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=2)))
    parts = [body[at:to] for at, to in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return [{"type": kind, "body": part, "more_body": at < len(parts) - 1} for at, part in enumerate(parts)]


def _headers(*odd: tuple[bytes, bytes]) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    return _mostly([], *([header] for header in odd), list(odd))


_OPTIONS: Final = {
    "on_loss": st.sampled_from(POLICIES),
    "loss_header": st.booleans(),
    "max_body": _mostly(10_000, 30, 200),
    "max_answer": _mostly(10_000, 30, 300),
    "origin": st.sampled_from(["", "family/blue"]),
    "carry_store_clients": _mostly((), ("anthropic", "openai-chat")),
}
_DIALECTS: Final = {"openai-chat": ("mistral", "compatible"), "anthropic": ("2026-10-21",)}


@st.composite
def plots(draw: st.DrawFn, client: str, speaks: str) -> dict[str, Any]:
    body = draw(plain_documents.requests(client, SELDOM))
    answer: list[Any] = _pieces(draw, draw(plain_documents.answers(speaks, SELDOM)), "http.response.body")
    incoming = _pieces(draw, body, "http.request")
    if draw(_mostly(False, True)) and draw(st.booleans()):
        incoming[draw(st.integers(0, len(incoming) - 1))] = {"type": "http.disconnect"}
    coded = draw(_mostly([], [(b"content-encoding", b"identity")], [(b"content-encoding", b"gzip")]))
    start = {
        "type": "http.response.start",
        "status": draw(_mostly(200, 201, 302, 404, 500)),
        "headers": [
            *draw(_mostly([JSON], [], [(b"Content-Type", b"text/event-stream; charset=utf-8")])),
            *draw(_headers((b"content-encoding", b"gzip"), (b"content-encoding", b"br"), (b"X-Request-Id", b"r1"))),
        ],
    }
    answer.insert(0, start)
    for _ in range(draw(_mostly(0, 1, 2))):
        at = draw(st.integers(0, len(answer)))
        match draw(st.sampled_from(["raise", "listen", "again", "drop", "other"])):
            case "again" if answer:
                answer.insert(at, answer[draw(st.integers(0, len(answer) - 1))])
            case "drop":
                answer = answer[:at]
            case "other":
                answer.insert(at, {"type": "http.response.debug"})
            case word:
                answer.insert(at, word)
    return {
        "speaks": speaks,
        "options": {**draw(st.fixed_dictionaries(_OPTIONS)), "dialect": draw(_mostly("", *_DIALECTS[speaks]))},
        "within": draw(st.booleans()),
        "scope": {
            "type": "http",
            "method": draw(_mostly("POST", "GET")),
            "path": PATHS[client],
            "raw_path": PATHS[client].encode(),
            "query_string": draw(st.sampled_from([b"", b"beta=true"])),
            "headers": [
                *coded,
                (b"Content-Length", b"%d" % len(body)),
                (b"user-agent", b"me"),
                *draw(_headers((b"x-api-key", b"sk-1"), (b"authorization", b"Bearer sk-2"))),
                *draw(_headers((b"anthropic-version", b"2026-10-21"))),
            ],
            "extensions": {"http.response.trailers": {}, "tls": {}},
        },
        "incoming": [*incoming, *draw(st.sampled_from([[], [{"type": "http.disconnect"}]]))],
        "breaks": draw(_mostly(0, 1, 2)),
        "reads": draw(st.booleans()),
        "group": draw(st.booleans()),
        "answer": answer,
        "failure": draw(st.sampled_from(FAILURES)),
    }


@pairs
@MANY
@given(data=st.data())
def test_nobody_can_tell_which_way_was_taken(client: str, speaks: str, data: st.DataObject) -> None:
    plot = data.draw(plots(client, speaks))
    assert Course(plot).play(short=True) == Course(plot).play(short=False)
