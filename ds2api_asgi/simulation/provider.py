"""A provider: an ASGI app that takes its time, enforces limits, loses keys and breaks down as its scenario says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import anyio
import msgspec
from msgspec import Struct

from ..asgi.body import read_body
from ..asgi.disconnect import Watch
from ..asgi.exchange import KEY, Exchange
from ..asgi.facts import Unreachable
from ..asgi.headers import find
from ..asgi.loop import asyncio_loop
from ..asgi.types import Receive, Scope, Send
from ..errors import BrokenStream, ClientGone
from . import scenario, wire
from .call import Call, Ears, End
from .quota import Meter, meter

__all__ = ["ProviderApp", "secret_of"]

_MOST_PIECES = 8
"""Pieces of a stream; more would cost time and show nothing new."""


class _Body(Struct):
    model: str
    max_tokens: int = 100
    stream: bool = False
    messages: list[Any] = []


_decode = msgspec.json.Decoder(_Body).decode


class _Scope:
    """Keys that share their limits."""

    __slots__ = ("concurrency", "in_flight", "meters", "requests", "tokens", "window")

    def __init__(self, keys: scenario.Keys, window: str) -> None:
        self.window = window
        self.requests = keys.rpm
        self.tokens = keys.tpm
        self.concurrency = keys.concurrency
        self.in_flight = 0
        self.meters: dict[str, tuple[Meter | None, Meter | None]] = {}

    def of(self, model: str) -> tuple[Meter | None, Meter | None]:
        """The meters of a model: each has limits of its own."""
        if model not in self.meters:
            requests = None if self.requests is None else meter(self.window, self.requests)
            tokens = None if self.tokens is None else meter(self.window, self.tokens)
            self.meters[model] = (requests, tokens)
        return self.meters[model]


class ProviderApp:
    """A simulated provider.

    Args:
        settings: What it is like.
        start: The time of day at which the simulation begins, in seconds since midnight.
        clock: Seconds since then.
        rng: Where its chance comes from.
        numbers: Gives each call its number.
        ears: Who is told.

    Attributes:
        in_flight: Calls that are not over.
    """

    def __init__(
        self,
        settings: scenario.Provider,
        *,
        start: float,
        clock: Callable[[], float],
        rng: Random,
        numbers: Callable[[], int],
        ears: Ears,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._numbers = numbers
        self._ears = ears
        self._names: dict[bytes, str] = {}
        self._scopes: dict[str, _Scope] = {}
        self._members: dict[str, str] = {}
        shared: dict[str, _Scope] = {}
        for keys in settings.keys:
            for name in keys.names():
                self._names[b"Bearer " + secret_of(settings.name, name).encode()] = name
                label = name if keys.scope is None else keys.scope
                self._scopes[name] = shared.setdefault(label, _Scope(keys, settings.window))
                self._members[name] = label
        self._events = [(event.at.since(start), event) for event in settings.events]
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise RuntimeError(f"a simulated provider has no {scope['type']}")
        try:
            body = await read_body(receive)
        except ClientGone:
            return
        call, asked = self._meet(scope, body.body)
        exchange: Exchange | None = scope.get(KEY)
        self.in_flight += 1
        limits = self._scopes.get(call.key)
        if limits is not None:
            limits.in_flight += 1
        happening = self._happening(call)
        call.refused = any(event.what == "refuse" for event in happening)
        self._ears.begins(call)
        try:
            async with Watch(body, asyncio_loop()) as watch:
                call.watch = watch
                await self._serve(call, asked, happening, limits, exchange, send)
        except ClientGone:
            return
        finally:
            self.in_flight -= 1
            if limits is not None:
                limits.in_flight -= 1
            self._end(call, End.LEFT, say=False)

    def _meet(self, scope: Scope, body: bytes) -> tuple[Call, _Body]:
        asked = _decode(body)
        number = self._numbers()
        client = int(find(scope["headers"], wire.CLIENT) or 0)
        key = self._names.get(find(scope["headers"], b"authorization") or b"", "")
        call = Call(
            number=number, client=client, provider=self._settings.name, key=key, model=asked.model,
            stream=asked.stream, begun=self._clock(),
        )  # fmt: skip
        return call, asked

    def _end(self, call: Call, end: End, *, say: bool) -> None:
        if call.end is None:
            call.ended = self._clock()
            call.end = end
            call.said = say
            if say and call.watch is not None:
                call.watch.release()
            call.watch = None
            self._ears.ends(call)

    def _happening(self, call: Call) -> list[scenario.Event]:
        """The events that this call meets."""
        now = self._clock()
        found = []
        for at, event in self._events:
            if not at <= now < at + (float("inf") if event.lasts is None else event.lasts):
                continue
            if event.model not in (None, call.model) or not self._concerns(event, call.key):
                continue
            if event.share >= 1 or self._rng.random() < event.share:
                found.append(event)
        return found

    def _concerns(self, event: scenario.Event, key: str) -> bool:
        if event.key is None or event.key == key:
            return True
        # A used up quota is all keys' that share it.
        return event.what == "quota" and key in self._members and self._members[key] == self._members[event.key]

    async def _serve(
        self,
        call: Call,
        asked: _Body,
        happening: Sequence[scenario.Event],
        limits: _Scope | None,
        exchange: Exchange | None,
        send: Send,
    ) -> None:
        settings = self._settings
        slow, cut = 1.0, False
        for event in [event for event in happening if event.what == "refuse"] or happening:
            match event.what:
                case "refuse":
                    if exchange is not None:  # as `Upstream` does
                        exchange.note(Unreachable(reason="connect", processed=False))
                    await self._refuse(call, send, End.FAULT, 502, "The upstream could not be reached.", None)
                    return
                case "dead":
                    await self._refuse(call, send, End.DEAD, 401, "Incorrect API key provided.", "invalid_api_key")
                    return
                case "quota":
                    await self._refuse(call, send, End.QUOTA, 429, "You exceeded your quota.", "insufficient_quota")
                    return
                case "outage":
                    await self._refuse(call, send, End.FAULT, event.status, "The server had an error.", None)
                    return
                case "hang":
                    await anyio.sleep_forever()
                case "cut":
                    cut = True
                case "slow":
                    slow *= event.factor
        if self._names and not call.key:
            await self._refuse(call, send, End.DEAD, 401, "Incorrect API key provided.", "invalid_api_key")
            return
        prompt = int(asked.messages[0]["content"].split()[3])
        call.tokens = prompt + asked.max_tokens
        if limits is not None and not await self._admit(call, limits, send):
            return
        rng = self._rng
        first = settings.first_token.draw(rng) * slow
        rest = asked.max_tokens / max(settings.tokens_per_second.draw(rng), 0.001) * slow
        cost = wire.usage(prompt, asked.max_tokens)
        headers = [wire.STREAM if call.stream else wire.JSON, *self._advice(call, limits)]
        if call.stream:
            await self._stream(call, send, headers, first, rest, cost, cut=cut)
        else:
            await self._whole(call, send, headers, first + rest, cost, cut=cut)

    async def _admit(self, call: Call, limits: _Scope, send: Send) -> bool:
        """Whether the limits let a call in; it was answered when they do not."""
        now = self._clock()
        requests, tokens = limits.of(call.model)
        waits = [0.0]
        if requests is not None:
            waits.append(requests.wait(1, now))
        if tokens is not None:
            waits.append(tokens.wait(min(call.tokens, tokens.limit), now))
        if limits.concurrency is not None and limits.in_flight > limits.concurrency:
            waits.append(1.0)
        if max(waits) > 0:
            advice, call.hint = wire.retry_headers(self._settings.hint, max(waits))
            headers = [*advice, *self._advice(call, limits)]
            call.resets = self._settings.headers
            await self._refuse(call, send, End.RATE, 429, "Rate limit reached.", "rate_limit_exceeded", headers)
            return False
        if requests is not None:
            requests.take(1, now)
        if tokens is not None:
            tokens.take(call.tokens, now)
        return True

    def _advice(self, call: Call, limits: _Scope | None) -> list[tuple[bytes, bytes]]:
        if limits is None or not self._settings.headers:
            return []
        now = self._clock()
        headers = []
        for name, counted in zip((b"requests", b"tokens"), limits.of(call.model), strict=True):
            if counted is not None:
                headers += [
                    (b"x-ratelimit-limit-" + name, b"%d" % counted.limit),
                    (b"x-ratelimit-remaining-" + name, b"%d" % max(0, counted.left(now))),
                    (b"x-ratelimit-reset-" + name, b"%dms" % (counted.reset(now) * 1000)),
                ]
        return headers

    async def _refuse(
        self,
        call: Call,
        send: Send,
        end: End,
        status: int,
        message: str,
        code: str | None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        kind = "server_error" if status >= 500 else code if code == "insufficient_quota" else "invalid_request_error"
        body = wire.error_body(message, "requests" if end is End.RATE else str(kind), code)
        await send({"type": "http.response.start", "status": status, "headers": [wire.JSON, *(headers or [])]})
        call.status = status
        self._end(call, end, say=True)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _whole(
        self, call: Call, send: Send, headers: list[Any], seconds: float, cost: dict[str, int], *, cut: bool
    ) -> None:
        await anyio.sleep(seconds)
        call.status = 200
        body = wire.whole_answer(call.number, call.model, pieces=1, cost=cost)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if cut:
            await send(
                {"type": "http.response.body", "body": body[: self._rng.randrange(len(body))], "more_body": True}
            )
            self._end(call, End.CUT, say=False)
            raise BrokenStream("truncated", "simulated: connection lost")
        call.content = self._clock()
        self._ears.content(call)
        self._end(call, End.SERVED, say=True)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(
        self, call: Call, send: Send, headers: list[Any], first: float, rest: float, cost: dict[str, int], *, cut: bool
    ) -> None:
        rng = self._rng
        pieces = call.pieces = min(_MOST_PIECES, max(1, cost["completion_tokens"] // 16))
        stop = rng.randrange(pieces + 1) if cut else pieces
        call.status = 200
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        opening = wire.stream_chunk(call.number, call.model, delta={"role": "assistant", "content": ""})
        await send({"type": "http.response.body", "body": opening, "more_body": True})
        await anyio.sleep(first)
        for number in range(1, stop + 1):
            delta = {"content": wire.piece(call.number, number, pieces)}
            if call.content is None:
                call.content = self._clock()
                self._ears.content(call)
            chunk = wire.stream_chunk(call.number, call.model, delta=delta)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await anyio.sleep(rest / pieces)
        if cut:
            clean = rng.random() < 0.5
            if clean and call.content is None:
                self._ears.content(call)
            self._end(call, End.CUT, say=False)
            if not clean:
                raise BrokenStream("truncated", "simulated: connection lost")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        last = wire.stream_chunk(call.number, call.model, delta={}, finish="stop")
        tail = wire.stream_chunk(call.number, call.model, delta=None, cost=cost) + wire.DONE
        self._end(call, End.SERVED, say=True)
        await send({"type": "http.response.body", "body": last + tail, "more_body": False})


def secret_of(provider: str, key: str) -> str:
    """The secret of a key."""
    return f"sk-{provider}-{key}"
