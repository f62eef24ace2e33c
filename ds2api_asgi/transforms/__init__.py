"""Room 1: what changes requests, answers and streams in universal form, whatever their protocol."""

from .base import Begun, Transform, TransformStream
from .think_tags import ThinkTags

__all__ = ["Begun", "ThinkTags", "Transform", "TransformStream"]
