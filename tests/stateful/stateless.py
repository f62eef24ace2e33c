"""Answers of a stateless Responses app, for scripts, and what a part before it does with them."""

from __future__ import annotations

import json
from typing import Any

from openai.types.responses import ResponseStreamEvent

from conformity import problems
from ds2api_asgi.framing.sse import SseParser
from ds2api_asgi.stateful import StatefulResponses
from ds2api_asgi.testing import Driver, ScriptedUpstream
from ds2api_asgi.testing.scripted import EVENT_STREAM, Script, Start

SECRET = "gAAAA-secret"


def message(text: str, id_: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": id_, "role": "assistant", "status": "completed", "content": content}


def thought(id_: str = "rs_1") -> dict[str, Any]:
    return {"type": "reasoning", "id": id_, "summary": [], "encrypted_content": SECRET}


def answer(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "inner",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": list(output),
        "store": False,
        "previous_response_id": None,
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        },
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def whole(text: bytes, *, status: int = 200, kind: bytes = b"application/json") -> Script:
    """A script that answers with these very bytes."""
    return [Start(status, ((b"content-type", kind), (b"x-request-id", b"r1"))), text]


def events(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A stream of a document, item by item."""
    begin = {**document, "status": "in_progress", "output": []}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": begin},
        {"type": "response.in_progress", "response": begin},
    ]
    for index, item in enumerate(document["output"]):
        said.append({"type": "response.output_item.added", "output_index": index, "item": item})
        if item["type"] == "message":
            place = {"item_id": item["id"], "output_index": index, "content_index": 0}
            text = item["content"][0]["text"]
            said += [
                {"type": "response.output_text.delta", **place, "delta": letter, "logprobs": []} for letter in text
            ]
        said.append({"type": "response.output_item.done", "output_index": index, "item": item})
    said.append({"type": f"response.{document['status']}", "response": document})
    return [{**event, "sequence_number": number} for number, event in enumerate(said)]


def frames(said: list[dict[str, Any]]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in said)


def stream(document: dict[str, Any], *pieces: bytes) -> Script:
    """A script that streams a document, or these pieces instead."""
    return [Start(200, EVENT_STREAM), *(pieces or (frames(events(document)),))]


def parsed(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream."""
    parser = SseParser()
    return [json.loads(event.data) for event in (*parser.feed(body), *parser.close())]


def strange(said: list[dict[str, Any]]) -> list[str]:
    """In what events are not as the official SDK has them; it lacks ``store``, which the API answers with."""
    lines = [line for event in said for line in problems(event, ResponseStreamEvent)]
    return [line for line in lines if not line.endswith("store: unknown to Response")]


class Nest:
    """A part before scripts, and a driver for each client."""

    def __init__(self, *scripts: Script, app: Any = None, **options: Any) -> None:
        self.numbers = iter(range(1, 10_000))
        self.inner = ScriptedUpstream(list(scripts))
        options.setdefault("new_id", lambda: f"resp_{next(self.numbers)}")
        self.part = StatefulResponses(self.inner if app is None else app, **options)
        self.driver = self.client("k1")

    def client(self, key: str | None, **options: Any) -> Driver:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return Driver(self.part, headers=headers, **options)

    async def create(self, path: str = "/v1/responses", **request: Any) -> Any:
        return await self.driver.request("POST", path, json={"model": "m", **request})

    @property
    def asked(self) -> Any:
        """What the app was asked last, as JSON."""
        return self.inner.requests[-1].json()
