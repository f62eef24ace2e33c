"""The console: a page to look at rather than read logs, as an ASGI app that can be mounted alone.

| module | noun |
|---|---|
| `component` | `Console`, the app |
| `guard`, `sessions`, `attempts` | who may do what; who gave the password, and how often it may be guessed |
| `standing`, `events` | how everything stands, as a document; what happens, as a stream |
| `team`, `messages` | the other workers, asked and answered; what is said |
| `part`, `sums` | how one worker stands, and several as one |
| `bench` | a pasted document in every protocol |
| `pages`, `files` | its two pages as bytes; script, style and icon |
| `answers` | an answer, and the headers that all have |
"""

from .component import Console

__all__ = ["Console"]
