from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.path import percent_encode, raw_relative_path, relative_path, with_path


def scope(path: str, root: str = "", **extra: Any) -> dict[str, Any]:
    return {"type": "http", "path": path, "root_path": root, "query_string": b"", **extra}


@pytest.mark.parametrize(
    ("shape", "relative"),
    [
        (scope("/v1/messages"), "/v1/messages"),
        (scope("/llm/v1/messages", "/llm", app_root_path=""), "/v1/messages"),
        (scope("/api/llm/v1/messages", "/api/llm", app_root_path="/api"), "/v1/messages"),
        (scope("/llm/v1/messages", "/api/llm", app_root_path="/api"), "/v1/messages"),
        (scope("/v1/messages", "/api"), "/v1/messages"),
        (scope("/v1/messages/"), "/v1/messages"),
        (scope("/llm", "/llm"), "/"),
        (scope("/llm/", "/llm"), "/"),
        (scope("/"), "/"),
        (scope("//v1/messages"), "//v1/messages"),
        (scope("/llm/v1", "/llm/"), "/v1"),
    ],
)
def test_the_relative_path_is_found_in_every_shape_of_scope(shape: dict[str, Any], relative: str) -> None:
    assert relative_path(shape) == relative


@pytest.mark.parametrize("path", ["x/v1/messages/", "v1/messages", ""])
def test_a_path_that_does_not_begin_with_a_slash_is_outside_of_the_mount(path: str) -> None:
    assert relative_path(scope(path)) == ""
    assert raw_relative_path(scope(path, raw_path=b"/llm%2Fx")) == ""


@pytest.mark.parametrize("root", ["/llm", "/ll"])
def test_a_path_in_whose_segment_the_root_path_ends_is_outside_of_the_mount(root: str) -> None:
    """BlackSheep's mount ``/llm`` also catches ``/llmx/v1`` and says that it is mounted at ``/ll``."""
    shape = scope("/llmx/v1", root, raw_path=b"/llmx/v1")
    assert relative_path(shape) == raw_relative_path(shape) == ""


def test_a_scope_without_root_path_is_understood() -> None:
    assert relative_path({"type": "http", "path": "/v1"}) == "/v1"


def test_an_encoded_slash_stays_apart_from_a_slash() -> None:
    shape = scope("/llm/v1/models/a/b", "/llm", raw_path=b"/llm/v1/models/a%2Fb")
    assert raw_relative_path(shape) == "/v1/models/a%2Fb"


def test_an_encoded_slash_is_found_where_litestar_stripped_the_mount() -> None:
    assert raw_relative_path(scope("/v1/models/a/b/", raw_path=b"/llm/v1/models/a%2Fb")) == "/v1/models/a%2Fb"


def test_a_raw_path_that_belongs_to_another_path_is_not_believed() -> None:
    assert raw_relative_path(scope("/v1/models", raw_path=b"/v1/other%2F")) == "/v1/models"


segments = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=6), max_size=4
)
paths = segments.map(lambda parts: "/" + "/".join(parts))
mounts = st.builds(
    lambda path, root, app_root, keep_app_root: scope(
        path, root, **({"app_root_path": app_root} if keep_app_root else {})
    ),
    paths,
    st.one_of(st.just(""), paths),
    st.one_of(st.just(""), paths),
    st.booleans(),
)


@given(mounts, paths, st.binary(max_size=8))
def test_with_path_is_the_inverse_of_relative_path(shape: dict[str, Any], relative: str, query: bytes) -> None:
    before = dict(shape)
    moved = with_path(shape, relative, query)
    assert relative_path(moved) == relative
    assert unquote(raw_relative_path(moved), errors="surrogatepass") == relative
    assert moved["query_string"] == query
    assert shape == before


@given(mounts)
def test_the_raw_path_decodes_to_the_relative_path(shape: dict[str, Any]) -> None:
    shape["raw_path"] = percent_encode(shape["path"]).encode()
    assert unquote(raw_relative_path(shape)) == relative_path(shape)
