"""Arguments where a protocol takes objects only, or functions only: what goes in comes back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents import json_objects
from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols.arguments import RAW, read_object, unwrap_text, wrap_text, write_object
from ds2api_asgi.protocols.scope import Scope, Target
from ds2api_asgi.universal.jsontext import JsonText, dumps, loads

TARGET = Target(protocol="here", call_id=re.compile(".+"), tool_name=re.compile(r"\w+"), max_tool_name=64)


def foreign() -> Scope:
    return Scope(TARGET, origin="elsewhere")


@given(json_objects)
def test_an_object_keeps_its_text(value: dict[str, object]) -> None:
    text, scope = JsonText(dumps(value).decode()), foreign()
    assert write_object(text, "a", scope) is text
    assert read_object(text, "a") == text
    assert scope.losses == []


@given(st.text().filter(str.strip))
def test_text_that_is_no_object_comes_back(text: str) -> None:
    scope = foreign()
    written = write_object(JsonText(text), "a", scope)
    assert read_object(loads(dumps(written)), "a").text == (text if scope.losses else JsonText.of(loads(text)).text)


def test_no_arguments_are_an_empty_object_and_reported_once() -> None:
    scope = foreign()
    assert write_object(JsonText(" "), "a", scope) == {}
    assert [loss.path for loss in scope.losses] == ["a"]


def test_an_object_that_only_looks_wrapped_stays() -> None:
    for value in ({RAW: '{"a": 1}'}, {RAW: ""}, {RAW: "x", "more": 1}):
        assert read_object(value, "a").value == value


@pytest.mark.parametrize("value", [[], "x", 1, True])
def test_what_is_no_object_is_refused_with_its_path(value: object) -> None:
    with pytest.raises(InvalidDocument, match=r"messages\[0\]"):
        read_object(value, "messages[0].input")


@given(st.text())
def test_free_text_comes_back(text: str) -> None:
    assert unwrap_text(wrap_text(text)) == text


def test_what_a_model_made_of_the_function_is_all_there_is() -> None:
    assert unwrap_text(JsonText('{"other": 1}')) == '{"other": 1}'
    assert unwrap_text(JsonText("half")) == "half"
