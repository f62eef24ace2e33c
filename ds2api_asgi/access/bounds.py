"""How large and how odd a request may be: counted in bytes, before anything of it is parsed.

| too much of | answer |
|---|---|
| path and query | 414 |
| headers, in number or in bytes | 431 |
| body, counted as it comes, whatever ``content-length`` says | 413 |
| a ``content-encoding``: nobody compresses requests but who wants to see them blow up | 415 |
| nesting, a decisive member twice, numbers that are none: see `json_scan` | 400 |
| forms that parsers may read differently: see `framing.form` | 400 |
| a decisive field where an app may read pairs (``application/x-www-form-urlencoded``) instead of JSON | 415 |

The first two hold for every request; the others for those that a protocol claims, whose bodies are JSON documents, or
forms where sound and pictures are sent.
Other bodies are not read here: they are for their app, as a stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from ..asgi.body import DEFAULT_MAX_BODY, Replay, read_body
from ..asgi.claims import Claims
from ..asgi.exchange import KEY
from ..asgi.headers import find, form_type, is_urlencoded
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import BodyTooLarge, ClientGone, ConfigurationError, FramingError
from ..framing.form import may_be_pairs_of, read_fields
from ..protocols import registry
from ..protocols.base import Claim, Operation
from ..universal import jsontext
from ..universal.failure import FailureKind
from .json_scan import Scan
from .refusal import Refused, protocol_of, refuse, refuse_websocket

__all__ = ["BODILESS", "UNIQUE", "Bounds", "Checks", "form_of", "is_preflight"]

UNIQUE: Final = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "model",
    "models",
    "n",
    "previous_response_id",
    "stream",
)
"""Members that somebody decides by: who may ask for what, what it may cost, how it is answered."""

BODILESS: Final = frozenset({"GET", "HEAD"})
"""Methods of which no body is read: servers need not deliver one."""

_IN_FORMS: Final = ("model", "n", "stream")
_BAD: Final = "the request is not accepted: "
_PAIRS: Final = "it may be read as a form of pairs: say content-type: application/json"


class Checks:
    """The bounds of a door.

    Args:
        max_headers: How many headers.
        max_header_bytes: Bytes of all names and values.
        max_url: Bytes of path and query.
        max_body: Bytes of a body.
        max_depth: Levels of arrays and objects in a body.
        unique: Members of a body that may stand in it once, and in lower case only.

    Raises:
        ConfigurationError: A bound that is not a number of 1 or more.
    """

    def __init__(
        self,
        *,
        max_headers: int = 128,
        max_header_bytes: int = 64 * 1024,
        max_url: int = 8 * 1024,
        max_body: int = DEFAULT_MAX_BODY,
        max_depth: int = jsontext.MAX_DEPTH,
        unique: Iterable[str] = UNIQUE,
    ) -> None:
        given = {
            "max_headers": max_headers,
            "max_header_bytes": max_header_bytes,
            "max_url": max_url,
            "max_body": max_body,
            "max_depth": max_depth,
        }
        for name, value in given.items():
            if not (1 <= value < math.inf):
                raise ConfigurationError(f"{name} is a number of 1 or more")
        if isinstance(unique, str):
            raise ConfigurationError("unique takes a list of names")
        self.max_body = max_body
        self._max_headers = max_headers
        self._max_header_bytes = max_header_bytes
        self._max_url = max_url
        self._scan = Scan(max_depth=max_depth, unique=unique)

    def head(self, scope: Scope) -> None:
        """Look at what came before the body.

        Raises:
            Refused: It is too much.
        """
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        if len(path) + len(scope.get("query_string") or b"") > self._max_url:
            raise Refused(FailureKind.INVALID, 414, f"the URL is over the limit of {self._max_url} bytes")
        headers = scope["headers"]
        if len(headers) > self._max_headers:
            raise Refused(FailureKind.INVALID, 431, f"there are more than {self._max_headers} headers")
        if sum(len(name) + len(value) for name, value in headers) > self._max_header_bytes:
            raise Refused(FailureKind.INVALID, 431, f"the headers are over the limit of {self._max_header_bytes} bytes")

    async def body(self, claim: Claim | None, scope: Scope, receive: Receive) -> Replay:
        """Read a document, or a form where one may come, and look at it.

        JSON that is said to be pairs, as by ``curl -d``, is read as JSON. Where an app may take forms it is not
        accepted if it has a decisive member as pairs as well.

        Raises:
            Refused: It is not accepted.
            ClientGone: The client left before it was complete.
        """
        coding = (find(scope["headers"], b"content-encoding") or b"identity").strip().lower()
        if coding != b"identity":
            raise Refused(FailureKind.INVALID, 415, f"{_BAD}compressed bodies are not supported")
        length = find(scope["headers"], b"content-length") or b""
        if length.isdigit() and int(length[:20]) > self.max_body:
            raise self._too_large()
        try:
            replay = await read_body(receive, limit=self.max_body)
        except BodyTooLarge:
            raise self._too_large() from None
        takes_forms = claim is None or claim.operation is Operation.INFER
        if takes_forms and is_urlencoded(scope["headers"]) and may_be_pairs_of(replay.body, _IN_FORMS):
            raise Refused(FailureKind.INVALID, 415, _BAD + _PAIRS)
        form = form_of(claim, scope)
        if form is None:
            self.document(replay.body)
        else:
            self.form(replay.body, form)
        return replay

    def document(self, body: bytes) -> None:
        """Look at a document that was read.

        Raises:
            Refused: It is not accepted.
        """
        problem = self._scan.problem(body)
        if problem is not None:
            raise Refused(FailureKind.INVALID, 400, _BAD + problem)

    def form(self, body: bytes, content_type: bytes) -> None:
        """Look at a form that was read.

        Raises:
            Refused: It is not accepted.
        """
        try:
            read_fields(body, content_type, _IN_FORMS)
        except FramingError as error:
            raise Refused(FailureKind.INVALID, 400, f"{_BAD}{error}") from None

    def _too_large(self) -> Refused:
        return Refused(FailureKind.TOO_LARGE, 413, f"the body is over the limit of {self.max_body} bytes")


class Bounds:
    """Turns requests away that are too large or too odd, before anything of them is parsed.

        app = Bounds(Translator(Upstream(URL), speaks="openai-chat"), max_body=4 * 1024 * 1024)

    An `Access` has the same bounds within, so nobody needs both. What is turned away is told so in the client's
    protocol. Bodies of requests that no protocol claims are for their app, and are neither read nor bounded here.

    Args:
        app: The ASGI app to ask.
        max_headers: How many headers a request may have; more is answered 431.
        max_header_bytes: Bytes of all names and values; more is answered 431.
        max_url: Bytes of path and query; more is answered 414.
        max_body: Bytes of a body, counted as they come; more is answered 413.
        max_depth: Levels of arrays and objects in a body; more is answered 400.
        unique: Members of a body that may stand in it once, and in lower case only, since parsers differ on which
            one counts.

    Raises:
        ConfigurationError: A bound that is not a number of 1 or more.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_headers: int = 128,
        max_header_bytes: int = 64 * 1024,
        max_url: int = 8 * 1024,
        max_body: int = DEFAULT_MAX_BODY,
        max_depth: int = jsontext.MAX_DEPTH,
        unique: Iterable[str] = UNIQUE,
    ) -> None:
        self.app = app
        self._checks = Checks(
            max_headers=max_headers,
            max_header_bytes=max_header_bytes,
            max_url=max_url,
            max_body=max_body,
            max_depth=max_depth,
            unique=unique,
        )
        self._claims = Claims(registry.claim)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or turn it away (the ASGI interface)."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        claim: Claim | None = None
        try:
            self._checks.head(scope)
            if kind == "http":
                claim = self._claims.of(scope)
                if claim is not None and scope["method"] not in BODILESS and not is_preflight(scope):
                    receive = await self._checks.body(claim, scope, receive)
        except Refused as refused:
            protocol = protocol_of(claim, scope)
            if kind == "http":
                await refuse(protocol, refused, scope, send)
            else:
                await refuse_websocket(protocol, refused, scope, receive, send)
            return
        except ClientGone:
            if KEY in scope:  # parts above must learn of it; a server would log it as a crash
                raise
            return
        await self.app(scope, receive, send)


def form_of(claim: Claim | None, scope: Scope) -> bytes | None:
    """The ``content-type`` of a request that may be a form, and is one; else None."""
    return form_type(scope["headers"]) if claim is not None and claim.operation is Operation.INFER else None


def is_preflight(scope: Scope) -> bool:
    """Whether a request is a browser's question before the real one, which carries no key: for who answers CORS."""
    return scope["method"] == "OPTIONS" and find(scope["headers"], b"access-control-request-method") is not None
