"""A provider of all that is asked of models and never translated, with some keys that are no good."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.headers import find, media_type
from ds2api_asgi.asgi.types import Receive, Scope, Send
from ds2api_asgi.framing.form import read_fields

__all__ = ["PICTURE", "SOUND", "TOKENS", "Studio"]

SOUND = bytes(range(256)) * 64
PICTURE = "iVBORw0KGgo="
TOKENS = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
PICTURE_TOKENS = {
    "input_tokens": 4,
    "output_tokens": 6,
    "total_tokens": 10,
    "input_tokens_details": {"text_tokens": 4, "image_tokens": 0},
}


class Studio:
    """Answers what OpenAI's SDK asks beside chats, and what editors and searches do.

    Args:
        bad: The status that a key is answered with, by key; all others are good.

    Attributes:
        asked: Of each request its path, key, model, and content-type.
    """

    def __init__(self, bad: Mapping[str, int] | None = None) -> None:
        self._bad = dict(bad or {})
        self.asked: list[tuple[str, str, str | None, str]] = []

    def keys(self) -> list[str]:
        """The keys that were asked with."""
        return [key for _, key, _, _ in self.asked]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = (await read_body(receive)).body
        key = (find(scope["headers"], b"authorization") or b"").decode().removeprefix("Bearer ")
        kind = find(scope["headers"], b"content-type") or b""
        if media_type(scope["headers"]) == b"multipart/form-data":
            said: dict[str, Any] = {name: field.value for name, field in read_fields(body, kind, _FIELDS).items()}
            said["stream"] = said.get("stream") == "true"
        else:
            said = json.loads(body or b"{}")
        path = scope["path"].removeprefix("/v1")
        self.asked.append((path, key, said.get("model"), kind.partition(b";")[0].decode()))
        status = self._bad.get(key, 200)
        if status != 200:
            await _send(
                send, *_json({"error": {**_REFUSALS[status], "message": f"no: {key}", "param": None}}), status=status
            )
            return
        answer = _ANSWERS.get(path)
        if answer is None:
            await _send(send, *_json({"error": {"message": "no such thing"}}), status=404)
        else:
            await _send(send, *answer(said))


_REFUSALS = {
    401: {"type": "invalid_request_error", "code": "invalid_api_key"},
    429: {"type": "requests", "code": "rate_limit_exceeded"},
    500: {"type": "server_error", "code": None},
}
_FIELDS = ("model", "stream", "response_format", "prompt")


async def _send(send: Send, kind: bytes, *parts: bytes, status: int = 200) -> None:
    headers = [(b"content-type", kind), (b"retry-after", b"600")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _json(document: Any) -> tuple[bytes, bytes]:
    return b"application/json", json.dumps(document).encode()


def _events(*documents: Any, done: bool = False) -> tuple[bytes, ...]:
    events = [b"data: %b\n\n" % json.dumps(document).encode() for document in documents]
    return b"text/event-stream", *events, *([b"data: [DONE]\n\n"] if done else [])


def _completion(said: Mapping[str, Any]) -> Sequence[bytes]:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": said["model"]}
    text = f"{said['prompt']}…{said.get('suffix', '')}"
    if not said.get("stream"):
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
        return _json({**base, "choices": [choice], "usage": TOKENS})
    pieces = [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None} for piece in text]
    last = {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}
    chunks = [{**base, "choices": [piece]} for piece in (*pieces, last)]
    return _events(*chunks, {**base, "choices": [], "usage": TOKENS}, done=True)


def _fim(said: Mapping[str, Any]) -> Sequence[bytes]:
    message = {"role": "assistant", "content": f"{said['prompt']}…{said.get('suffix', '')}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _json({"id": "1", "object": "chat.completion", "model": said["model"], "choices": [choice], "usage": TOKENS})


def _moderation(said: Mapping[str, Any]) -> Sequence[bytes]:
    result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    return _json({"id": "modr-1", "model": said.get("model", "usual"), "results": [result]})


def _picture(said: Mapping[str, Any]) -> Sequence[bytes]:
    if said.get("stream"):
        kind = {"b64_json": PICTURE, "created_at": 1, "size": "auto", "quality": "auto", "background": "auto"}
        kind["output_format"] = "png"
        part = {**kind, "type": "image_generation.partial_image", "partial_image_index": 0}
        return _events(part, {**kind, "type": "image_generation.completed", "usage": PICTURE_TOKENS})
    return _json({"created": 1, "data": [{"b64_json": PICTURE}], "usage": PICTURE_TOKENS})


def _speech(said: Mapping[str, Any]) -> Sequence[bytes]:
    return b"audio/mpeg", *(SOUND[at : at + 4096] for at in range(0, len(SOUND), 4096))


def _transcription(said: Mapping[str, Any]) -> Sequence[bytes]:
    if said.get("stream"):
        usage = {"type": "tokens", "input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
        deltas = [{"type": "transcript.text.delta", "delta": word} for word in ("Hear", " me")]
        return _events(*deltas, {"type": "transcript.text.done", "text": "Hear me", "usage": usage})
    if said.get("response_format") in ("text", "srt", "vtt"):
        return b"text/plain; charset=utf-8", b"Hear me\n"
    return _json({"text": "Hear me", "usage": {"type": "duration", "seconds": 2}})


def _ranks(said: Mapping[str, Any]) -> Sequence[bytes]:
    results = [{"index": at, "relevance_score": 0.5} for at, _ in enumerate(said["documents"])]
    return _json({"model": said["model"], "results": results, "usage": {"total_tokens": 11}})


_ANSWERS = {
    "/completions": _completion,
    "/fim/completions": _fim,
    "/moderations": _moderation,
    "/images/generations": _picture,
    "/images/edits": _picture,
    "/images/variations": _picture,
    "/audio/speech": _speech,
    "/audio/transcriptions": _transcription,
    "/audio/translations": _transcription,
    "/rerank": _ranks,
}
