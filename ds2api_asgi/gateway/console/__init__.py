"""The console: a page to look at rather than read logs, as an ASGI app that can be mounted alone.

| module | noun |
|---|---|
| `component` | `Console`, the app |
| `guard`, `sessions`, `attempts` | who may do what; who gave the password, and how often it may be guessed |
| `standing`, `events` | how everything stands; what happens, as a stream |
| `bench` | a pasted document in every protocol |
| `pages`, `files` | its two pages as bytes; script, style and icon |
| `answers` | an answer, and the headers that all have |
"""

from .component import Console

__all__ = ["Console"]
