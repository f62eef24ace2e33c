"""The embedded default upstream: a deterministic model behind the Chat Completions API, as a pure ASGI app.

    POST /v1/chat/completions         text, thinking, tool calls, JSON; streamed or whole
    POST /v1/completions              text, streamed or whole
    POST /v1/embeddings               unit vectors
    POST /v1/responses/input_tokens   the tokens of a request
    GET  /v1/models, /v1/models/{id}

The same paths without ``/v1`` work as well. The same body gets the same answer. What it says is decided in `mind`, how
it can be told to fail is written in `faults`.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio

from ..asgi.body import DEFAULT_MAX_BODY, read_body
from ..asgi.disconnect import while_connected
from ..asgi.headers import find
from ..asgi.path import relative_path
from ..asgi.respond import respond
from ..asgi.types import Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, InvalidDocument
from ..framing.sse import write_event
from ..universal import jsontext
from .completions import completion, completion_chunks, read_completion
from .embeddings import embed
from .faults import FAILING_MODELS, Fault, Faults, Problem, fault_of_key, fault_of_model
from .mind import think
from .request import read_request
from .sending import send_stream, send_whole
from .tokens import count_tokens, pieces
from .wire import answer, chunks

__all__ = ["DEFAULT_MODELS", "DemoModel", "RequestCounts"]

DEFAULT_MODELS = ("demo-small", "demo-large", "demo-think", "demo-interleave", "demo-embed")

MODEL_CREATED = 1_767_225_600
"""Unix time that the list of models gives for each: 2026-01-01."""

MAX_COUNTED = 4_096
"""Pairs of key and model that are counted apart; further ones only add to the total."""

_POSTS = ("/chat/completions", "/completions", "/embeddings", "/responses/input_tokens")


class RequestCounts:
    """How many requests came in with a body that names a model.

    Attributes:
        total: All of them.
    """

    __slots__ = ("_pairs", "total")

    def __init__(self) -> None:
        self.total = 0
        self._pairs: dict[tuple[str, str], int] = {}

    def add(self, key: str, model: str) -> None:
        """Count a request."""
        self.total += 1
        pair = (key, model)
        if pair in self._pairs or len(self._pairs) < MAX_COUNTED:
            self._pairs[pair] = self._pairs.get(pair, 0) + 1

    def of(self, *, key: str | None = None, model: str | None = None) -> int:
        """How many came with this key (``""``: without any) and this model; None matches all."""
        return sum(
            count
            for (of_key, of_model), count in self._pairs.items()
            if key in (None, of_key) and model in (None, of_model)
        )

    def __repr__(self) -> str:
        return f"<RequestCounts of {self.total} requests>"


class DemoModel:
    """A model that needs no network: it answers, thinks, calls tools and fails, always in the same way.

    Args:
        pace: Seconds that each word of an answer takes, also of one that is not streamed.
        keys: Bearer keys that are accepted, also with a fault behind ``+``; None: any, or none at all.
        models: Names for the list of models; every name that begins with ``demo`` works besides.
        clock: Gives Unix time in seconds for ``created``.

    Attributes:
        requests: What came in, for tests.
    """

    def __init__(
        self,
        *,
        pace: float = 0.0,
        keys: Iterable[str] | None = None,
        models: Sequence[str] = DEFAULT_MODELS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests = RequestCounts()
        self._pace = pace
        self._keys = None if keys is None else tuple(key.encode() for key in keys)
        self._models = tuple(models)
        self._clock = clock
        self._faults = Faults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or a lifespan; websockets are closed."""
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            await self._answer_http(scope, receive, send)

    async def _answer_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._serve(scope, receive, send)
        except _Refused as refused:
            await _refuse(send, refused.problem, head=scope["method"] == "HEAD")
        except ClientGone:
            return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = relative_path(scope).removeprefix("/v1") or "/"
        _check_route(path, scope["method"])
        key = self._check_key(scope)
        fault = self._faults.due(key, fault_of_key(key))
        if path not in _POSTS:
            await while_connected(receive, lambda: self._list(path, fault, send))
            return
        try:
            body = await read_body(receive, limit=DEFAULT_MAX_BODY)
        except BodyTooLarge:
            raise _Refused(Problem(status=413, message="The body is over 32 MiB.")) from None
        try:
            work = self._decide(path, body.body, key, fault, send)
        except InvalidDocument as wrong:
            message = f"Invalid request: {wrong}."
            raise _Refused(Problem(status=400, message=message, param=wrong.path or None)) from None
        await while_connected(body, work)

    def _decide(
        self, path: str, body: bytes, key: str, fault: Fault | None, send: Send
    ) -> Callable[[], Awaitable[None]]:
        """Check a request and think; what is left to do is to send."""
        document = jsontext.loads(body)
        if not isinstance(document, dict):
            raise InvalidDocument("", "the body must be a JSON object")
        model = document.get("model")
        if path == "/responses/input_tokens":
            counted = {"object": "response.input_tokens", "input_tokens": count_tokens(document)}
            return lambda: send_whole(send, counted, fault, body)
        if not isinstance(model, str) or not model:
            raise InvalidDocument("model", "you must provide a model")
        self.requests.add(key, model)
        self._check_model(model)
        fault = fault or self._faults.due(model, fault_of_model(model))
        if path == "/embeddings":
            embedded = embed(document, model)
            return lambda: send_whole(send, embedded, fault, body)
        completes = path == "/completions"
        request = read_completion(document, body) if completes else read_request(document, body)
        thoughts = [think(request, choice) for choice in range(request.choices)]
        whole, streamed = (completion, completion_chunks) if completes else (answer, chunks)
        if request.stream:
            parts = streamed(request, thoughts, created=int(self._clock()))
            return lambda: self._stream(parts, fault, send, body)
        said = whole(request, thoughts, created=int(self._clock()))
        words = sum(len(pieces(thought.reasoning + thought.text)) for thought in thoughts)
        return lambda: self._send(said, words, fault, send, body)

    async def _send(self, said: dict[str, Any], words: int, fault: Fault | None, send: Send, body: bytes) -> None:
        await anyio.sleep(0 if fault else self._pace * words)
        await send_whole(send, said, fault, body)

    async def _stream(self, parts: Iterable[dict[str, Any]], fault: Fault | None, send: Send, body: bytes) -> None:
        stream = [write_event(jsontext.dumps(part)) for part in parts]
        await send_stream(send, [*stream, write_event(b"[DONE]")], fault, body, pace=self._pace)

    async def _list(self, path: str, fault: Fault | None, send: Send) -> None:
        models = dict.fromkeys((*self._models, *FAILING_MODELS))
        if path == "/models":
            document: dict[str, Any] = {"object": "list", "data": [_describe(model) for model in models]}
        else:
            model = path.removeprefix("/models/")
            self._check_model(model)
            document = _describe(model)
        await send_whole(send, document, fault, path.encode())

    def _check_key(self, scope: Scope) -> str:
        """The request's key, ``""`` when it has none.

        Raises:
            _Refused: It is not among the accepted ones.
        """
        scheme, _, value = (find(scope["headers"], b"authorization") or b"").partition(b" ")
        given = value.strip() if scheme.lower() == b"bearer" else b""
        if self._keys is not None:
            base = given.rpartition(b"+")[0]
            matches = [hmac.compare_digest(one, key) for key in self._keys for one in (given, base)]
            if not given or not any(matches):
                message = "Incorrect API key provided." if given else "You didn't provide an API key."
                raise _Refused(Problem(status=401, message=message, code="invalid_api_key"))
        return given.decode("latin-1")

    def _check_model(self, model: str) -> None:
        known = model in self._models or model.startswith("demo")
        if not known or (model.startswith("demo-fail-") and fault_of_model(model) is None):
            message = f"The model '{model[:100]}' does not exist or you do not have access to it."
            raise _Refused(Problem(status=404, message=message, param="model", code="model_not_found"))


class _Refused(Exception):
    """The request is answered by an error."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _check_route(path: str, method: str) -> None:
    posts = path in _POSTS
    if not posts and path != "/models" and not path.startswith("/models/"):
        raise _Refused(Problem(status=404, message="Unknown request URL.", code="unknown_url"))
    if method != ("POST" if posts else "GET"):
        allow = (b"allow", b"POST" if posts else b"GET")
        raise _Refused(Problem(status=405, message="Not allowed for this method.", headers=(allow,)))


async def _refuse(send: Send, problem: Problem, *, head: bool = False) -> None:
    await respond(send, status=problem.status, document=problem.document, headers=problem.headers, head=head)


def _describe(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": MODEL_CREATED, "owned_by": "ds2api-asgi"}
