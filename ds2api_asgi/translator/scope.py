"""The scope in which the app is asked: the client's, pointed at the app's own path, with the app's own headers."""

from __future__ import annotations

from urllib.parse import unquote

from ..asgi.headers import CREDENTIALS, RawHeaders, credential
from ..asgi.path import percent_encode, with_path
from ..asgi.types import Scope
from ..protocols.base import Protocol, UpstreamRoute

__all__ = ["credential_of", "upstream_scope"]

# What the client said to its own provider or about its own body; the upstream's protocol says its own.
_CLIENTS_OWN = CREDENTIALS | {
    b"accept",
    b"anthropic-beta",
    b"anthropic-version",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"openai-beta",
    b"openai-organization",
    b"openai-project",
    b"transfer-encoding",
}
_OF_THE_BODY = frozenset({b"content-encoding", b"content-length", b"content-type", b"expect", b"transfer-encoding"})


def upstream_scope(
    scope: Scope, *, client: Protocol, upstream: Protocol, route: UpstreamRoute, body: bytes | None
) -> Scope:
    """Point a client's request at an app of another protocol.

    Args:
        scope: The client's ``http`` scope; never changed.
        client: What the client speaks.
        upstream: What the app speaks.
        route: How the app is asked; its path is percent-encoded.
        body: The translated body; None: the request has none.

    Returns:
        A copy. The client's API key stands in the header that the app expects; an answer can only be made of body
        messages, since the extensions for others are left out.
    """
    encoded = "%" in route.path
    copy = with_path(scope, unquote(route.path) if encoded else route.path, route.query)
    if encoded:  # as the protocol encoded it
        root = (scope.get("root_path") or "").rstrip("/")
        copy["raw_path"] = (percent_encode(root) + route.path).encode("ascii")
    copy["method"] = route.method
    copy["headers"] = _headers(scope["headers"], client, upstream, route, body)
    if scope.get("extensions"):
        extensions = scope["extensions"].items()
        copy["extensions"] = {name: value for name, value in extensions if not name.startswith("http.response.")}
    return copy


def _headers(
    headers: RawHeaders, client: Protocol, upstream: Protocol, route: UpstreamRoute, body: bytes | None
) -> RawHeaders:
    own = {b"accept-encoding": b"identity"}
    if body is not None:
        own[b"content-type"] = b"application/json"
        own[b"content-length"] = b"%d" % len(body)
    own.update(route.headers)
    dropped = _OF_THE_BODY if client is upstream else _CLIENTS_OWN
    if client is not upstream and (secret := credential_of(headers, client)):
        name, value = upstream.authorize(secret)
        own[name] = value
    kept = [header for header in headers if (key := header[0].lower()) not in dropped and key not in own]
    return [*kept, *own.items()]


def credential_of(headers: RawHeaders, client: Protocol) -> str:
    """The API key that the client sent: in its protocol's own header, else in another's; ``""``: it sent none."""
    return credential(headers, client.authorize("")[0])
