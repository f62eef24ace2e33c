from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.universal.jsontext import MAX_DEPTH, JsonText, NumberText, dumps, equal, json_string, loads

# --- JSON texts in every legal spelling, and an oracle that knows nothing of ours -----------------------------------

DIGITS = st.text("0123456789", min_size=1, max_size=25)
INTEGERS = st.builds(
    lambda sign, first, rest: sign + (first if first == "0" else first + rest),
    st.sampled_from(["", "-"]),
    st.sampled_from("0123456789"),
    st.one_of(st.just(""), DIGITS),
)
NUMBERS = st.builds(
    lambda whole, fraction, exponent: whole + fraction + exponent,
    INTEGERS,
    st.one_of(st.just(""), DIGITS.map(".{}".format)),
    st.one_of(
        st.just(""),
        st.builds(
            lambda e, sign, n: f"{e}{sign}{n}",
            st.sampled_from("eE"),
            st.sampled_from(["", "+", "-"]),
            st.integers(0, 99) | st.sampled_from(["007", "00"]),
        ),
    ),
)
CHARACTERS = st.characters(codec=None) | st.sampled_from(
    '"\\\u2028\u2029\x7f\x00\n\ud800\udc00{}[]-0,:'  # what a scanner could stumble over
)
TEXTS = st.text(CHARACTERS, max_size=12)
STRINGS = st.builds(lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), TEXTS, st.booleans())
SPACES = st.sampled_from(["", "", " ", "\n", "\t\r\n "])


def _array(items: list[str], space: str) -> str:
    return f"[{space}{f'{space},'.join(items)}{space}]"


def _object(items: dict[str, str], space: str) -> str:
    return f"{{{space}{f',{space}'.join(f'{key}{space}:{value}' for key, value in items.items())}}}"


DOCUMENTS = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.builds(_array, st.lists(inner, max_size=5), SPACES)
        | st.builds(_object, st.dictionaries(STRINGS, inner, max_size=5), SPACES)
    ),
    max_leaves=20,
)


def exact(text: str | bytes) -> Any:
    """What the standard parser says, every number as its spelling."""
    return json.loads(
        text,
        parse_float=lambda number: ("number", number),
        parse_int=lambda number: ("number", number),
        object_pairs_hook=lambda pairs: ("object", dict(pairs)),
    )


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


