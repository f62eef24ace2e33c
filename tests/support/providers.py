"""A provider behind a sender: what `Upstream` asks is counted here, and answered well where the protocol knows it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from dialogues import PATHS, STREAM_HEADERS, answer_in, frames_in, gemini_answer

JSON = ((b"content-type", b"application/json"),)
EVENTS = ((b"content-type", b"text/event-stream"),)


class _Said:
    """An answer as senders give it."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], parts: Sequence[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.chunks: AsyncIterator[bytes] = self._chunks([part for part in parts if part])
        self.closed = False

    async def _chunks(self, parts: Sequence[bytes]) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def aclose(self) -> None:
        self.closed = True


class Provider:
    """A sender in front of a provider that knows its protocol's paths, and answers well whatever they are asked.

    Attributes:
        asked: Method, path, headers and body of every request.
    """

    def __init__(self, speaks: str) -> None:
        self._speaks = speaks
        self._said: list[_Said] = []
        self.asked: list[tuple[str, str, dict[bytes, bytes], bytes]] = []

    async def send(self, method: str, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> _Said:
        self.asked.append((method, urlsplit(url).path, dict(headers), body))
        said = self._answer(method, unquote(urlsplit(url).path), body)
        self._said.append(said)
        return said

    def _answer(self, method: str, path: str, body: bytes) -> _Said:
        if self._speaks == "ollama":
            return self._ollama(method, path, body)
        return self._gemini(method, path, body) if self._speaks == "gemini" else self._other(method, path, body)

    def _ollama(self, method: str, path: str, body: bytes) -> _Said:
        if method == "GET" and path == "/api/tags":
            return _document({"models": [{"name": "m"}]})
        if method == "POST" and path == "/api/show":
            return _document({"details": {}, "capabilities": []})
        if method == "POST" and path == "/api/embed":
            return _document({"embeddings": [[0.5]] * _inputs(body, "input")})
        if method == "POST" and path == "/api/chat":
            if b'"stream":false' in body.replace(b" ", b""):
                return _document(answer_in("ollama"))
            return _Said(200, STREAM_HEADERS["ollama"], frames_in("ollama", "Hi"))
        return _document({"error": "not found"}, status=404)

    def _gemini(self, method: str, path: str, body: bytes) -> _Said:
        if method == "GET" and path == "/v1beta/models":
            return _document({"models": [{"name": "models/m"}]})
        if method == "GET" and path.startswith("/v1beta/models/"):
            return _document({"name": "models/m"})
        if method == "POST" and path.endswith(":batchEmbedContents"):
            return _document({"embeddings": [{"values": [0.5]}] * _inputs(body, "requests")})
        if method == "POST" and path.endswith(":countTokens"):
            return _document({"totalTokens": 3})
        if method == "POST" and path.endswith(":generateContent"):
            return _document(gemini_answer())
        if method == "POST" and path.endswith(":streamGenerateContent"):
            return _Said(200, EVENTS, frames_in("gemini", "Hi"))
        return _document({"error": {"message": "not found", "type": "theirs"}}, status=404)

    def _other(self, method: str, path: str, body: bytes) -> _Said:
        if method == "GET" and path == "/v1/models":
            return _document({"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None})
        if method == "GET" and path.startswith("/v1/models/"):
            return _document(
                {"id": "m", "object": "model", "type": "model", "display_name": "M", "created": 1, "owned_by": "me",
                 "created_at": "2026-01-01T00:00:00Z"}
            )  # fmt: skip
        if method == "POST" and path == "/v1/embeddings" and self._speaks != "anthropic":
            return _document({"data": [{"embedding": [0.5]}] * _inputs(body, "input")})
        if method == "POST" and path == "/v1/messages/count_tokens" and self._speaks == "anthropic":
            return _document({"input_tokens": 3})
        if method == "POST" and path == "/v1/responses/input_tokens" and self._speaks == "openai-responses":
            return _document({"object": "response.input_tokens", "input_tokens": 3})
        if method == "POST" and path == PATHS[self._speaks]:
            if b'"stream":true' in body.replace(b" ", b""):
                return _Said(200, EVENTS, frames_in(self._speaks, "Hi"))
            return _document(answer_in(self._speaks))
        return _document({"error": {"message": "not found", "type": "theirs"}}, status=404)

    async def aclose(self) -> None:
        pass

    @property
    def all_closed(self) -> bool:
        return all(said.closed for said in self._said)


def _document(document: Any, status: int = 200) -> _Said:
    return _Said(status, JSON, [json.dumps(document).encode()])


def _inputs(body: bytes, member: str) -> int:
    """How many inputs a request for embeddings has; one that cannot be read is taken for one."""
    try:
        inputs = json.loads(body)[member]
    except (ValueError, TypeError, KeyError):
        return 1
    return len(inputs) if isinstance(inputs, list) else 1
