"""What pages show to readers, as programs, files and commands: blocks of code read from Markdown.

A page's blocks of ``python`` without a title are one program. Blocks with ``title="gateway.toml"`` are files; shell
blocks are run in a folder that has the files. What a reader need not see of a proof stands in comments: code between
``<!-- check`` and ``-->`` is part of the program, may ``await``, and has `kit` for its questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from commands import ROOT

__all__ = ["PAGES", "Block", "blocks", "pages", "read"]

PAGES = ROOT / "docs" / "pages"

_BLOCK = re.compile(
    r"^```(?P<language>\w+)(?P<rest>[^\n]*)\n(?P<code>.*?)^```$|^<!-- check\n(?P<check>.*?)^-->$",
    flags=re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')


class Block(Struct, frozen=True, kw_only=True):
    """A block of a page.

    Attributes:
        language: ``"python"``, ``"toml"``, ``"sh"``; ``"check"`` for a hidden one.
        title: The name of the file that it is; ``""``: it is none.
        code: Its lines.
        line: Where its code begins in the page, from 1.
        before: The line of the page before it, where a comment may say something about it.
    """

    language: str
    title: str
    code: str
    line: int
    before: str


def pages() -> list[str]:
    """Names of all pages that people write or programs write, without the reference."""
    found = [page.relative_to(PAGES) for page in PAGES.rglob("*.md")]
    return sorted(str(page) for page in found if page.parts[0] != "reference")


def read(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    return list(blocks(page.read_text()))


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text."""
    for found in _BLOCK.finditer(text):
        title = _TITLE.search(found["rest"] or "")
        hidden = found["check"] is not None
        yield Block(
            language="check" if hidden else found["language"],
            title=title[1] if title else "",
            code=found["check"] if hidden else found["code"],
            line=text.count("\n", 0, found.start("check" if hidden else "code")) + 1,
            before=text[: found.start()].rstrip("\n").rpartition("\n")[2],
        )
