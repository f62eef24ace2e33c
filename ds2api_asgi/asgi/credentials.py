"""Where clients put their keys, requests without them, and who a client is.

| client | place |
|---|---|
| OpenAI and Anthropic SDKs, Ollama | ``authorization: Bearer …`` |
| Claude Code, AI SDK, litellm | ``x-api-key`` |
| Azure clients | ``api-key`` |
| google-genai, Gemini CLI | ``x-goog-api-key``, or ``?key=`` in the query |
| browsers' websockets, which send no headers | the subprotocol ``openai-insecure-api-key.…`` |
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_plus, unquote_to_bytes

from .exchange import KEY, Exchange
from .facts import Caller
from .headers import CREDENTIALS, RawHeaders, credential
from .types import Scope

__all__ = ["MAX_SHOWN", "caller_of", "shown", "without_credentials", "without_query_credentials"]

MAX_SHOWN = 8
"""Keys of one request that are looked at; clients send one, or the same twice."""

_QUERY_CREDENTIALS = frozenset({"access_token", "api_key", "key"})
_SUBPROTOCOL = b"openai-insecure-api-key."
_SUBPROTOCOLS = b"sec-websocket-protocol"


def shown(scope: Scope) -> list[bytes]:
    """The keys that a request shows, wherever clients put them: each once, at most `MAX_SHOWN`, in a fixed order.

    Args:
        scope: An ``http`` or ``websocket`` scope.
    """
    found: dict[bytes, None] = {}
    for token in _all_shown(scope):
        if token:
            found[token] = None
        if len(found) == MAX_SHOWN:
            break
    return list(found)


def _all_shown(scope: Scope) -> Iterator[bytes]:
    for name, value in scope["headers"]:
        key = name.lower()
        if key in CREDENTIALS:
            token = value.strip()
            scheme, _, rest = token.partition(b" ")
            yield rest.strip() if key == b"authorization" and scheme.lower() == b"bearer" else token
        elif key == _SUBPROTOCOLS and scope["type"] == "websocket":
            for item in value.split(b","):
                if item.strip().startswith(_SUBPROTOCOL):
                    yield item.strip()[len(_SUBPROTOCOL) :]
    for item in scope.get("subprotocols") or ():  # servers on wsproto, hypercorn among them, give no such header
        name = item.strip().encode("latin-1", "replace")
        if name.startswith(_SUBPROTOCOL):
            yield name[len(_SUBPROTOCOL) :]
    for pair in (scope.get("query_string") or b"").split(b"&"):
        if _is_credential(pair):
            yield unquote_to_bytes(pair.partition(b"=")[2].replace(b"+", b" ")).strip()


def without_credentials(scope: Scope) -> Scope:
    """A request without any key of its client.

    Args:
        scope: An ``http`` or ``websocket`` scope; never changed.

    Returns:
        A copy; all else in it is as it was, to the byte.
    """
    headers: RawHeaders = []
    for name, value in scope["headers"]:
        key = name.lower()
        if key == _SUBPROTOCOLS and _SUBPROTOCOL in value:
            kept = [item for item in value.split(b",") if not item.strip().startswith(_SUBPROTOCOL)]
            if kept:
                headers.append((name, b",".join(kept)))
        elif key not in CREDENTIALS:
            headers.append((name, value))
    query = without_query_credentials(scope.get("query_string") or b"")
    copy = {**scope, "headers": headers, "query_string": query}
    if b"?" in (scope.get("raw_path") or b""):  # some servers and test clients put the query there as well
        copy["raw_path"] = scope["raw_path"].partition(b"?")[0]
    if scope.get("subprotocols"):
        hidden = _SUBPROTOCOL.decode()
        copy["subprotocols"] = [item for item in scope["subprotocols"] if not item.strip().startswith(hidden)]
    return copy


def without_query_credentials(query: bytes) -> bytes:
    """A query without the parameters ``key``, ``api_key`` and ``access_token``; what stays is not touched."""
    if not query:
        return query
    return b"&".join(pair for pair in query.split(b"&") if not _is_credential(pair))


def _is_credential(pair: bytes) -> bool:
    name = pair.split(b"=", 1)[0].decode("latin-1")
    return unquote_plus(name, encoding="latin-1").strip().lower() in _QUERY_CREDENTIALS


def caller_of(scope: Scope, first: bytes = b"authorization") -> str:
    """Tell clients apart: the same text for the same client.

    Args:
        scope: A request's.
        first: The header that is looked at before all others.

    Returns:
        The name that a part at the door gave the client, which may have taken its key away; else the key that it
        sent; ``""`` for all who sent none. No key is spelled like a name.
    """
    exchange = scope.get(KEY)
    caller = exchange.last(Caller) if isinstance(exchange, Exchange) else None
    if caller is not None:
        return f"caller\0{caller.name}"
    return credential(scope["headers"], first)
