"""Watching a stream pass by untouched.

The markers are a finish reason that is not null, an error, ``[DONE]``, and the index of another choice. Inside a JSON
string a quote is always escaped, so ``finish_reason"`` occurs in no text, and the counts of all and of null ones
differ exactly when one is a word (or spelled in a way that is read to be sure). A marker that stands in a text
(``[DONE]``) or means something else (the index of a second call) only costs time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from ..stream import LineWatch, another_index
from .errors import decode_failure, error_of
from .messages import REASONING

__all__ = ["StreamWatch"]

_CONTENT: Final = ("content", "refusal", "tool_calls", "function_call", "audio", *REASONING, "reasoning_details")


class StreamWatch(LineWatch):
    """See `base.StreamWatch`; the answer is complete when each choice that began has its finish reason."""

    _last_word = b"[DONE]"

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, bool] = {}  # whether each has its finish reason

    @staticmethod
    @lru_cache(maxsize=1)
    def _marked(data: bytes) -> bool:
        # Each search costs a tenth of a delta's price, and most servers write no spaces.
        find, count = data.find, data.count
        reasons = count(b'finish_reason"')
        nulls = count(b'finish_reason":null')
        return (
            (reasons != nulls and reasons != nulls + count(b'finish_reason": null'))
            or find(b"[DONE]") >= 0
            or find(b'"error"') >= 0
            or another_index(data)
        )

    def _document(self, document: dict[str, Any]) -> None:
        error = error_of(document)
        if error is not None:
            if self.failure is None:
                self.failure = decode_failure(error)
            return
        choices = document.get("choices")
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        self._several = self._several or index != 0
        reason = choice.get("finish_reason")
        if type(reason) is str and reason:
            self._choices[index] = True
            self.content = True
            self.terminal = self.ended or all(self._choices.values())
            return
        if index not in self._choices:
            self._choices[index] = False
            self.terminal = self.ended
        delta = choice.get("delta")
        if type(delta) is dict and not self.content:
            self.content = any(delta.get(name) for name in _CONTENT)
