"""Edge cases 1 and 2: how tags may look, and how blocks may be built."""

from __future__ import annotations

import pytest

from ds2api_asgi.transforms import TextTools
from text_tools_kit import block, call, invoke, read

PATH = '<parameter name="path">a.txt</parameter>'
CALL = call("read_file", path="a.txt")
WHOLE = block(invoke("read_file", path="a.txt"))

SPELLINGS = {
    "canonical": f'<tool_calls><invoke name="read_file">{PATH}</invoke></tool_calls>',
    "lines": f'<tool_calls>\n  <invoke name="read_file">\n    {PATH}\n  </invoke>\n</tool_calls>',
    "CRLF": f'<tool_calls>\r\n<invoke name="read_file">\r\n{PATH}\r\n</invoke>\r\n</tool_calls>',
    "DSML": '<|DSML|tool_calls><|DSML|invoke name="read_file"><|DSML|parameter name="path">a.txt</|DSML|parameter>'
    "</|DSML|invoke></|DSML|tool_calls>",
    "glued": '<DSMLtool_calls><DSMLinvoke name="read_file"><DSMLparameter name="path">a.txt</DSMLparameter>'
    "</DSMLinvoke></DSMLtool_calls>",
    "hyphen": '<dsml-tool-calls><dsml-invoke name="read_file"><dsml-parameter name="path">a.txt</dsml-parameter>'
    "</dsml-invoke></dsml-tool-calls>",
    "underscore": f'<DSML_tool_calls><DSML_invoke name="read_file">{PATH}</DSML_invoke></DSML_tool_calls>',
    "space": f'<DSML tool_calls><|DSML invoke name="read_file">{PATH}</DSML invoke></|DSML tool_calls>',
    "twice": f'<|DSML|DSML|tool_calls><|DSML||DSML|invoke name="read_file">{PATH}</DSML|DSML|invoke></tool_calls>',
    "full-width": f'<｜DSML｜tool_calls><｜DSML｜invoke name="read_file">{PATH}</｜DSML｜invoke></｜tool_calls>',
    "pipe before the end": f'<|DSML|tool_calls|><|DSML|invoke name="read_file"|>{PATH}</invoke|></tool_calls|>',
    "pipe for an end": f'<|DSML|tool_calls|<|DSML|invoke name="read_file"|{PATH}</|DSML|invoke|</|DSML|tool_calls|',
    "further <": f'<<tool_calls><<<invoke name="read_file">{PATH}</invoke><</tool_calls>',
    "mixed": f'<tool_calls><|DSML|invoke name="read_file">{PATH}</invoke></|DSML|tool_calls>',
    "case": f'<Tool_Calls><INVOKE Name="read_file">{PATH}</Invoke></TOOL_CALLS>',
    "apostrophes": f"<tool_calls><invoke name='read_file'>{PATH.replace(chr(34), chr(39))}</invoke></tool_calls>",
    "blanks in tags": f'<tool_calls ><invoke  name = "read_file" >{PATH}</invoke ></tool_calls\n>',
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_call_is_read_however_its_tags_are_spelled(spelling: str) -> None:
    assert read(SPELLINGS[spelling]) == [CALL]


@pytest.mark.parametrize(
    "text",
    [
        f'<tool-calls><invoke name="read_file">{PATH}</invoke></tool-calls>',
        f'<tool_calls_extra><invoke name="read_file">{PATH}</invoke></tool_calls_extra>',
        f'<tool_calls><invoke_extra name="read_file">{PATH}</invoke_extra></tool_calls>',
        f'<tool_calls><invoke name="read_file">{PATH}</invoke_extra></tool_calls>',
        f'<tool_calls2><invoke name="read_file">{PATH}</invoke></tool_calls2>',
        f'<|DSM|tool_callz><invoke name="read_file">{PATH}</invoke>',
        "<<<<<<",
        "a < b > c and <tool_name>",
    ],
)
def test_what_only_looks_like_a_tag_is_text(text: str) -> None:
    assert read(text) == [text]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (block(invoke("read_file", path="1"), invoke("free")), [call("read_file", path="1"), call("free")]),
        (WHOLE + WHOLE, [CALL, CALL]),
        (f"{WHOLE}\n\n{WHOLE}", [CALL, CALL]),
        (f"one {WHOLE} two {WHOLE} three", ["one ", CALL, " two ", CALL, " three"]),
        (f"\n {WHOLE}\n", [CALL]),
        ("text</tool_calls>more", ["text</tool_calls>more"]),
        ("<tool_calls></tool_calls>", ["<tool_calls></tool_calls>"]),
        ("<tool_calls>\n</tool_calls> <tool_calls/>", ["<tool_calls>\n</tool_calls> <tool_calls/>"]),
        (f"a {invoke('read_file', path='a.txt')}</tool_calls> b", ["a ", CALL, " b"]),
        (f"{invoke('free')}\n{invoke('free')}</tool_calls>", [call("free"), call("free")]),
        (f"a {invoke('read_file', path='x')} b", [f"a {invoke('read_file', path='x')} b"]),
        ('write <invoke name="read_file"> and go on', ['write <invoke name="read_file"> and go on']),
        (f"<tool_calls><invoke>{PATH}</invoke></tool_calls>", [f"<tool_calls><invoke>{PATH}</invoke></tool_calls>"]),
        ('<tool_calls><invoke name="free"/></tool_calls>', [call("free")]),
        ('<tool_calls><invoke name="free"></invoke></tool_calls>', [call("free")]),
        ('<tool_calls><invoke name="free"><parameter name="a"/></invoke></tool_calls>', [call("free", a="")]),
        (block(invoke("free", tool_name="x", path="y")), [call("free", tool_name="x", path="y")]),
        (block('<invoke name="free">{"a": [1, "}"]}</invoke>'), [("free", '{"a": [1, "}"]}')]),
        (block('<invoke name="free">\n{"input": {"a": 1.0}}\n</invoke>'), [("free", '{"a": 1.0}')]),
        (block('<invoke name="free">{"parameters": {"a": 1}}</invoke>'), [("free", '{"a": 1}')]),
        (block('<invoke name="read_file">{"path": 90210}</invoke>'), [call("read_file", path="90210")]),
        (block(invoke("patch", input="<![CDATA[*** a]]>")), [("patch", "*** a")]),
    ],
)
def test_a_block_is_read_as_it_is_built(text: str, shown: list[object]) -> None:
    assert read(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        f'<tool_calls><invoke name="read_file">{PATH}</parameter></invoke></tool_calls>',
        '<tool_calls><invoke name="read_file"><parameter name="path">x</invoke></tool_calls>',
        '<tool_calls><invoke name="read_file"><parameter name="path">x</tool_calls>',
        '<tool_calls><invoke name="read_file">words</invoke></tool_calls>',
        '<tool_calls><invoke name="read_file" name="free"></invoke></tool_calls>',
        '<tool_calls><invoke name="read_file" id="7"></invoke></tool_calls>',
        '<tool_calls><invoke name="free">[1]</invoke></tool_calls>',
        '<tool_calls><invoke name="free">{"a": }</invoke></tool_calls>',
        '<tool_calls><invoke name="read_file"><parameter>x</parameter></invoke></tool_calls>',
        block(invoke("read_file", path="x").replace("</invoke>", '<parameter name="path">y</parameter></invoke>')),
    ],
)
def test_a_malformed_call_is_text_and_not_dropped(text: str) -> None:
    assert read(text, TextTools()) == [text]


