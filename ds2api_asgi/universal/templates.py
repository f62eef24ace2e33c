"""The only words that we ever add to a conversation, each under an id that the loss report names.

They are fixed, so that an encoded history stays the same from turn to turn, and recognised on the way back.
"""

from __future__ import annotations

__all__ = ["ERROR_PREFIX", "RAW_ARGUMENTS", "TOOL_MEDIA"]

ERROR_PREFIX = ("T1", "[tool error] ")
"""Stands before a failed tool's text where the target has no error flag."""

TOOL_MEDIA = ("T2", "[media returned by tool call {id}]")
"""Stands before media that a tool returned where the target takes text only from tools."""

RAW_ARGUMENTS = ("T3", "_ds2_raw")
"""The member that holds arguments that are not a JSON object where the target takes objects only."""
