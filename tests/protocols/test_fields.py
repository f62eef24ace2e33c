"""Tables: what `put` writes is what is set, and `take` reads it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.protocols.fields import put, take
from ds2api_asgi.protocols.openai_chat.fields import REQUEST
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import Request

_VALUES = {
    "a string": st.text(),
    "a boolean": st.booleans(),
    "an integer": st.integers(),
    "a number": st.floats(allow_nan=False),
    "an object": st.just({}),
    "an array of strings": st.lists(st.text(), max_size=2).map(tuple),
    "any value": st.none() | st.integers(),
}
_SET = st.fixed_dictionaries({}, optional={field.name: _VALUES[field.kind] for field in REQUEST.values()})


@given(_SET)
def test_put_writes_in_the_tables_order_what_is_set(values):
    document = {}
    put(Request(origin=Origin(protocol="anthropic"), **values), REQUEST, document)
    assert list(document) == [field.wire for field in REQUEST.values() if field.name in values]
    said = {name: value for name, value in values.items() if value is not None}
    nulls = {field.wire: None for field in REQUEST.values() if values.get(field.name, UNSET) is None}
    assert take(document, REQUEST, handled=()) == (said, nulls or UNSET)
