"""What the laws and the corpus tests need to know of each protocol: its official types, and its recorded traffic.

A protocol that joins adds its entry to `KITS`; every law and every corpus test then holds for it and all its pairs.
"""

from __future__ import annotations

from . import anthropic, gemini, ollama, openai_chat, openai_responses
from .kit import Kit

__all__ = ["KITS", "Kit"]

KITS = {module.KIT.name: module.KIT for module in (openai_chat, openai_responses, anthropic, gemini, ollama)}
