"""How long headers ask us to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.retry_after import retry_after

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
EARLIER = "Wed, 21 Oct 2015 07:27:30 GMT"
AT = 1445412480.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "30"}, (30.0, "retry-after")),
        ({"retry-after": "30.5"}, (30.5, "retry-after")),
        ({"retry-after": "0"}, (0.0, "retry-after")),
        ({"retry-after-ms": "1500", "retry-after": "7"}, (1.5, "retry-after-ms")),
        ({"retry-after-ms": "soon", "retry-after": "7"}, (7.0, "retry-after")),
        ({"retry-after": "1, 7, x"}, (7.0, "retry-after")),
        ({"retry-after": DATE, "date": EARLIER}, (30.0, "retry-after")),
        ({"retry-after": DATE}, (20.0, "retry-after")),
        ({"retry-after": EARLIER}, (0.0, "retry-after")),
        ({"retry-after": f"5, {DATE}"}, (20.0, "retry-after")),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "12345678901"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_headers_that_count(headers: dict[str, str], expected: tuple[float, str] | None) -> None:
    assert retry_after(headers, AT - 20) == expected


def test_a_date_needs_a_clock() -> None:
    assert retry_after({"retry-after": DATE}, None) is None
    assert retry_after({"retry-after": DATE, "date": EARLIER}, None) == (30.0, "retry-after")


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=30)),
    st.floats(0, 1e10),
)
def test_it_is_total(headers: dict[str, str], now: float) -> None:
    found = retry_after(headers, now)
    assert found is None or found[0] >= 0
