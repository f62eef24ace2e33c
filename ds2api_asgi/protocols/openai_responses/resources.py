"""What OpenAI keeps for clients of this protocol: what it keeps for all, responses, and containers of code.

https://platform.openai.com/docs/guides/conversation-state and …/guides/tools-code-interpreter (read 2026-11-29).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ..openai_shared import resources as openai_resources
from ..resources import WHOLE, Stated, stating

__all__ = ["RESOURCES"]

_HEAD: Final = 4_096  # bytes: a response's id stands at its head, also in a stream's first event
_PREVIOUS: Final = b'"previous_response_id"'

RESOURCES: Final = replace(
    openai_resources.RESOURCES,
    path=openai_resources.path_of("responses"),
    generated=(
        Stated(
            ids=stating("id", "container_id", value="(?:resp|cntr)"),
            words=frozenset((_PREVIOUS, b'"container"')),
            most=WHOLE,
            marker=b'"code_interpreter"',
        ),
        Stated(ids=stating("id", value="resp"), words=frozenset((_PREVIOUS,)), most=_HEAD, once=True),
    ),
)
