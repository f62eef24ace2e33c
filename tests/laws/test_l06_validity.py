"""L6 validity: what an encoder writes is what the target's SDK types and structural rules demand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.loss import Severity
from lawkit import (
    PAIRS,
    PROTOCOLS,
    context,
    core_requests,
    plain_requests,
    protocol,
    read_request,
    read_response,
    request_problems,
    response_documents,
    response_problems,
    wire,
)


def _structural(name: str) -> Callable[[Any], list[str]]:
    package = name.replace("-", "_")
    violations: Callable[[Any], list[str]] = import_module(f"ds2api_asgi.protocols.{package}.profile").violations
    return violations


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_translated_requests_are_valid(source: str, target: str, data: st.DataObject) -> None:
    original = data.draw(plain_requests(source))
    encoded = protocol(target).encode_request(read_request(source, original))
    document = wire(encoded.document)
    assert request_problems(target, document) == []
    # What would be refused (a conversation that says nothing, say) is not sent.
    sent = not any(loss.severity is Severity.BLOCKING for loss in encoded.losses)
    if sent and _structural(source)(wire(original)) == []:
        assert _structural(target)(document) == []


@pytest.mark.parametrize("target", PROTOCOLS)
@given(data=st.data())
def test_requests_of_the_core_are_valid(target: str, data: st.DataObject) -> None:
    core = data.draw(core_requests(target))
    document = wire(protocol(target).encode_request(core).document)
    assert request_problems(target, document) == []
    assert _structural(target)(document) == []


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_translated_answers_are_valid(source: str, target: str, data: st.DataObject) -> None:
    response = read_response(source, data.draw(response_documents(source)))
    if response.error is not UNSET:
        # It is no answer: callers look there first, and write the error.
        error = wire(protocol(target).encode_error(response.error).document)
        assert protocol(target).decode_error(500, {}, jsontext.dumps(error)).message == response.error.message
        return
    document = wire(protocol(target).encode_response(response, context()).document)
    assert response_problems(target, document) == []
