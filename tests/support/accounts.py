"""A provider whose accounts have things of their own: what one has made, no other can see.

It serves the paths of OpenAI, Anthropic and Gemini that make, name and delete things, as far as tests ask for them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ds2api_asgi.asgi.body import read_body

__all__ = ["Accounts", "account_of"]

_IDS = re.compile(
    r"(?:file|batch|vs|conv|cntr|ftjob|upload|resp)[-_]\d+|(?:file|msgbatch|container)_\d+|(?:models/[\w-]+/)?[A-Za-z]+s/n\d+"
)
_KINDS = {
    "files": "file-", "batches": "batch_", "vector_stores": "vs_", "conversations": "conv_", "containers": "cntr_",
    "uploads": "upload_", "jobs": "ftjob-", "responses": "resp_",
}  # fmt: skip
_KEYS = (b"x-api-key", b"x-goog-api-key", b"authorization")


def account_of(key: str) -> str:
    """``blue`` of ``blue-1``."""
    return key.partition("-")[0]


class Accounts:
    """An ASGI app.

    Attributes:
        owners: The account of each thing that was made and not deleted.
        asked: Each request's key, method and path.
        limited: Keys that are over their rate, whatever they ask.
    """

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.limited: set[str] = set()
        self._made = 0

    @property
    def keys(self) -> list[str]:
        """Whom the requests came with."""
        return [key for key, _, _ in self.asked]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b"" if scope["method"] in ("GET", "HEAD") else (await read_body(receive)).body
        headers = dict(scope["headers"])
        key = next((headers[name].decode().removeprefix("Bearer ") for name in _KEYS if name in headers), "")
        method, path = scope["method"], scope["path"]
        self.asked.append((key, method, path))
        status, answer = self._answer(account_of(key), key, method, path, body)
        whole = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = b"application/octet-stream" if isinstance(answer, bytes) else b"application/json"
        head = [(b"content-type", kind), (b"content-length", b"%d" % len(whole))]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": whole})

    def make(self, account: str, prefix: str) -> str:
        """A new thing of an account's."""
        self._made += 1
        made = f"{prefix}{self._made:04}"
        self.owners[made] = account
        return made

    def _answer(self, account: str, key: str, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if not account:
            return 401, {"error": {"message": "no key", "type": "invalid_request_error", "code": "invalid_api_key"}}
        if key in self.limited:
            return 429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
        named = _IDS.findall(path) or (_IDS.findall(body.decode()) if body.startswith(b"{") else [])
        strange = [one for one in named if self.owners.get(one) != account]
        if strange:
            return 404, {"type": "error", "error": {"type": "not_found_error", "message": f"no {strange[0]} here"}}
        if method == "DELETE":
            for one in named[:1]:
                del self.owners[one]
            return 200, {"id": named[0], "object": "file", "type": "file_deleted", "deleted": True}
        if path.endswith("/content"):
            return 200, json.dumps({"id": "file-0000", "error": "none"}).encode()
        return 200, self._anthropic(account, path, key) or self._gemini(account, path) or self._openai(account, path)

    def _openai(self, account: str, path: str) -> dict[str, Any]:
        kind = path.rstrip("/").rpartition("/")[2]
        if kind == "completions":
            message = {"role": "assistant", "content": "Hi"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        if kind == "responses":
            made = self.make(account, "resp_")
            call = {"type": "code_interpreter_call", "id": "ci_1", "container_id": self.make(account, "cntr_")}
            return {"id": made, "object": "response", "status": "completed", "output": [call]}
        if kind in _KINDS:
            return {"object": kind, "id": self.make(account, _KINDS[kind])}
        if "/batches/" in path:
            return {"id": kind, "object": "batch", "output_file_id": self.make(account, "file-")}
        return {"id": kind, "object": "file"}

    def _anthropic(self, account: str, path: str, key: str) -> dict[str, Any] | None:
        if path == "/v1/messages/batches":
            return {"id": self.make(account, "msgbatch_"), "type": "message_batch"}
        if path == "/v1/messages":
            container = {"id": self.make(account, "container_"), "expires_at": "2030-01-01T00:00:00Z"}
            usage = {"input_tokens": 1, "output_tokens": 1}
            message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
            return {**message, "content": [{"type": "text", "text": "Hi"}], "container": container, "usage": usage}
        if path == "/v1/files" and key.endswith("ant"):
            return {"id": self.make(account, "file_"), "type": "file"}
        return None

    def _gemini(self, account: str, path: str) -> dict[str, Any] | None:
        if not path.startswith(("/v1beta", "/upload")):
            return None
        if path.endswith("/files"):
            return {"file": {"name": self.make(account, "files/n")}}
        if path.endswith("/cachedContents"):
            return {"name": self.make(account, "cachedContents/n")}
        if path.endswith(":batchGenerateContent"):
            return {"name": self.make(account, "batches/n")}
        if path.endswith(":predictLongRunning"):
            return {"name": self.make(account, "models/veo-3/operations/n")}
        candidate = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
        return {"candidates": [candidate]}
