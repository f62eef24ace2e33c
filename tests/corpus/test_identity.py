"""The whole recorded corpus, to its own protocol: every document comes back as it was."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from ds2api_asgi import InvalidDocument
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.universal.jsontext import dumps, equal, loads
from kits import KITS, Kit
from shared import corpus_bodies, corpus_items, needs_shared

every = pytest.mark.parametrize("kit", KITS.values(), ids=KITS)


@needs_shared
@every
def test_every_request_comes_back(kit: Kit) -> None:
    codec = kit.protocol
    bodies = corpus_bodies(kit.corpus, "request")
    for name, body in bodies:
        document = codec.parse(body)
        if name in kit.refused or kit.lacks(document):
            with pytest.raises(InvalidDocument):
                codec.decode_request(document)
            if name in kit.refused:
                continue
            document = {**kit.needed, **document}
        encoded = codec.encode_request(codec.decode_request(document))
        assert equal(encoded.document, document), name
        assert encoded.losses == (), name
    assert len(bodies) >= kit.recorded[0]


@needs_shared
@every
def test_every_answer_comes_back(kit: Kit) -> None:
    codec = kit.protocol
    bodies = corpus_bodies(kit.corpus, "response")
    for name, body in bodies:
        if name in kit.refused:
            with pytest.raises(InvalidDocument):
                codec.decode_response(codec.parse(body))
            continue
        encoded = codec.encode_response(codec.decode_response(codec.parse(body)), Context())
        assert equal(loads(dumps(encoded.document)), loads(body)), name
        assert encoded.losses == (), name
    assert len(bodies) >= kit.recorded[1]


@needs_shared
@every
def test_every_error_comes_back(kit: Kit) -> None:
    codec = kit.protocol
    items = [item for item in corpus_items("errors", "response") if item.get("for_protocol") == kit.corpus]
    for item in items:
        status = item.get("status", UNSET)  # some were kept without
        failure = codec.decode_error(status, item.get("headers") or {}, dumps(item["body"]))
        again = codec.encode_error(failure)
        assert equal(again.document, item["body"]), item["id"]
        # An error under a success status becomes one under an error status.
        assert again.status == status or status in (200, UNSET), item["id"]
    assert items or not kit.errors
