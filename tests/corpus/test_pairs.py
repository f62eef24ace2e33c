"""The whole recorded corpus, to every other protocol: what comes out parses with that protocol's official types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ds2api_asgi import InvalidDocument, convert
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Claim
from ds2api_asgi.universal.events import End, Error
from kits import KITS
from lawkit import PAIRS, request_problems, response_problems
from shared import corpus_bodies, needs_shared

pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


def _said_by_path(claim: Claim | None) -> dict[str, Any]:
    return {} if claim is None else {"model": claim.model or None, "stream": claim.stream or None}


@needs_shared
@pairs
def test_every_request_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    bodies = KITS[source].bodies()
    for name, body, claim in bodies:
        if name in KITS[source].refused or KITS[source].lacks(json.loads(body)):
            with pytest.raises(InvalidDocument):
                convert(body, kind="request", source=source, target=target)
            continue
        got = convert(body, kind="request", source=source, target=target, **_said_by_path(claim))
        found = request_problems(target, json.loads(got.body))
        if found:
            wrong[name] = found[:3]
    assert wrong == {}
    assert len(bodies) >= KITS[source].recorded[0]


@needs_shared
@pairs
def test_every_answer_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    bodies = corpus_bodies(KITS[source].corpus, "response")
    for name, body in bodies:
        if name in KITS[source].refused:
            with pytest.raises(InvalidDocument):
                convert(body, kind="response", source=source, target=target)
            continue
        got = convert(body, kind="response", source=source, target=target)
        document = json.loads(got.body)
        if document.get("error") is not None:
            continue  # an error under a success status; the errors' own tests have it
        found = response_problems(target, document)
        if found:
            wrong[name] = found[:3]
        KITS[target].response.model_validate(document)
    assert wrong == {}
    assert len(bodies) >= KITS[source].recorded[1]


@needs_shared
@pairs
def test_every_stream_becomes_a_valid_one(source: str, target: str) -> None:
    wrong: dict[str, Any] = {}
    streams = KITS[source].streams()
    for name, data in streams:
        got = convert(data, kind="stream", source=source, target=target)
        try:
            for document in KITS[target].documents(got.body):
                if document.get("error") is None:
                    KITS[target].events.validate_python(document)
        except ValueError as error:
            wrong[name] = str(error)[:200]
        decoder = registry.get(target).stream_decoder()
        last = (decoder.feed(got.body) + decoder.close())[-1]
        upstream = registry.get(source).stream_decoder()
        before = (upstream.feed(data) + upstream.close())[-1]
        if not isinstance(last, (End, Error)) or isinstance(last, End) != isinstance(before, End):
            wrong[name] = f"ends with {type(last).__name__}, was {type(before).__name__}"
    assert wrong == {}
    assert len(streams) >= KITS[source].recorded[2]
