"""Commands of the project as processes: started, read until they are ready, ended as a terminal would end them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DS2API = (sys.executable, "-W", "error", "-m", "ds2api_asgi")
END_SECONDS = 20


class Running:
    """A process that has said that it is ready.

    Attributes:
        base_url: Where it listens.
        said: What it said by then.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, said: str) -> None:
        self.process = process
        self.base_url = base_url
        self.said = said

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; the exit code, and what the process wrote since then."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=END_SECONDS)
        return self.process.returncode, rest.decode()


@contextmanager
def running(*command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a command that serves, in the project's folder or another; its outputs are read as one."""
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            said, url = "", None
            while url is None:
                chunk = process.stdout.read1(65536)  # type: ignore[attr-defined]
                assert chunk, f"ended before it was ready: {said}"
                said += chunk.decode()
                url = re.search(r"https?://[\w.\[\]:]+:\d+", said)
            yield Running(process, url[0], said)
        finally:
            if process.poll() is None:
                process.kill()


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in the project's folder."""
    return subprocess.run(["bash", "-euc", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
