"""All turns of a conversation have its digest, others have not, and garbage has none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2api_asgi.pool.conversation import SESSION_HEADERS, conversation_of
from shared import corpus_items, needs_shared

TALK = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "u"}]
FURTHER: dict[str, tuple[str, str, list[Any]]] = {
    "openai-chat": ("openai_chat", "messages", TALK),
    "openai-responses": (
        "openai_responses",
        "input",
        [{"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}, {"role": "user", "content": "u"}],
    ),
    "anthropic": ("anthropic_messages", "messages", TALK),
    "gemini": ("gemini", "contents", [{"role": "model", "parts": [{"text": "a"}]}]),
    "ollama": ("ollama_chat", "messages", TALK),
}


def of(protocol: str, document: Any, *headers: tuple[bytes, bytes], **more: Any) -> str | None:
    return conversation_of(protocol, headers, json.dumps(document).encode("utf-8", "surrogatepass"), **more)


@needs_shared
@pytest.mark.parametrize("protocol", FURTHER)
def test_further_turns_of_recorded_conversations_change_nothing(protocol: str) -> None:
    name, member, further = FURTHER[protocol]
    told = 0
    for item in corpus_items(name, "request")[:1500]:
        body = item["body"]
        turns = body.get(member) if isinstance(body, dict) else None
        if isinstance(turns, str):
            turns = [{"role": "user", "content": turns}]
        first = of(protocol, body)
        if first is None or not isinstance(turns, list):
            continue
        told += 1
        assert of(protocol, {**body, member: turns + further}) == first, item["id"]
    assert told >= 20


@pytest.mark.parametrize("protocol", FURTHER)
def test_another_first_turn_is_another_conversation_however_late_it_differs(protocol: str) -> None:
    member = FURTHER[protocol][1]
    for size in (10, 10_000, 600_000):
        body = "parts" if protocol == "gemini" else "content"
        texts = ["x" * size + end for end in "ab"]
        asked = [[{"text": text}] if body == "parts" else text for text in texts]
        digests = {of(protocol, {member: [{"role": "user", body: each}]}) for each in asked}
        assert None not in digests
        assert len(digests) == 2


def test_cache_markers_that_move_change_nothing() -> None:
    marked = {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}
    plain = {"type": "text", "text": "q"}
    turns = [{"messages": [{"role": "user", "content": [block]}]} for block in (marked, plain)]
    assert of("anthropic", turns[0]) == of("anthropic", turns[1])


def test_ids_that_clients_send_count_before_the_text() -> None:
    asked = {"messages": [{"role": "user", "content": "q"}]}
    for name in SESSION_HEADERS:
        assert of("anthropic", asked, (name, b"s")) == of("anthropic", {}, (name, b"s")) != of("anthropic", asked)
    assert of("openai-chat", {"prompt_cache_key": "k"}) == of("openai-chat", {"prompt_cache_key": "k", **asked})
    assert of("openai-responses", {"conversation": {"id": "k"}}) == of("openai-responses", {"conversation": "k"})
    assert of("gemini", {"cachedContent": "k"}) == of("gemini", {"cached_content": "k"}) is not None
    old = {"metadata": {"user_id": "user_1_account_2_session_12345678-abcd"}}
    new = {"metadata": {"user_id": '{"device_id":"d","session_id":"12345678-abcd"}'}}
    assert of("anthropic", old) == of("anthropic", new) is not None
    assert of("anthropic", {**asked, "metadata": {"user_id": "tenant"}}) == of("anthropic", asked)
    assert of("anthropic", asked, (b"x-mine", b"1"), header=b"x-mine") != of("anthropic", asked)


def test_what_continues_a_stored_answer_shows_no_head() -> None:
    assert of("openai-responses", {"previous_response_id": "resp_1", "input": "q"}) is None


@settings(max_examples=60)
@given(st.sampled_from([*FURTHER, "other"]), st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "input", "contents", "role", "metadata", "user_id", "tools"]), inner, max_size=3),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_garbage_has_none_and_raises_nothing(protocol: str, body: bytes) -> None:
    digest = conversation_of(protocol, (), body)
    assert digest is None or (len(digest) == 32 and protocol in FURTHER)


def test_deep_garbage_has_none() -> None:
    assert conversation_of("anthropic", (), b'{"messages":' + b"[" * 200_000) is None
    user = json.dumps({"metadata": {"user_id": "{broken"}}).encode()
    assert conversation_of("anthropic", (), user) is None
