"""`Console`: a page to look at rather than read logs, and the API that it draws from; an ASGI app of its own.

| request | answer |
|---|---|
| ``GET {base}/`` | the page; without a session the form to log in |
| ``GET {base}/static/NAME`` | script, style, icon |
| ``POST {base}/login``, ``{base}/logout`` | a session begins or ends, and back to the page |
| ``GET {base}/api/state`` | how everything stands |
| ``GET {base}/api/events`` | the same each second, and what changes, as server-sent events |
| ``GET {base}/api/requests/ID`` | the decision trace of a request |
| ``POST {base}/api/translate`` | a document in every protocol |
| ``POST {base}/api/keys/POOL/ALIAS/enable``, ``…/disable``, ``…/test`` | what an operator does with a key |
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import anyio
import msgspec

from ...asgi.body import read_body
from ...asgi.denial import deny
from ...asgi.disconnect import while_connected
from ...asgi.headers import find, media_type
from ...asgi.lifespan import lifespan_of
from ...asgi.path import percent_encode, raw_relative_path
from ...asgi.secret import Secret
from ...asgi.trace import encode_trace
from ...asgi.types import Receive, Scope, Send
from ...errors import BodyTooLarge, ClientGone, ConfigurationError, InvalidDocument
from ...observe import Journal
from ...observe.live import Live
from ...pool import KeyPool, KeyTrial
from ...universal import jsontext
from ..serving.peers import Peers
from .answers import Answer, failure, json_answer, moved
from .bench import MAX_DOCUMENT, translate
from .events import Events
from .files import Static
from .guard import Allowed, Guard
from .pages import console_page, login_page
from .part import BreakerSeen, Generation, Own
from .sessions import Sessions
from .standing import Standing
from .team import Team

__all__ = ["Console"]

MAX_FORM: Final = 4096
"""Bytes of a form."""

BODY_TIMEOUT: Final = 10.0
"""Seconds that a request's body may take to arrive."""

MAX_MODEL: Final = 256
"""Characters of a model's name."""

MAX_TESTS: Final = 4
"""Keys that are tested at a time."""

MAX_TRANSLATIONS: Final = 2
"""Documents that are translated at a time; the largest take a second of CPU."""

_HTML: Final = b"text/html; charset=utf-8"
_logger = logging.getLogger("ds2api_asgi.console")


