"""Upstreams that mint opaque state and check it: a history that is not as they said it is refused with 400.

Each answers a conversation from a script of answers in its own protocol, and looks, in every request, for all that it
has answered before, in its own form, payload by payload and in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.protocols import registry
from ds2api_asgi.protocols.base import Context
from ds2api_asgi.universal import jsontext
from ds2api_asgi.universal.events import Event
from ds2api_asgi.universal.fold import unfold
from ds2api_asgi.universal.response import Response

__all__ = ["MintingUpstream", "answer_of", "said_in"]

Json = dict[str, Any]


class MintingUpstream:
    """An ASGI app that speaks one protocol.

    Args:
        protocol: Which.
        answers: In the protocol's own form of a message, see `answer_of`.
        streams: Whether it streams what is asked for as a stream.

    Attributes:
        asked: The documents it was asked.
        problems: What was wrong with the histories.
    """

    def __init__(self, protocol: str, answers: Sequence[Any]) -> None:
        self.protocol = protocol
        self.answers = list(answers)
        self.asked: list[Json] = []
        self.problems: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        replay = await read_body(receive)
        document = json.loads(replay.body)
        self.asked.append(document)
        said = said_in(self.protocol, document)
        wanted = [normal(self.protocol, answer) for answer in self.answers[: len(said)]]
        if said != wanted or len(said) >= len(self.answers):
            self.problems.append(f"said {json.dumps(said)}\nwant {json.dumps(wanted)}")
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": "history", "code": 400}}
            await respond(send, status=400, document=error, headers=((b"content-type", b"application/json"),))
            return
        answer = answer_of(self.protocol, self.answers[len(said)], len(said))
        path = scope["path"]
        streams = document.get("stream") is True or "streamGenerateContent" in path
        if streams:
            body, kind = stream_of(self.protocol, answer), registry.get(self.protocol).stream_type()
        else:
            body, kind = json.dumps(answer).encode(), "application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        for at in range(0, len(body), 700):
            await send({"type": "http.response.body", "body": body[at : at + 700], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


# -- what was answered, in the form that a history has it


def normal(protocol: str, answer: Any) -> Any:
    """An answer as its own clients send it back, without what carries no meaning there."""
    return _NORMAL[protocol](json.loads(json.dumps(answer)))


def _normal_block(block: Json) -> Json:
    return {key: value for key, value in block.items() if key not in ("caller", "citations", "cache_control")}


def _normal_item(item: Json) -> Json:
    kept = {key: item[key] for key in item if key not in ("status", "namespace", "caller")}
    if kept.get("type") == "message" or "role" in kept:
        kept["type"] = "message"
        content = kept["content"]
        texts = [content] if isinstance(content, str) else [part["text"] for part in content]
        kept["content"] = texts
    if kept.get("content") is None:
        kept.pop("content", None)
    if "arguments" in kept:  # their spelling is the client's
        kept["arguments"] = json.loads(kept["arguments"])
    return kept


def _normal_part(part: Json) -> Json:
    if "functionCall" in part:
        part["functionCall"] = {key: part["functionCall"][key] for key in ("name", "args")}
    return part


def _normal_chat(message: Json) -> Json:
    kept = {
        key: message[key]
        for key in ("content", "reasoning_details", "tool_calls", "refusal")
        if message.get(key) not in (None, "")
    }
    if isinstance(kept.get("content"), list):
        kept["content"] = "".join(part["text"] for part in kept["content"])
    for call in kept.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    thought = message.get("reasoning_content", message.get("reasoning"))
    if thought:
        kept["reasoning"] = thought
    return kept


def _normal_ollama(message: Json) -> Json:
    return {
        "content": message.get("content", ""),
        "thinking": message.get("thinking", ""),
        "calls": [call["function"] | {"index": 0} for call in message.get("tool_calls") or ()],
    }


_NORMAL: dict[str, Callable[[Any], Any]] = {
    "anthropic": lambda blocks: [_normal_block(block) for block in blocks],
    "openai-responses": lambda items: [_normal_item(item) for item in items],
    "gemini": lambda parts: [_normal_part(part) for part in parts],
    "openai-chat": _normal_chat,
    "ollama": _normal_ollama,
}


def said_in(protocol: str, document: Json) -> list[Any]:
    """The answers in a request's history."""
    runs: list[list[Json]] = []
    last = ""
    if protocol == "gemini":
        turns = [("model" if each.get("role") == "model" else "user", each) for each in document["contents"]]
        assistant = "model"
    elif protocol == "openai-responses":
        assistant = "assistant"
        results = ("function_call_output", "custom_tool_call_output")
        turns = [
            (each.get("role") or ("tool" if each["type"] in results else assistant), each)
            for each in _listed(document["input"])
        ]
    else:
        assistant = "assistant"
        turns = [(each["role"], each) for each in document["messages"]]
    for role, each in turns:
        if role == assistant:
            if last != assistant:
                runs.append([])
            runs[-1].append(each)
        last = role
    return [normal(protocol, _joined(protocol, run)) for run in runs]


