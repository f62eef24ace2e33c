"""What holds for all pages: nothing that they show escapes the tests that run it."""

from __future__ import annotations

import re

import pytest

import ds2api_asgi
from commands import ROOT
from snippets import PAGES, pages, read

if not PAGES.exists():
    pytest.skip("not a checkout: docs is not part of a source distribution", allow_module_level=True)

RUN = {"check", "python", "sh", "toml"}
"""Languages of blocks that other tests run, build or read."""


@pytest.mark.parametrize("name", pages())
def test_every_block_is_of_a_language_that_is_run(name: str) -> None:
    text = (PAGES / name).read_text()
    blocks = read(PAGES / name)
    assert {block.language for block in blocks} <= RUN
    fences = len(re.findall(r"^ *(?:```|~~~)", text, flags=re.MULTILINE))
    assert fences == 2 * sum(block.language != "check" for block in blocks), "a block that is indented, or not closed"


def test_every_part_is_described_on_a_page() -> None:
    described = set(re.findall(r"\w+", "\n".join((PAGES / name).read_text() for name in pages())))
    parts = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", ds2api_asgi.__doc__ or "", flags=re.MULTILINE)))
    assert len(parts) > 20
    assert set(parts) - described - {"PRESETS"} == set()


def test_pages_speak_of_no_file_that_is_not_there() -> None:
    for name in pages():
        for path in re.findall(r"`((?:docs|examples|tests|ds2api_asgi)/[\w./-]+)`", (PAGES / name).read_text()):
            assert (ROOT / path).exists(), (name, path)
