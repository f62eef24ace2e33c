"""Tell what happened to requests: `Traced` around an app, a `Journal` of the last traces, and sinks of your own."""

from .journal import Journal, Sink
from .traced import Traced

__all__ = ["Journal", "Sink", "Traced"]
