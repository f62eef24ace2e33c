"""Where an upstream is: fixed by configuration. A request chooses only what comes after it.

A request's path is client text. Whatever it says, scheme, host, port and the configured path prefix stay
(LiteLLM CVE-2024-6587, Portkey CVE-2025-66405 and agentgateway GHSA-v2x6-wwfw-r2rq are what happens otherwise).
"""

from __future__ import annotations

import re
from unicodedata import normalize
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigurationError

__all__ = ["Address", "UnsafePath", "strip_secrets"]

# Segments that begin with a dot are looked at closely; everything here may stand in a URL as it is.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+")
_VERSION = re.compile(r"v\d\w*")
_ENDPOINT = re.compile(
    r"(?:/chat|/fim)?/completions$|(?<=/v1)/(?:messages|responses)$|/models/[^/]+:[A-Za-z]*[gG]enerateContent$"
)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_MAX_DECODINGS = 3  # how often a proxy chain may have decoded a path before it is used
_SECRET = re.compile(rb"(?:^|&)(?:key|api_key|access_token)(?:=|&|$)", re.IGNORECASE)
_SECRET_NAMES = frozenset({"key", "api_key", "access_token"})
_QUERY_SAFE = "/?:@!$&'()*+,;=-._~%"


class UnsafePath(ValueError):
    """A path that could mean another one to somebody on the way."""


class Address:
    """An upstream's base URL.

    Args:
        base_url: ``"https://api.openai.com"``, with or without a path such as ``/v1``.

    Raises:
        ConfigurationError: Not an absolute http(s) URL, or one with credentials, a query, a fragment or white space, or
            an endpoint's instead of what all of them have in common.
    """

    __slots__ = ("_base", "_version")

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("base_url must be an absolute http or https URL")
        if _FORBIDDEN.search(base_url) or " " in base_url:
            raise ConfigurationError("base_url must have no white space, backslashes and control characters")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError("base_url must have no credentials, no query and no fragment")
        path = parts.path.rstrip("/")
        endpoint = _ENDPOINT.search(path)
        if endpoint is not None:
            raise ConfigurationError(f"base_url leads to one endpoint: leave out {endpoint[0]}")
        try:
            _check(path or "/")
        except UnsafePath as error:
            raise ConfigurationError(f"base_url: {error}") from error
        last = path.rpartition("/")[2]
        self._base = f"{parts.scheme}://{parts.netloc}{path}"
        self._version = f"/{last}" if _VERSION.fullmatch(last) else ""

    def url(self, path: str, query: bytes = b"") -> str:
        """The URL for a request.

        Args:
            path: Relative and percent-encoded, as `asgi.path.raw_relative_path` gives it.
            query: Without the question mark.

        Returns:
            The base URL, the path and the query; a version segment (``/v1``) that both the base and the path have
            appears once.

        Raises:
            UnsafePath: The path does not begin with ``/``, has dot segments (also encoded ones), a backslash or control
                characters.
        """
        if not _PLAIN.fullmatch(path):
            _check(path)
            path = quote(path, safe="/:@!$&'()*+,;=~%")
        if self._version and (path == self._version or path.startswith(self._version + "/")):
            path = path[len(self._version) :]
        if not query:
            return self._base + path
        return f"{self._base}{path}?{quote(query, safe=_QUERY_SAFE)}"


def _check(path: str) -> None:
    if path[:1] != "/":
        raise UnsafePath("a path begins with /")
    for _ in range(_MAX_DECODINGS + 1):
        path = normalize("NFKC", path)  # look-alikes of dots and slashes
        if _FORBIDDEN.search(path):
            raise UnsafePath("a path has no control characters and no backslash")
        # ";" begins parameters of a segment, which some servers cut off before they resolve dots.
        if any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")):
            raise UnsafePath("a path has no dot segments")
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded
    raise UnsafePath("a path is not encoded again and again")


def strip_secrets(query: bytes) -> bytes:
    """Remove the parameters that carry a key (``key``, ``api_key``, ``access_token``, however they are encoded)."""
    if b"%" not in query and not _SECRET.search(query):
        return query
    kept = (pair for pair in query.split(b"&") if _name(pair) not in _SECRET_NAMES)
    return b"&".join(kept)


def _name(pair: bytes) -> str:
    return unquote(pair.partition(b"=")[0].decode("latin-1").replace("+", " ")).strip().lower()
