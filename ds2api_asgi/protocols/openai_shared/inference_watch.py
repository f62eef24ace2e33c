"""Watching streams pass by that are not translated: of completions, transcriptions, speech and pictures.

Three kinds of events are known; what is of none is content, and a stream of it is complete with its connection.

| events | of | complete with |
|---|---|---|
| ``{"choices": [{"text": …}]}`` | completions, also in the middle; some servers' transcriptions | finish reasons |
| ``{"type": "transcript.text.delta"}`` | OpenAI's transcriptions, speech, pictures | ``….done``, ``….completed`` |
| ``[DONE]`` | all that like to | itself |

They come as server-sent events, or bare, each on a line (NDJSON).

https://platform.openai.com/docs/api-reference (read 2026-11-29: completions, audio, images).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET

from ...framing.ndjson import write_line
from ...framing.sse import write_event
from ...universal.failure import Failure
from ...universal.jsontext import dumps
from ..stream import LineWatch, another_index, type_at
from .errors import decode_failure, encode_failure

__all__ = ["InferenceWatch"]

_PROTOCOL: Final = "openai-chat"
"""Whose words its errors are in."""

_BEGINS: Final = ("transcript.", "speech.", "image_generation.", "image_edit.")
_ENDS: Final = (".done", ".completed")
_BARE: Final = (b"{", b"[", b'"')
_MARKS: Final = (b'.done"', b'.completed"', b"[DONE]", b'"error"')


class InferenceWatch(LineWatch):
    """See `base.StreamWatch`; content is any event that is no error, be it JSON or not."""

    _last_word = b"[DONE]"

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, bool] = {}  # whether each has its finish reason
        self._known = False  # whether its events are of a kind that says when it is complete
        self._bare = False  # whether its lines are JSON and no events

    def stream_error(self, failure: Failure) -> bytes:
        """See `ending.KnowsTheStream`."""
        document = dumps(encode_failure(failure, protocol=_PROTOCOL))
        return write_line(document) if self._bare else write_event(document)

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        count = data.count
        nulls = count(b'finish_reason":null') + count(b'finish_reason": null')
        if count(b'finish_reason"') != nulls or another_index(data):
            return True
        return any(data.find(mark) >= 0 for mark in _MARKS)

    def _document(self, document: dict[str, Any]) -> None:
        kind = document.get("type")
        if document.get("error") is not None or kind == "error" or document.get("object") == "error":
            self.failure = self.failure or decode_failure(document, UNSET, protocol=_PROTOCOL)
            return
        if "choices" in document:
            for choice in document["choices"] if type(document["choices"]) is list else ():
                if type(choice) is dict:
                    index = choice.get("index")
                    index = index if type(index) is int else 0
                    self._several = self._several or index != 0
                    self._choices[index] = self._choices.get(index, False) or bool(choice.get("finish_reason"))
            self._known = True
            self.terminal = self.ended or (bool(self._choices) and all(self._choices.values()))
        elif type(kind) is str and kind.startswith(_BEGINS):
            self._known = True
            self.terminal = self.ended or kind.endswith(_ENDS)
        else:
            self._other()
        self.content = True

    def _too_long(self, beginning: bytes) -> None:
        kind = type_at(beginning)
        if kind is not None:
            self._document({"type": kind})
        elif b'"choices"' in beginning:
            self._document({"choices": []})
        else:
            self._other()

    def _no_object(self, data: bytes) -> None:
        data = data.strip()
        if data and not data.startswith(b"{"):
            self._other()

    def _other(self) -> None:
        self.content = True
        self.terminal = self.terminal or not self._known

    def _data(self, line: bytes) -> bytes | None:
        if line.startswith(_BARE):  # in no event a line begins so
            self._bare = True
            return line
        return super()._data(line)
