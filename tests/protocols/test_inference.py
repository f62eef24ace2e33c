"""What is not translated: whose it is, and how its streams are watched."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols import stream as skeleton
from ds2api_asgi.protocols.base import Operation
from ds2api_asgi.protocols.inference import is_document_type, is_page, watch_of
from ds2api_asgi.universal.failure import Failure, FailureKind

PATHS = (
    "/completions",
    "/fim/completions",
    "/moderations",
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/rerank",
)
OPENAI = ("openai-chat", "openai-responses")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_openais_protocols_claim_it(prefix: str, path: str) -> None:
    claims = {name: registry.claim("POST", prefix + path, {}, among=[name]) for name in registry.names()}
    assert [name for name, claim in claims.items() if claim is not None] == list(OPENAI)
    for name in OPENAI:
        claim = claims[name]
        assert claim is not None
        assert (claim.operation, claim.method_allowed, claim.prefix) == (Operation.INFER, True, prefix)
        wrong = registry.get(name).claim("GET", prefix + path, {})
        assert wrong is not None
        assert not wrong.method_allowed
    found = registry.claim("POST", prefix + path, {})
    assert found is not None
    assert found.protocol == "openai-chat"


def test_gemini_claims_its_predictions_by_their_model() -> None:
    claim = registry.claim("POST", "/v1beta/models/imagen-4:predict", {})
    assert claim is not None
    assert (claim.protocol, claim.operation, claim.model) == ("gemini", Operation.INFER, "imagen-4")
    assert registry.claim("GET", "/v1beta/models/veo-3/operations/abc", {}) is None


@pytest.mark.parametrize("name", registry.names())
def test_it_has_no_one_way_to_be_asked(name: str) -> None:
    assert registry.get(name).route(Operation.INFER, stream=False, model="m", dialect="") is None


def test_all_else_is_watched_as_its_protocol_says() -> None:
    for name in registry.names():
        protocol = registry.get(name)
        for operation in (Operation.GENERATE, None):
            assert type(watch_of(protocol, operation)) is type(protocol.stream_watch())


def test_whole_answers_may_be_anything_but_a_page() -> None:
    for kind in (b"audio/mpeg", b"image/png", b"text/plain", b"application/x-subrip", b""):
        assert is_document_type(Operation.GENERATE, kind)
        assert not is_document_type(Operation.INFER, kind)
    for kind in (b"application/json", b"application/problem+json"):
        assert is_document_type(Operation.INFER, kind)
    assert is_document_type(Operation.GENERATE, b"text/html")
    assert is_document_type(Operation.INFER, b"text/html") is None


BLANK = st.sampled_from([b"", b"\xef\xbb\xbf"]).flatmap(
    lambda mark: st.text(" \t\r\n", max_size=4).map(lambda blank: mark + blank.encode())
)
BEGUN = st.sampled_from([b"<!doctype", b"<html", b"<head"]).flatmap(
    lambda begun: st.lists(st.booleans(), min_size=9, max_size=9).map(
        lambda loud: bytes(byte - 32 if up and byte >= 97 else byte for byte, up in zip(begun, loud, strict=False))
    )
)


@given(BLANK, BEGUN, st.binary(max_size=20))
def test_a_page_is_known_by_how_it_begins(blank: bytes, begun: bytes, rest: bytes) -> None:
    assert is_page(blank + begun + rest, whole=False)


@given(
    BLANK, st.sampled_from([b"", b"<", b"<h", b"<!doc", b"<hi>", b" Hello\n", b"Hello <html>", b" " * 1024 + b"<html"])
)
def test_what_a_server_says_to_be_a_page_may_be_none(blank: bytes, text: bytes) -> None:
    """As whisper.cpp's does of the text that it heard."""
    assert is_page(blank + text, whole=True) is False


@given(BLANK, BEGUN | st.sampled_from([b"", b"<h", b"<"]), st.binary(max_size=6))
def test_what_is_known_of_a_page_stays_so(blank: bytes, begun: bytes, rest: bytes) -> None:
    body = blank + begun + rest
    for at in range(len(body) + 1):
        assert is_page(body[:at], whole=False) in (None, is_page(body, whole=True))


def text(piece: str, *, index: int = 0, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "text": piece, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "text_completion", "choices": [choice]}


def event(document: Any) -> bytes:
    return b"data: %b\n\n" % (document if isinstance(document, bytes) else json.dumps(document).encode())