def _listed(source: Any) -> list[Json]:
    return [{"role": "user", "content": source}] if isinstance(source, str) else source


def _joined(protocol: str, run: list[Json]) -> Any:
    match protocol:
        case "anthropic":
            contents = [message["content"] for message in run]
            texts = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in contents]
            return [block for content in texts for block in content]
        case "gemini":
            return [part for content in run for part in content["parts"]]
        case "openai-responses":
            return run
    joined: Json = {}
    for message in run:
        for key, value in message.items():
            if key in ("content", "thinking", "reasoning_content") and isinstance(value, str):
                joined[key] = joined.get(key, "") + value
            elif isinstance(value, list):
                joined[key] = joined.get(key, []) + value
            else:
                joined[key] = value
    return joined


# -- documents and streams


def answer_of(protocol: str, answer: Any, number: int) -> Json:
    """An answer's message in the document around it."""
    match protocol:
        case "anthropic":
            return {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": answer,
                "stop_reason": "tool_use" if any(block["type"] == "tool_use" for block in answer) else "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }
        case "openai-responses":
            return {
                "id": f"resp_{number}",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": "m",
                "output": answer,
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
            }
        case "gemini":
            return {
                "candidates": [
                    {"content": {"parts": answer, "role": "model"}, "finishReason": "STOP", "index": 0},
                ],
                "modelVersion": "m",
                "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
            }
        case "openai-chat":
            reason = "tool_calls" if "tool_calls" in answer else "stop"
            return {
                "id": f"chatcmpl_{number}",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", **answer}, "finish_reason": reason}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        case _:
            return {
                "model": "m",
                "created_at": "2026-11-28T00:00:00Z",
                "message": {"role": "assistant", "content": "", **answer},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 1,
                "eval_count": 1,
            }


def stream_of(protocol: str, document: Json, chunk: int = 3) -> bytes:
    """The same as a stream of the protocol's own."""
    if protocol == "gemini":
        return _gemini_stream(document, chunk)
    codec = registry.get(protocol)
    response = codec.decode_response(codec.parse(jsontext.dumps(document)))
    events: list[Event] = unfold(_tagged(response) if protocol == "openai-responses" else response, chunk=chunk)
    return codec.stream_encoder(Context()).write(events)


def _tagged(response: Response) -> Response:
    """Items as a stream tells of them: in the forms of their parts."""
    from ds2api_asgi.protocols.openai_responses.settle import item_tags, tagged

    (candidate,) = response.candidates
    parts = [tagged(part, item_tags(at, turn)) for at, turn in enumerate(candidate.turns) for part in turn.parts]
    turn = replace(candidate.turns[0], parts=tuple(parts))
    return replace(response, candidates=(replace(candidate, turns=(turn,)),))


def _gemini_stream(document: Json, chunk: int) -> bytes:
    """Texts in pieces; a signature on the last of them, of a text that is no thought in a part of its own."""
    (candidate,) = document["candidates"]
    pieces: list[Json] = []
    for part in candidate["content"]["parts"]:
        text = part.get("text")
        if not text:
            pieces.append(part)
            continue
        rest = {key: value for key, value in part.items() if key not in ("text", "thoughtSignature")}
        cuts = [text[at : at + chunk] for at in range(0, len(text), chunk)]
        told = [{"text": cut, **rest} for cut in cuts]
        if "thoughtSignature" in part:
            sign = {"thoughtSignature": part["thoughtSignature"]}
            if rest.get("thought"):
                told[-1].update(sign)
            else:
                told.append({"text": "", **sign})
        pieces += told
    frames: list[Json] = [
        {"candidates": [{"content": {"parts": [piece], "role": "model"}, "index": 0}], "modelVersion": "m"}
        for piece in pieces
    ]
    end = {**candidate, "content": {"parts": [{"text": ""}], "role": "model"}}
    frames.append({**document, "candidates": [end]})
    return b"".join(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n" for frame in frames)
