"""L5 core faithfulness: what every protocol can say crosses every pair with nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.diff import diff
from ds2api_asgi.universal.loss import Severity
from ds2api_asgi.universal.normal import regroup
from ds2api_asgi.universal.response import Response
from kits import KITS
from lawkit import PAIRS, context, core_requests, core_responses, plain, protocol, read_request, read_response

SPELLING = frozenset({"form", "origin"})
pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@pairs
@given(data=st.data())
def test_requests_of_the_core_cross_whole(source: str, target: str, data: st.DataObject) -> None:
    core = data.draw(core_requests(source, target))
    document = protocol(source).encode_request(core).document
    request = read_request(source, document, core)
    encoded = protocol(target).encode_request(request)
    detour = read_request(target, encoded.document, request)
    # A stream's usage is asked for so that the answer can state it, thoughts since the effort is one of thinking: these
    # are additions on behalf of the client.
    ignore = SPELLING | {"stream_usage", "reasoning_mode", *KITS[source].unsaid, *KITS[target].unsaid}
    changes = list(diff(regroup(request), regroup(detour), ignore=ignore))
    assert changes == []
    assert [loss for loss in encoded.losses if loss.severity is not Severity.COSMETIC] == []


@pairs
@given(core=core_responses())
def test_answers_of_the_core_cross_whole(source: str, target: str, core: Response) -> None:
    document = protocol(source).encode_response(core, context()).document
    response = read_response(source, document)
    encoded = protocol(target).encode_response(response, context())
    detour = read_response(target, encoded.document)
    ignore = SPELLING | {"created", "native", "total"}
    assert diff(plain(response, source, target), plain(detour, source, target), ignore=ignore) == []
    assert [loss for loss in encoded.losses if loss.severity is not Severity.COSMETIC] == []
