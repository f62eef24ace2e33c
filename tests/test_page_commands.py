"""The shell lines of every page run, in a folder that has the page's files, against providers on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio.to_thread
import pytest

from page_folder import Folder
from providers_of_pages import provider
from snippets import PAGES, Block, pages, read

if not PAGES.exists():
    pytest.skip("not a checkout: docs is not part of a source distribution", allow_module_level=True)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl"),
]


def _shell(name: str) -> list[Block]:
    return [block for block in read(PAGES / name) if block.language == "sh" and not block.title]


WITH_COMMANDS = [name for name in pages() if _shell(name)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", WITH_COMMANDS)
async def test_the_commands_of_a_page_do_what_it_says(name: str, anyio_backend: str, tmp_path: Path) -> None:
    def all_of_them(base_url: str) -> None:
        with Folder(tmp_path, base_url) as folder:
            folder.follow(read(PAGES / name))

    async with provider((PAGES / name).read_text()) as (base_url, _):
        await anyio.to_thread.run_sync(all_of_them, base_url)
