"""What accounts keep in each protocol: its paths, its ids, and whatever names it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.resources import Resources, named_in, resources_of, stated_in

KEPT = {
    "anthropic": {
        "/v1/files": None,
        "/v1/files/file_1": "file_1",
        "/files/file_1/": "file_1",
        "/v1/files/file_1/content": None,
        "/v1/messages/batches": None,
        "/v1/messages/batches/msgbatch_1": "msgbatch_1",
        "/v1/messages/batches/msgbatch_1/results": None,
        "/v1/skills/skill_1/versions/1": None,
    },
    "gemini": {
        "/v1beta/files": None,
        "/v1beta/files/abc": "files/abc",
        "//v1beta/files/abc": "files/abc",
        "/v1beta/files:register": None,
        "/v1beta/files/abc:download": None,
        "/upload/v1beta/files": None,
        "/download/v1beta/files/abc:download": None,
        "/v1beta/cachedContents": None,
        "/v1/cachedContents/abc": "cachedContents/abc",
        "/v1beta/batches/abc:cancel": None,
        "/v1beta/models/gemini-3:batchGenerateContent": None,
        "/v1beta/models/veo-3:predictLongRunning": None,
        "/v1beta/models/veo-3/operations/abc": "models/veo-3/operations/abc",
        "/v1beta/fileSearchStores/abc/documents/d": None,
    },
    "openai-chat": {
        "/v1/files": None,
        "/v1/files/": None,
        "/v1/files/file-1": "file-1",
        "/v1/files/file-1/content": None,
        "/v1/uploads/upload_1/parts": None,
        "/v1/batches/batch_1": "batch_1",
        "/batches/batch_1/cancel": None,
        "/v1/vector_stores/vs_1/files/file-1": None,
        "/v1/fine_tuning/jobs": None,
        "/v1/fine_tuning/jobs/ftjob-1": "ftjob-1",
        "/v1/threads/thread_1/runs/run_1": None,
        "/v1/containers/cntr_1": "cntr_1",
    },
    "openai-responses": {
        "/v1/responses/resp_1": "resp_1",
        "/v1/responses/resp_1/input_items": None,
        "/v1/conversations/conv_1": "conv_1",
        "/v1/files/file-1": "file-1",
    },
}
NOT_KEPT = {
    "anthropic": [
        "/v1/messages",
        "/v1/organizations/api_keys",
        "/v1/files/..",
        "/v1/files/../organizations/api_keys",
        "/v1/files/./x",
        "/v1/filesystem",
        "/v2/files",
        "/v1/files//x",
    ],
    "gemini": ["/v1beta/models", "/v1beta/models/m:generateContent", "/v1beta/files/../models", "/v1beta/corpora"],
    "openai-chat": [
        "/v1/chat/completions",
        "/v1/responses/resp_1",
        "/v1/organization/admin_api_keys",
        "/v1/fine_tuning/checkpoints/a/permissions",
        "/v1/files/../organization/users",
        "/v1/images/generations",
        "/x/v1/files",
        "",
    ],
    "openai-responses": ["/v1/chat/completions", "/v1/organization/users", "/v1/responses/../organization/users"],
}


def of(protocol: str) -> Resources:
    found = resources_of(registry.get(protocol))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("protocol", "path", "single"),
    [(protocol, path, single) for protocol, paths in KEPT.items() for path, single in paths.items()],
)
def test_a_path_of_what_is_kept_tells_the_single_thing_that_it_is(protocol: str, path: str, single: str | None) -> None:
    found = of(protocol).path.fullmatch(path)
    assert found is not None
    assert (None if found["more"] else found["id"]) == single


@pytest.mark.parametrize(("protocol", "path"), [(name, path) for name, paths in NOT_KEPT.items() for path in paths])
def test_no_other_path_is_among_them(protocol: str, path: str) -> None:
    assert of(protocol).path.fullmatch(path) is None


def test_who_keeps_nothing_says_so() -> None:
    assert resources_of(registry.get("ollama")) is None


@pytest.mark.parametrize(
    ("protocol", "answer", "ids"),
    [
        ("openai-chat", b'{"id":"file-1","object":"file"}', ["file-1"]),
        ("openai-chat", b'{"id": "upload_1", "file": {\n "id" : "file-1"}}', ["upload_1", "file-1"]),
        ("openai-chat", b'{"id":"batch_1","output_file_id":"file-2","error_file_id":null}', ["batch_1", "file-2"]),
        ("openai-chat", b'{"data":[{"id":"file-1"},{"id":"file-2"}]}', ["file-1", "file-2"]),
        ("openai-chat", b'{"id":"openai-spreadsheets","name":"id"}', []),
        ("openai-chat", rb'{"text":"{\"id\": \"file-1\"}"}', []),
        ("openai-chat", b'{"x":[{"id":5},{"id":""},{"id":"a b"},{"id":"file-\\u0031"}]}', ["file-1"]),
        ("openai-chat", b'{"id":"ftjob-1","result_files":["file-1","file-2"]}', ["ftjob-1", "file-1", "file-2"]),
        ("openai-chat", b'{"metadata":{"id":"a"},"data":[{"attributes":{"id":"b"},"item":{"id":"c"}}]}', []),
        ("openai-chat", b'{"a":{"b":{"c":{"d":{"id":"file-1"}}}}}', []),
        ("openai-chat", b'data: {"id":"file-1"}', []),
        ("anthropic", b'{"id":"file_1","type":"file"}', ["file_1"]),
        ("anthropic", b'{"data":[{"id":"pdf","source":"anthropic"},{"id":"skill_1"}]}', ["skill_1"]),
        ("gemini", b'{"file":{"name":"files/abc","displayName":"files/x"}}', ["files/abc"]),
        ("gemini", b'{"name":"batches/1","response":{"responsesFile":"files/b-1"}}', ["batches/1", "files/b-1"]),
    ],
)
def test_answers_state_ids(protocol: str, answer: bytes, ids: list[str]) -> None:
    assert list(stated_in(answer, of(protocol))) == ids


@pytest.mark.parametrize(
    ("protocol", "answer", "ids"),
    [
        ("openai-responses", b'{"id":"resp_1","output":[{"id":"ci_1","container_id":"cntr_1"}]}', ["resp_1", "cntr_1"]),
        (
            "anthropic",
            b'{"id":"m_1","container":{"id":"container_1"},"x":{"file_id":"file_1"}}',
            ["container_1", "file_1"],
        ),
    ],
)
def test_models_answers_state_ids_of_what_was_made_for_them(protocol: str, answer: bytes, ids: list[str]) -> None:
    assert [found[1].decode() for found in of(protocol).generated[0].ids.finditer(answer)] == ids


@pytest.mark.parametrize(
    ("protocol", "body", "named"),
    [
        ("openai-chat", b'{"input_file_id":"file-1"}', ["file-1"]),
        ("openai-chat", b'{"file_ids":["file-1",5,"file-2"]}', ["file-1", "file-2"]),
        ("openai-responses", b'{"conversation":"conv_1"}', ["conv_1"]),
        ("openai-responses", b'{"conversation":{"id":"conv_1"}}', ["conv_1"]),
        ("openai-responses", b'{"tools":[{"container":{"type":"auto","file_ids":["file-1"]}}]}', ["file-1"]),
        (
            "anthropic",
            b'{"container":{"id":"container_1","skills":[{"skill_id":"skill_1"}]}}',
            ["container_1", "skill_1"],
        ),
        ("gemini", b'{"contents":[{"parts":[{"fileData":{"fileUri":"https://x/files/a"}}]}]}', ["https://x/files/a"]),
        (
            "openai-chat",
            b'{"metadata":{"file_id":"file-1"},"type":["tool_use"],"input":{"file_id":"file-2"}}',
            ["file-2"],
        ),
        ("openai-chat", b"[", []),
    ],
)
def test_requests_name_ids(protocol: str, body: bytes, named: list[str]) -> None:
    assert list(named_in(body, of(protocol))) == named


@given(st.recursive(st.just("file-1"), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_document_raises(document: Any) -> None:
    body = msgspec.json.encode(document)
    assert set(named_in(body, of("openai-chat"))) <= {"file-1"}


def test_a_document_may_be_of_any_depth() -> None:
    for body in (b"[" * 100_000, b"[" * 500 + b'{"file_id": "file-1"}' + b"]" * 500):
        assert list(named_in(body, of("openai-chat"))) == []
