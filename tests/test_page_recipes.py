"""Frameworks and recipes are followed to their last line: what they serve is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from page_folder import NEEDED, follow, with_commands
from snippets import PAGES, read

if not PAGES.exists():
    pytest.skip("not a checkout: docs is not part of a source distribution", allow_module_level=True)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {' and '.join(NEEDED)}"),
]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", with_commands("frameworks", "recipes"))
async def test_the_commands_of_a_page_do_what_it_says(name: str, anyio_backend: str, tmp_path: Path) -> None:
    await follow(read(PAGES / name), tmp_path)
