from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.demo.schema import Words, make_value
from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.universal import jsontext

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}


def satisfies(schema, value):
    """A judge of the keywords that the strategy below uses; independent of the code under test."""
    if schema is True or schema == {}:
        return True
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(satisfies(branch, value) for branch in schema["anyOf"])
    kind = schema["type"]
    if kind == "null":
        return value is None
    if not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        return False
    return {"string": fits_string, "integer": fits_number, "number": fits_number, "array": fits_array}.get(
        kind, fits_object if kind == "object" else lambda schema, value: True
    )(schema, value)


def fits_string(schema, value):
    return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))


def fits_number(schema, value):
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
        and value < schema.get("exclusiveMaximum", value + 1)
        and value % schema.get("multipleOf", 1 if isinstance(value, int) else value or 1) == 0
    )


def fits_array(schema, value):
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    if schema.get("uniqueItems") and any(value[i] == value[j] for i in range(len(value)) for j in range(i)):
        return False
    return all(satisfies(schema["items"], item) for item in value)


def fits_object(schema, value):
    return all(name in value for name in schema.get("required", [])) and all(
        satisfies(schema["properties"][name], member)
        for name, member in value.items()
        if schema.get("additionalProperties") is False or name in schema["properties"]
    )


def bounded(low, high):
    return {key: value for key, value in (("min", low), ("max", high)) if value is not None}


@st.composite
def strings(draw):
    low, extra = draw(st.none() | st.integers(0, 30)), draw(st.none() | st.integers(0, 9))
    schema = {"type": "string"}
    if low is not None:
        schema["minLength"] = low
    if extra is not None:
        schema["maxLength"] = (low or 0) + extra
    return schema


@st.composite
def numbers(draw):
    kind = draw(st.sampled_from(["integer", "number"]))
    schema = {"type": kind}
    low = draw(st.none() | st.integers(-50, 50))
    if low is not None:
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = (low or 0) + draw(st.integers(12, 40))
    if kind == "integer" and draw(st.booleans()):
        schema["multipleOf"] = draw(st.integers(1, 5))
    return schema


@st.composite
def arrays(draw, items):
    unique = draw(st.booleans())
    item = draw(st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 3}]) if unique else items)
    low = draw(st.integers(0, 4))
    schema = {"type": "array", "items": item, "minItems": low, "uniqueItems": unique}
    if draw(st.booleans()):
        schema["maxItems"] = low + draw(st.integers(0, 3))
    return schema


@st.composite
def objects(draw, members):
    properties = draw(st.dictionaries(st.text(max_size=5), members, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


leaves = (
    strings()
    | numbers()
    | st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": [1]}, {"enum": ["c", "Paris", 3, None]}, True])
)
schemas = st.recursive(
    leaves,
    lambda inner: (
        arrays(inner)
        | objects(inner)
        | st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
    ),
    max_leaves=10,
)
texts = st.builds(
    lambda text, strings, numbers: (text, strings, numbers),
    st.text(max_size=20),
    st.lists(st.sampled_from(["Paris", "New York", "x" * 40]), max_size=3, unique=True),
    st.lists(st.integers(-60, 60), max_size=2),
)


@given(schema=schemas, words=texts)
def test_value_satisfies_its_schema(schema, words):
    assert satisfies(schema, make_value(schema, Words(*words)))


@given(schema=schemas, words=texts)
def test_same_schema_and_words_give_the_same_value(schema, words):
    assert make_value(schema, Words(*words)) == make_value(schema, Words(*words))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "enum",
                    "const",
                    "items",
                    "prefixItems",
                    "minItems",
                    "maxItems",
                    "anyOf",
                    "allOf",
                    "oneOf",
                    "$ref",
                    "multipleOf",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "minLength",
                    "maxLength",
                    "format",
                    "additionalProperties",
                    "minProperties",
                    "uniqueItems",
                ]
            ),
            inner
            | st.sampled_from(["object", "array", "integer", "number", "string", "#", "#/properties", "#/anyOf/0"]),
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(schema=values)
def test_anything_for_a_schema_gives_a_json_value_or_is_refused(schema):
    try:
        value = make_value(schema, Words("text"))
    except InvalidDocument:
        return
    jsontext.loads(jsontext.dumps(value))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Paris"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            {"a": "Paris", "b": "h11"},
        ),
        ({"type": "array", "items": {"type": "string"}}, ["Paris", "h11"]),
        ({"enum": ["kelvin", "Celsius"]}, "Celsius"),
        ({"type": "integer", "minimum": 4}, 7),
        ({"type": ["null", "integer"]}, 7),
        ({"allOf": [{"type": "integer"}, {"minimum": 9}]}, 9),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"const": 5}}}, 5),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"anyOf": [{"type": "integer", "maximum": 2}, {"type": "null"}]}, 1),
    ],
)
def test_words_of_the_text_are_filled_in(schema, value):
    assert make_value(schema, Words("7 degrees celsius in Paris for 'h11'", ["Paris", "h11"], [7])) == value


def test_recursive_schema_ends_where_it_may():
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    value = make_value(node, Words())
    while value is not None:
        value = value["next"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/none"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "minItems": 90, "items": {"type": "array", "minItems": 90}},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "colour"},
        {"enum": []},
        5,
        False,
    ],
)
def test_schema_that_nothing_satisfies_or_that_asks_too_much_is_refused(schema):
    with pytest.raises(InvalidDocument) as error:
        make_value(schema, Words(), path="tools[0]")
    assert error.value.path == "tools[0]"
