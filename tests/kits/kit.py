"""What the laws and the corpus tests need to know of a protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from ds2api_asgi.framing import sse
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Claim, Protocol
from shared import corpus_bodies, corpus_items, corpus_stream_bytes

__all__ = ["Kit", "sse_documents"]

Overrides = dict[tuple[str, str], st.SearchStrategy[Any]]


def sse_documents(stream: bytes) -> list[Any]:
    """The JSON documents of a stream of server-sent events; ``[DONE]`` is none."""
    parser = sse.SseParser()
    events = parser.feed(stream) + parser.close()
    return [json.loads(event.data) for event in events if event.data != b"[DONE]"]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """One protocol.

    Attributes:
        name: Of the protocol.
        corpus: Its name in the corpus's file names.
        requests: The official SDK's types of a request.
        response: The official SDK's type of an answer.
        answers: Draws answer documents, where the type says less than the API; None: all of the type.
        events: Validates one event of a stream, as the official SDK has it.
        extensions: Members that go beyond the SDK's types on purpose, and why.
        call_id: What the provider takes as a call id.
        overrides: For `documents_of`: where the types say less than the API.
        needed: Members without which a request is refused, and a value that would do.
        refused: Ids of recorded documents that the provider itself would refuse, and why.
        cut: Ids of recorded streams without an end, and why.
        framing: How the framing of its recorded streams begins; others are another service's.
        path: A path that says what a body leaves out (model, stream); None where bodies leave nothing out.
        boundary: Finds the end of the last complete event of a stream.
        documents: The JSON documents of a whole stream.
        history: The member of a request that holds the conversation.
        cannot: Members of a core request that it has no spelling for, and why.
        efforts: Which of `lawkit`'s efforts it has a word for.
        uncounted: Counters of usage that its answers have none for.
        open_ended: Whether its streams have no last word: only their end tells that they are complete.
        payloads: Kinds of payload that the provider mints for its thoughts, and whether the thought has words, too.
        replay: What a client puts into its history of an answer.
        recorded: How many requests, answers and streams the corpus has at least.
    """

    name: str
    corpus: str
    requests: tuple[Any, ...]
    response: Any
    answers: st.SearchStrategy[dict[str, Any]] | None = None
    events: TypeAdapter[Any]
    extensions: dict[str, str] = field(default_factory=dict)
    call_id: re.Pattern[str]
    overrides: Overrides = field(default_factory=dict)
    needed: dict[str, Any]
    refused: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    framing: str | tuple[str, ...] = "sse"
    boundary: Callable[[bytes], int] = sse.frame_boundary
    documents: Callable[[bytes], list[Any]] = sse_documents
    history: str = "messages"
    path: str | None = None
    cannot: dict[str, str] = field(default_factory=dict)
    efforts: tuple[str, ...] = ("low", "medium", "high", "max")
    uncounted: frozenset[str] = frozenset()
    open_ended: bool = False
    payloads: tuple[tuple[str, bool], ...] = ()
    replay: Callable[[Any], list[Any]] | None = None
    recorded: tuple[int, int, int] = (100, 100, 50)

    @property
    def protocol(self) -> Protocol:
        return registry.get(self.name)

    def lacks(self, document: dict[str, Any]) -> bool:
        """Whether a request has not what every request needs."""
        return any(document.get(name) is None for name in self.needed)

    def claim(self, path: str | None = None) -> Claim | None:
        """What the path of a request says; None where bodies leave nothing out.

        Args:
            path: With its query; None: the kit's.
        """
        if self.path is None:
            return None
        where, _, query = (path or self.path).partition("?")
        return self.protocol.claim("POST", where, {}, query)

    def bodies(self) -> list[tuple[str, bytes, Claim | None]]:
        """(id, body, what its path says) of the recorded requests."""
        items = corpus_items(self.corpus, "request")
        found = zip(items, corpus_bodies(self.corpus, "request"), strict=True)
        return [(name, body, self.claim(item.get("path"))) for item, (name, body) in found]

    def streams(self) -> list[tuple[str, bytes]]:
        """(id, bytes) of the recorded streams."""
        items = [item for item in corpus_items(self.corpus, "stream") if item["framing"].startswith(self.framing)]
        return [(item["id"], corpus_stream_bytes(item)) for item in items]
