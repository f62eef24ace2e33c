"""L3 round trip: a document that went through another protocol comes back whole with its residue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.diff import diff, patch
from lawkit import PAIRS, context, protocol, read_request, read_response, request_documents, response_documents, wire

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@pairs
@given(data=st.data())
def test_requests_come_back_through_another_protocol(source: str, target: str, data: st.DataObject) -> None:
    document = data.draw(request_documents(source))
    request = read_request(source, document)
    detour = read_request(target, protocol(target).encode_request(request).document, request)
    restored = patch(detour, diff(request, detour))
    assert restored == request
    assert jsontext.equal(wire(protocol(source).encode_request(restored).document), document)


@pairs
@given(data=st.data())
def test_answers_come_back_through_another_protocol(source: str, target: str, data: st.DataObject) -> None:
    document = data.draw(response_documents(source))
    response = read_response(source, document)
    detour = read_response(target, protocol(target).encode_response(response, context()).document)
    restored = patch(detour, diff(response, detour))
    assert restored == response
    assert jsontext.equal(wire(protocol(source).encode_response(restored, context()).document), document)
