"""The Python of every page runs: it is one program, against the demo model, and its hidden checks hold."""

from __future__ import annotations

import ast
import inspect
import linecache
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from page_kit import Kit
from providers_of_pages import provided, provider, replaced
from snippets import PAGES, Block, pages, read

if not PAGES.exists():
    pytest.skip("not a checkout: docs is not part of a source distribution", allow_module_level=True)

HERE = ("127.0.0.1", "::1", "localhost")


def _program(name: str) -> list[Block]:
    return [b for b in read(PAGES / name) if b.language == "check" or (b.language == "python" and not b.title)]


def _files(name: str) -> list[Block]:
    return [block for block in read(PAGES / name) if block.title]


WITH_PROGRAMS = [name for name in pages() if _program(name)]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Programs of pages write files beside them."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks up another machine's name fails the test."""
    look_up = socket.getaddrinfo

    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        assert name is None or name in HERE, f"a page's program asked for {name}"
        return look_up(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Any:
    """Pages set up logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _source(blocks: list[Block], text: str) -> str:
    """The blocks at their places in the page, so that an error names the page's line."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks:
        code = block.code.splitlines()
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", WITH_PROGRAMS)
async def test_the_program_of_a_page_runs(name: str, anyio_backend: str, tmp_path: Path) -> None:
    text = (PAGES / name).read_text()
    async with provider(text) as (base_url, model):
        for file in _files(name):
            (tmp_path / file.title).parent.mkdir(parents=True, exist_ok=True)
            code = replaced(file.code, base_url)
            (tmp_path / file.title).write_text(provided(code, base_url) if file.language == "toml" else code)
        source = replaced(_source(_program(name), text), base_url)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        done = eval(code, {"__name__": "page", "kit": Kit(base_url, model)})
        if inspect.isawaitable(done):
            await done


@pytest.mark.parametrize("name", WITH_PROGRAMS)
def test_what_readers_see_is_a_program_of_its_own(name: str) -> None:
    shown = [block for block in _program(name) if block.language == "python"]
    ast.parse(_source(shown, (PAGES / name).read_text()), name)
    for block in [*shown, *_files(name)]:
        for line in block.code.splitlines():
            assert len(line) <= 120, (name, line)
