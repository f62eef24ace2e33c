"""The console: a page to look at rather than read logs.

| module | noun |
|---|---|
| `pages` | its two pages as bytes |
"""
