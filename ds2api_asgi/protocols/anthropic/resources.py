"""What workspaces keep: files, message batches, skills of their own, containers and the files that code made in them.

https://docs.anthropic.com/en/docs/build-with-claude/files, …/batch-processing, …/agents-and-tools/agent-skills and
…/agents-and-tools/tool-use/code-execution-tool (read 2026-11-29).
"""

from __future__ import annotations

import re
from typing import Final

from ..resources import SEGMENT, WHOLE, Resources, Stated, stating

__all__ = ["RESOURCES"]

RESOURCES: Final = Resources(
    path=re.compile(rf"(?:/v1)?/(?:files|messages/batches|skills)(?:/(?P<id>{SEGMENT})(?P<more>(?:/{SEGMENT})*))?/?"),
    contents=("/content", "/results"),
    states=frozenset(("id",)),
    own=re.compile("(?:file|msgbatch|skill)_[!-~]{1,256}"),  # skills of the provider's: pdf, xlsx
    names=frozenset(("container", "file_id", "skill_id")),
    generated=(
        Stated(
            ids=stating("id", "file_id", value="(?:container|file)_"),
            words=frozenset((b'"container"', b'"file_id"')),
            most=WHOLE,
            marker=b"code_execution_202",
        ),
    ),
)