DONE = b"[DONE]"
USAGE: dict[str, Any] = {"id": "c", "choices": [], "usage": {"total_tokens": 1}}
WHAT_WAS_HEARD = [{"type": "transcript.text.delta", "delta": "a"}, {"type": "transcript.text.done", "text": "a"}]
A_PICTURE = [{"type": "image_generation.partial_image", "b64_json": ""}, {"type": "image_generation.completed"}]
COMPLETE = {
    "a text": [text("a"), text(" [DONE] finish_reason"), text("", finish="stop")],
    "a text and its usage": [text("a", finish="length"), USAGE],
    "a text that only says that it is done": [text("a"), DONE],
    "texts": [text("a"), text("b", index=1), text("", finish="stop"), text("", index=1, finish="stop")],
    "what was filled in": [{"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}],
    "what was filtered before": [{"id": "", "choices": [], "prompt_filter_results": []}, text("a", finish="stop")],
    "what was heard": WHAT_WAS_HEARD,
    "what was said": [{"type": "speech.audio.delta", "audio": "AA=="}, {"type": "speech.audio.done"}],
    "a picture": A_PICTURE,
    "pictures": [{"type": "image_generation.completed"}, *A_PICTURE],
    "what is told late to be heard": [{"type": "ping"}, *WHAT_WAS_HEARD],
    "no JSON": [b"UklGRg==", b"AAAA"],
    "no objects": [[1, 2], "a", 3],
    "something else": [{"words": "a"}, {"type": "audio", "data": ""}],
}
CUT = {
    "nothing": [],
    "a text": COMPLETE["a text"][:-1],
    "texts": COMPLETE["texts"][:-1],
    "filters": COMPLETE["what was filtered before"][:1],
    "what was heard": [*COMPLETE["what was heard"][:-1], {"type": "ping"}],
    "a picture": COMPLETE["a picture"][:-1],
    "pictures": COMPLETE["pictures"][:-1],
    "what is told late to be heard": COMPLETE["what is told late to be heard"][:-1],
}


@given(st.sampled_from(sorted(COMPLETE)), st.lists(st.integers(0, 400), max_size=6))
def test_lines_of_json_are_watched_as_events_are(kind: str, cuts: list[int]) -> None:
    documents = [one for one in COMPLETE[kind] if type(one) in (dict, list, str)]
    events = watched("openai-chat", documents, [])
    data = b"".join(json.dumps(one).encode() + b"\n" for one in documents)
    watch: Any = watch_of(registry.get("openai-chat"), Operation.INFER)
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        watch.feed(data[start:end])
    assert (watch.content, watch.terminal, watch.failure) == (events.content, events.terminal, None)


def test_lines_of_json_that_break_off_say_so_in_a_line() -> None:
    watch: Any = watch_of(registry.get("openai-chat"), Operation.INFER)
    watch.feed(b'{"text":"a"}\n')
    said = watch.stream_error(Failure(kind=FailureKind.TRUNCATED, message="cut"))
    assert said.endswith(b"}\n")
    assert json.loads(said)["error"]["message"] == "cut"


def test_nothing_is_no_content() -> None:
    watch = watch_of(registry.get("openai-chat"), Operation.INFER)
    watch.feed(b': hello\n\nevent: x\ndata:\n\ndata: \n\ndata: {"error": {}\n\ndata: {"error": {}')
    assert not watch.content
    assert not watch.terminal


def watched(name: str, documents: list[Any], cuts: list[int], *, lacks: int = 0) -> Any:
    data = b"".join(map(event, documents))
    data = data[: len(data) - lacks]
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    watch = watch_of(registry.get(name), Operation.INFER)
    for start, end in pairwise(places):
        watch.feed(data[start:end])
    return watch


@pytest.mark.parametrize("name", OPENAI)
@given(st.data())
def test_a_stream_is_complete_with_its_end_and_not_before(name: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, 400), max_size=6))
    good = data.draw(st.sampled_from(sorted(COMPLETE)))
    watch = watched(name, COMPLETE[good], cuts)
    assert (watch.content, watch.terminal, watch.failure) == (True, True, None), good
    short = data.draw(st.sampled_from(sorted(CUT)))
    watch = watched(name, CUT[short], cuts)
    assert (watch.content, watch.terminal, watch.failure) == (bool(CUT[short]), False, None), short


@st.composite
def choices(draw: st.DrawFn) -> tuple[list[tuple[int, bool]], list[int]]:
    """Of each choice some words and perhaps its end, in any order; and the choices that have no end."""
    open_ends = []
    left = []
    for index in range(draw(st.integers(1, 12))):
        ends = draw(st.booleans())
        left.append([(index, False)] * draw(st.integers(not ends, 2)) + [(index, True)] * ends)
        open_ends += [] if ends else [index]
    said = []
    while any(left):
        said.append(draw(st.sampled_from([one for one in left if one])).pop(0))
    return said, open_ends


def completion(index: int, ends: bool) -> dict[str, Any]:
    return text("a", index=index, finish="stop" if ends else None)


