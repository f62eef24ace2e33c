from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.upstream.address import Address, UnsafePath, strip_secrets
from ds2api_asgi.upstream.http1.target import Target

BASE = "https://api.example.com:8443/tenant/v1"


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://h", "/v1/messages", "https://h/v1/messages"),
        ("https://h/", "/v1/messages", "https://h/v1/messages"),
        ("https://h/v1", "/v1/messages", "https://h/v1/messages"),
        ("https://h/v1/", "/v1", "https://h/v1"),
        ("https://h/v1", "/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/v1", "/v1beta/models", "https://h/v1/v1beta/models"),
        ("https://h/v1beta", "/v1beta/models", "https://h/v1beta/models"),
        ("https://h/openai", "/openai/x", "https://h/openai/openai/x"),
        ("http://[::1]:80/a", "/b", "http://[::1]:80/a/b"),
        ("https://h", "/v1/models/a%2Fb:generateContent", "https://h/v1/models/a%2Fb:generateContent"),
        ("https://h", "/a b", "https://h/a%20b"),
    ],
)
def test_the_url_is_the_base_and_the_path(base: str, path: str, url: str) -> None:
    assert Address(base).url(path) == url


def test_a_query_is_appended_and_cannot_end_itself() -> None:
    assert Address("https://h").url("/a", b"x=%2F&y#z\r\n") == "https://h/a?x=%2F&y%23z%0D%0A"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "@evil.example",
        "/..",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/b",
        "/.%2E/b",
        "/a%2F..%2Fb",
        "/%252e%252e/b",
        "/%25252e%25252e/b",
        "/..;x/b",
        "/a\\..\\b",
        "/a%5c..%5cb",
        "/a\r\nhost: evil",
        "/a%0d%0ahost:%20evil",
        "/a%00",
        "/%EF%BC%8E%EF%BC%8E/b",
        "/%25252525252541",
    ],
)
def test_a_path_that_could_mean_another_is_refused(path: str) -> None:
    with pytest.raises(UnsafePath):
        Address(BASE).url(path)


@pytest.mark.parametrize(
    "base",
    [
        "",
        "api.example.com",
        "ftp://h",
        "https://",
        "https://u:p@h",
        "https://h?a",
        "https://h#a",
        "https://h/../a",
        "https://h/ ",
        "https://h/v1/chat/completions",
        "https://h/v1/messages/",
        "https://h/v1/fim/completions",
        "https://h/beta/completions",
        "https://h/v1/responses",
        "https://h/v1beta/models/m:streamGenerateContent",
    ],
)
def test_a_base_url_that_says_more_or_less_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError):
        Address(base)


@pytest.mark.parametrize("base", ["https://h/messages", "https://h/api/chat", "https://h/v1/projects/p/responses"])
def test_a_prefix_may_have_the_name_of_an_endpoint(base: str) -> None:
    assert Address(base).url("/x") == f"{base}/x"


hostile = st.lists(
    st.sampled_from(
        ["/", "//", "\\", ".", "..", "@", ":", "evil.example", "%2e", "%2f", "%5c", "%25", "?", "#", ";", "a"]
    )
    | st.text(max_size=3),
    max_size=10,
).map("".join)


def on_the_wire(url: str) -> str:
    """Where the fast sender's bytes lead."""
    asked, host, *_ = Target("GET", url).message([], b"")[0].decode().split("\r\n")
    return f"https://{host.removeprefix('Host: ')}{asked.split(' ')[1]}"


@given(hostile, hostile, st.booleans())
def test_no_request_changes_scheme_host_port_or_prefix(path: str, query: str, slash: bool) -> None:
    try:
        url = Address(BASE).url("/" + path if slash else path, query.encode("utf-8", "replace"))
    except UnsafePath:
        return
    for seen in (urlsplit(url), urlsplit(str(httpx2.URL(url))), urlsplit(on_the_wire(url))):
        assert (seen.scheme, seen.netloc) == ("https", "api.example.com:8443")
        assert (seen.path + "/").startswith("/tenant/v1/")
        assert not {".", ".."} & set(unquote(unquote(seen.path)).split("/"))
        assert not seen.fragment
    assert url.isascii()
    assert url.isprintable()


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"", b""),
        (b"alt=sse&x=%2F", b"alt=sse&x=%2F"),
        (b"key=SECRET&alt=sse", b"alt=sse"),
        (b"alt=sse&KEY=SECRET", b"alt=sse"),
        (b"a=1&api_key=SECRET&access_token=SECRET&b=2", b"a=1&b=2"),
        (b"k%65y=SECRET", b""),
        (b"api%5Fkey=SECRET&a", b"a"),
        (b"monkey=1&keys=2", b"monkey=1&keys=2"),
        (b"key", b""),
    ],
)
def test_keys_are_taken_out_of_a_query(query: bytes, left: bytes) -> None:
    assert strip_secrets(query) == left


@given(st.text(max_size=12))
def test_no_spelling_of_key_gets_through(noise: str) -> None:
    query = f"a={quote(noise)}&%6B%45y=SECRET&{quote(noise)}=1"
    assert b"SECRET" not in strip_secrets(query.encode())
