"""Answers: ``{"model": …, "created_at": …, "message": {…}, "done": true, …}``.

https://docs.ollama.com/api/chat (read 2026-11-23).

| form | on | the wire had |
|---|---|---|
| ``created_at:…`` | `Response` | this spelling of the time |
| ``done:absent`` | `Candidate` | no such member |

An answer may be an error under a success status: then ``response.error`` is set, and callers look there first.
`encode_response` writes what came beside it and never turns a failure into words of an answer. What the envelope
demands and the source has not (time, model) is derived, which is no loss.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ...errors import InvalidDocument
from ...universal.content import Part, Reasoning, ToolCall
from ...universal.jsontext import dumps
from ...universal.loss import LossKind, Severity
from ...universal.node import Origin
from ...universal.request import Request, Turn
from ...universal.response import Candidate, Response
from ..base import Context, Encoded
from ..fields import Json
from ..scope import Scope
from .calls import encode_foreign_call
from .errors import decode_error
from .fields import RESPONSE_HANDLED
from .generate import FORM, answer_in_chat, answer_in_generate, wanted
from .messages import decode_message, encode_message
from .profile import NAME, TARGET
from .stops import decode_stop, encode_stop
from .times import unix_time, written
from .turns import text_of
from .usage import decode_usage, encode_usage

__all__ = ["decode_response", "encode_response", "model_of"]

_TIME = "created_at:"


def decode_response(document: Json) -> Response:
    """An answer document to universal form; what it does not know is kept.

    Raises:
        InvalidDocument: It has neither ``message`` nor ``response`` nor ``error``.
    """
    generated = "message" not in document and type(document.get("response")) is str
    if generated:
        document = answer_in_chat(document)
    message = document.get("message")
    failed = document.get("error") is not None
    if type(message) is not dict and not failed:
        raise InvalidDocument("message", "must be an object")
    usage, read = decode_usage(document)
    ext = {key: value for key, value in document.items() if key not in RESPONSE_HANDLED and key not in read}
    values: dict[str, Any] = {}
    forms: tuple[str, ...] = ()
    if type(document.get("model")) is str:
        values["model"] = document["model"]
    elif "model" in document:
        ext["model"] = document["model"]
    created = unix_time(document.get("created_at"))
    if created is not None:
        values["created"] = created
        forms = (_TIME + document["created_at"],)
    elif "created_at" in document:
        ext["created_at"] = document["created_at"]
    for key in ("prompt_eval_count", "eval_count"):
        if key in document and key not in read:
            ext[key] = document[key]
    if type(message) is dict:
        values["candidates"] = (_decode_candidate(document, message, ext),)
    else:
        ext.update((key, document[key]) for key in ("message", "done", "done_reason", "logprobs") if key in document)
    if failed:
        values["error"] = decode_error(UNSET, {}, dumps({"error": document["error"]}))
    if generated:
        forms = (*forms, FORM)
    return Response(usage=usage, ext=ext or UNSET, form=forms, origin=Origin(protocol=NAME), **values)


def _decode_candidate(document: Json, message: Json, ext: Json) -> Candidate:
    if type(message.get("role", "")) not in (str, type(None)):
        ext["message"] = message
        turns: tuple[Turn, ...] = ()
    else:
        turns = (decode_message(message, "message", strict=False),)
    values: dict[str, Any] = {}
    done, word = document.get("done"), document.get("done_reason")
    if done is True or type(word) is str:
        calls = any(isinstance(part, ToolCall) for turn in turns for part in turn.parts)
        values["stop"] = decode_stop(word, calls=calls)
    if word is not None and type(word) is not str:
        ext["done_reason"] = word
    elif "done_reason" in document and word is None:
        ext["done_reason"] = None
    if "done" in document and done is not ("stop" in values):
        ext["done"] = done
    logprobs = document.get("logprobs")
    if logprobs is not None:
        values["logprobs"] = logprobs
    elif "logprobs" in document:
        ext["logprobs"] = None
    return Candidate(turns=turns, form=() if "done" in document else ("done:absent",), **values)


def encode_response(response: Response, context: Context) -> Encoded:
    """Universal form to an answer document.

    Args:
        response: Born anywhere; one that was born here is written back as it was.
        context: What translating the request learned.

    Returns:
        The document, and what it does not say.
    """
    scope = Scope(TARGET, origin=response.origin.protocol, context=context)
    document = _encode_home(response, scope) if scope.home else _encode_foreign(response, context, scope)
    if FORM in response.form if scope.home else wanted(context):
        document = answer_in_generate(document)
    return Encoded(document=document, losses=tuple(scope.losses))


def _encode_home(response: Response, scope: Scope) -> Json:
    document: Json = {}
    if response.model is not UNSET:
        document["model"] = response.model
    if response.created is not UNSET:
        spelled = next((form[len(_TIME) :] for form in response.form if form.startswith(_TIME)), "")
        same = unix_time(spelled) == response.created
        document["created_at"] = spelled if same else written(response.created)
    for candidate in response.candidates[:1]:
        for turn in candidate.turns[:1]:
            document["message"] = encode_message(turn)
        if "done:absent" not in candidate.form:
            document["done"] = candidate.stop is not UNSET
        if candidate.stop is not UNSET:
            word = encode_stop(candidate.stop, "", scope, calls=False)
            if word is not None:
                document["done_reason"] = word
        if candidate.logprobs is not UNSET:
            document["logprobs"] = candidate.logprobs
    if response.usage is not UNSET:
        document.update(encode_usage(response.usage, scope))
    for key, value in (response.ext or {}).items():
        if key == "done":
            document[key] = value
        document.setdefault(key, value)
    return document


def _encode_foreign(response: Response, context: Context, scope: Scope) -> Json:
    scope.ext(response.ext, "")
    for name in ("id", "service_tier", "container", "context_management"):
        if getattr(response, name) is not UNSET:
            scope.lacks(name, Severity.COSMETIC, f"{name} of an answer")
    document: Json = {
        "model": model_of(response.model, context),
        "created_at": written(context.now if response.created is UNSET else response.created),
        "message": {"role": "assistant", "content": ""},
        "done": True,
    }
    for index, candidate in enumerate(response.candidates):
        path = f"candidates[{index}]"
        if index:
            scope.lacks(path, Severity.SEMANTIC, "second answer")
        else:
            _encode_candidate(candidate, path, document, scope)
    if response.usage is not UNSET:
        document.update(encode_usage(response.usage, scope))
    return document


def model_of(model: Any, context: Context) -> str:
    """The model that an answer names: its own word, else the one that was asked for."""
    if model is UNSET and isinstance(context.request, Request):
        model = context.request.model
    return "" if model is UNSET else str(model)


def _encode_candidate(candidate: Candidate, path: str, document: Json, scope: Scope) -> None:
    scope.ext(candidate.ext, path)
    message = _Message()
    for at, turn in enumerate(candidate.turns):
        here = f"{path}.turns[{at}]"
        scope.ext(turn.ext, here)
        scope.lacks_each(turn, ("name", "id", "status", "phase"), here, Severity.COSMETIC, "of a turn")
        for index, part in enumerate(turn.parts):
            message.add(part, f"{here}.parts[{index}]", scope)
    if len(candidate.turns) > 1 or not message.ordered:
        where = f"{path}.turns" if len(candidate.turns) > 1 else f"{path}.turns[0].parts"
        scope.add(where, LossKind.RELOCATED, Severity.COSMETIC, f"{NAME} has one text of each kind")
    document["message"] = message.written()
    if candidate.stop is UNSET:
        scope.add(f"{path}.stop", LossKind.INVENTED, Severity.DEGRADED, f"{NAME} demands a reason")
        document["done_reason"] = "stop"
    else:
        document["done_reason"] = encode_stop(candidate.stop, f"{path}.stop", scope, calls=bool(message.calls))
    if candidate.logprobs is not UNSET:
        scope.lacks(f"{path}.logprobs", Severity.DEGRADED, "log probabilities of this shape")


class _Message:
    """The message of an answer in the making.

    Attributes:
        calls: What was called so far.
        ordered: Whether its parts came in the order that a message has, one of each kind.
    """

    __slots__ = ("_content", "_last", "_thinking", "calls", "ordered")

    def __init__(self) -> None:
        self._thinking: list[str] = []
        self._content: list[str] = []
        self._last = -1
        self.calls: list[Json] = []
        self.ordered = True

    def add(self, part: Part, path: str, scope: Scope) -> None:
        """Put a part into the message."""
        match part:
            case Reasoning(text=text, summary=summary) if text is not UNSET or summary:
                scope.ext(part.ext, path)
                scope.opaque(part.opaque, path)
                if summary:
                    scope.add(f"{path}.summary", LossKind.APPROXIMATED, Severity.COSMETIC, f"{NAME} has no summaries")
                self._thinking += [*summary, *(() if text is UNSET else (text,))]
                self._rank(0, once=True)
            case Reasoning():
                scope.add(path, LossKind.ORIGIN_MISMATCH, Severity.DEGRADED, "only its minter can read it")
            case ToolCall():
                self.calls.append(encode_foreign_call(part, path, scope))
                self._rank(2)
            case _:
                said = text_of(part, path, scope)
                if said is None:
                    scope.lacks(path, Severity.SEMANTIC, "place for this in an answer")
                else:
                    self._content.append(said)
                    self._rank(1, once=True)

    def _rank(self, rank: int, *, once: bool = False) -> None:
        self.ordered = self.ordered and (rank > self._last if once else rank >= self._last)
        self._last = rank

    def written(self) -> Json:
        """The message."""
        document: Json = {"role": "assistant", "content": "".join(self._content)}
        if self._thinking:
            document["thinking"] = "".join(self._thinking)
        if self.calls:
            document["tool_calls"] = self.calls
        return document
