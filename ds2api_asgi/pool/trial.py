"""A key tried out: one request that costs as little as can be, with exactly this key, while everything else goes on.

It takes no lease, waits in no queue and tells the health of the key nothing, so it disturbs nobody and works for a key
that rests or was switched off. Where the provider has a list of models, that is asked for: it costs nothing. (Some show
it to everybody: what is sure then is only that the provider is there. With a model named, that one is asked for a few
tokens.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, assert_never

import anyio
from msgspec import UNSET, Struct

from ..asgi.exchange import enter
from ..asgi.facts import Unreachable
from ..asgi.headers import decode, find
from ..asgi.own_scope import own_scope
from ..asgi.types import ASGIApp, Message, Scope
from ..errors import InvalidDocument
from ..protocols.base import Operation, Protocol, UpstreamRoute
from ..protocols.hidden import judge_of
from ..protocols.verdict import judged
from ..universal import jsontext
from ..universal.content import Text
from ..universal.failure import Fault, Row, Verdict
from ..universal.node import Origin
from ..universal.request import Request, Turn
from .credentials import with_credential
from .keys import Secret

__all__ = ["MAX_ANSWER", "MAX_OUTPUT", "KeyTrial", "try_key"]

MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer that are read."""

MAX_OUTPUT: Final = 16
"""Tokens that a model is asked for: OpenAI's Responses API refuses to answer with less."""

_NO_SUCH_THING: Final = frozenset({404, 405, 501})


class KeyTrial(Struct, frozen=True, kw_only=True):
    """How a key did when it was tried out.

    Attributes:
        ok: Whether the provider answered as it should.
        status: The HTTP status; 0: nobody answered.
        took: Seconds.
        words: What that means; neither a key nor anything that a provider said is in it.
    """

    ok: bool
    status: int
    took: float
    words: str


