"""Errors under a success status: whole answers whose body is an error.

OpenRouter answers 200 once a model has begun and says in the body what went wrong then
(https://openrouter.ai/docs/api/reference/errors-and-debugging, read 2026-11-28); Azure has sent its content filter's
error with 200; a response of OpenAI's has a status of its own, ``failed``; relays put any provider's error object under
any status. A codec whose servers do so declares ``answer_error``; whoever judges answers asks here.

It costs nothing where it cannot be: only JSON, only small bodies, and the codec looks for a marker before it parses.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import lru_cache

from ..errors import InvalidDocument
from ..universal.failure import Failure
from ..universal.jsontext import loads
from .base import Protocol

__all__ = ["MAX_JUDGED", "AnswerJudge", "HidesErrors", "judge_of", "marked"]

MAX_JUDGED: typing.Final = 64 * 1024
"""Bytes of the largest body that is looked at: an error's is short."""

_TYPES: typing.Final = 256  # that are remembered; others choose them, so there is a bound

AnswerJudge: typing.TypeAlias = Callable[[bytes], Failure | None]
"""Tells which failure a body is; None: it is an answer."""


@typing.runtime_checkable
class HidesErrors(typing.Protocol):
    """A protocol some of whose servers say errors under a success status.

    Attributes:
        answer_error: Tells which failure a whole body is; None for a protocol without such servers.
    """

    answer_error: AnswerJudge | None


def judge_of(protocol: Protocol, content_type: bytes | None) -> AnswerJudge | None:
    """How the body of an answer with a success status is to be judged.

    Args:
        protocol: What it is in.
        content_type: The header, if there is one.

    Returns:
        The judge, for a body of `MAX_JUDGED` bytes at most; None when such an answer hides no error.
    """
    # Asked of every answer, so not by isinstance, which walks through all members of such a class.
    judge: AnswerJudge | None = getattr(protocol, "answer_error", None)
    return judge if judge is not None and content_type and _is_json(content_type) else None


@lru_cache(_TYPES)
def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower().endswith(b"json")


def marked(body: bytes, marker: bytes = b'"error"') -> typing.Any:
    """What a body says in which a marker stands, which is parsed only then.

    Args:
        body: Of an answer.
        marker: A member's name or value with its quotes. Inside a text its last quote would be escaped, so no answer's
            words contain it.

    Returns:
        The JSON value; None without the marker, and for what is no JSON.
    """
    if marker not in body:
        return None
    try:
        return loads(body)
    except InvalidDocument:
        return None
