"""Providers that are known by name.

| module | noun |
|---|---|
| `presets` | providers as data: where each is, what it speaks, how it wants its key |
| `preset` | one of them, which makes an app of itself |
| `address` | a protocol's own paths and credential, said as a provider wants them |
"""
