"""The app at the end of every nest: it answers by asking a provider.

The one rule: where a request goes is configuration (`Address`), and what goes with it is an allow-list
(`asgi.headers`). A client's own credentials go no further, unless it is told otherwise.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from importlib import metadata
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.claims import Claims
from ..asgi.credentials import without_credentials
from ..asgi.denial import deny
from ..asgi.exchange import CREDENTIAL, KEY, Exchange, enter
from ..asgi.facts import Broke, Unreachable
from ..asgi.headers import HOP_BY_HOP, RawHeaders, decode, find, request_headers
from ..asgi.headers import replace as replace_headers
from ..asgi.loop import asyncio_loop
from ..asgi.masking import masking, masking_socket
from ..asgi.path import query, raw_relative_path, relative_path
from ..asgi.respond import respond
from ..asgi.secret import Secret
from ..asgi.types import Message, Receive, Scope, Send
from ..errors import BodyTooLarge, BrokenStream, ClientGone, ConfigurationError, TransportError
from ..protocols import registry
from ..protocols.base import Operation, Protocol
from ..universal import jsontext
from ..universal.failure import Failure, FailureKind
from .address import Address, UnsafePath, strip_secrets
from .forward import Forward, Outgoing, Timeouts
from .httpx_sender import HttpxSender
from .per_loop import PerLoop, default_sender
from .proxy import proxy_url
from .sender import Sender
from .websocket import Denied, Passage, WebSockets, is_installed

__all__ = ["NOT_CONFIGURED", "Upstream"]

_PATHS = 64  # of which the URL is remembered; clients choose their paths, so there is a bound
NOT_CONFIGURED = HOP_BY_HOP | {b"host", b"content-length", b"expect", b"accept-encoding"}
"""Headers that `headers` cannot set."""
_NOT_FOR_SOCKETS = frozenset({b"accept", b"content-encoding", b"content-type"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KIND = {"timeout": FailureKind.TIMEOUT, "pool": FailureKind.OVERLOADED}
_STATUS = {
    FailureKind.NOT_FOUND: 404,
    FailureKind.TOO_LARGE: 413,
    FailureKind.BAD_GATEWAY: 502,
    FailureKind.OVERLOADED: 503,
    FailureKind.TIMEOUT: 504,
}


class Upstream:
    """An ASGI app that asks a provider for whatever request comes.

    ::

        Upstream("https://api.openai.com", protocol="openai-chat", api_key=KEY)

    Args:
        base_url: Where the provider is, with or without its ``/v1``.
        protocol: Name of the protocol it speaks; None: found by each request's path. Errors of our own are
            spelled in it, and it says how `api_key` is sent.
        api_key: Sent with every request that no key pool has equipped.
        headers: Further headers of every request; they replace the client's.
        secrets: Texts within `headers` that no answer of the provider may show to a client, as it may not `api_key`.
        forward_credentials: Send the client's own credentials on.
        proxy: Where a proxy is, as ``"http://user:password@proxy.example:3128"``; None: there is none, whatever the
            environment says. Requests go through httpx2 then, also where the extra ``fast`` is installed.
        ssl_context: Which certificates to trust and which one to show, as ``ssl.create_default_context(cafile=…)``;
            None: the system's.
        client: An ``AsyncClient`` of httpx or httpx2 to send through; closing it is the caller's affair.
        sender: What to send through instead; closing it is the caller's affair.
        connect_timeout: Seconds (5).
        write_timeout: Seconds between two writes of a request, through httpx or httpx2 (30). The fast sender (extra
            ``fast``) has no such bound; there a request that does not go out has the answer's time.
        pool_timeout: Seconds to wait for a free connection of a `client` that has a bound of them (5).
        first_byte_timeout: Seconds to the first byte of a streamed answer (60), or what tells them for a model:
            ``lambda model: 300.0 if model.startswith("o3") else 60.0``. Of what is not translated (pictures, sound,
            completions) the answer's start is enough.
        idle_timeout: Seconds between two reads of an answer (60), and those that a client may take to read it.
        total_timeout: Seconds for a request and its answer (600, as in the official SDKs).
        max_body: Bytes of a request body (32 MiB).
        websockets: Whether websockets (OpenAI's Realtime) are passed through as well, and within which bounds; they
            need the extra ``websocket`` and asyncio, and are closed with a reason else.

    Raises:
        ConfigurationError: A value that cannot work.
    """

    def __init__(
        self,
        base_url: str,
        *,
        protocol: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        forward_credentials: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        client: Any = None,
        sender: Sender | None = None,
        connect_timeout: float = 5.0,
        write_timeout: float = 30.0,
        pool_timeout: float = 5.0,
        first_byte_timeout: float | Callable[[str], float] = 60.0,
        idle_timeout: float = 60.0,
        total_timeout: float = 600.0,
        max_body: int = DEFAULT_MAX_BODY,
        websockets: WebSockets | bool = False,
    ) -> None:
        if api_key is not None and forward_credentials:
            raise ConfigurationError("api_key and forward_credentials exclude each other")
        if api_key is not None:
            Secret(api_key)  # which tells what is no key
        if isinstance(secrets, str):
            raise ConfigurationError("secrets takes a list of texts")
        if client is not None and sender is not None:
            raise ConfigurationError("client and sender exclude each other")
        if (client is not None or sender is not None) and (proxy is not None or ssl_context is not None):
            raise ConfigurationError("proxy and ssl_context are for what sends by itself, not for a client or sender")
        self._proxy = None if proxy is None else proxy_url(proxy)
        self._ssl_context = ssl_context
        self._address = Address(base_url)
        self._url_of_path = lru_cache(_PATHS)(partial(_url_at, self._address))
        self._protocol = None if protocol is None else registry.get(protocol)
        self._claims = Claims((self._protocol or registry).claim)
        self._api_key = api_key
        self._secrets = (*secrets,) if api_key is None else (api_key, *secrets)
        self._forward_credentials = forward_credentials
        self._first_byte = first_byte_timeout if callable(first_byte_timeout) else None
        self._timeouts = Timeouts(
            first_byte=60.0 if callable(first_byte_timeout) else _seconds("first_byte_timeout", first_byte_timeout),
            idle=_seconds("idle_timeout", idle_timeout),
            total=_seconds("total_timeout", total_timeout),
        )
        self._max_body = max_body
        self._websockets = WebSockets() if websockets is True else websockets or None
        self._headers = _configured(headers or {})
        self._own_names = frozenset(name for name, _ in self._headers)
        self._per_loop = PerLoop(
            _maker(
                client,
                sender,
                connect_timeout=_seconds("connect_timeout", connect_timeout),
                write_timeout=_seconds("write_timeout", write_timeout),
                pool_timeout=_seconds("pool_timeout", pool_timeout),
                ssl_context=ssl_context,
                proxy=self._proxy,
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; take part in a lifespan; pass a websocket through, or refuse it."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case _:
                pass

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._per_loop.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._per_loop.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        outermost = KEY not in scope
        scope, exchange = enter(scope)
        try:
            await self._answer(scope, exchange, receive, send)
        except ClientGone:
            # Parts above must learn that nobody waits any more; a server would log it as a crash.
            if not outermost:
                raise

    async def _answer(self, scope: Scope, exchange: Exchange, receive: Receive, send: Send) -> None:
        try:
            url = self._url(scope)
            receive, body, streams = await self._read(scope, receive)
        except UnsafePath:
            await self._fail(scope, send, FailureKind.NOT_FOUND, "there is nothing at this path")
            return
        except BodyTooLarge as error:
            await self._fail(scope, send, FailureKind.TOO_LARGE, str(error))
            return
        outgoing = Outgoing(
            method=scope["method"],
            url=url,
            headers=self._fields(scope),
            body=body,
            streams=streams,
            may_rest=streams and self._may_rest(scope),
        )
        timeouts = self._timeouts
        if self._first_byte is not None and streams:
            timeouts = replace(timeouts, first_byte=self._first_byte(self._model(scope, body)))
        loop = asyncio_loop()
        forward = Forward(await self._per_loop.get(loop), timeouts, deadline=exchange.deadline, loop=loop)
        for secret in self._secrets:
            send = masking(send, secret)
        try:
            await forward.run(outgoing, receive, send)
        except TransportError as error:
            exchange.note(Unreachable(reason=error.reason, processed=error.processed))
            await self._fail(scope, send, _KIND.get(error.reason, FailureKind.BAD_GATEWAY), str(error))
        except BrokenStream as error:
            exchange.note(Broke(reason=error.reason))
            raise

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        unable = self._unable()
        if self._websockets is None or unable:
            await send({"type": "websocket.close", "code": 1003, "reason": unable})
            return
        scope, exchange = enter(scope)
        if not self._forwards_credentials(scope):
            scope = without_credentials(scope)
        scope = {**scope, "method": "GET"}
        for secret in self._secrets:
            send = masking_socket(send, secret)
        passage = Passage(
            self._websockets,
            receive,
            send,
            deadline=exchange.deadline,
            ssl_context=self._ssl_context,
            proxy=self._proxy,
        )
        fields = [field for field in self._fields(scope) if field[0] not in _NOT_FOR_SOCKETS]
        try:
            url = "ws" + self._url(scope).removeprefix("http")
            await passage.run(url, fields, scope.get("subprotocols") or ())
        except UnsafePath:
            await self._deny(scope, send, FailureKind.NOT_FOUND, "there is nothing at this path")
        except Denied as denied:
            await deny(scope, send, status=denied.status, headers=denied.headers, body=denied.body)
        except TransportError as error:
            exchange.note(Unreachable(reason=error.reason, processed=error.processed))
            await self._deny(scope, send, _KIND.get(error.reason, FailureKind.BAD_GATEWAY), str(error))

    def _unable(self) -> str:
        """Why no websocket can be passed through; ``""``: it can."""
        if self._websockets is None:
            return "websockets are not passed through"
        if not is_installed():
            return "websockets are not passed through: the extra 'websocket' is not installed"
        return "" if asyncio_loop() is not None else "websockets are passed through on asyncio only"

    async def _deny(self, scope: Scope, send: Send, kind: FailureKind, message: str) -> None:
        protocol = self._protocol or registry.get("openai-chat")
        error = protocol.encode_error(Failure(kind=kind, message=message))
        headers = replace_headers(error.headers, {b"content-type": b"application/json"})
        await deny(scope, send, status=_STATUS[kind], headers=headers, body=jsontext.dumps(error.document))

    def _forwards_credentials(self, scope: Scope) -> bool:
        return self._forward_credentials or bool(scope.get(CREDENTIAL))

    def _url(self, scope: Scope) -> str:
        asked: bytes = scope.get("query_string") or b""
        if not asked:
            get = scope.get
            return self._url_of_path(scope["path"], get("raw_path"), get("root_path"), get("app_root_path"))
        if not self._forwards_credentials(scope):
            asked = strip_secrets(asked)
        return self._address.url(raw_relative_path(scope), asked)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Receive, bytes, bool]:
        """The request's body, whether it asks for a stream, and the ``receive`` that is left after it."""
        if scope["method"] in ("GET", "HEAD"):
            return receive, b"", False  # uvicorn on HTTP/2 delivers no http.request for these
        if not isinstance(receive, Replay):
            length = find(scope["headers"], b"content-length")
            if length is not None and length.isdigit() and int(length[:20]) > self._max_body:
                raise BodyTooLarge(self._max_body)
        replay = await read_body(receive, limit=self._max_body)
        return replay, replay.take(), self._streams(scope, replay.says_stream(scope["headers"]))

    def _streams(self, scope: Scope, said: bool | None) -> bool:
        """Whether a stream is asked for: by the body, by the path (Gemini), or by default (Ollama)."""
        claim = self._claims.of(scope) if said is None else None
        if claim is None:
            return said is True
        by_default = registry.get(claim.protocol).streams_by_default
        return claim.asks_for_stream(said, by_default=by_default)

    def _may_rest(self, scope: Scope) -> bool:
        """Whether a stream's first content may be its end; `Operation.INFER` has such."""
        claim = self._claims.of(scope)
        return claim is not None and claim.operation is Operation.INFER

    def _model(self, scope: Scope, body: bytes) -> str:
        """The model that a request names; ``""`` where it names none."""
        claim = self._claims.of(scope)
        if claim is not None and claim.model is not UNSET:
            return claim.model
        return Replay(body, _nothing).peek(scope["headers"])[0] or ""

    def _fields(self, scope: Scope) -> RawHeaders:
        fields = request_headers(
            scope["headers"], credentials=self._forwards_credentials(scope), without=self._own_names
        )
        fields.extend(self._headers)
        if self._api_key is not None and not scope.get(CREDENTIAL):
            fields.append(self._authorization(scope, self._api_key))
        return fields

    def _authorization(self, scope: Scope, api_key: str) -> tuple[bytes, bytes]:
        protocol = self._protocol_of(scope)
        if protocol is None:
            return (b"authorization", b"Bearer " + api_key.encode("latin-1"))
        return protocol.authorize(api_key)

    def _protocol_of(self, scope: Scope) -> Protocol | None:
        if self._protocol is not None:
            return self._protocol
        claim = registry.claim(scope["method"], relative_path(scope), decode(scope["headers"]), query(scope))
        return None if claim is None else registry.get(claim.protocol)

    async def _fail(self, scope: Scope, send: Send, kind: FailureKind, message: str) -> None:
        head = scope["method"] == "HEAD"
        protocol = self._protocol_of(scope)
        if protocol is None:
            document = {"error": {"type": kind.value, "message": message}}
            await respond(send, status=_STATUS[kind], document=document, head=head)
            return
        error = protocol.encode_error(Failure(kind=kind, message=message))
        await respond(send, status=error.status, document=error.document, headers=error.headers, head=head)


def _maker(
    client: Any,
    sender: Sender | None,
    *,
    connect_timeout: float,
    write_timeout: float,
    pool_timeout: float,
    ssl_context: ssl.SSLContext | None,
    proxy: str | None,
) -> Callable[[], Sender]:
    if sender is not None:
        return lambda: _Borrowed(sender)
    if client is not None:
        borrowed = HttpxSender(
            client, connect_timeout=connect_timeout, write_timeout=write_timeout, pool_timeout=pool_timeout
        )
        return lambda: borrowed
    return lambda: default_sender(
        connect_timeout=connect_timeout, write_timeout=write_timeout, ssl_context=ssl_context, proxy=proxy
    )


def _url_at(address: Address, path: str, raw: bytes | None, root: str | None, app_root: str | None) -> str:
    scope = {"path": path, "raw_path": raw, "root_path": root, "app_root_path": app_root}
    return address.url(raw_relative_path(scope))


class _Borrowed:
    """A sender that stays open when the `Upstream` closes."""

    def __init__(self, sender: Sender) -> None:
        self.send = sender.send

    async def aclose(self) -> None:
        """Leave it open: closing it is its owner's affair."""


async def _nothing() -> Message:
    raise AssertionError("nobody asks")


def _configured(headers: Mapping[str, str]) -> RawHeaders:
    fields: RawHeaders = [(b"accept-encoding", b"identity")]  # parts above read bodies
    if not any(name.lower() == "user-agent" for name in headers):
        fields.append((b"user-agent", _user_agent()))
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or _UNSAFE.search(value):
            raise ConfigurationError("headers: not a header name, or a value with control characters")
        if name.lower().encode() in NOT_CONFIGURED:
            raise ConfigurationError(f"headers: {name} is not for configuration")
        fields.append((name.lower().encode(), value.encode()))
    return fields


def _seconds(name: str, value: float) -> float:
    if not value > 0:
        raise ConfigurationError(f"{name} must be more than 0 seconds")
    return value


@cache
def _user_agent() -> bytes:
    try:
        return b"ds2api-asgi/" + metadata.version("ds2api-asgi").encode()
    except metadata.PackageNotFoundError:  # run from a source tree
        return b"ds2api-asgi"
