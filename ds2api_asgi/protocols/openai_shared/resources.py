"""What organisations and projects keep at OpenAI, and at vendors that copy its API.

https://platform.openai.com/docs/api-reference (read 2026-11-29): files, uploads, batches, vector stores, conversations,
containers, fine-tuning jobs and their models, assistants and threads, skills, videos, evals. The administration of an
organisation is none of it.
"""

from __future__ import annotations

import re
from typing import Final

from ..resources import SEGMENT, Resources

__all__ = ["RESOURCES", "path_of"]

_KINDS: Final = (
    "assistants", "batches", "containers", "conversations", "evals", "files", "fine_tuning/jobs", "skills", "threads",
    "uploads", "vector_stores", "videos",
)  # fmt: skip

_NAMES: Final = (
    "assistant_id", "container", "conversation", "file_id", "file_ids", "input_file_id", "previous_response_id",
    "skill_id", "thread_id", "training_file", "validation_file", "vector_store_ids",
)  # fmt: skip
# A finished batch states the files that came of it, an upload its file, a job its model.
_STATES: Final = ("id", "error_file_id", "fine_tuned_model", "output_file_id", "result_files", "thread_id")


def path_of(*more: str) -> re.Pattern[str]:
    """The paths of all kinds.

    Args:
        more: Further kinds.
    """
    kinds = "|".join((*_KINDS, *more))
    return re.compile(rf"(?:/v1)?/(?:{kinds})(?:/(?P<id>{SEGMENT})(?P<more>(?:/{SEGMENT})*))?/?")


RESOURCES: Final = Resources(
    path=path_of(),
    contents=("/content",),
    states=frozenset(_STATES),
    own=re.compile("(?!openai-)[!-~]{1,256}"),  # skills of the provider's: openai-spreadsheets
    names=frozenset(_NAMES),
    models=("ft:",),
)
