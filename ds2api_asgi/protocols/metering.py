"""Metering: how many tokens an answer says that it cost, read off its bytes as they pass.

Answers are decoded only where they are translated; to count them, that would cost more than all else. Every protocol
that we know states its counts in one object with a telling name (``"usage": {``, ``"usageMetadata": {``), or beside
each other at the top (Ollama's ``"eval_count": 7``), so the few lines that have the name are parsed, and only the
members on the way to the counts are built. One meter reads all protocols: their names do not collide.

The names stand in each protocol's own usage module; the law that both agree is tested over every recorded answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = ["MAX_METERED", "Meter", "Used"]

MAX_METERED = 4 * 1024 * 1024
"""Bytes of a whole answer, or of one line of a stream, that are kept to be read; of what is longer, only the end."""

_END = 8 * 1024
"""Bytes of that end. Long are pictures and sound, and their counts stand behind them."""

_MARK = re.compile(rb'"usage(?:Metadata|_metadata)?"\s*:\s*\{|eval_count"\s*:')
_MARK_AT_END = re.compile(rb'"(?:usage(?:Metadata|_metadata)?"\s*:\s*\{|(?:prompt_)?eval_count"\s*:)')
_LINE_END = re.compile(rb"[\r\n]+")


class Used(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer says that it cost, in tokens.

    Also the fact of it, noted once per answered attempt, and per response of a websocket.

    Attributes:
        input: Of the request, cached ones among them.
        output: Of the answer, reasoning among them.
        cached: Of the input, what the provider's prompt cache knew.
        reasoning: Of the output, what the model thought.
        audio_input: Of the input, what was heard.
        audio_output: Of the output, what was spoken.
        audio_cached: Of the cached, what was heard.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    audio_cached: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


class _Unit(msgspec.Struct, gc=False):
    """Where counts stand: in a whole answer, or in one event of a stream."""

    usage: Any = None
    message: Any = None
    response: Any = None
    x_groq: Any = None
    usage_camel: Any = msgspec.field(name="usageMetadata", default=None)
    usage_snake: Any = msgspec.field(name="usage_metadata", default=None)
    prompt_eval_count: Any = None
    eval_count: Any = None


_unit = msgspec.json.Decoder(_Unit)
_units = msgspec.json.Decoder(list[_Unit])


class Meter:
    """Reads the counts of one answer; garbage counts nothing and raises nothing, whatever the chunks.

    Args:
        stream: Whether the answer is one of lines: server-sent events, or one JSON document in each line.
    """

    __slots__ = ("_counts", "_parts", "_size", "_stream")

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0
        self._counts: dict[str, int] = {}

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._stream:
            end = _LINE_END.search(data)
            if end is not None:
                self._keep(data[: end.start()])
                self._flush()
                last = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
                self._scan(data[end.end() : last])
                data = data[last:]
        if data:
            self._keep(data)

    def close(self) -> Used | None:
        """The answer ended, or broke off.

        Returns:
            The last counts that it stated, or None when it stated none.
        """
        self._flush()
        return _tokens(self._counts) if self._counts else None

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        self._parts.append(data)
        if self._size > MAX_METERED:
            self._parts = [b"".join(self._parts)[-_END:]]

    def _flush(self) -> None:
        data = b"".join(self._parts)
        too_long = self._size > MAX_METERED
        self._parts.clear()
        self._size = 0
        if too_long:
            self._scan_end(data)
        else:
            self._scan(data)

    def _scan_end(self, data: bytes) -> None:
        """Look for counts in the end of a document: members at its top, or one level beneath (``"response"``)."""
        for mark in _MARK_AT_END.finditer(data):
            members = b"{" + data[mark.start() :].rstrip()
            if self._read(members) or (members.endswith((b"}", b"]")) and self._read(members[:-1])):
                return

    def _scan(self, data: bytes) -> None:
        if _MARK.search(data) is None:
            return
        if not self._stream:
            self._read(data)
            return
        for line in _LINE_END.split(data):
            if _MARK.search(line) is not None:
                self._read(line.removeprefix(b"data:"))

    def _read(self, document: bytes) -> bool:
        try:
            units = _units.decode(document) if document.lstrip()[:1] == b"[" else [_unit.decode(document)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        for unit in units:
            for counts in _objects(unit):
                found = {name: value for name, value in _flat(counts) if type(value) is int and value >= 0}
                self._counts.update(found)
        return True


def _objects(unit: _Unit) -> Iterator[Any]:
    # Anthropic's first event, Responses' last one, Groq's.
    for around in (unit.message, unit.response, unit.x_groq):
        if type(around) is dict:
            yield around.get("usage")
    yield unit.usage
    yield unit.usage_camel
    yield unit.usage_snake
    if unit.eval_count is not None or unit.prompt_eval_count is not None:
        yield {"prompt_eval_count": unit.prompt_eval_count, "eval_count": unit.eval_count}


_NAMES = {
    # OpenAI Chat, OpenAI Responses and Anthropic, Gemini (either spelling), Ollama
    "prompt_tokens": "input",
    "input_tokens": "input",
    "promptTokenCount": "input",
    "prompt_token_count": "input",
    "prompt_eval_count": "input",
    "total_tokens": "all",  # alone where documents are ranked
    "completion_tokens": "output",
    "output_tokens": "output",
    "candidatesTokenCount": "answer",
    "candidates_token_count": "answer",
    "eval_count": "output",
    "prompt_cache_hit_tokens": "cached",  # DeepSeek
    "cached_tokens": "cached",  # Moonshot
    "cachedContentTokenCount": "cached",
    "cached_content_token_count": "cached",
    "cache_read_input_tokens": "beside_read",
    "cache_creation_input_tokens": "beside_written",
    "thoughtsTokenCount": "thoughts",
    "thoughts_token_count": "thoughts",
}
_DETAILS = {
    ("prompt_tokens_details", "cached_tokens"): "cached",
    ("input_tokens_details", "cached_tokens"): "cached",
    ("completion_tokens_details", "reasoning_tokens"): "reasoning",
    ("output_tokens_details", "reasoning_tokens"): "reasoning",
    ("output_tokens_details", "thinking_tokens"): "reasoning",
    # OpenAI Chat with sound, and Realtime, which spells it otherwise
    ("prompt_tokens_details", "audio_tokens"): "audio_input",
    ("completion_tokens_details", "audio_tokens"): "audio_output",
    ("input_token_details", "cached_tokens"): "cached",
    ("input_token_details", "audio_tokens"): "audio_input",
    ("output_token_details", "audio_tokens"): "audio_output",
}
_GROUPS = frozenset(group for group, _ in _DETAILS)


def _flat(counts: Any) -> Iterator[tuple[str, Any]]:
    if type(counts) is not dict:
        return
    for name, value in counts.items():
        if name in _NAMES:
            yield _NAMES[name], value
        elif name in _GROUPS and type(value) is dict:
            for inner, count in value.items():
                if (name, inner) in _DETAILS:
                    yield _DETAILS[name, inner], count
                elif inner == "cached_tokens_details" and type(count) is dict:  # Realtime's
                    yield "audio_cached", count.get("audio_tokens")


def _tokens(counts: dict[str, int]) -> Used:
    """Add up what protocols count beside each other: Anthropic caches, Gemini thoughts."""
    thoughts = counts.get("thoughts", 0)
    read, beside_written = counts.get("beside_read", 0), counts.get("beside_written", 0)
    return Used(
        input=counts.get("input", 0 if "output" in counts else counts.get("all", 0)) + read + beside_written,
        output=counts.get("output", counts.get("answer", 0) + thoughts),
        cached=counts.get("beside_read", counts.get("cached", 0)),  # some who imitate Anthropic say both
        reasoning=counts.get("reasoning", 0) + thoughts,
        audio_input=counts.get("audio_input", 0),
        audio_output=counts.get("audio_output", 0),
        audio_cached=counts.get("audio_cached", 0),
    )
