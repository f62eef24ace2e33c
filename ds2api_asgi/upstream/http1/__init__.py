"""The fast sender (extra ``fast``): HTTP/1.1 on asyncio's transports, read by httptools, the parser of Node.js.

An HTTP client spends most of its time on what a gateway may not do: cookies, redirects, decoding, objects for each
request and answer. What is left is little enough to be read in one go: bytes out, bytes in, and connections that are
used again only when nobody can mistake one answer for another.

| module | noun |
|---|---|
| `sender` | `Http1Sender`: sends a request over an idle connection or a new one |
| `target` | where requests go, and their bytes |
| `connection` | one connection, and the answer that arrives on it |
| `idle` | connections that wait for their next request |
| `dial` | new connections: names, addresses, TLS |
"""

from .sender import Http1Sender

__all__ = ["Http1Sender"]