@pytest.mark.parametrize(
    "text",
    [
        '<tools>[{"name": "read_file"}]</tools>',
        '<tool_call>{"name": "read_file", "arguments": {}}</tool_call>',
        '<function_call>{"name": "read_file", "arguments": {}}</function_call>',
        "<tool_use><name>read_file</name></tool_use>",
        '{"tool_calls": [{"name": "read_file", "input": {}}]}',
        '{"name": "read_file", "parameters": {}}',
        '```json\n{"name": "read_file", "arguments": {}}\n```',
        '[TOOL_CALLS][{"name": "read_file", "arguments": {}}]',
    ],
)
def test_one_dialect_alone_does_not_read_the_others(text: str) -> None:
    assert read(text, TextTools(recognise="xml")) == [text]


def test_forms_of_no_dialect_are_text_even_where_all_are_read() -> None:
    for text in (
        '<tools>[{"name": "read_file"}]</tools>',
        '<function_call>{"name": "read_file", "arguments": {}}</function_call>',
        '{"tool_calls": [{"name": "read_file", "input": {}}]}',
    ):
        assert read(text) == [text]


def test_arguments_that_are_empty_strings_are_kept() -> None:
    """Dropping the call would lose it, and an empty string is a value like any other."""
    assert read(block(invoke("write", path="", content="<![CDATA[]]>"))) == [call("write", path="", content="")]


def test_only_declared_tools_are_called() -> None:
    rest = f"<tool_calls>{invoke('rm', path='x')}</tool_calls>"
    assert read(rest) == [rest]
    both = block(invoke("free"), invoke("rm", path="x"))
    assert read(both) == [call("free"), f"{invoke('rm', path='x')}</tool_calls>"]


def test_an_undeclared_call_does_not_hide_the_next() -> None:
    assert read(f"{block(invoke('rm', path='x'))} {WHOLE}") == [f"{block(invoke('rm', path='x'))} ", CALL]
