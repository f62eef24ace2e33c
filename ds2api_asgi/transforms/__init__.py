"""Room 1: what changes requests, answers and streams in universal form, whatever their protocol.

| module | noun |
|---|---|
| `base` | `Transform`: what one is |
| `text_tools` | tools for models that have none |
| `think_tags` | thoughts that a model prints |
| `carry` | opaque state across turns |
"""

from .base import Begun, Transform, TransformStream
from .text_tools import TextTools
from .think_tags import ThinkTags

__all__ = ["Begun", "TextTools", "ThinkTags", "Transform", "TransformStream"]
