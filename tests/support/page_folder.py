"""A folder with a page's files, in which its shell lines run: `Folder`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import anyio.to_thread
import pytest

from commands import DS2API, ROOT, running, shell
from providers_of_pages import provided, provider, replaced
from snippets import PAGES, Block, pages, read

__all__ = ["KNOWN", "NEEDED", "Folder", "follow", "lines", "with_commands"]

GATEWAY = "http://127.0.0.1:8000"
SERVES = re.compile(r"^ds2api (?:demo|serve)\b|^(?:uvicorn|granian|hypercorn) ")
ELSEWHERE = re.compile(r"^(?:claude|codex|gemini|docker|systemctl|npm|redis-server|ollama|vllm|llama-server)\b")
"""Programs that are not ours; a line that only starts one is not run."""
SECONDS = 240
NEEDED = ("bash", "curl")
"""Programs without which no page can be followed."""
KNOWN = re.findall(r"^    (\w+)  ", shell(f"{shlex.join(DS2API)} --help").stdout, flags=re.MULTILINE)
EXTRA = re.compile(r"ds2api-asgi\[([\w,]+)\]")


def lines(block: Block) -> Iterator[str]:
    """The commands of a block: lines joined where they go on, without comments."""
    for line in re.sub(r"\\\n\s*", "", block.code).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield re.sub(r"\s+# .*$", "", line)


class Folder:
    """A folder with a page's files, and commands that run in it.

    Attributes:
        environ: What commands are given.
    """

    def __init__(self, path: Path, base_url: str) -> None:
        self.path = path
        self.environ = {**os.environ, "PATH": f"{path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self._base_url = base_url
        self._gateway = GATEWAY
        self._stack = ExitStack()
        (path / "bin").mkdir()
        program = path / "bin" / "ds2api"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ds2api_asgi "$@"\n')
        program.chmod(0o755)

    def write(self, block: Block) -> None:
        """Write a file; its providers are on this machine, and so are the secrets that it names."""
        text = replaced(block.code, self._base_url)
        if block.language == "toml":
            text = provided(text, self._base_url)
        file = self.path / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for kind, secret in re.findall(r'"(env|file):([^"]+)"', text):
            if kind == "env":
                self.environ.setdefault(secret, f"sk-of-{secret.lower().replace('_', '-')}-0123456789")
            else:
                (self.path / secret).parent.mkdir(parents=True, exist_ok=True)
                (self.path / secret).write_text(f"sk-of-{Path(secret).stem}-0123456789")

    def run(self, line: str, *, expected: int) -> None:
        """Run a line, or start what it serves."""
        command = re.search(r"\bds2api (\w+)", line)
        if command and command[1] not in KNOWN:
            pytest.skip(f"there is no command {command[1]} yet")
        if found := re.fullmatch(r"export (\w+)=(.*)", line):
            self.environ[found[1]] = os.path.expandvars(shlex.split(found[2])[0])
        elif "pip install" in line:
            known = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
            for extras in EXTRA.findall(line):
                assert set(extras.split(",")) <= known, line
        elif ELSEWHERE.match(re.sub(r"^(?:\w+=\S+ )+", "", line)):
            return
        elif SERVES.match(line):
            self._serve(line)
        else:
            line = replaced(line, self._base_url).replace(GATEWAY, self._gateway)
            asks = line.startswith("curl ") and "%{http_code}" not in line and "demo-fail" not in line
            if asks:
                line = line.replace("curl ", "curl --fail-with-body ", 1)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                cwd=self.path,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            assert done.returncode == expected, (line, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
            if asks:
                assert done.stdout, line
                assert '"error"' not in done.stdout.replace('"error":null', ""), (line, done.stdout[-2000:])
                assert "Hello" in done.stdout or "Hello" not in line, (line, done.stdout[-2000:])

    def _serve(self, line: str) -> None:
        # Another server than ours, on this port, is never asked: each line gets a port that is free.
        port = ["--port", "0"] if line.startswith(("ds2api", "uvicorn")) else []
        words = [*shlex.split(line), *port]
        if words[0] == "ds2api":
            words = [sys.executable, "-m", "ds2api_asgi", *words[1:]]
        else:
            words = [sys.executable, "-m", *words]
        served = running(*words, cwd=self.path, env=self.environ)
        self._gateway = self._stack.enter_context(served).base_url

    def follow(self, blocks: Iterable[Block]) -> None:
        """Write the files and run the lines, in their order; ``<!-- exit 1 -->`` tells a block's last exit code."""
        for block in blocks:
            if block.title:
                self.write(block)
            elif block.language == "sh":
                found = re.fullmatch(r"<!-- exit (\d+) -->", block.before)
                *first, last = lines(block)
                for line in first:
                    self.run(line, expected=0)
                self.run(last, expected=int(found[1]) if found else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what was started."""
        self._stack.close()


def with_commands(*folders: str) -> list[str]:
    """The pages of these folders (``""``: the uppermost) that have shell lines."""
    found = []
    for name in pages():
        folder, _, _ = name.rpartition("/")
        blocks = read(PAGES / name) if folder in folders else []
        if any(block.language == "sh" and not block.title for block in blocks):
            found.append(name)
    return found


async def follow(blocks: Sequence[Block], path: Path) -> None:
    """Do what blocks say in an empty folder, against providers on this machine."""

    def all_of_it(base_url: str) -> None:
        with Folder(path, base_url) as folder:
            folder.follow(blocks)

    async with provider("\n".join(block.code for block in blocks)) as (base_url, _):
        await anyio.to_thread.run_sync(all_of_it, base_url)
