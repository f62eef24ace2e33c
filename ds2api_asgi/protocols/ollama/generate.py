"""``POST /api/generate``: one prompt in place of a conversation, as other words for a chat (dialect `GENERATE`).

https://docs.ollama.com/api/generate (read 2026-11-28). ``system`` is a system message, ``prompt`` with ``images`` a
user message; ``response`` and ``thinking`` are the text and the thought of the answer's message. What a chat has no
word for (``suffix``, ``template``, ``context``, ``raw``, the sizes of images) stays a member that only Ollama knows,
so it is lost by name elsewhere. An answer in these words has the form ``generate``.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ...universal.request import Request
from ..base import Context
from ..fields import Json
from .profile import GENERATE, NAME
from .times import written

__all__ = ["FORM", "answer_in_chat", "answer_in_generate", "idle", "request_in_chat", "request_in_generate", "wanted"]

FORM: Final = "generate"
"""On a `Response`: the wire had these words."""

_ANSWER: Final = {"response": "content", "thinking": "thinking", "tool_calls": "tool_calls"}
"""Members of an answer's message, by what they are called here."""


def wanted(context: Context) -> bool:
    """Whether the client of an answer asked in these words."""
    return isinstance(context.request, Request) and _is_generate(context.request)


def _is_generate(request: Request) -> bool:
    return request.origin.protocol == NAME and request.origin.dialect == GENERATE


def request_in_chat(document: Json) -> Json:
    """A request in these words to the words of a chat; values keep whatever type they have."""
    chat = {key: value for key, value in document.items() if key not in ("prompt", "images")}
    messages: list[Json] = []
    if type(chat.get("system")) is str:
        messages.append({"role": "system", "content": chat.pop("system")})
    asked = {name: document[key] for key, name in (("prompt", "content"), ("images", "images")) if key in document}
    if asked:
        messages.append({"role": "user", **asked})
    chat["messages"] = messages
    return chat


def request_in_generate(document: Json) -> Json:
    """A chat that has the messages of a prompt to these words; `request_in_chat` backwards."""
    said: Json = {}
    for message in document.get("messages", ()):
        if message["role"] == "system" and "prompt" not in said:
            said["system"] = said.get("system", "") + message.get("content", "")
            continue
        if "content" in message:
            said["prompt"] = said["prompt"] + message["content"] if said.get("prompt") else message["content"]
        if "images" in message:
            said["images"] = (
                [*(said.get("images") or ()), *message["images"]] if message["images"] else message["images"]
            )
    return {**{key: value for key, value in document.items() if key != "messages"}, **said}


def answer_in_chat(document: Json) -> Json:
    """An answer, or a line of a stream, in these words to those of a chat."""
    message = {name: document[key] for key, name in _ANSWER.items() if key in document}
    return {**{key: value for key, value in document.items() if key not in _ANSWER}, "message": message}


def answer_in_generate(document: Json) -> Json:
    """`answer_in_chat` backwards; the role, which is always the assistant's, has no word here."""
    message = document.get("message") or {}
    said = {key: message[name] for key, name in _ANSWER.items() if name in message}
    return {**{key: value for key, value in document.items() if key != "message"}, **said}


def idle(request: Request, now: int) -> Json | None:
    """What answers a request that says nothing to the model: it is only loaded, or unloaded by ``keep_alive: 0``.

    Args:
        request: A client's.
        now: Unix time.
    """
    if any(turn.role != "system" and (turn.parts or turn.role != "user") for turn in request.turns):
        return None
    if not _is_generate(request) and request.turns:
        return None
    keep = (request.ext or {}).get("keep_alive")
    unload = keep is not None and str(keep).rstrip("smh") in ("0", "0.0")
    answer: dict[str, Any] = (
        {"response": ""} if _is_generate(request) else {"message": {"role": "assistant", "content": ""}}
    )
    model = "" if request.model is UNSET else request.model
    return {
        "model": model,
        "created_at": written(now),
        **answer,
        "done": True,
        "done_reason": "unload" if unload else "load",
    }
