"""The request in words: tools, choice, history, and what cannot be said; and what a transform is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec import UNSET
from msgspec.structs import replace

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.transforms import Begun, TextTools, ThinkTags, Transform, TransformStream
from ds2api_asgi.transforms.text_tools import DIALECTS, Dialect
from ds2api_asgi.transforms.text_tools.dialects import XML
from ds2api_asgi.universal.content import (
    Base64,
    CacheMark,
    Inline,
    Media,
    Part,
    PlainText,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from ds2api_asgi.universal.events import Close, Delta, Open, Start
from ds2api_asgi.universal.fold import fold, unfold
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import LossKind, Severity, blocking
from ds2api_asgi.universal.node import Opaque
from ds2api_asgi.universal.request import FunctionTool, NamedTool, OpaqueTool, Request, ToolSubset, Turn
from text_tools_kit import ORIGIN, TOOLS, answer, block, invoke, parts_of, request, shown, streamed
from universals import requests

NAMES = [dialect.name for dialect in DIALECTS]
USER = Turn(role="user", parts=(Text(text="hi"),))
SYSTEM = Turn(role="system", parts=(Text(text="Be nice."),))


def call(name: str, arguments: str = "{}", **members: Any) -> ToolCall:
    return ToolCall(name=name, arguments=JsonText(arguments), **members)


def result(text: str, call_id: str, **members: Any) -> Turn:
    return Turn(role="tool", parts=(ToolResult(call_id=call_id, parts=(Text(text=text),), **members),))


def asked(transform: TextTools | None = None, tools: Any = TOOLS, **members: Any) -> Request:
    return (transform or TextTools()).begin(request(tools, **members)).request


def words(turn: Turn) -> str:
    return "".join(part.text for part in turn.parts if isinstance(part, Text))


@given(requests)
def test_nothing_native_is_left_and_nothing_else_changes(source: Request) -> None:
    got = TextTools().begin(source).request
    assert (got.tools, got.tool_choice, got.parallel_tools) == (UNSET, UNSET, UNSET)
    assert not any(isinstance(part, (ToolCall, ToolResult)) for turn in got.turns for part in turn.parts)
    blank = {"turns": (), "tools": UNSET, "tool_choice": UNSET, "parallel_tools": UNSET}
    assert replace(got, **blank) == replace(source, **blank)
    kept = [part for turn in source.turns for part in turn.parts if isinstance(part, Reasoning)]
    assert [part for turn in got.turns for part in turn.parts if isinstance(part, Reasoning)] == kept


def test_a_request_without_tools_is_the_very_same() -> None:
    source = request((), turns=(SYSTEM, USER, Turn(role="assistant", parts=(Text(text="a"),))))
    begun = TextTools().begin(source)
    assert begun.request is source
    assert begun.losses == ()


@pytest.mark.parametrize("dialect", NAMES)
def test_the_guide_names_each_tool_with_its_schema_and_shows_a_call_that_reads_back(dialect: str) -> None:
    transform = TextTools(dialect)
    guide = words(asked(transform, turns=(USER,)).turns[0])
    for declared in TOOLS:
        assert f'"name":"{declared.name}"' in guide
    assert '"path":{"type":"string"}' in guide
    example = guide.partition("For example:\n\n")[2].partition("\n\nRules:")[0]
    assert shown(parts_of(transform.begin(request()).response(answer(example)))) == [
        ("read_file", '{"path":"…"}'),
        ("write", '{"path":"…","content":"…"}'),
    ]


def test_the_guide_ends_the_system_prompt_or_is_one() -> None:
    turns = asked(turns=(SYSTEM, USER)).turns
    assert words(turns[0]).startswith("Be nice.\n\n# Tools")
    assert turns[1] == USER
    assert [turn.role for turn in asked(turns=(USER,)).turns] == ["system", "user"]
    marked = replace(SYSTEM, parts=(Text(text="Be nice.", cache=CacheMark()),))
    assert asked(turns=(marked, USER)).turns[0].parts[0] == marked.parts[0]


def test_the_beginning_of_a_conversation_stays_the_same_as_it_grows() -> None:
    turns = (
        SYSTEM,
        USER,
        Turn(role="assistant", parts=(Text(text="a"), call("free", id="1"), call("count", id="2"))),
        result("x", "1"),
        result("y", "2"),
        Turn(role="assistant", parts=(Text(text="b"),)),
        USER,
    )
    whole = asked(turns=turns).turns
    for end in (2, 3, 5, 6):
        part = asked(turns=turns[:end]).turns
        assert whole[: len(part)] == part


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"tool_choice": "required"}, "must call at least one tool"),
        ({"tool_choice": ToolSubset(mode="required", names=("free", "count"))}, "must call at least one tool"),
        ({"tool_choice": NamedTool(name="free")}, 'must call "free"'),
        ({"parallel_tools": False}, "at most one call"),
    ],
)
def test_choice_and_parallel_flag_are_said(members: dict[str, Any], sentence: str) -> None:
    assert sentence in words(asked(turns=(USER,), **members).turns[0])
    assert sentence not in words(asked(turns=(USER,)).turns[0])


def test_only_what_may_be_called_is_told() -> None:
    guide = words(asked(turns=(USER,), tool_choice=ToolSubset(mode="auto", names=("count",))).turns[0])
    assert '"name":"count"' in guide
    assert "read_file" not in guide
    assert asked(turns=(USER,), tool_choice="none").turns == (USER,)


def test_calls_stand_behind_what_the_assistant_said() -> None:
    parts: tuple[Part, ...] = (Reasoning(text="hm"), Text(text="ok"), call("free", '{"a": 1}', id="1"), call("count"))
    turn = asked(turns=(USER, Turn(role="assistant", parts=parts))).turns[2]
    assert turn.parts[0] == Reasoning(text="hm")
    assert words(turn).startswith('ok\n\n<tool_calls>\n<invoke name="free">')
    assert words(turn).count("<tool_calls>") == 1
    got = parts_of(TextTools().begin(request()).response(answer(words(turn))))
    assert shown(got) == ["ok\n\n", ("free", '{"a":1}'), ("count", "{}")]


@pytest.mark.parametrize("dialect", NAMES)
def test_results_stand_in_one_user_turn_in_the_order_of_their_calls(dialect: str) -> None:
    turns = (
        USER,
        Turn(role="assistant", parts=(call("free", id="1"), call("count", id="2"))),
        result("second", "2"),
        result("first", "1", is_error=True),
        USER,
    )
    got = asked(TextTools(dialect), turns=turns).turns
    assert [turn.role for turn in got] == ["system", "user", "assistant", "user", "user"]
    said = words(got[3])
    assert said.index("free") < said.index("[tool error] first") < said.index("count") < said.index("second")


def test_calls_in_turns_of_their_own_make_one_block() -> None:
    turns = (
        USER,
        Turn(role="assistant", parts=(Text(text="ok"),)),
        Turn(role="assistant", parts=(call("free", id="1"),), id="x"),
        Turn(role="assistant", parts=(call("count", id="2"),), id="y"),
        result("a", "1"),
    )
    got = asked(turns=turns).turns
    assert [turn.role for turn in got] == ["system", "user", "assistant", "user"]
    assert words(got[2]).count("<tool_calls>") == 1


def test_a_turn_of_the_tools_that_says_more_is_the_users() -> None:
    mixed = Turn(role="tool", parts=(ToolResult(name="free", parts=(Text(text="r"),)), Text(text="more")))
    got = asked(turns=(USER, mixed)).turns
    assert [turn.role for turn in got] == ["system", "user", "user"]
    assert got[2].parts[1] == Text(text="more")


def test_results_beside_other_parts_stand_before_them() -> None:
    mixed = Turn(role="user", parts=(ToolResult(call_id="1", parts=(Text(text="r"),)), Text(text="go on")))
    got = asked(turns=(USER, Turn(role="assistant", parts=(call("free", id="1"),)), mixed)).turns
    assert len(got) == 4
    assert got[3].parts[1] == Text(text="go on")
    assert '<result name="free"><![CDATA[r]]></result>' in words(got[3])


def test_a_result_may_be_nothing_media_or_documents() -> None:
    image = Media(kind="image", source=Base64(data="aGk="), mime="image/png")
    parts: tuple[Part, ...] = (
        ToolResult(name="free"),
        ToolResult(name="free", parts=()),
        ToolResult(name="free", parts=(image,)),
        ToolResult(name="free", parts=(Media(kind="document", source=PlainText(text="doc")), Text(text="!"))),
        ToolResult(name="free", parts=(Media(kind="document", source=Inline(parts=(Text(text="in"),))),)),
    )
    turn = asked(turns=(USER, Turn(role="tool", parts=parts))).turns[2]
    assert [line.partition(">")[2] for line in words(turn).split("\n")[1:-1]] == [
        "<![CDATA[null]]></result>",
        "<![CDATA[null]]></result>",
        "<![CDATA[]]></result>",
        "<![CDATA[doc!]]></result>",
        "<![CDATA[in]]></result>",
    ]
    assert turn.parts[1:] == (image,)


def test_cache_marks_stay_where_their_parts_went() -> None:
    mark = CacheMark(ttl="5m")
    marked = replace(call("free", id="1"), cache=mark)
    answered = Turn(role="tool", parts=(ToolResult(call_id="1", parts=(Text(text="r"),), cache=mark),))
    got = asked(turns=(USER, Turn(role="assistant", parts=(Text(text="a"), marked)), answered)).turns
    assert [part.cache for turn in got[2:] for part in turn.parts if isinstance(part, Text)] == [mark, mark]


def test_what_cannot_be_told_is_a_loss() -> None:
    tools = (
        OpaqueTool(json={"type": "web_search"}, protocol="p"),
        FunctionTool(name="f", strict=True, cache=CacheMark()),
    )
    signed = replace(
        call("f"), opaque=(Opaque(kind="signature", value="s", protocol="p"),), namespace="n", ext={"x": 1, "y": None}
    )
    failed = Turn(role="tool", parts=(ToolResult(is_error=True, ext={"z": 1}),), ext={"w": 1})
    begun = TextTools().begin(request(tools, turns=(USER, Turn(role="assistant", parts=(signed,)), failed)))
    assert [(loss.path, loss.kind, loss.severity) for loss in begun.losses] == [
        ("turns[1].parts[0].opaque", LossKind.DROPPED, Severity.DEGRADED),
        ("turns[1].parts[0].namespace", LossKind.DROPPED, Severity.COSMETIC),
        ("turns[1].parts[0].ext.x", LossKind.DROPPED, Severity.DEGRADED),
        ("turns[2].ext.w", LossKind.DROPPED, Severity.DEGRADED),
        ("turns[2].parts[0].ext.z", LossKind.DROPPED, Severity.DEGRADED),
        ("turns[2].parts[0].is_error", LossKind.TEXTUALISED, Severity.COSMETIC),
        ("tools", LossKind.TEXTUALISED, Severity.COSMETIC),
        ("tools[0]", LossKind.DROPPED, Severity.SEMANTIC),
        ("tools[1].strict", LossKind.DROPPED, Severity.DEGRADED),
        ("tools[1].cache", LossKind.DROPPED, Severity.COSMETIC),
    ]


def test_plain_tools_are_no_loss_that_a_policy_refuses() -> None:
    """Whoever puts the transform there wants tools to be told in words."""
    begun = TextTools().begin(request(tool_choice="required", parallel_tools=False))
    assert blocking(begun.losses, "reject") == ()


@pytest.mark.parametrize("dialect", NAMES)
def test_custom_tools_are_told_and_read_as_free_text(dialect: str) -> None:
    patch = FunctionTool(name="patch", kind="custom", schema={"type": "grammar", "definition": "start: /x/"})
    turns = (USER, Turn(role="assistant", parts=(call("patch", '*** "a"\n{', kind="custom"),)))
    begun = TextTools(dialect).begin(request((patch,), turns=turns))
    assert "start: /x/" in words(begun.request.turns[0])
    (got,) = parts_of(begun.response(answer(words(begun.request.turns[2]))))
    assert isinstance(got, ToolCall)
    assert (got.kind, got.arguments.text) == ("custom", '*** "a"\n{')


def test_a_dialect_of_ones_own_is_told_and_read() -> None:
    mine = Dialect(
        name="mine",
        guide="Write it my way.",
        triggers=XML.triggers,
        opens=XML.opens,
        recognise=XML.recognise,
        write_calls=lambda calls: f"mine: {len(calls)}",
        write_results=lambda results: f"results: {len(results)}",
    )
    begun = TextTools(mine, recognise=[mine, "hermes"]).begin(request(turns=(USER,)))
    assert "Write it my way." in words(begun.request.turns[0])
    assert "mine: 2" in words(begun.request.turns[0])
    text = block(invoke("free"))
    assert shown(parts_of(begun.response(answer(text)))) == [("free", "{}")]


@pytest.mark.parametrize("options", [{"dialect": "none"}, {"recognise": ["xml", "none"]}, {"max_kept": 0}])
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        TextTools(**options)


@pytest.mark.parametrize("transform", [TextTools(), ThinkTags()])
def test_every_transform_begins_a_request(transform: Transform) -> None:
    begun: Begun = transform.begin(request())
    stream: TransformStream = begun.stream()
    assert isinstance(begun.request, Request)
    assert list(begun.losses) == [loss for loss in begun.losses if loss.path]
    assert stream.feed([Start(protocol="p"), Open(0, Text(text="a")), Close(0)])[-1] == Close(0)
    assert begun.stream() is not stream


def test_transforms_stand_in_a_row() -> None:
    """Tools before thoughts: an answer's thoughts are taken out first, and an example in them calls nothing."""
    row: list[Transform] = [TextTools(), ThinkTags()]
    asking = request()
    begun: list[Begun] = []
    for transform in row:
        begun.append(transform.begin(asking))
        asking = begun[-1].request
    source = answer(f"<think>like {block(invoke('free', a='1'))}?</think>\n{block(invoke('count', n='1'))}")
    whole = source
    for one in reversed(begun):
        whole = one.response(whole)
    assert shown(parts_of(whole)) == [
        Reasoning(text=f"like {block(invoke('free', a='1'))}?"),
        ("count", '{"n":1}'),
    ]
    inner, outer = begun[1].stream(), begun[0].stream()
    events = [made for event in unfold(source, chunk=2) for made in outer.feed(inner.feed([event]))]
    assert fold(events, protocol="p") == whole
    assert any(isinstance(event, Delta) for event in events)


def test_one_transform_serves_many_requests() -> None:
    transform = TextTools()
    first, second = transform.begin(request()), transform.begin(request((FunctionTool(name="other"),)))
    text = block(invoke("free"))
    assert shown(parts_of(second.response(answer(text)))) == [text]
    assert shown(parts_of(first.response(answer(text)))) == [("free", "{}")]
    events = streamed(first, unfold(answer(text)))  # type: ignore[arg-type]
    assert fold(events, protocol="p") == first.response(answer(text))
    assert request().origin == ORIGIN
