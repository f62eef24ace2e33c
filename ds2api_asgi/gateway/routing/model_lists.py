"""One list of models out of those of several apps, in the client's own shape.

Every name in it can be asked for: the names of routes come first, then what the apps list and a wildcard or a prefix
leads to. An app that does not answer in time, or with no list, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import anyio

from ...asgi.body import Replay
from ...asgi.exchange import KEY, Exchange
from ...asgi.headers import find, replace
from ...asgi.types import ASGIApp, Message, Receive, Scope
from ...errors import ClientGone
from ...protocols.base import Protocol
from ...universal import jsontext
from .routes import Table, Way

__all__ = ["MAX_LIST", "MAX_PAGES", "Kept", "collect", "merged", "read_list"]

MAX_LIST: Final = 4 * 1024 * 1024
"""Bytes of an app's list; no provider's has a tenth of it."""

_WHOLE: Final = {"anthropic": b"limit=1000", "gemini": b"pageSize=1000"}
"""How a list is asked for that comes in pages otherwise; both are the largest that their providers allow."""

_NEXT: Final = {"anthropic": ("last_id", b"after_id"), "gemini": ("nextPageToken", b"pageToken")}
"""What a page says of the next one, and how that is asked for."""

MAX_PAGES: Final = 10
"""Pages of one app's list that are read; more than any provider has at these sizes."""

Row = Mapping[str, Any]


class Kept:
    """A ``send`` that keeps a whole answer.

    Attributes:
        status: 0 while there is none.
        headers: Of the answer.
        whole: Whether it came to its end within `MAX_LIST`.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.whole = False
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Take a message of the app."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message.get("headers", ())
        elif message["type"] == "http.response.body" and len(self._body) <= MAX_LIST:
            self._body += message.get("body", b"")
            self.whole = not message.get("more_body", False) and len(self._body) <= MAX_LIST

    @property
    def body(self) -> bytes:
        """The answer's, as far as it came."""
        return bytes(self._body)

    def document(self) -> dict[str, Any] | None:
        """The answer, if it is a good one and an object."""
        coded = find(self.headers, b"content-encoding") or b"identity"
        if self.status != 200 or not self.whole or coded != b"identity":
            return None
        try:
            document = jsontext.loads(bytes(self._body))
        except ValueError:
            return None
        return document if isinstance(document, dict) else None


async def collect(
    apps: Mapping[str, ASGIApp], protocol: Protocol, scope: Scope, receive: Receive, exchange: Exchange, timeout: float
) -> dict[str, list[dict[str, Any]]]:
    """Ask all apps for their lists at the same time.

    Args:
        apps: By name.
        protocol: The client's, in which they are asked.
        scope: The client's request.
        receive: What tells that the client left.
        exchange: The request's.
        timeout: Seconds.

    Returns:
        Rows, as `Protocol.decode_models` gives them, by the app's name; an app that gave no list is missing.

    Raises:
        ClientGone: The client left meanwhile.
    """
    found: dict[str, list[dict[str, Any]]] = {}

    async def ask(name: str, app: ASGIApp) -> None:
        with suppress(Exception):  # one app's trouble is not the others'
            await read_list(app, protocol, scope, lambda: exchange.branch(calls=3), found.setdefault(name, []))

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()
        group.cancel_scope.cancel()

    gone = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as asking:
                for name, app in apps.items():
                    asking.start_soon(ask, name, app)
        group.cancel_scope.cancel()
    if gone.is_set():
        raise ClientGone
    return {name: found[name] for name in apps if found.get(name)}


async def read_list(
    app: ASGIApp, protocol: Protocol, scope: Scope, branch: Callable[[], Exchange], rows: list[dict[str, Any]]
) -> Kept:
    """Ask an app for its list, page after page.

    Args:
        app: The app.
        protocol: In which it is asked.
        scope: Whose path and headers it is asked with.
        branch: Makes the exchange of each page.
        rows: Gets what is listed, page by page, as `Protocol.decode_models` gives it.

    Returns:
        The last answer; it was no list when its `Kept.document` is None.

    Raises:
        InvalidDocument: The answer is an object, but none that lists models.
    """
    headers = replace(scope["headers"], {b"if-none-match": None, b"content-length": None})
    page: bytes | None = _WHOLE.get(protocol.name, b"")
    kept = Kept()
    for _ in range(MAX_PAGES):
        kept = Kept()
        asked = {**scope, "method": "GET", "headers": headers, "query_string": page, KEY: branch()}
        await app(asked, Replay(b"", _silence), kept)
        document = kept.document()
        if document is None:
            break
        rows += protocol.decode_models(document)
        page = _next_page(protocol, document)
        if page is None:
            break
    return kept


def _next_page(protocol: Protocol, document: Mapping[str, Any]) -> bytes | None:
    """The query of the next page, where a page says that there is one."""
    member, parameter = _NEXT.get(protocol.name, ("", b""))
    token = document.get(member)
    if not isinstance(token, str) or not token or document.get("has_more") is False:
        return None
    if protocol.name == "anthropic" and document.get("has_more") is not True:
        return None
    return b"&".join((_WHOLE[protocol.name], parameter + b"=" + quote(token, safe="").encode()))


async def _silence() -> Message:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def merged(table: Table, rows: Mapping[str, Sequence[Row]], *, prefixes: bool) -> list[dict[str, Any]]:
    """All names that can be asked for, as rows.

    Args:
        table: The routes.
        rows: What the apps list, by their names.
        prefixes: Whether ``app/model`` is a name.
    """
    known = {(app, str(row["id"])): row for app, listed in rows.items() for row in listed}
    names = {name: way for name, way in table.ways.items() if way.listed and "*" not in name}
    result = {name: _row_of(name, way, known) for name, way in names.items()}
    for (app, model), row in known.items():
        found = table.find(model)
        leads_here = found is not None and any(
            leg.target.app == app and leg.target.model in (None, model) for leg in found.way.legs
        )
        if leads_here and found is not None and found.way.listed:
            result.setdefault(model, dict(row))
        elif prefixes and not leads_here:
            name = f"{app}/{model}"
            result.setdefault(name, _called(row, name))
    return list(result.values())


def _row_of(name: str, way: Way, known: Mapping[tuple[str, str], Row]) -> dict[str, Any]:
    """A route's row: that of the first target that its app lists, under the route's name."""
    for leg in way.legs:
        row = known.get((leg.target.app, leg.target.model or name))
        if row is not None:
            return _called(row, name)
    return {"id": name, "owned_by": way.legs[0].target.app}


def _called(row: Row, name: str) -> dict[str, Any]:
    """A row under another name, wherever it says its own."""
    own = row["id"]
    names = {own: name, f"models/{own}": f"models/{name}"}
    return {key: names.get(value, value) if isinstance(value, str) else value for key, value in row.items()}
