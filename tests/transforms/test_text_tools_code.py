"""Edge cases 5, 6, 7 and 10: code, prose, what may wait, and what other gateways throw away."""

from __future__ import annotations

import pytest

from ds2api_asgi.transforms import TextTools
from ds2api_asgi.transforms.text_tools.markdown import Code
from ds2api_asgi.transforms.text_tools.sieve import MAX_BLANK
from ds2api_asgi.universal.content import Text
from ds2api_asgi.universal.events import Close, Delta, Event, Open, Start
from text_tools_kit import block, call, invoke, read, request, streamed

WHOLE = block(invoke("free", a="1"))
CALL = call("free", a=1)
HERMES = '<tool_call>{"name": "free", "arguments": {}}</tool_call>'

HIDDEN = [
    f"```xml\n{WHOLE}\n```\n",
    f"```\r\n{WHOLE}\r\n```\r\n",
    f"  ```xml\n  {WHOLE}\n  ```\n",
    f"> ```\n> {WHOLE}\n> ```\n",
    f"1. ```\n{WHOLE}\n```\n",
    f"~~~\n{WHOLE}\n~~~\n",
    f"````\n```\n{WHOLE}\n```\n````\n",
    f"````\n```\n````` a\n{WHOLE}\n",
    f"~~~\n```\n{WHOLE}\n~~~\n",
    f"```\n~~~\n{WHOLE}\n```\n",
    f"```\nnever closed\n\n{WHOLE}",
    f"``` {WHOLE} ```",
    f"```\n``` {WHOLE}",
    f"`{WHOLE}`",
    f"say ``{WHOLE}`` or ` {WHOLE} `",
    f"`` ` {WHOLE} ``",
    "`<tool_calls>\n" + WHOLE.removeprefix("<tool_calls>") + "`",
    f"`{HERMES}`",
    f'```\n{HERMES}\n[TOOL_CALLS][{{"name": "free", "arguments": {{}}}}]\n```\n',
]


@pytest.mark.parametrize("text", HIDDEN)
def test_a_call_in_code_is_an_example(text: str) -> None:
    assert read(text) == [text]


@pytest.mark.parametrize("text", [text for text in HIDDEN if text.endswith(("`\n", "~\n", "`\r\n"))])
def test_a_call_behind_code_is_one(text: str) -> None:
    assert read(f"{text}{WHOLE}") == [text, CALL]


@pytest.mark.parametrize(
    "text",
    [
        "```\na\n```\n```\nb\n```\n~~~\nc\n~~~\n",
        "`code` and ``co`de`` ",
        "```\nwith `inline` and ``\n```\n",
        "a stray ` in a line\n",
        "it's 3 o`clock\n\nand so\n",
        "~~struck~~ ",
        "text ``` of no fence\n",
        "``` `no` fence\n",
    ],
)
def test_code_that_has_ended_hides_nothing(text: str) -> None:
    assert read(f"{text}{WHOLE}") == [text, CALL]


def test_a_fence_in_cdata_is_none() -> None:
    inner = "```\nopen"
    both = block(invoke("free", a=f"<![CDATA[{inner}]]>")) + "\n" + WHOLE
    assert read(both) == [call("free", a=inner), CALL]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_fence_may_be_cut_anywhere(cut: int) -> None:
    text = "a\n````x\n```\n` <\n````\nb `c` "
    code = Code()
    for at in range(0, len(text), cut):
        code.feed(text[at : at + cut])
    assert not code.inside
    whole = Code()
    whole.feed(text[: text.index("<")])
    assert whole.fenced


@pytest.mark.parametrize(
    "text",
    [
        "Use <tool_calls> for it.\n",
        'Use <tool_calls><invoke name="free"> for it. ',
        "Use `<tool_calls>` or <|DSML|tool_calls> for it. ",
        "用 <tool_calls> 标签：",
        "用 `<|DSML|tool_calls>` 标签 ",
        '<tool_calls><invoke name="free"><parameter name="a"> is how it begins: ',
        "a <tool_calls> b <|DSML|invoke name='free'> c </tool_calls> d ",
        "İ İstanbul \U0001f600 ",
    ],
)
def test_prose_of_tags_hides_no_call(text: str) -> None:
    assert read(f"{text}{WHOLE} end") == [text, CALL, " end"]


