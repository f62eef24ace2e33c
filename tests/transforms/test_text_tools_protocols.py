"""`TextTools` between the codecs: an upstream that only talks, and clients of every protocol that get their calls."""

from __future__ import annotations

import pytest

from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.transforms import TextTools
from ds2api_asgi.universal.content import Text, ToolCall
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.response import Response, StopReason
from lawkit import PROTOCOLS
from text_tools_kit import answer, block, invoke, request

TEXTS = {
    "xml": "Let me see.\n\n" + block(invoke("read_file", path="<![CDATA[a <b>]]>"), invoke("count", n="3")),
    "hermes": 'Let me see.\n\n<tool_call>{"name": "read_file", "arguments": {"path": "a <b>"}}</tool_call>\n'
    '<tool_call>{"name": "count", "arguments": {"n":3}}</tool_call>',
}
CALLS = [("read_file", {"path": "a <b>"}), ("count", {"n": 3})]


def check(got: Response) -> None:
    parts = [part for turn in got.candidates[0].turns for part in turn.parts]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert "".join(part.text for part in parts if isinstance(part, Text)).strip() == "Let me see."
    assert [(call.name, call.arguments.value) for call in calls] == CALLS
    assert len({call.id for call in calls}) == 2 or not calls[0].id
    stop = got.candidates[0].stop
    assert stop
    assert stop.reason is StopReason.TOOL


@pytest.mark.parametrize("dialect", TEXTS)
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("eager", [False, True])
def test_a_client_gets_calls_from_an_upstream_that_only_talks(
    upstream: str, client: str, dialect: str, eager: bool
) -> None:
    above, below = registry.get(upstream), registry.get(client)
    begun = TextTools(dialect, eager=eager).begin(request())
    assert not any(word in str(above.encode_request(begun.request).document) for word in ("'tools'", "'functions'"))
    source = answer(TEXTS[dialect])
    document = above.encode_response(source, Context()).document
    whole = begun.response(above.decode_response(document))
    check(below.decode_response(below.encode_response(whole, Context(request=request())).document))
    wire = above.stream_encoder(Context()).write(unfold(source, chunk=3))
    decoder, stream, encoder = above.stream_decoder(), begun.stream(), below.stream_encoder(Context(request=request()))
    out = b""
    for at in range(0, len(wire), 50):
        out += encoder.write(stream.feed(decoder.feed(wire[at : at + 50])))
    out += encoder.write(stream.feed(decoder.close()))
    reader = below.stream_decoder()
    check(below.fold([*reader.feed(out), *reader.close()]))
