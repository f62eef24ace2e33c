"""Claims that are remembered are those that would be made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.claims import Claims
from ds2api_asgi.asgi.headers import decode
from ds2api_asgi.asgi.path import query, relative_path
from ds2api_asgi.protocols import registry

PATHS = (
    "/v1/messages",
    "/v1/chat/completions/",
    "/v1/models",
    "/models/x",
    "/v1/models/",
    "/v1/embeddings",
    "/",
    "x",
    "/v1beta/models/m:streamGenerateContent",
)
HEADERS = ((b"X-Api-Key", b"k"), (b"anthropic-version", b"2023-06-01"), (b"authorization", b"Bearer k"))
SCOPES = st.fixed_dictionaries(
    {
        "method": st.sampled_from(("GET", "POST", "OPTIONS")),
        "path": st.sampled_from(PATHS) | st.text().map("/".__add__),
        "headers": st.lists(st.sampled_from(HEADERS)),
        "query_string": st.sampled_from((b"", b"alt=sse", b"beta=true")),
    }
)


@pytest.mark.parametrize("protocol", [None, *registry.names()])
@given(scopes=st.lists(SCOPES, min_size=1, max_size=5))
def test_what_is_remembered_is_what_would_be_said(protocol: str | None, scopes: list[dict[str, Any]]) -> None:
    ask = registry.claim if protocol is None else registry.get(protocol).claim
    claims = Claims(ask)
    for scope in [*scopes, *scopes]:
        assert claims.of(scope) == ask(scope["method"], relative_path(scope), decode(scope["headers"]), query(scope))


def test_no_more_than_64_paths_are_remembered() -> None:
    asked: list[str] = []
    claims = Claims(lambda method, path, headers, query: asked.append(path))
    for path in [*(f"/{number}" for number in range(65)), "/64", "/0"]:
        claims.of({"method": "POST", "path": path, "headers": []})
    assert asked == [*(f"/{number}" for number in range(65)), "/0"]
