"""Build the documentation into `docs/site`, strictly: a broken link, anchor or page is an error.

    pip install '.[docs]' && python docs/build.py
    python docs/build.py --serve        # and show it on a port, built anew when a page changes

Nothing is fetched, and the built pages fetch nothing from anywhere else: that is looked at after the build.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import reference

__all__ = ["main"]

HERE: Final = Path(__file__).resolve().parent
SITE: Final = HERE / "site"
_FETCHED: Final = re.compile(
    r"<(?:script|img|iframe|source|link(?=[^>]*rel=.?(?:stylesheet|preload|preconnect|icon)))[^>]*?(?:src|href)=[\"']?"
    r"(https?:)?//[^\s\"'>]+",
)


def main(arguments: list[str]) -> int:
    """Build or serve; gives the exit code."""
    reference.write()
    command = "serve" if "--serve" in arguments else "build"
    strict = [] if command == "serve" else ["--strict", "--clean"]
    mkdocs = [sys.executable, "-m", "mkdocs", command, *strict, "-f", str(HERE / "mkdocs.yml")]
    status = subprocess.run(mkdocs, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False).returncode
    if command == "build" and status == 0:
        for found in fetched():
            print(f"fetched from elsewhere: {found}", file=sys.stderr)
            status = 1
    return status


def fetched() -> Iterator[str]:
    """What the built pages would fetch from other hosts."""
    for page in SITE.rglob("*.html"):
        for found in _FETCHED.finditer(page.read_text()):
            yield f"{page.relative_to(SITE)}: {found[0]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
