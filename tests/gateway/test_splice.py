"""Members changed in the bytes of a document: equal to changing the parsed one, and everything else untouched."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.gateway.routing.splice import change, rename, renamed

NAMES = st.sampled_from(["model", "messages", "stream", "a", 'q"uote', "mod\\el", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "model", '"model":"x"', "}{", "\\", "é,]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=5)
LAYOUTS: Any = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
MODELS = st.sampled_from(["gpt-6", 'a"b', "é", "x/y:z", ""])


@given(DOCUMENTS, MODELS, MODELS, LAYOUTS)
def test_a_renamed_document_is_equal_but_for_its_model(
    document: dict[str, Any], old: str, new: str, layout: dict[str, Any]
) -> None:
    document = {**document, "model": old}
    body = json.dumps(document, **layout).encode()
    spliced = rename(body, new)
    assert json.loads(spliced) == {**document, "model": new}
    if old.isascii():  # there is one way to spell it, so the way back shows that all other bytes were left alone
        assert rename(spliced, old) == body


@given(
    DOCUMENTS,
    st.sets(NAMES, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=2),
    st.dictionaries(NAMES, VALUES, max_size=2),
    LAYOUTS,
)
def test_changes_in_bytes_are_those_of_the_document(
    document: dict[str, Any],
    remove: set[str],
    override: dict[str, Any],
    default: dict[str, Any],
    layout: dict[str, Any],
) -> None:
    edits = change(json.dumps(document, **layout).encode(), remove=remove, override=override, default=default)
    kept = {name: value for name, value in document.items() if name not in remove}
    assert json.loads(edits.body) == {**default, **kept, **override}
    assert set(edits.removed) == set(document) & remove
    assert set(edits.overridden) == set(override)
    assert set(edits.defaulted) == set(default) - set(kept) - set(override)


@given(st.binary(max_size=40) | st.text('{}[]":,model\\ ', max_size=40).map(str.encode))
def test_what_is_no_document_stays_as_it_is_or_stays_no_document(body: bytes) -> None:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    spliced = rename(body, "new")
    if isinstance(document, dict) and isinstance(document.get("model"), str):
        assert json.loads(spliced)["model"] == "new"
    elif document is not None:
        assert spliced == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[{"content":"say \\"model\\":\\"b\\""}]}',
        b'{"messages":[{"model":"b"}],"model":"a"}',
        b' { "\\u006dodel" : "a" , "x" : {"model":"b"} } ',
        b'{"x": "model", "model": "a"}',
    ],
)
def test_only_the_documents_own_member_is_renamed(body: bytes) -> None:
    expected = body.replace(b'"a"', b'"new"')
    assert rename(body, "new") == expected


def test_a_member_that_stands_twice_is_renamed_twice() -> None:
    assert rename(b'{"model":"a","model":"b"}', "c") == b'{"model":"c","model":"c"}'


def test_members_within_named_members_are_renamed_and_no_deeper_ones() -> None:
    body = b'{"type":"message_start","message":{"model":"a","x":{"model":"keep"}},"other":{"model":"keep"}}'
    spliced = renamed(body, b'"n"', names={"model"}, within={"message"})
    assert spliced == body.replace(b'"model":"a"', b'"model":"n"')


def test_time_is_linear_in_the_body() -> None:
    def seconds(levels: int) -> float:
        body = b'{"model":"a","x":"' + b'\\"' * levels + b'","y":' + b"[" * levels + b"]" * levels + b"}"
        began = time.process_time()
        assert change(body, override={"z": 1}).body.endswith(b',"z":1}')
        return time.process_time() - began

    assert seconds(400_000) < 20 * max(seconds(40_000), 0.005)
