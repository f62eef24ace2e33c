"""The embedded default upstream: a deterministic model that speaks, thinks, calls tools and fails on demand.

| module | noun |
|---|---|
| `model` | `DemoModel`, the ASGI app |
| `request`, `fields` | a request, checked at the door |
| `mind`, `plan`, `offers`, `schema` | what is answered: texts, thoughts, calls of tools on offer, values of a schema |
| `wire`, `tokens` | answers in Chat Completions' words, and what they count |
| `completions` | texts to complete, in the legacy API's words |
| `embeddings` | vectors |
| `faults`, `sending` | failures on demand; answers as a fault has them |
"""

from __future__ import annotations

from .model import DEFAULT_MODELS, DemoModel, RequestCounts
from .tokens import count_tokens

__all__ = ["DEFAULT_MODELS", "DemoModel", "RequestCounts", "count_tokens"]
