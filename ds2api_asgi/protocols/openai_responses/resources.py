"""What OpenAI keeps for clients of this protocol: what it keeps for all, responses, and containers of code.

https://platform.openai.com/docs/guides/conversation-state and …/guides/tools-code-interpreter (read 2026-11-29).
"""

from __future__ import annotations

from typing import Final

from ..openai_shared.resources import CONTENTS, NAMES, STATED, path_of
from ..resources import WHOLE, Resources, Stated, stating

__all__ = ["RESOURCES"]

_HEAD: Final = 4_096  # bytes: a response's id stands at its head, also in a stream's first event

RESOURCES: Final = Resources(
    path=path_of("responses"),
    contents=CONTENTS,
    stated=STATED,
    names=NAMES,
    generated=(
        Stated(ids=stating("id", "container_id", value="(?:resp|cntr)"), most=WHOLE, marker=b'"code_interpreter"'),
        Stated(ids=stating("id", value="resp"), most=_HEAD, once=True, words=frozenset((b'"previous_response_id"',))),
    ),
)
