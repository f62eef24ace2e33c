"""`docs/pages/failures.md`, the failure matrix: every way to fail, every client, whole and streamed, over sockets."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from commands import ROOT
from faults import FAULTS, Fault
from matrix import CLIENTS, row, told

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

COMMAND = "python docs/failures.py > docs/pages/failures.md"
PAGE = ROOT / "docs" / "pages" / "failures.md"
needs_page = pytest.mark.skipif(not PAGE.exists(), reason="not a checkout: docs is not part of a source distribution")

WAITED_FOR = ("stall before headers", "stall after headers", "comments only")
"""A whole answer may take as long as the request; only its deadline ends the wait, and then no time is left."""
STALLS = (*WAITED_FOR, "stall mid-answer")


def _rows(heading: str) -> list[str]:
    """The rows of the page under a heading."""
    section = PAGE.read_text().partition(f"# {heading}\n")[2].partition("\n##")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def _upstream(speaks: str) -> list[str]:
    return _rows(f"An upstream that speaks {speaks}")


async def _rows_of(faults: Sequence[Fault], speaks: str, stated: list[str]) -> list[str]:
    """The rows as they are now; one that differs is run again, since a busy machine may miss the short bounds."""
    seen: dict[str, str] = {}

    async def see(fault: Fault) -> None:
        seen[fault.name] = await row(fault, speaks)

    async with anyio.create_task_group() as group:  # these do nothing but wait, and may do so together
        for fault in faults:
            if fault.name in STALLS:
                group.start_soon(see, fault)
    for fault in faults:
        if fault.name not in STALLS:
            await see(fault)
        if seen[fault.name] not in stated:
            await see(fault)
    return [seen[fault.name] for fault in faults]


@needs_page
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("speaks", CLIENTS)
async def test_clients_see_what_the_page_says(speaks: str, anyio_backend: str) -> None:
    assert await _rows_of(FAULTS, speaks, _upstream(speaks)) == _upstream(speaks), COMMAND


@needs_page
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("speaks", CLIENTS)
async def test_clients_see_of_a_providers_words_what_the_page_says(speaks: str, anyio_backend: str) -> None:
    rows = _rows(f"Errors that it says in {speaks}")
    assert await _rows_of(told(speaks), speaks, rows) == rows, COMMAND


@needs_page
@pytest.mark.parametrize("speaks", CLIENTS)
def test_no_failure_is_silent_and_none_that_another_call_could_mend_is_shown(speaks: str) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in _upstream(speaks)]
    assert [cells[0] for cells in rows] == [fault.name for fault in FAULTS]
    for name, *cells, _ in rows:
        assert not any("**" in cell for cell in cells), name
        if name == "refuse":  # nobody ever listens
            continue
        _, whole, _, stream = cells
        assert whole.startswith("200") or (whole == "504 \N{MULTIPLICATION SIGN}1" and name in WAITED_FOR), name
        assert stream.startswith("200"), name