class TestLoadsAndDumps:
    @given(DOCUMENTS)
    @example("-0")
    @example("[-0,-0.0,0,1.0,1.00,1e2,1E+2,3.1e-07,1e-6,0.00001,1e15,1e16,123456789012345680.0]")
    @example("123456789012345678901234567890")
    @example('"\\ud83d" ')
    @example('{"a":1,"a":2.50}')
    def test_what_was_read_is_written_with_the_same_numbers(self, text: str) -> None:
        assert exact(dumps(loads(text))) == exact(as_bytes(text))
        assert exact(dumps(loads(as_bytes(text)))) == exact(as_bytes(text))

    @given(DOCUMENTS)
    def test_a_byte_order_mark_changes_nothing(self, text: str) -> None:
        plain = loads(as_bytes(text))
        assert equal(loads(b"\xef\xbb\xbf" + as_bytes(text)), plain)
        assert equal(loads("\ufeff" + text), loads(text))

    @given(DOCUMENTS)
    def test_values_are_those_of_the_standard_parser(self, text: str) -> None:
        assert loads(text) == json.loads(text)

    @given(st.binary(max_size=30) | st.text(CHARACTERS, max_size=30) | DOCUMENTS.map(lambda text: text[:-1]))
    def test_whatever_comes_is_read_or_refused_as_invalid(self, data: bytes | str) -> None:
        try:
            value = loads(data)
        except InvalidDocument:
            return
        assert equal(loads(dumps(value)), value)

    @pytest.mark.parametrize(
        "data",
        [b"", b" ", b"NaN", b"[Infinity]", b"-Infinity", b"1e400", b"[-1E999]", b"01", b"1.", b".5", b"+1", b"[1,]",
         b"{,}", b"1 2", b'"\xff"', b'{"\xff":1}', b'"\xed\xa0\x80"', b'"\n"', b"'a'", b"\xff\xfe1\x00", b"1" * 5000,
         b"[-0, " + b"1" * 5000 + b"]"],
    )  # fmt: skip
    def test_what_is_not_json_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidDocument):
            loads(data)

    def test_the_refusal_holds_nothing_of_the_document(self) -> None:
        for data in (b'{"key": sesame}', b'["sesame', b'"sesame\xff"', b"[NaN, sesame]"):
            with pytest.raises(InvalidDocument) as caught:
                loads(data)
            assert "sesame" not in str(caught.value)
            assert caught.value.path == ""

    @pytest.mark.parametrize("prefix", ["", "\ufeff", " "])
    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[-0, "]", {"{":', "}]")])
    @pytest.mark.parametrize("leaf", ["1", '"]]]}}}"', '"\\ud800"', "-0"])
    def test_depth_is_bounded_the_same_on_every_path(self, prefix: str, opening: str, closing: str, leaf: str) -> None:
        levels = len(closing)
        fits = MAX_DEPTH // levels
        assert loads(prefix + opening * fits + leaf + closing * fits) is not None
        for depth in (fits + 1, fits * 3, 100_000):
            with pytest.raises(InvalidDocument, match="nested deeper"):
                loads(prefix + opening * depth + leaf + closing * depth)

    def test_an_empty_innermost_level_counts(self) -> None:
        assert loads("[" * 128 + "]" * 128)
        with pytest.raises(InvalidDocument):
            loads("[" * 129 + "]" * 129)

    def test_wide_is_not_deep(self) -> None:
        assert len(loads(b"[" + b"[[]]," * 5000 + b"[]]")) == 5001

    @pytest.mark.parametrize("text", ["9" * 4000, "1." + "0" * 4000, f'"{"[" * 4000}"', f'"\\ud800{"{" * 4000}"'])
    def test_long_is_not_deep(self, text: str) -> None:
        assert exact(dumps(loads(text))) == exact(text)

    def test_endless_values_are_refused(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(InvalidDocument):
            dumps(circle)

    def test_what_has_no_json_form_is_a_type_error(self) -> None:
        for value in (object(), [object()], {"\ud800": object()}):
            with pytest.raises(TypeError):
                dumps(value)

    def test_lone_surrogates_become_escapes_and_all_else_stays_verbatim(self) -> None:
        value = {"\ud800": JsonText('{"a" : 1.00}'), "é": [NumberText("1E5"), 2**70, 0.5, True, None, ("\udfff", "ü")]}
        assert (
            dumps(value)
            == '{"\\ud800":{"a" : 1.00},"é":[1E5,1180591620717411303424,0.5,true,null,["\\udfff","ü"]]}'.encode()
        )

    @given(TEXTS)
    def test_json_string_is_total(self, text: str) -> None:
        assert json.loads(json_string(text)) == json.loads(json.dumps(text))


class TestNumberText:
    @given(NUMBERS)
    def test_it_is_the_float_and_the_text(self, text: str) -> None:
        number = NumberText(text)
        assert number == float(text)
        assert dumps([number]) == f"[{text}]".encode()
        for twin in (copy.copy(number), copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
            assert (type(twin), twin.text) == (NumberText, text)

    @pytest.mark.parametrize("text", ["", "nan", "inf", "1e400", "0x1", "1_0", " 1", "1\n", "1]", "٣"])
    def test_other_texts_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidDocument):
            NumberText(text)

    def test_numbers_that_float_spells_the_same_stay_plain(self) -> None:
        assert [type(number) for number in loads(b"[0.7, 1.0, 0.00001, 1, 1e-6]")] == [float, float, float, int, float]


class TestEqual:
    @given(DOCUMENTS, DOCUMENTS)
    def test_it_agrees_with_exact_comparison(self, a: str, b: str) -> None:
        assert equal(loads(a), loads(b)) == (exact(as_bytes(a)) == exact(as_bytes(b)))
        assert equal(loads(a), loads(a))

    @given(DOCUMENTS, DOCUMENTS)
    def test_json_text_counts_as_its_value(self, a: str, b: str) -> None:
        expected = equal(loads(a), loads(b))
        assert equal(JsonText(a), loads(b)) == expected
        assert equal(loads(a), JsonText(b)) == expected
        assert equal([JsonText(a)], [JsonText(b)]) == expected
        assert JsonText(a).same(JsonText(b)) == expected

    @pytest.mark.parametrize(
        ("a", "b"),
        [("1", "1.0"), ("1.0", "1.00"), ("1", "true"), ("0", "false"), ("0", "-0"), ("0.0", "-0.0"), ("[]", "{}"),
         ("null", "0"), ('""', "null"), ('{"a":1}', '{"b":1}'), ('{"a":1}', '{"a":1,"b":1}'), ("[1]", "[1,1]")],
    )  # fmt: skip
    def test_these_differ(self, a: str, b: str) -> None:
        assert not equal(loads(a), loads(b))
        assert not equal(loads(b), loads(a))

    def test_the_order_of_keys_does_not_matter(self) -> None:
        assert equal({"a": 1, "b": [True, "x"]}, {"b": (True, "x"), "a": 1})

    def test_broken_text_equals_only_itself(self) -> None:
        assert equal(JsonText('{"a'), JsonText('{"a'))
        assert not equal(JsonText('{"a'), JsonText('{"a '))
        assert not equal(JsonText('{"a'), '{"a')


class Holder(msgspec.Struct, frozen=True):
    arguments: JsonText
    schema: JsonText | msgspec.UnsetType = msgspec.UNSET


class TestJsonText:
    @given(DOCUMENTS)
    def test_embedding_keeps_every_byte(self, text: str) -> None:
        assert JsonText(text).valid
        assert dumps({"input": JsonText(text)}) == b'{"input":' + as_bytes(text) + b"}"
        assert dumps(["\ud800", JsonText(text)]) == b'["\\ud800",' + as_bytes(text) + b"]"

    @given(st.text(CHARACTERS, max_size=20) | DOCUMENTS.map(lambda text: text[:-1]))
    def test_embedding_never_corrupts_a_document(self, text: str) -> None:
        held = JsonText(text)
        if held.valid:
            assert equal(loads(dumps([held])), [held.value])
            return
        for value in ([held], ["\ud800", held]):
            with pytest.raises(InvalidDocument):
                dumps(value)
        with pytest.raises(InvalidDocument):
            _ = held.value

    def test_a_byte_order_mark_cannot_be_embedded(self) -> None:
        assert not JsonText("\ufeff{}").valid

    @given(DOCUMENTS)
    def test_of_a_value_is_the_value(self, text: str) -> None:
        assert equal(JsonText.of(loads(text)).value, loads(text))

    @pytest.mark.parametrize(
        ("text", "is_object"), [("{}", True), (' {"a":1} ', True), ("[]", False), ("null", False), ('{"a', False)]
    )
    def test_is_object_is_true_of_objects_only(self, text: str, is_object: bool) -> None:
        assert JsonText(text).is_object is is_object

    def test_null_is_valid_and_parsed_once(self) -> None:
        assert JsonText("null").valid
        assert JsonText("null").value is None
        held = JsonText("[1]")
        assert held.value is held.value

    def test_equality_and_hash_are_of_the_text(self) -> None:
        assert JsonText("1.0") == JsonText("1.0")
        assert hash(JsonText("1.0")) == hash(JsonText("1.0"))
        assert JsonText("1.0") != JsonText("1.0 ")
        assert JsonText("1.0").same(JsonText(" 1.0 "))
        assert JsonText("1") != "1"

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            JsonText("1").text = "2"  # type: ignore[misc]
        with pytest.raises(AttributeError):
            JsonText("1").other = 2  # type: ignore[attr-defined]

    def test_it_lives_in_structs_and_survives_copies_and_pickles(self) -> None:
        holder = Holder(JsonText('{"a": 1e1}'))
        assert holder == Holder(JsonText('{"a": 1e1}'))
        assert hash(holder) == hash(Holder(JsonText('{"a": 1e1}')))
        assert holder.arguments.value == {"a": 10}
        for twin in (copy.copy(holder), copy.deepcopy(holder), pickle.loads(pickle.dumps(holder))):
            assert twin == holder
        assert dumps(holder) == b'{"arguments":{"a": 1e1}}'

    @given(st.text(CHARACTERS))
    @example("\\" * 40)
    @example("'\"" * 12)
    def test_its_repr_is_short(self, text: str) -> None:
        assert len(repr(JsonText(text))) <= 40

    def test_its_repr_shows_a_short_text_whole(self) -> None:
        assert repr(JsonText('{"a": 1}')) == """JsonText('{"a": 1}')"""
        assert repr(JsonText("x" * 29)) == f"JsonText('{'x' * 28}…)"