@pytest.mark.parametrize(
    "text",
    [
        "```json\n```",
        "```json\n\n```\n",
        "<|tool_calls_begin|>x<|tool_calls_end|>",
        "<tool_result>{}</tool_result>",
        "<think>a</think>b",
        "a</think>b",
        "<|begin_of_sentence|>a<|end_of_sentence|>",
        "<attempt_completion><result>x</result></attempt_completion>",
        "<function_results>x</function_results>",
        "ordinary text, {braces}, [brackets] and <b>markup</b>",
        "{",
        "[TOOL_CALLS]",
        "<tool_call>",
        "<|python_tag|>",
        " \n\t ",
        "\ud800<\udfff",
        "a\r\nb\r\n<tool_calls>\r\n",
    ],
)
def test_nothing_is_cleaned_away(text: str) -> None:
    assert read(text) == [text]


def said(text: str, **options: bool) -> list[str]:
    """What is out when this much has come, at each character."""
    stream = TextTools(**options).begin(request()).stream()
    events: list[Event] = [Start(protocol="p"), Open(0, Text(text="")), *(Delta(0, char) for char in text)]
    out: list[str] = []
    so_far = ""
    for event in events:
        so_far += "".join(made.text for made in stream.feed([event]) if isinstance(made, Delta))
        out.append(so_far)
    return out[2:]


def waiting(text: str) -> int:
    """How many characters are held back at the end of this."""
    return len(text) - len(said(text)[-1])


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("hello", 0),
        ("hello <", 1),
        ("hello <t", 2),
        ("hello <tool_call", 10),
        ("hello <tool_calls", 11),
        ("hello <tool_callx", 0),
        ("hello <tool_calls>", 12),
        ("hello <tool_calls> ", 13),
        ("hello <tool_calls> i", 0),
        ("hello <invoke name=", 13),
        ('hello <invoke name="nobody">', 0),
        ("hello <tool_name>", 0),
        ("a < b > c", 0),
        ("<b>", 0),
        ("<attempt_completion>", 0),
        ("hello [", 1),
        ("hello [x", 0),
        ("hello {", 0),
        ('{"', 2),
        ('{"x', 0),
        ('{"name": "nobody"', 0),
        ('{"name": "free", "a', 19),
        ('{"name": "free", "ab', 0),
        ("hello\n```json", 7),
        ("hello\n```jsonx", 0),
        ('hello\n```json\n{"n', 11),
        ('hello\n```json\n{"x', 0),
        ("`<tool_calls>", 0),
        ("```\n<tool_calls>", 0),
        ("<" * 70, 4),
    ],
)
def test_text_waits_only_while_it_may_begin_a_call(text: str, held: int) -> None:
    assert waiting(text) == held


def test_white_space_before_a_first_call_waits_for_it_but_not_forever() -> None:
    assert waiting(" " * 10) == 10
    assert waiting(" " * MAX_BLANK) == MAX_BLANK
    assert waiting(" " * (MAX_BLANK + 1)) == 0
    assert read(" " * (MAX_BLANK + 1) + WHOLE) == [" " * (MAX_BLANK + 1), CALL]
    assert read(" " * MAX_BLANK + WHOLE) == [CALL]


def test_a_long_argument_is_kept_to_its_bound() -> None:
    body = "x" * 4096
    assert read(block(invoke("free", a=body))) == [call("free", a=body)]
    text = block(invoke("free", a=body)) + WHOLE
    assert read(text, TextTools(max_kept=1000)) == [text.removesuffix(WHOLE), CALL]


def test_calls_of_every_shape_stream_as_legal_events() -> None:
    begun = TextTools().begin(request())
    events = streamed(begun, [Start(protocol="p"), Open(0, Text(text=f"a{WHOLE}{WHOLE}b")), Close(0)])
    assert [event.key for event in events if isinstance(event, Open)] == [0, 1, 2, 3]
