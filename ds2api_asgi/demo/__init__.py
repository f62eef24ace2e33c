"""The embedded default upstream: a deterministic model that speaks, thinks, calls tools and fails on demand."""

from __future__ import annotations

from .model import DEFAULT_MODELS, DemoModel, RequestCounts
from .tokens import count_tokens

__all__ = ["DEFAULT_MODELS", "DemoModel", "RequestCounts", "count_tokens"]
