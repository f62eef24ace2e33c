from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.headers import (
    CREDENTIALS,
    HOP_BY_HOP,
    Headers,
    RawHeaders,
    credential,
    decode,
    find,
    may_state_limits,
    media_type,
    readable_type,
    replace,
    request_headers,
    response_headers,
)


def test_repeated_headers_are_joined_and_names_are_lower_case() -> None:
    assert decode([(b"X-A", b"1"), (b"x-a", b"2"), (b"b", b"\xe9")]) == {"x-a": "1, 2", "b": "é"}


def test_find_gives_the_first_value() -> None:
    assert find([(b"A", b"1"), (b"a", b"2")], b"a") == b"1"
    assert find([], b"a") is None


def test_replace_sets_in_place_removes_and_appends() -> None:
    raw = [(b"A", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")]
    assert replace(raw, {b"a": b"9", b"b": None, b"d": b"5"}) == [(b"a", b"9"), (b"c", b"4"), (b"d", b"5")]
    assert raw[0] == (b"A", b"1")


def test_no_credential_cookie_forwarding_or_hop_by_hop_header_goes_up() -> None:
    stopping = [
        *CREDENTIALS,
        *HOP_BY_HOP,
        b"cookie",
        b"host",
        b"content-length",
        b"expect",
        b"accept-encoding",
        b"forwarded",
        b"x-forwarded-for",
        b"x-amz-date",
        b"openai-organization",
        b"x-anything-else",
    ]
    assert request_headers([(name.title(), b"canary") for name in stopping]) == []


def test_headers_read_on_demand_are_the_decoded_ones() -> None:
    raw = [(b"X-One", b"1"), (b"x-one", b"2"), (b"Accept", b"*/*")]
    headers = Headers(raw)
    assert dict(headers) == decode(raw)
    assert "x-one" in headers
    assert headers.get("missing") is None


def test_the_protocols_own_headers_go_up() -> None:
    raw = [(b"Content-Type", b"a"), (b"anthropic-version", b"b"), (b"anthropic-beta", b"c"), (b"anthropic-beta", b"d")]
    assert request_headers(raw) == [(name.lower(), value) for name, value in raw]


def test_headers_that_connection_names_stop_even_when_they_come_first() -> None:
    raw = [(b"anthropic-beta", b"x"), (b"connection", b"keep-alive, Anthropic-Beta"), (b"accept", b"y")]
    assert request_headers(raw) == [(b"accept", b"y")]
    assert response_headers([(b"request-id", b"x"), (b"connection", b"request-id")]) == []


def test_credentials_go_up_only_when_asked() -> None:
    raw = [(b"authorization", b"Bearer x"), (b"x-api-key", b"y"), (b"cookie", b"z")]
    assert request_headers(raw, credentials=True) == raw[:2]
    assert request_headers(raw, credentials=True, without=frozenset({b"x-api-key"})) == raw[:1]


def test_values_with_line_breaks_stop() -> None:
    assert request_headers([(b"accept", b"a\r\nx: y"), (b"openai-beta", b"\0")]) == []
    assert response_headers([(b"content-type", b"a\nb")]) == []


def test_an_answers_identity_and_cookies_stay_behind() -> None:
    raw = [(b"Set-Cookie", b"a"), (b"Server", b"b"), (b"Date", b"c"), (b"OpenAI-Organization", b"d")]
    raw += [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3"), (b"Alt-Svc", b"h3")]
    assert response_headers(raw) == []


def test_what_clients_and_key_pools_read_comes_down() -> None:
    raw = [(b"content-type", b"a"), (b"x-request-id", b"b"), (b"request-id", b"c"), (b"retry-after", b"1")]
    raw += [(b"retry-after-ms", b"2"), (b"x-should-retry", b"false"), (b"content-encoding", b"gzip")]
    limits = [
        (b"x-ratelimit-remaining-requests", b"3"),
        (b"anthropic-ratelimit-tokens-reset", b"4"),
        (b"anthropic-priority-input-tokens-remaining", b"5"),
        (b"x-tokenlimit-remaining", b"6"),
    ]
    assert response_headers(raw + limits) == raw + limits
    assert response_headers(raw + limits, rate_limits=False) == raw


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ([], b""),
        ([(b"Content-Type", b"Text/Event-Stream; charset=utf-8")], b"text/event-stream"),
        ([(b"content-type", b" application/json ")], b"application/json"),
        ([(b"content-type", b"\xff")], b"\xff"),
    ],
)
def test_the_media_type_has_no_parameters_and_no_case(raw: RawHeaders, kind: bytes) -> None:
    assert media_type(raw) == kind


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"Content-Type", b"content-encoding", b"CONTENT-ENCODING", b"x-id"]),
        st.sampled_from([b"", b"identity", b"gzip", b"text/html; charset=utf-8", b"Application/JSON"]),
    )
)


@given(raw=HEADERS)
def test_the_type_of_what_is_not_encoded_is_its_media_type(raw: RawHeaders) -> None:
    codings = {value for name, value in raw if name.lower() == b"content-encoding"}
    assert readable_type(raw) == (media_type(raw) if codings <= {b"", b"identity"} else None)


@pytest.mark.parametrize(
    "name",
    [
        b"x-ratelimit-remaining-requests",  # OpenAI's
        b"x-tokenlimit-remaining",  # Together's
        b"anthropic-ratelimit-tokens-remaining",
        b"anthropic-priority-input-tokens-remaining",
        b"retry-after",
        b"retry-after-ms",
        b"x-credits-left",  # of a protocol that we do not know
        b"Content-Type",  # ASGI's names are in lower case; of others nothing is known
    ],
)
def test_only_headers_that_are_known_state_no_limits(name: bytes) -> None:
    silent = [(b"date", b"now"), (b"server", b"x"), (b"content-type", b"a/b"), (b"content-length", b"1")]
    assert not may_state_limits([*silent, (b"x-request-id", b"1"), (b"openai-processing-ms", b"7")])
    assert may_state_limits([*silent, (name, b"1")])


def test_a_credential_is_found_in_any_header_the_preferred_one_first() -> None:
    both = [(b"x-api-key", b"a"), (b"authorization", b"bearer  b ")]
    assert credential(both) == "b"
    assert credential(both, b"x-api-key") == "a"
    assert credential(both, b"x-goog-api-key") == "b"
    assert credential([(b"authorization", b"Bearer "), (b"api-key", b"c")]) == "c"
    assert credential([(b"cookie", b"d")]) == ""
