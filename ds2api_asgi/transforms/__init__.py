"""Room 1: what changes requests, answers and streams in universal form, whatever their protocol."""

from .base import Begun, Transform, TransformStream
from .text_tools import TextTools
from .think_tags import ThinkTags

__all__ = ["Begun", "TextTools", "ThinkTags", "Transform", "TransformStream"]
