"""Providers that are known by name.

| module | noun |
|---|---|
| `address` | a protocol's own paths and credential, said as a provider wants them |
| `presets` | providers as data: where each is, what it speaks, how it wants its key |
"""
