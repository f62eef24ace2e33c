"""Ids of calls where the source has none."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from documents import json_objects
from ds2api_asgi.universal.ids import call_id_of
from ds2api_asgi.universal.jsontext import JsonText

calls = st.tuples(st.integers(0, 9), st.integers(0, 9), st.text(max_size=5), json_objects.map(JsonText.of))


@given(calls)
def test_they_are_in_every_protocols_alphabet_and_the_same_each_time(call: tuple[int, int, str, JsonText]) -> None:
    id_ = call_id_of(*call)
    assert re.fullmatch(r"call_[a-z2-7]{20}", id_)
    assert id_ == call_id_of(*call)


@given(st.lists(calls, unique_by=lambda call: call[:2]))
def test_calls_of_one_conversation_never_share_one(found: list[tuple[int, int, str, JsonText]]) -> None:
    assert len({call_id_of(*call) for call in found}) == len(found)


def test_the_spelling_of_arguments_does_not_matter_but_their_meaning_does() -> None:
    spelled = [call_id_of(0, 0, "f", JsonText(text)) for text in ('{"a":1,"b":2.0}', '{ "b": 2.0, "a": 1 }')]
    assert len(set(spelled)) == 1
    assert call_id_of(0, 0, "f", JsonText('{"a":2,"b":2.0}')) not in spelled
    assert call_id_of(0, 0, "f", JsonText('{"a":')) != call_id_of(0, 0, "f", JsonText('{"a": '))