def chat(index: int, ends: bool) -> dict[str, Any]:
    delta = {} if ends else {"content": "a"}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": "stop" if ends else None}]}


def candidate(index: int, ends: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"content": {"parts": [{"text": "a"}]}, "index": index}
    return {"candidates": [{**said, "finishReason": "STOP"} if ends else said]}


KINDS: Any = {
    "completions": ("openai-chat", Operation.INFER, completion),
    "chat": ("openai-chat", Operation.GENERATE, chat),
    "candidates": ("gemini", Operation.GENERATE, candidate),
}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("kind", KINDS)
@given(said=choices(), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_each_choice_that_began_must_end(
    kind: str, separators: tuple[str, str], said: tuple[list[tuple[int, bool]], list[int]], cuts: list[int]
) -> None:
    name, operation, made = KINDS[kind]
    events, open_ends = said
    data = b"".join(event(json.dumps(made(*one), separators=separators).encode()) for one in events)
    watch = watch_of(registry.get(name), operation)
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        watch.feed(data[start:end])
    assert watch.terminal is not bool(open_ends)


def picture(kind: str, size: int) -> dict[str, Any]:
    return {"type": f"image_generation.{kind}", "b64_json": "A" * size, "usage": {"total_tokens": 1}}


@given(st.data())
def test_a_picture_is_complete_with_its_end_whatever_its_size_and_however_cut(data: st.DataObject) -> None:
    sizes = st.integers(0, 600)
    kinds = [*data.draw(st.lists(st.just("partial_image"), max_size=2)), "completed"]
    documents = [picture(kind, data.draw(sizes)) for kind in kinds]
    length = sum(len(event(document)) for document in documents)
    cuts = data.draw(st.lists(st.integers(0, length), max_size=8))
    with pytest.MonkeyPatch.context() as bound:
        bound.setattr(skeleton, "MAX_LINE", 200)
        whole = watched("openai-chat", documents, cuts)
        cut = watched("openai-chat", documents, cuts, lacks=data.draw(st.integers(3, 100)))
    assert (whole.content, whole.terminal, whole.failure) == (True, True, None)
    assert (cut.terminal, cut.failure) == (False, None)


@pytest.mark.parametrize(
    ("name", "operation", "line", "terminal"),
    [
        ("openai-chat", Operation.INFER, b'data: {"object":"text_completion","choices":[{"text":"%b', False),
        (
            "openai-chat",
            Operation.INFER,
            b'data: {"a":"\\"type","n":1,"type":"image_edit.completed","b64_json":"%b',
            True,
        ),
        ("openai-chat", Operation.INFER, b'data: {"type":"image_edit.partial_image","b64_json":"%b', False),
        ("openai-chat", Operation.INFER, b'data: {"sound":"%b', True),
        ("openai-responses", Operation.GENERATE, b'data: {"type":"response.completed","response":{"id":"%b', True),
        ("openai-responses", Operation.GENERATE, b'data: {"type":"response.output_item.done","item":{"id":"%b', False),
    ],
)
def test_an_event_over_the_bound_is_told_by_its_beginning(
    name: str, operation: Operation, line: bytes, terminal: bool
) -> None:
    watch: Any = watch_of(registry.get(name), operation)
    data = line % (b"x" * 3 * skeleton.MAX_LINE)
    for at in range(0, len(data), 65_536):
        watch.feed(data[at : at + 65_536])
        assert sum(map(len, watch._line)) <= skeleton.MAX_LINE
    assert not watch.terminal
    watch.feed(b'"}\n\n')
    assert (watch.content, watch.terminal, watch.failure) == (True, terminal, None)


def test_a_failure_over_the_bound_is_one() -> None:
    watch = registry.get("openai-responses").stream_watch()
    watch.feed(b'data: {"type":"response.failed","response":{"id":"' + b"x" * skeleton.MAX_LINE)
    watch.feed(b'"}}\n\n')
    assert watch.failure is not None


@pytest.mark.parametrize("name", OPENAI)
@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "no", "type": "server_error"}},
        {"type": "error", "error": {"message": "no"}},
        {"object": "error", "message": "no", "code": 500},
    ],
)
def test_an_error_is_no_content(name: str, error: Any) -> None:
    watch = watched(name, [error], [])
    assert (watch.content, watch.failure.message) == (False, "no")
    later = watched(name, [*CUT["a text"], error], [])
    assert (later.content, later.failure.message) == (True, "no")


def test_what_breaks_off_says_so_as_sdks_read_it() -> None:
    watch: Any = watch_of(registry.get("openai-responses"), Operation.INFER)
    said = watch.stream_error(Failure(kind=FailureKind.TRUNCATED, message="cut"))
    assert json.loads(said.removeprefix(b"data: "))["error"]["message"] == "cut"
