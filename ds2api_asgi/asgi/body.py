"""Request bodies: read once, bounded by counting bytes, replayed as often as an attempt needs them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import BodyTooLarge, ClientGone, FramingError
from ..framing.form import read_fields
from .headers import RawHeaders, form_type
from .types import Message, Receive

__all__ = ["DEFAULT_MAX_BODY", "Replay", "read_body"]

DEFAULT_MAX_BODY = 32 * 1024 * 1024
"""Bytes; the bound of Anthropic's Messages API (https://docs.anthropic.com/en/api/errors, read 2026-11-23)."""


class _Peek(msgspec.Struct):
    model: Any = None
    stream: Any = None


_peek_decoder = msgspec.json.Decoder(_Peek)
_PEEKED = ("model", "stream")
_WORDS = {"true": True, "false": False}  # how forms spell what is yes or no


class Replay:
    """A ``receive`` that answers with a body already read, then hands on to the real one for the disconnect.

    Each attempt gets its own (`again`): the bytes are shared, the position is not.

    Args:
        body: The whole body.
        receive: The request's ``receive``.
        peeked: What `peek` would find, where that is known.

    Attributes:
        body: The whole body.
        begun: Whether the body has been handed out.
    """

    __slots__ = ("_peeked", "_receive", "begun", "body")

    def __init__(self, body: bytes, receive: Receive, *, peeked: tuple[str | None, bool | None] | None = None) -> None:
        self.body = body
        self._receive = receive
        self.begun = False
        self._peeked = peeked

    def again(self) -> Replay:
        """The same body from its start, for another attempt."""
        return Replay(self.body, self._receive, peeked=self._peeked)

    def fresh(self) -> Replay:
        """The same body from its start: this one, while nobody has begun it."""
        return self.again() if self.begun else self

    def through(self, receive: Receive) -> Replay:
        """Hand the body on, as a replay that asks another ``receive`` for what comes after it, which asks this one."""
        self.begun = True
        return Replay(self.body, receive, peeked=self._peeked)

    def take(self) -> bytes:
        """The body, handed out; what is left to receive is the disconnect."""
        self.begun = True
        return self.body

    def peek(self, headers: RawHeaders) -> tuple[str | None, bool | None]:
        """The top-level ``model`` and ``stream`` of a JSON body or a form, without building the rest.

        Args:
            headers: The request's, which tell a form.

        Returns:
            The model, or None when the body is neither or has none; what ``stream`` says, None
            when it is not there or no boolean.
        """
        if self._peeked is None:
            try:
                found = _peek_decoder.decode(self.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._peeked = _peek_form(self.body, headers)
            else:
                model = found.model if isinstance(found.model, str) else None
                self._peeked = (model, found.stream if isinstance(found.stream, bool) else None)
        return self._peeked

    def says_stream(self, headers: RawHeaders) -> bool | None:
        """What `peek` says of ``stream``; a body is not parsed for it that does not have the word."""
        return self.peek(headers)[1] if self._peeked is not None or b'"stream"' in self.body else None

    async def rest(self) -> Message:
        """What comes after the body, whether that was handed out or not: the disconnect, sooner or later."""
        message: Message = await self._receive()
        return message

    async def __call__(self) -> Message:
        """The body in one message, then whatever the real ``receive`` says."""
        if not self.begun:
            self.begun = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        message: Message = await self._receive()
        return message


def _peek_form(body: bytes, headers: RawHeaders) -> tuple[str | None, bool | None]:
    kind = form_type(headers)
    try:
        found = {} if kind is None else read_fields(body, kind, _PEEKED)
    except FramingError:
        return None, None
    model, stream = found.get("model"), found.get("stream")
    return None if model is None else model.value, None if stream is None else _WORDS.get(stream.value)


async def read_body(receive: Receive, *, limit: int = DEFAULT_MAX_BODY, then: Receive | None = None) -> Replay:
    """Read a request's body to its end.

    A body that an outer part has read already (``receive`` is a `Replay`) is not read again.

    Args:
        receive: The request's ``receive``.
        limit: Bytes that the body may have; counted, whatever content-length says.
        then: What is asked for what comes after the body, and asks ``receive`` in turn; None: ``receive`` is.

    Returns:
        The body, as the ``receive`` for the app beneath.

    Raises:
        BodyTooLarge: The body is over the limit.
        ClientGone: The client left before the body was complete.
    """
    if isinstance(receive, Replay):
        if len(receive.body) > limit:
            raise BodyTooLarge(limit)
        return receive.fresh() if then is None else receive.through(then)
    message = await receive()
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        if chunk:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(chunk)
        if not message.get("more_body", False):
            return Replay(parts[0] if len(parts) == 1 else b"".join(parts), receive if then is None else then)
        message = await receive()
