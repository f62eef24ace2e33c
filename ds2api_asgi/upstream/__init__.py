"""Room 3: the only place with an HTTP client: answer by asking a provider.

| module | noun |
|---|---|
| `component` | `Upstream`, the ASGI app |
| `address`, `proxy` | where the provider is, and a proxy on the way there |
| `forward`, `inflated` | one request on its way up and its answer down; answers that came compressed |
| `websocket` | a websocket, passed through |
| `sender` | what is needed of an HTTP client |
| `httpx_sender`, `http1` | the two that are: httpx or httpx2, and the fast one |
| `per_loop` | senders by event loop |
"""

from .component import Upstream
from .sender import Sender, UpstreamAnswer
from .websocket import WebSockets

__all__ = ["Sender", "Upstream", "UpstreamAnswer", "WebSockets"]
