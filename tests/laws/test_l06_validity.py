"""L6 validity: what an encoder writes is what the target's SDK types and structural rules demand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformity import problems
from ds2api_asgi.universal.request import Request
from lawkit import (
    PAIRS,
    PROTOCOLS,
    RESPONSE_TYPES,
    context,
    core_requests,
    plain_requests,
    protocol,
    read_request,
    read_response,
    request_problems,
    response_documents,
    wire,
)

# Members that go beyond the SDK's types on purpose, and why.
EXTENSIONS = {
    "reasoning_content": "DeepSeek's and vLLM's member for reasoning, echoed by SDKs and ignored by others",
    "reasoning_details": "OpenRouter's member for reasoning that only its minter can read, echoed by SDKs",
    "temperature": "anthropic-version 2023-06-01 takes it, the SDK speaks 2026-10-21",
    "top_p": "anthropic-version 2023-06-01 takes it, the SDK speaks 2026-10-21",
    "top_k": "anthropic-version 2023-06-01 takes it, the SDK speaks 2026-10-21",
}


def _structural(name: str) -> Callable[[Any], list[str]]:
    package = name.replace("-", "_")
    violations: Callable[[Any], list[str]] = import_module(f"ds2api_asgi.protocols.{package}.profile").violations
    return violations


def _real(lines: list[str]) -> list[str]:
    return [line for line in lines if not any(f".{name}:" in line for name in EXTENSIONS)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_translated_requests_are_valid(source: str, target: str, data: st.DataObject) -> None:
    original = data.draw(plain_requests(source))
    document = wire(protocol(target).encode_request(read_request(source, original)).document)
    assert _real(request_problems(target, document)) == []
    if _structural(source)(wire(original)) == []:
        assert _structural(target)(document) == []


@pytest.mark.parametrize("target", PROTOCOLS)
@given(core=core_requests())
def test_requests_of_the_core_are_valid(target: str, core: Request) -> None:
    document = wire(protocol(target).encode_request(core).document)
    assert _real(request_problems(target, document)) == []
    assert _structural(target)(document) == []


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_translated_answers_are_valid(source: str, target: str, data: st.DataObject) -> None:
    response = read_response(source, data.draw(response_documents(source)))
    document = wire(protocol(target).encode_response(response, context()).document)
    assert _real(problems(document, RESPONSE_TYPES[target])) == []
