"""Room 3: the only place with an HTTP client: answer by asking a provider."""

from .component import Upstream
from .sender import Sender, UpstreamAnswer
from .websocket import WebSockets

__all__ = ["Sender", "Upstream", "UpstreamAnswer", "WebSockets"]
