"""The console: a page to look at rather than read logs, as an ASGI app that can be mounted alone.

| module | noun |
|---|---|
| `answers` | an answer, and the headers that all have |
| `attempts` | how often the password may be guessed |
| `bench` | a pasted document in every protocol |
| `component` | `Console`, the app |
| `events` | what happens, as a stream |
| `files` | script, style and icon |
| `guard` | who may do what |
| `pages` | its two pages as bytes |
| `sessions` | who gave the password |
| `standing` | how everything stands |
"""

from .component import Console

__all__ = ["Console"]
