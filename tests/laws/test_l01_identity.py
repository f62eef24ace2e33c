"""L1 identity: decoding a document and encoding it for its own protocol gives it back, unknown things included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal import jsontext
from lawkit import PROTOCOLS, context, protocol, read_request, read_response, request_documents, response_documents

protocols = pytest.mark.parametrize("name", PROTOCOLS)


@protocols
@given(data=st.data())
def test_requests_come_back(name: str, data: st.DataObject) -> None:
    document: dict[str, Any] = data.draw(request_documents(name))
    encoded = protocol(name).encode_request(read_request(name, document))
    assert jsontext.equal(jsontext.loads(jsontext.dumps(encoded.document)), document)
    assert encoded.losses == ()


@protocols
@given(data=st.data())
def test_answers_come_back(name: str, data: st.DataObject) -> None:
    document: dict[str, Any] = data.draw(response_documents(name))
    encoded = protocol(name).encode_response(read_response(name, document), context())
    assert jsontext.equal(jsontext.loads(jsontext.dumps(encoded.document)), document)
    assert encoded.losses == ()
