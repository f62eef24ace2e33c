"""Which conversation a request belongs to: a digest that all its turns share.

An id that the client sends counts most: headers of coding agents, then members of the body. Else the digest is of what
stays at the head of a conversation: instructions, tools, and everything up to the first answer. All of it, since agents
share preambles; of something very long its length, its head and its tail. Cache markers do not count: clients move them
along. A request that continues a stored answer (``previous_response_id``) shows no head, and so has no digest.

Pure; never raises, and nothing of what it reads leaves it but the digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

__all__ = ["SESSION_HEADERS", "conversation_of"]

SESSION_HEADERS: tuple[bytes, ...] = (
    b"x-claude-code-session-id",  # Claude Code
    b"thread-id",  # Codex; its subagents have threads of their own in one session
    b"session-id",  # Codex
    b"session_id",  # Codex before 0.1xx
    b"x-session-id",
    b"x-conversation-id",
)
"""Most telling first."""

_LONGEST = 256 * 1024  # bytes of one member that are read as JSON; longer ones are hashed at both ends
_LONGEST_ID = 1024  # characters
_SESSION = re.compile(r"_session_([0-9A-Za-z-]{8,64})$")  # user_HASH_account_UUID_session_UUID, Claude Code


class _Members(msgspec.Struct):
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    systemInstruction: msgspec.Raw = msgspec.Raw()  # noqa: N815 - as Gemini spells it
    system_instruction: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    contents: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    metadata: msgspec.Raw = msgspec.Raw()
    cachedContent: Any = None  # noqa: N815 - as Gemini spells it
    cached_content: Any = None


_TURNS: Mapping[str, str] = {
    "anthropic": "messages",
    "gemini": "contents",
    "ollama": "messages",
    "openai-chat": "messages",
    "openai-responses": "input",
}
_HEADS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("system", "tools"),
    "gemini": ("systemInstruction", "system_instruction", "tools"),
    "ollama": ("tools",),
    "openai-chat": ("tools",),
    "openai-responses": ("instructions", "tools"),
}
_IDS: Mapping[str, tuple[str, ...]] = {
    "anthropic": (),
    "gemini": ("cachedContent", "cached_content"),
    "ollama": (),
    "openai-chat": ("prompt_cache_key",),
    "openai-responses": ("conversation", "prompt_cache_key"),
}
_BEFORE_ANSWERS = ("system", "developer", "user")

_members = msgspec.json.Decoder(_Members)
_list = msgspec.json.Decoder(list[msgspec.Raw])


def conversation_of(
    protocol: str, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, header: bytes | None = None
) -> str | None:
    """Tell the conversation of a request.

    Args:
        protocol: The name of the protocol that the body is in (``"anthropic"``).
        headers: The request's, names in lower case.
        body: The request's.
        header: The name of a header that counts before all others, in lower case.

    Returns:
        32 hexadecimal digits, or None: nothing tells.
    """
    names = SESSION_HEADERS if header is None else (header, *SESSION_HEADERS)
    sent = {name: value for name, value in headers if name in names}
    for name in names:
        if sent.get(name):
            return _digest(b"id", sent[name])
    try:
        members = _members.decode(body)
        return _of_members(protocol, members)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _of_members(protocol: str, members: _Members) -> str | None:
    for name in _IDS.get(protocol, ()):
        value = getattr(members, name)
        if isinstance(value, dict):
            value = value.get("id")
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID:
            return _digest(b"id", value.encode("utf-8", "surrogatepass"))
    if protocol == "anthropic" and bytes(members.metadata) and (session := _session_of(members.metadata)):
        return _digest(b"id", session.encode("utf-8", "surrogatepass"))
    if protocol not in _TURNS or members.previous_response_id is not None:
        return None
    first = _first_turns(protocol, getattr(members, _TURNS[protocol]))
    if not first:
        return None
    return _digest(b"head", *(_canonical(getattr(members, name)) for name in _HEADS[protocol]), *first)


def _session_of(metadata: msgspec.Raw) -> str | None:
    """The session in the ``user_id`` of Claude Code: at its end, or a member of JSON within it, as of version 2."""
    read = msgspec.json.decode(metadata)
    user = read.get("user_id") if isinstance(read, dict) else None
    if not isinstance(user, str) or len(user) > _LONGEST_ID:
        return None
    if user.startswith("{"):
        inner = msgspec.json.decode(user)
        session = inner.get("session_id")
        return session if isinstance(session, str) and session else None
    found = _SESSION.search(user)
    return None if found is None else found[1]


def _first_turns(protocol: str, raw: msgspec.Raw) -> list[bytes]:
    """All that stands before the first answer; empty when no user is among it."""
    data = bytes(raw)
    if not data:
        return []
    if data.startswith(b'"'):
        return [_canonical(b'{"role":"user","content":' + data + b"}")]
    turns: list[bytes] = []
    asked = False
    for item in _list.decode(raw):
        told = _turn.decode(item)
        role = told.role
        if role is None and (protocol == "gemini" or told.type in (None, "message")):
            role = "user"
        if role not in _BEFORE_ANSWERS:
            break
        asked = asked or role == "user"
        turns.append(_canonical(item))
    return turns if asked else []


class _Turn(msgspec.Struct):
    role: Any = None
    type: Any = None


_turn = msgspec.json.Decoder(_Turn)


def _canonical(raw: msgspec.Raw | bytes) -> bytes:
    data = bytes(raw)
    if len(data) > _LONGEST:
        half = _LONGEST // 2
        return b"%d " % len(data) + data[:half] + data[-half:]
    return msgspec.json.encode(_unmarked(msgspec.json.decode(data)), order="sorted") if data else b""


def _unmarked(value: Any) -> Any:
    """Without cache markers, and without the types of messages, which OpenAI's clients may leave out."""
    if isinstance(value, dict):
        return {
            name: _unmarked(member)
            for name, member in value.items()
            if name != "cache_control" and not (name == "type" and member == "message")
        }
    return [_unmarked(item) for item in value] if isinstance(value, list) else value


def _digest(*pieces: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16, person=b"conversation")
    for piece in pieces:
        digest.update(b"%d:" % len(piece))
        digest.update(piece)
    return digest.hexdigest()
