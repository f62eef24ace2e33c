"""`ThinkTags`: thoughts that a model printed, as reasoning and back, streamed and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.transforms.think_tags import ThinkTags
from ds2api_asgi.universal.content import Part, Reasoning, Text, ToolCall
from ds2api_asgi.universal.events import Close, Delta, Open, Start
from ds2api_asgi.universal.fold import fold, unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason

CALL = ToolCall(id="c", name="f", arguments=JsonText("{}"))


def answer(*parts: Part) -> Response:
    turn = Turn(role="assistant", parts=parts)
    candidate = Candidate(turns=(turn,), stop=Stop(reason=StopReason.END))
    return Response(id="i", candidates=(candidate,), origin=Origin(protocol="p"))


def parts_of(response: Response) -> tuple[Part, ...]:
    return response.candidates[0].turns[0].parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>b", (Reasoning(text="a"), Text(text="b"))),
        ("\n <think>a\n</think>\n\nb", (Reasoning(text="a\n"), Text(text="\n\nb"))),
        ("<think>a", (Reasoning(text="a"),)),
        ("<think>a</thin", (Reasoning(text="a</thin"),)),
        ("<think></think>b", (Text(text="b"),)),
        ("<thin", (Text(text="<thin"),)),
        ("say <think>a</think>", (Text(text="say <think>a</think>"),)),
        ("<think>a</think>b <think>c</think>", (Reasoning(text="a"), Text(text="b <think>c</think>"))),
        ("  ", (Text(text="  "),)),
        ("", (Text(text=""),)),
    ],
)
def test_a_thought_is_what_a_text_begins_with(text: str, parts: tuple[Part, ...]) -> None:
    assert parts_of(ThinkTags().response(answer(Text(text=text)))) == parts


def test_a_model_may_begin_inside_its_thought() -> None:
    got = ThinkTags(inside=True).response(answer(Text(text="a</think>b")))
    assert parts_of(got) == (Reasoning(text="a"), Text(text="b"))


PIECES = ["<think>", "</think>", "<", "</", "think>", "a", " ", "\n", "<th", "</thi", "nk>", "é"]
printed = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(st.lists(st.one_of(printed.map(lambda t: Text(text=t)), st.just(CALL)), max_size=3), st.integers(1, 5))
def test_a_stream_adds_up_to_the_answer_however_it_is_cut(parts: list[Part], chunk: int) -> None:
    whole = answer(*parts)
    stream = ThinkTags().stream()
    events = [made for event in unfold(whole, chunk=chunk) for made in stream.feed([event])]
    life = Lifecycle()
    for event in events:
        life.step(event)
    assert fold(events, protocol="p") == ThinkTags().response(whole)


@given(printed.filter(lambda t: "</think>" not in t and t), printed.filter(bool))
def test_what_was_told_as_text_comes_back_as_reasoning(thought: str, said: str) -> None:
    parts = (Reasoning(text=thought), Text(text=said), CALL)
    request = Request(model="m", turns=(Turn(role="assistant", parts=parts),), origin=Origin(protocol="p"))
    told = ThinkTags().request(request).turns[0].parts
    assert told == (Text(text=f"<think>{thought}</think>{said}"), CALL)
    assert parts_of(ThinkTags().response(answer(*told))) == parts


def test_what_a_thought_carried_beside_its_words_is_a_loss() -> None:
    mark = Opaque(kind="signature", value="s", protocol="p")
    parts = (Reasoning(text="a", summary=("b",), opaque=(mark,)), Reasoning(opaque=(mark,)), Reasoning(text="c"))
    turns = (Turn(role="user", parts=parts), Turn(role="assistant", parts=parts))
    begun = ThinkTags().begin(Request(model="m", turns=turns, origin=Origin(protocol="p")))
    assert [loss.path for loss in begun.losses] == ["turns[1].parts[0].summary", "turns[1].parts[0].opaque"]
    assert begun.request.turns[1].parts[1] == parts[1]


def test_a_begun_request_reads_its_answer() -> None:
    begun = ThinkTags().begin(Request(model="m", origin=Origin(protocol="p")))
    whole = answer(Text(text="<think>a</think>b"))
    assert parts_of(begun.response(whole)) == (Reasoning(text="a"), Text(text="b"))
    assert fold(begun.stream().feed(unfold(whole, chunk=1)), protocol="p") == begun.response(whole)


def test_text_is_out_as_soon_as_it_is_no_tag() -> None:
    stream = ThinkTags().stream()
    assert stream.feed([Start(protocol="p"), Open(0, Text(text="<thi"))]) == [Start(protocol="p")]
    assert stream.feed([Delta(0, "s")]) == [Open(0, Text(text="")), Delta(0, "<this")]
    assert stream.feed([Delta(0, "<"), Close(0)]) == [Delta(0, "<"), Close(0)]


def test_other_turns_stay_as_they_are() -> None:
    turns = (Turn(role="user", parts=(Reasoning(text="a"),)), Turn(role="assistant", parts=(Text(text="b"),)))
    request = Request(model="m", turns=turns, origin=Origin(protocol="p"))
    assert ThinkTags().request(request) == request