class Console:
    """Shows a gateway, and lets its operator act.

    ::

        console = Console(password=Secret(PASSWORD), pools=lambda: {"openai": pool}, journal=journal, live=live)
        app = FastAPI()
        app.mount("/console", console)

    It is safe to be reached by strangers as far as its password is one; it is not meant to be shown to the internet. It
    can be mounted under any prefix. Streams to pages that look on end with `drain`, which its lifespan calls too: a
    server that waits for them before it ends the lifespan needs the call.

    Args:
        password: What opens it; 12 characters or more, without white space, as a `Secret` is.
        pools: The key pools by name, asked each time.
        journal: Where traces are kept; None: no request has one.
        live: The requests; None: none are shown.
        breakers: The breakers that are not closed, asked each time.
        generation: Which configuration runs, asked each time.
        session: Seconds after which the password must be given again.
        signing: What signs sessions; several processes behind one port need the same. None: random.
        hosts: The only names by which it may be asked (``{"gateway.example"}``); None: any.
        started: Unix time at which the gateway started; None: now.
        peers: How the other processes behind the same port are asked, so that each shows and does what all do; None:
            there are none, or it knows only its own.
        workers: How many processes there are, where `peers` does not tell: the page says that most of it is missing.
        clock: Monotonic seconds.
        wall: Unix time.

    Raises:
        ConfigurationError: The password is too short.
    """

    def __init__(
        self,
        *,
        password: Secret,
        pools: Callable[[], Mapping[str, KeyPool]] = dict,
        journal: Journal | None = None,
        live: Live | None = None,
        breakers: Callable[[], Iterable[BreakerSeen]] = tuple,
        generation: Callable[[], Generation] = Generation,
        session: float = 43_200.0,
        signing: bytes | None = None,
        hosts: Iterable[str] | None = None,
        started: float | None = None,
        peers: Peers | None = None,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._pools = pools
        self._sessions = Sessions(seconds=session, key=signing, wall=wall)
        self._guard = Guard(password, self._sessions, hosts=hosts, clock=clock)
        self._static = Static()
        workers = workers if peers is None else peers.count
        own = Own(
            pools=pools,
            breakers=breakers,
            live=live,
            generation=generation,
            started=wall() if started is None else started,
        )
        self._team = Team(
            peers,
            workers,
            own=own,
            pools=pools,
            journal=journal,
            live=live,
            sessions=self._sessions,
            clock=clock,
        )
        self._standing = Standing(
            own=own,
            team=self._team,
            live=live,
            workers=workers,
            clock=clock,
            wall=wall,
        )
        self._events = Events(self._standing, live, self._team, clock=clock)
        self._testing = 0
        self._translating = 0

    def __repr__(self) -> str:
        return "<Console>"

    def inherit(self, other: Console) -> None:
        """Take another console's place: sessions that it ended stay so."""
        self._sessions.take(*other._sessions.ended)

    def drain(self) -> None:
        """End all streams soon and begin none: the process ends. May be called from anywhere."""
        self._events.drain()

    @property
    def listeners(self) -> int:
        """How many pages look on now."""
        return self._events.listeners

    async def answer(self, question: bytes) -> bytes:
        """Reply to another process; to be given to its own `Peers`.

        Raises:
            ValueError: It is no question.
        """
        return await self._team.answer(question)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (the ASGI interface)."""
        kind = scope["type"]
        if kind == "lifespan":
            self._events.resume()
            async with self._team.joined():
                await lifespan_of((), scope, receive, send, ending=self.drain)
        elif kind == "websocket":
            await receive()
            await deny(scope, send, status=404)
        elif kind == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        try:
            answer = self._guard.admit(scope) or await self._answer(scope, receive, send)
        except ClientGone:
            return
        except Exception:
            _logger.exception("the console could not answer %s", scope["method"])
            answer = failure(500, "internal", "The console could not answer; its log says why.")
        if answer is not None:
            await answer.send(send, head=head)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer; None: it was sent."""
        raw = raw_relative_path(scope)
        match [unquote(part, errors="replace") for part in raw.split("/")]:
            case ["", ""]:
                return _only(scope, "GET") or self._page(scope)
            case ["", "static", name]:
                return _only(scope, "GET") or self._static.answer(name, scope)
            case ["", "login" | "logout"] if scope["method"] in ("GET", "HEAD"):
                return moved("./")  # the address of a form that was refused, asked for again
            case ["", "login"]:
                return _only(scope, "POST") or await self._login(scope, receive)
            case ["", "logout"]:
                return _only(scope, "POST") or await self._logout(scope, receive)
            case ["", "api", *path]:
                return await self._api(path, scope, receive, send)
            case _:
                return _nothing()

    def _page(self, scope: Scope) -> Answer:
        raw: bytes = scope.get("raw_path") or b""
        seen = raw.split(b"?", 1)[0].decode("latin-1") if raw else percent_encode(scope["path"])
        if not seen.endswith("/"):
            # The page's addresses are relative to its own, which must end in a slash for that.
            return moved(f"./{percent_encode(seen.rsplit('/', 1)[-1], keep='%')}/")
        session = self._guard.session(scope)
        body = login_page() if session is None else console_page(session.csrf)
        return Answer(body=body, kind=_HTML)

    async def _login(self, scope: Scope, receive: Receive) -> Answer:
        refused = self._guard.same_origin(scope)
        if refused is not None:
            return refused
        form = await _form(scope, receive)
        if isinstance(form, Answer):
            return form
        given = form.get("password", "")
        refused = self._guard.check(given.encode("utf-8", "surrogatepass"), scope)
        if refused is None:
            return moved("./", self._guard.begin(scope))
        words: str = msgspec.json.decode(refused.body)["error"]["message"]
        return Answer(status=refused.status, body=login_page(words), kind=_HTML, headers=refused.headers)

    async def _logout(self, scope: Scope, receive: Receive) -> Answer:
        refused = self._guard.same_origin(scope)
        if refused is not None:
            return refused
        session = self._guard.session(scope)
        if session is None:
            return moved("./")
        form = await _form(scope, receive)
        if isinstance(form, Answer):
            return form
        if not self._guard.has_token(session, form.get("csrf", "").encode("utf-8", "surrogatepass")):
            return failure(403, "csrf", "The form does not show the page's token; reload the page.")
        await self._team.end(session)
        return moved("./", self._guard.farewell(scope))

    async def _api(self, path: list[str], scope: Scope, receive: Receive, send: Send) -> Answer | None:
        allowed = self._guard.authorize(scope)
        if isinstance(allowed, Answer):
            return allowed
        match path:
            case ["state"]:
                return _only(scope, "GET") or Answer(body=await self._standing.document())
            case ["events"]:
                return _only(scope, "GET") or await self._stream(scope, receive, send, allowed)
            case ["requests", name]:
                return _only(scope, "GET") or await self._trace(name)
            case ["translate"]:
                return _only(scope, "POST") or await self._translate(scope, receive)
            case ["keys", pool, alias, "enable" | "disable" | "test" as action]:
                return _only(scope, "POST") or await self._key(pool, alias, action, scope, receive)
            case _:
                return _nothing()

    async def _stream(self, scope: Scope, receive: Receive, send: Send, allowed: Allowed) -> Answer | None:
        if scope["method"] == "HEAD":
            return Answer(kind=b"text/event-stream; charset=utf-8")
        read = await _body(scope, receive, MAX_FORM)
        if isinstance(read, Answer):
            return read
        await self._events.serve(receive, send, still=lambda: self._guard.is_open(allowed))
        return None

    async def _trace(self, name: str) -> Answer:
        trace, missing = await self._team.find(name)
        if trace is not None:
            return Answer(body=b'{"trace":%s}' % encode_trace(trace).encode())
        if missing:
            return failure(503, "unavailable", "A worker that may have the trace of this request does not answer.")
        return failure(404, "not_found", "No trace of this request is kept, or it is not over yet.")

    async def _translate(self, scope: Scope, receive: Receive) -> Answer:
        if media_type(scope["headers"]) != b"application/json":
            return failure(415, "unsupported_media_type", "The call is not application/json.")
        body = await _body(scope, receive, MAX_DOCUMENT)
        if isinstance(body, Answer):
            return body
        if self._translating >= MAX_TRANSLATIONS:
            return failure(429, "busy", "Other documents are translated now.", headers=((b"retry-after", b"1"),))
        self._translating += 1
        try:
            return await anyio.to_thread.run_sync(translate, body)
        finally:
            self._translating -= 1

    async def _key(self, pool: str, alias: str, action: str, scope: Scope, receive: Receive) -> Answer:
        body = await _body(scope, receive, MAX_FORM)
        if isinstance(body, Answer):
            return body
        model = _model_named(body)
        if isinstance(model, Answer):
            return model
        found = self._pools().get(pool)
        if found is None:
            return failure(404, "not_found", "There is no such pool.")
        told: dict[str, Any] = {}
        try:
            match action:
                case "enable" | "disable":
                    told["missing"] = await self._switch(pool, found, alias, on=action == "enable")
                case _:
                    if self._testing >= MAX_TESTS:
                        return failure(429, "busy", "Other keys are tested now.", headers=((b"retry-after", b"5"),))
                    told["result"] = msgspec.to_builtins(await self._tried(found, alias, model, receive))
        except ConfigurationError:
            return failure(404, "not_found", "The pool has no such key.")
        self._standing.forget()
        _logger.info("%s: an operator chose to %s %s", pool, action, alias, extra={"pool": pool, "key": alias})
        key = await self._standing.key(pool, alias)
        return (
            failure(404, "not_found", "The pool has no such key.") if key is None else json_answer({"key": key, **told})
        )

    async def _switch(self, name: str, pool: KeyPool, alias: str, *, on: bool) -> int:
        """Switch a key in all workers; how many have not done it.

        Raises:
            ConfigurationError: There is no such key.
        """
        await (pool.enable(alias) if on else pool.disable(alias))
        return 0 if pool.is_shared else await self._team.switch(name, alias, on=on)

    async def _tried(self, pool: KeyPool, alias: str, model: str | None, receive: Receive) -> KeyTrial:
        """Try a key out, as long as somebody waits for it.

        Raises:
            ClientGone: Nobody does.
            ConfigurationError: There is no such key.
        """
        self._testing += 1
        try:
            return await while_connected(receive, lambda: pool.try_key(alias, model=model))
        finally:
            self._testing -= 1


def _model_named(body: bytes) -> str | Answer | None:
    """The model that a test is to ask, of ``{"model": "gpt-6"}``."""
    if not body:
        return None
    try:
        asked = jsontext.loads(body)
    except InvalidDocument:
        return failure(400, "invalid_request", "The call is not JSON.")
    model = asked.get("model") if isinstance(asked, dict) else asked
    if model is None or (isinstance(model, str) and 0 < len(model) <= MAX_MODEL):
        return model
    return failure(400, "invalid_request", "model is the name of a model.")


def _only(scope: Scope, method: str) -> Answer | None:
    """405 for another method; HEAD goes with GET."""
    allowed = ("GET", "HEAD") if method == "GET" else (method,)
    if scope["method"] in allowed:
        return None
    names = ", ".join(allowed)
    return failure(405, "method_not_allowed", f"Only {names} here.", headers=((b"allow", names.encode()),))


def _nothing() -> Answer:
    return failure(404, "not_found", "Nothing is here.")


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes | Answer:
    """A request's body.

    Raises:
        ClientGone: The client left before it was complete.
    """
    if (find(scope["headers"], b"content-encoding") or b"identity").lower() != b"identity":
        return failure(415, "unsupported_encoding", "The body is compressed.")
    try:
        with anyio.move_on_after(BODY_TIMEOUT):
            return (await read_body(receive, limit=limit)).body
    except BodyTooLarge as error:
        return failure(413, "too_large", f"The body is over {error.limit} bytes.", headers=((b"connection", b"close"),))
    return failure(408, "timeout", "The body did not come in time.", headers=((b"connection", b"close"),))


async def _form(scope: Scope, receive: Receive) -> dict[str, str] | Answer:
    """A form's fields, each the first of its name.

    Raises:
        ClientGone: The client left before it was complete.
    """
    if media_type(scope["headers"]) != b"application/x-www-form-urlencoded":
        return failure(415, "unsupported_media_type", "The form is not application/x-www-form-urlencoded.")
    body = await _body(scope, receive, MAX_FORM)
    if isinstance(body, Answer):
        return body
    try:
        fields = parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=20, errors="replace")
    except ValueError:
        return failure(400, "invalid_form", "The form cannot be read.")
    return {name: values[0] for name, values in fields.items()}
