"""Call ids reach another alphabet one to one, the same way every time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.ids import CallIds, ToolNames

PATTERN = re.compile(r"[a-zA-Z0-9_-]{1,40}")
sources = st.lists(
    st.one_of(st.none(), st.text(max_size=60), st.sampled_from(["call_0", "x y", "a" * 900])), max_size=8
)


@given(sources)
def test_ids_are_valid_and_injective(ids: list[str | None]) -> None:
    mapped = [CallIds_.call(source, "f") for CallIds_ in [CallIds(PATTERN)] for source in ids]
    assert len(set(mapped)) == len(mapped)
    assert all(PATTERN.fullmatch(target) for target in mapped)


@given(sources)
def test_mapping_is_deterministic_and_prefix_stable(ids: list[str | None]) -> None:
    first, second = CallIds(PATTERN), CallIds(PATTERN)
    whole = [first.call(source, "f") for source in ids]
    assert [second.call(source, "f") for source in ids[: len(ids) // 2]] == whole[: len(ids) // 2]


@given(sources)
def test_a_changed_id_leads_back_to_its_source(ids: list[str | None]) -> None:
    calls = CallIds(PATTERN)
    for source in ids:
        target = calls.call(source, "f")
        assert source is None or calls.back.get(target, target) == source


@given(sources)
def test_a_result_belongs_to_the_newest_call_of_its_id(ids: list[str | None]) -> None:
    calls = CallIds(PATTERN)
    for source in ids:
        target = calls.call(source, "f")
        assert calls.result(source) == target


@given(st.one_of(st.none(), st.text(max_size=60)))
def test_a_result_without_a_call_still_has_a_valid_id(source: str | None) -> None:
    assert PATTERN.fullmatch(CallIds(PATTERN).result(source))


def test_a_valid_id_stays_as_it_is() -> None:
    assert CallIds(PATTERN).call("call_abc", "f") == "call_abc"


LETTERS_FIRST = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
ANYTHING_FIRST = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@pytest.mark.parametrize("pattern", [LETTERS_FIRST, ANYTHING_FIRST])
@given(st.text(max_size=90), st.text(max_size=90))
def test_tool_names_fit_stay_apart_and_come_back(pattern: re.Pattern[str], one: str, other: str) -> None:
    names = ToolNames(pattern, 64)
    assert (names.of(one) == names.of(other)) == (one == other)
    for name in (one, other):
        target = names.of(name)
        assert pattern.fullmatch(target)
        assert names.back.get(target, target) == name


def test_a_tool_name_that_changes_stays_readable() -> None:
    assert ToolNames(LETTERS_FIRST, 64).of("2 größen").startswith("_2_gr__en_")
