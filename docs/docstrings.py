"""Docstrings of Google's style as Markdown: sections become lists, literal blocks become code, names become links."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["markdown"]

_SECTIONS: Final = ("Args", "Attributes", "Returns", "Yields", "Raises")
_ENTRY: Final = re.compile(r"^(\*{0,2}[\w., ]+): (.*)$|^(\*{0,2}[\w., ]+):$")
_NAME: Final = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)")


def markdown(docstring: str, link: Callable[[str], str | None] = lambda _name: None) -> str:
    """A docstring as Markdown.

    Args:
        docstring: As it stands in the source.
        link: Tells where a name in single backticks leads, or None.

    Returns:
        Paragraphs, fenced code and lists.
    """
    lines: list[str] = []
    section = ""
    for block in _blocks(inspect.cleandoc(docstring).splitlines()):
        head = block[0].removesuffix(":")
        if head in _SECTIONS and block[0].endswith(":") and len(block) > 1:
            section = head
            lines += [f"**{head}**", "", *_section(head, block[1:]), ""]
        elif block[0].startswith("    ") and not section:
            lines += ["```python", *[line[4:] for line in block], "```", ""]
        else:
            section = ""
            lines += [*block, ""]
    fenced = False
    linked = []
    for line in lines:
        fenced ^= line.startswith("```")
        linked.append(line if fenced else _NAME.sub(lambda found: _linked(found[0], found[1], link), line))
    return "\n".join(linked).strip() + "\n"


def _linked(text: str, name: str, link: Callable[[str], str | None]) -> str:
    target = link(name)
    return text if target is None else f"[{text}]({target})"


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Paragraphs, indented blocks and sections; a literal block's ``::`` goes, its code stays together."""
    block: list[str] = []
    literal = False
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        inside = bool(block) and (block[0].startswith("    ") or block[0].removesuffix(":") in _SECTIONS)
        if not line.strip():
            following = next((after for after in lines[number + 1 :] if after.strip()), "")
            if inside and following.startswith("    "):
                block.append("")
                continue
            if block:
                yield block
            block = []
            continue
        if indented and not inside and block and literal:
            yield block
            block = []
        if not indented and inside and block[0].startswith("    "):
            yield block
            block = []
        literal = line.rstrip().endswith("::")
        if literal and not inside:
            if said := line.rstrip().removesuffix("::").rstrip():
                block.append(f"{said}:")
            continue
        block.append(line)
    if block:
        yield block


def _section(head: str, lines: list[str]) -> Iterator[str]:
    """A section's entries as a list."""
    body = [line.removeprefix("    ") for line in lines]
    if head in ("Returns", "Yields"):
        yield " ".join(line.strip() for line in body if line.strip())
        return
    entry = ""
    for line in body:
        found = None if line.startswith(" ") else _ENTRY.match(line)
        if found:
            if entry:
                yield entry
            name = found[1] or found[3]
            entry = f"- `{name}`: {found[2] or ''}".rstrip()
        elif line.strip():
            entry += " " + line.strip()
    if entry:
        yield entry
