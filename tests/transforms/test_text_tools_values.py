"""Edge cases 3, 4 and 9: CDATA, values, and schemas, which come first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ds2api_asgi.transforms import TextTools
from ds2api_asgi.universal.request import FunctionTool
from text_tools_kit import TOOLS, block, call, invoke, read, tool

EXAMPLE = block(invoke("read_file", path="<![CDATA[x]]>"))
HEREDOC = f"cat <<'EOF'\n```xml\n{EXAMPLE}\n```\narr[idx[0]]>1 ]]>\nEOF"


def value(text: str, schema: Any = None) -> Any:
    """What a parameter with this schema is read as, between canonical tags."""
    declared = FunctionTool(name="f") if schema is None else tool("f", v=schema)
    got = read(block(invoke("f", v=text)), tools=(declared,))
    assert len(got) == 1, got
    return json.loads(got[0][1])["v"]


def cdata(text: str) -> str:
    return f"<![CDATA[{text}]]>"


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        HEREDOC,
        "</parameter></invoke></tool_calls>",
        "```python\nprint(1)\n```",
        "~~~\nopen",
        "a <b>bold</b> word and <br>",
        "<item>a</item>",
        '{"a":1}',
        "90210",
        " spaces \n",
        "]]",
        "a]]>b",
        "&amp; && <",
        "İ\u2028\U0001f600",
        "line\r\nline",
        "",
    ],
)
def test_a_string_in_cdata_keeps_its_characters(text: str) -> None:
    assert value(cdata(text), str) == text
    assert value(cdata(text)) == text


def test_white_space_around_cdata_is_markup() -> None:
    assert value(f"\n  {cdata(' a ')}\n", str) == " a "


def test_cdata_may_go_on_in_another_section() -> None:
    assert value("<![CDATA[a]]]]><![CDATA[>b]]>", str) == "a]]>b"


def test_cdata_that_nobody_ended_ends_before_the_tags_that_close_its_call() -> None:
    for ending in ("</parameter></invoke></tool_calls>", "</|DSML|parameter>\n</invoke|></tool_calls>\n"):
        text = f'<tool_calls><invoke name="read_file"><parameter name="path"><![CDATA[a </parameter> b{ending}'
        assert read(text, TextTools()) == [call("read_file", path="a </parameter> b")]
    text = '<tool_calls><invoke name="read_file"><parameter name="path"><![CDATA[a</parameter></invoke>'
    assert read(text, TextTools()) == [text]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90210", "90210"),
        ("true", "true"),
        ('{"a": 1}', '{"a": 1}'),
        ("12345678901234567890.10", "12345678901234567890.10"),
        (" a ", " a "),
        ("a && b > c", "a && b > c"),
        ("x &lt;b&gt; &amp;amp; &#65;&#x42; &quot;&apos;", "x <b> &amp; AB \"'"),
        ("&copy; &nbsp &unknown; &#xFFFFFF;", "&copy; &nbsp &unknown; &#xFFFFFF;"),
        (r"C:\new\temp\u12", r"C:\new\temp\u12"),
        ("<b>x</b> <br>", "<b>x</b> <br>"),
        ("a <![CDATA[<b>]]>", "a <b>"),
    ],
)
def test_a_string_as_plain_text_has_only_its_entities_read(text: str, wanted: str) -> None:
    assert value(text, str) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("3", 3), (" 3\n", 3), ("true", True), ("null", None), ('{"a": [1]}', {"a": [1]}), ("abc", "abc"), ("", "")],
)
def test_what_no_schema_speaks_of_is_json_if_it_is_some(text: str, wanted: Any) -> None:
    assert value(text) == wanted


def test_a_number_keeps_its_spelling() -> None:
    got = read(block(invoke("free", a="1.00", b="123456789012345678901234567890", c="-0", d="1E5")))
    assert got == [("free", '{"a":1.00,"b":123456789012345678901234567890,"c":-0,"d":1E5}')]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<item>a</item><item>b</item>", ["a", "b"]),
        ("<item>a</item>", ["a"]),
        ('\n<item>1</item>\n<item>{"x": 2}</item>\n', [1, {"x": 2}]),
        (cdata("<item>a</item><item>b</item>"), ["a", "b"]),
        (f"<item>{cdata('<b>')}</item><item>{cdata('')}</item>", ["<b>", ""]),
        ("<item>a<br>b</item>", ["a\nb"]),
        ("<item><item>1</item><item>2</item></item>", [[1, 2]]),
        ('{"a":1},{"b":2}', [{"a": 1}, {"b": 2}]),
        ('{"a":1},\n {"b":{"c":[1,{}]}}, {"d":[2]}', [{"a": 1}, {"b": {"c": [1, {}]}}, {"d": [2]}]),
        (cdata('{"a":1},{"b":2}'), [{"a": 1}, {"b": 2}]),
        ('{"a":1},{"a":2},{"a":3},{"a":4},{"a":5}', [{"a": n} for n in range(1, 6)]),
        ('{"a":1}', [{"a": 1}]),
        ('[{"a":1}]', [{"a": 1}]),
        (cdata("[1, 2]"), [1, 2]),
        ('[{path: "C:\\dir\\new"}]', [{"path": "C:\\dir\new"}]),
        ('["C:\\dir", "\\u12"]', ["C:\\dir", "\\u12"]),
        ('["a\tb\nc"]', ["a\tb\nc"]),
        ("[{a: 1, b_c: [2,],},]", [{"a": 1, "b_c": [2]}]),
        ("no list", "no list"),
    ],
)
def test_an_array_is_read_however_it_is_written(text: str, wanted: Any) -> None:
    assert value(text, list) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1}', {"a": 1}),
        (cdata('{"a": 1}'), {"a": 1}),
        ("<a>1</a><b><c>x</c><c>y</c></b>", {"a": 1, "b": {"c": ["x", "y"]}}),
        (cdata("<a>1</a>"), {"a": 1}),
        ("<a>1</b>", "<a>1</b>"),
        ("<a>" * 40 + "</a>" * 40, "<a>" * 40 + "</a>" * 40),
    ],
)
def test_an_object_is_read_however_it_is_written(text: str, wanted: Any) -> None:
    assert value(text, dict) == wanted


def test_markup_is_a_string_where_no_schema_wants_structure() -> None:
    assert value("<a>1</a>") == "<a>1</a>"
    assert value("<item>a</item> and more") == "<item>a</item> and more"


def test_a_parameter_that_stands_twice_is_an_array() -> None:
    twice = '<parameter name="v">{}</parameter><parameter name="v">{}</parameter>'
    assert read(block(f'<invoke name="free">{twice.format(1, cdata("2"))}</invoke>')) == [call("free", v=[1, "2"])]
    jobs = twice.replace('"v"', '"jobs"').format('{"a": 1}', "x")
    assert read(block(f'<invoke name="batch">{jobs}</invoke>')) == [("batch", '{"jobs":[{"a": 1},"x"]}')]


STRINGS: list[Any] = [
    {"type": "string"},
    {"type": "STRING"},
    {"type": ["string"]},
    {"const": "a"},
    {"enum": ["1", "2"]},
    {"anyOf": [{"type": "string"}, {"const": "x"}]},
    {"oneOf": [{"enum": ["a"]}]},
    {"allOf": [{"type": "string"}, {"minLength": 1}]},
    {"$ref": "#/$defs/text"},
]
NULLABLE: list[Any] = [
    {"type": ["string", "null"]},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"enum": ["a", None]},
]
OPEN: list[Any] = [
    {"type": ["string", "integer"]},
    {"anyOf": [{"type": "string"}, {"type": "object"}]},
    {"anyOf": [{"type": "string"}, {}]},
    {"enum": ["a", 1]},
    {},
    True,
    {"$ref": "#/nowhere"},
    {"$ref": "#/$defs/loop"},
]


def of_schema(schema: Any, body: str) -> str:
    """The arguments that come of a JSON body, by the schema of one member."""
    defs = {"text": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"}}
    properties = {"v": schema, "in": {"properties": {"v": schema}}}
    declared = FunctionTool(name="f", schema={"type": "object", "properties": properties, "$defs": defs})
    ((_, arguments),) = read(block(f'<invoke name="f">{body}</invoke>'), tools=(declared,))
    return str(arguments)


@pytest.mark.parametrize("schema", STRINGS + NULLABLE)
def test_what_must_be_a_string_becomes_one_of_the_same_characters(schema: Any) -> None:
    assert of_schema(schema, '{"v": 90210}') == '{"v":"90210"}'
    assert of_schema(schema, '{"v": 1.00, "w": 1.00}') == '{"v":"1.00","w":1.00}'
    assert of_schema(schema, '{"v": {"a" : [1]}}') == '{"v":"{\\"a\\" : [1]}"}'
    assert of_schema(schema, '{"in": {"v": true}}') == '{"in":{"v":"true"}}'
    assert of_schema(schema, '{"v": "\\u0041"}') == '{"v": "\\u0041"}'
    assert of_schema(schema, '{"v": null}') == '{"v": null}'


@pytest.mark.parametrize("schema", [*OPEN, {"type": "integer"}, {"type": "array"}])
def test_what_a_schema_leaves_open_stays_as_it_was(schema: Any) -> None:
    assert of_schema(schema, '{"v": 90210, "in": {"v": 1.0}}') == '{"v": 90210, "in": {"v": 1.0}}'


def test_a_schema_that_is_made_to_hurt_says_nothing() -> None:
    knot = {"anyOf": [{"$ref": "#/$defs/knot"}] * 50}
    declared = FunctionTool(name="f", schema={"properties": {"v": {"$ref": "#/$defs/knot"}}, "$defs": {"knot": knot}})
    assert read(block(invoke("f", v="1")), tools=(declared,)) == [call("f", v=1)]


def test_strings_in_arrays_and_further_members_are_found() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert of_schema(schema, '{"v": [1, "a", {"b": 2}]}') == '{"v":["1","a","{\\"b\\": 2}"]}'
    assert of_schema({"additionalProperties": {"type": "string"}}, '{"v": {"x": 1}}') == '{"v":{"x":"1"}}'


@pytest.mark.parametrize("schema", NULLABLE)
def test_null_stays_null_where_it_may_be(schema: Any) -> None:
    assert value("null", schema) is None
    assert value(cdata("null"), schema) == "null"
    assert value("90210", schema) == "90210"


@pytest.mark.parametrize("schema", OPEN)
def test_a_union_takes_json_from_plain_text_and_strings_from_cdata(schema: Any) -> None:
    if schema != {"$ref": "#/$defs/loop"}:
        assert value("7", schema) == 7
        assert value(cdata("7"), schema) == "7"


def test_deep_nesting_is_bounded() -> None:
    """Deeper than any JSON of ours may be: the value is the string that it is, a body no call."""
    deep = "[" * 200 + "]" * 200
    assert value(deep, list) == deep
    text = block(f'<invoke name="free">{{"a": {deep}}}</invoke>')
    assert read(text, TextTools()) == [text]
    assert value("<a>" * 500 + "</a>" * 500, list) == "<a>" * 500 + "</a>" * 500


def test_lone_surrogates_survive() -> None:
    ((_, arguments),) = read(block(invoke("read_file", path=cdata("a\ud800b"))))
    assert json.loads(arguments) == {"path": "a\ud800b"}


def test_tools_of_the_kit_are_distinct() -> None:
    assert len({declared.name for declared in TOOLS}) == len(TOOLS)