class _Answer:
    """What an app sends, kept."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.body = bytearray()
        self.whole = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message.get("headers", ())
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")[: MAX_ANSWER - len(self.body)]
            self.whole = not message.get("more_body", False)


async def try_key(
    app: ASGIApp,
    protocol: Protocol,
    secret: Secret,
    alias: str,
    *,
    model: str | None,
    fallback: str | None,
    timeout: float,
    rules: Iterable[Row],
    clock: Callable[[], float],
    wall: Callable[[], float],
) -> KeyTrial:
    """Try a key out.

    Args:
        app: What the pool asks.
        protocol: What it speaks.
        secret: The key.
        alias: What it is called.
        model: A model to ask; None: the list of models is asked for.
        fallback: A model to ask where there is no such list; None: nobody knows one.
        timeout: Seconds.
        rules: As in `KeyPool`.
        clock: Monotonic seconds.
        wall: Unix time.
    """
    began = clock()
    trial = _Trial(app, protocol, secret, alias, tuple(rules), wall, asks_models=fallback is not None)
    found: KeyTrial | None = None
    with anyio.move_on_after(timeout):
        if model is None:
            found = await trial.list_models()
        if found is None:
            named = model or fallback
            found = KeyTrial(ok=False, status=0, took=0.0, words=_NO_MODEL) if named is None else await trial.ask(named)
    if found is None:
        found = KeyTrial(ok=False, status=0, took=0.0, words=f"There was no answer within {timeout:g} seconds.")
    return KeyTrial(ok=found.ok, status=found.status, took=round(clock() - began, 3), words=found.words)


_NO_MODEL: Final = "The provider has no list of models, and no model is named that could be asked instead."


class _Trial:
    def __init__(
        self,
        app: ASGIApp,
        protocol: Protocol,
        secret: Secret,
        alias: str,
        rules: Sequence[Row],
        wall: Callable[[], float],
        *,
        asks_models: bool,
    ) -> None:
        self._app = app
        self._protocol = protocol
        self._secret = secret
        self._alias = alias
        self._rules = rules
        self._wall = wall
        self._asks_models = asks_models

    async def list_models(self) -> KeyTrial | None:
        """Ask for the list of models; None: there is none."""
        route = self._protocol.route(Operation.LIST_MODELS, stream=False, model=UNSET, dialect="")
        if route is None:
            return None
        answer, unreachable = await self._send(route, b"")
        if answer.status in _NO_SUCH_THING and unreachable is None:
            return None
        if answer.status == 403 and self._asks_models:
            return None  # a key may be good for answers alone
        return self._told(answer, unreachable, self._count(answer))

    async def ask(self, model: str) -> KeyTrial:
        """Ask a model for a few tokens."""
        request = Request(
            origin=Origin(protocol=self._protocol.name),
            model=model,
            turns=(Turn(role="user", parts=(Text(text="Hi"),)),),
            stream=False,
            max_output_tokens=MAX_OUTPUT,
        )
        route = self._protocol.route(Operation.GENERATE, stream=False, model=model, dialect="")
        if route is None:
            return KeyTrial(ok=False, status=0, took=0.0, words=_NO_MODEL)
        body = jsontext.dumps(self._protocol.encode_request(request).document)
        answer, unreachable = await self._send(route, body)
        return self._told(answer, unreachable, "The model answered.")

    async def _send(self, route: UpstreamRoute, body: bytes) -> tuple[_Answer, Unreachable | None]:
        scope, exchange = enter(self._scope(route, body))
        header = self._protocol.authorize(self._secret.reveal())
        answer = _Answer()
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                await anyio.sleep_forever()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            await self._app(with_credential(scope, header, self._alias), receive, answer.send)
        except Exception:  # noqa: BLE001 - an answer that broke off is told by its being less than whole
            answer.whole = False
        return answer, exchange.last(Unreachable)

    def _scope(self, route: UpstreamRoute, body: bytes) -> Scope:
        headers = [*route.headers, (b"accept", b"application/json"), (b"content-length", b"%d" % len(body))]
        if body:
            headers.append((b"content-type", b"application/json"))
        return own_scope(route.method, route.path, query=route.query, headers=headers)

    def _count(self, answer: _Answer) -> str:
        """How many models a list has."""
        models: list[Any] | None = None
        if _is_plain(answer):
            try:
                models = list(self._protocol.decode_models(jsontext.loads(bytes(answer.body))))
            except (InvalidDocument, TypeError, AttributeError):
                models = None
        if models is None:
            return "The provider answered, but not with a list of models that can be read."
        return f"The provider lists {len(models)} {'model' if len(models) == 1 else 'models'}."

    def _told(self, answer: _Answer, unreachable: Unreachable | None, good: str) -> KeyTrial:
        if unreachable is not None:
            words = f"The provider was not reached ({unreachable.reason}), which says nothing of the key."
            return KeyTrial(ok=False, status=0, took=0.0, words=words)
        if not answer.whole:
            words = "The answer broke off, which says nothing of the key." if answer.status else "Nobody answered."
            return KeyTrial(ok=False, status=answer.status, took=0.0, words=words)
        headers = decode(answer.headers)
        if 200 <= answer.status < 300:
            judge = judge_of(self._protocol, find(answer.headers, b"content-type"))
            hidden = None if judge is None or not _is_plain(answer) else judge(bytes(answer.body))
            if hidden is None:
                return KeyTrial(ok=True, status=answer.status, took=0.0, words=good)
            failure = hidden
        else:
            failure = self._protocol.decode_error(answer.status, headers, bytes(answer.body))
        verdict = judged(self._protocol, failure, headers, now=self._wall(), rules=self._rules)
        return KeyTrial(ok=False, status=answer.status, took=0.0, words=_words(verdict))


def _is_plain(answer: _Answer) -> bool:
    return (find(answer.headers, b"content-encoding") or b"identity") == b"identity"


def _words(verdict: Verdict) -> str:
    return f"{_meaning(verdict.fault)} ({verdict.row})"


def _meaning(fault: Fault) -> str:
    match fault:
        case Fault.KEY:
            return "The provider refuses the key"
        case Fault.RATE:
            return "The key works, but is over a rate limit"
        case Fault.QUOTA:
            return "The key's money or quota is used up"
        case Fault.MODEL | Fault.PROVIDER:
            return "The provider is in trouble, which says nothing of the key"
        case Fault.REQUEST:
            return "The provider did not like the question, which says nothing of the key"
        case Fault.NETWORK | Fault.CLIENT | Fault.SELF:
            return "Nobody was asked, which says nothing of the key"
        case _:
            assert_never(fault)
