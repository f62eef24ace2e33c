"""Which requests are for state, and what they want.

https://platform.openai.com/docs/api-reference/responses (read 2026-11-28), with and without ``/v1``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from .refusal import method_not_allowed

__all__ = ["Question", "Route", "creates", "route_of"]

_ROOT: Final = "/responses"
_VERSION: Final = "/v1"


class Question(Enum):
    """What a request wants."""

    CREATE = "create"
    COUNT = "count"  # input_tokens, compact: they take a conversation and generate no response
    GET = "get"
    DELETE = "delete"
    CANCEL = "cancel"
    INPUT_ITEMS = "input_items"


class Route(Struct, frozen=True):
    """Where a request goes.

    Attributes:
        question: What it wants.
        id: Of which response; ``""`` where there is none yet.
    """

    question: Question
    id: str = ""


_CREATE: Final = {"POST": Question.CREATE}
_COUNT: Final = {"POST": Question.COUNT}
_ONE: Final = {"GET": Question.GET, "DELETE": Question.DELETE}
_BENEATH: Final = {"cancel": {"POST": Question.CANCEL}, "input_items": {"GET": Question.INPUT_ITEMS}}


def route_of(method: str, path: str) -> Route | None:
    """What a request wants; None when it is none of ours.

    Args:
        method: ``"POST"``.
        path: From `asgi.path.relative_path`: ``"/v1/responses/resp_1/cancel"``.

    Raises:
        Refused: The path is ours, the method is not.
    """
    path = _unversioned(path)
    if path != _ROOT and not path.startswith(_ROOT + "/"):
        return None
    pieces = path[len(_ROOT) + 1 :].split("/")
    match pieces:
        case [""]:
            return _of(_CREATE, method)
        case ["input_tokens" | "compact"] if method not in _ONE:
            return _of(_COUNT, method)
        case [id_]:
            return _of(_ONE, method, id_)
        case [id_, beneath] if id_ and beneath in _BENEATH:
            return _of(_BENEATH[beneath], method, id_)
        case _:
            return None


def _of(questions: dict[str, Question], method: str, id_: str = "") -> Route:
    if method not in questions:
        raise method_not_allowed(method, ", ".join(questions))
    return Route(questions[method], id_)


def creates(path: str) -> bool:
    """Whether responses are made at a path: what a websocket is opened on."""
    return _unversioned(path) == _ROOT


def _unversioned(path: str) -> str:
    return path[len(_VERSION) :] if path.startswith(_VERSION + "/") else path
