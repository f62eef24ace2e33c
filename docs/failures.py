"""Write `failures.md`: what a client sees of each way in which an upstream can fail, and how many calls it took.

    python docs/failures.py > docs/pages/failures.md

Each cell is run, over a real socket and through all parts (`tests/support/matrix.py`); it needs the test dependencies.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from faults import FAULTS
from matrix import CLIENTS, row, told

__all__ = ["page", "table"]

HEAD = """\
# What clients see of failures

This page is written by `docs/failures.py`, which runs every cell: a client of each of the five protocols, the whole
nest (`Translator`, `Retry`, a `KeyPool` of two keys, `Upstream`) and an upstream on a real socket that fails as told.

- *every call fails* and *only the first*: what the upstream does with later calls of the same request.
- `502 ×3`: the status that the client saw, in an error of its own protocol, after three upstream calls. `200 ×2`: a
  complete, correct answer. `200, error event ×1`: content had reached the client already, so the stream ends with the
  protocol's own error event and never looks complete. A cell tells what all five clients saw; who saw something else
  is named.
- Nothing is waited for here (`queue_timeout=0`, `wait_cap=0`), so that a rate limit of both keys is seen by the client.
- *As the upstream says it*: JSON of another shape passes untouched to a client of the same protocol.
- *judged* names the rows of the classification that decided; `late.first-content` and the like are bounds that ended
  a wait (`first_content_timeout`, 60 s; `idle_timeout`, 60 s; `content_timeout`, 300 s; `deadline`, 600 s, which is
  also the bound of an answer that is no stream).

What every error of a provider means, and where that is documented, stands in [classification](classification.md).
"""
COLUMNS = (
    "| failure | whole: every call | whole: only the first | stream: every call | stream: only the first | judged |"
)
RULE = "|---|---|---|---|---|---|"


async def table(speaks: str) -> list[str]:
    """The rows of an upstream that speaks a protocol: what happens to its answers."""
    return [await row(fault, speaks) for fault in FAULTS]


async def words(speaks: str) -> list[str]:
    """The rows of an upstream that speaks a protocol: what it says."""
    return [await row(fault, speaks) for fault in told(speaks)]


def page() -> str:
    """The whole page."""
    says = [f"| {fault.name} | {fault.says} |" for fault in FAULTS]
    lines = [HEAD, "## The failures", "", "| failure | what happens |", "|---|---|", *says, ""]
    for speaks in CLIENTS:
        lines += [f"## An upstream that speaks {speaks}", ""]
        lines += [COLUMNS, RULE, *anyio.run(table, speaks), ""]
        lines += [f"### Errors that it says in {speaks}", "", COLUMNS, RULE, *anyio.run(words, speaks), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.stdout.write(page())
