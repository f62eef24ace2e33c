"""Commands of the project as processes: started, read until they are ready, ended as a terminal would end them."""

from __future__ import annotations

import codecs
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DS2API = (sys.executable, "-W", "error", "-m", "ds2api_asgi")
START_SECONDS = 60
END_SECONDS = 20
URL = re.compile(r"https?://[\w.\[\]:]+:\d+(?=\D)")


class Running:
    """A process that serves, read to its end: one whose pipe nobody reads stands still once that is full.

    Attributes:
        process: The process.
        base_url: Where it listens, since it has said that it is ready.
        said: All that it has said so far.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.base_url = ""
        self.said = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")()
        while chunk := self.process.stdout.read1(65536):  # type: ignore[attr-defined]
            self.said += decoder.decode(chunk)
            if not self._ready.is_set() and (url := URL.search(self.said)):
                self.base_url = url[0]
                self._ready.set()
        self._ready.set()

    def wait(self) -> None:
        """Until it says where it listens."""
        assert self._ready.wait(START_SECONDS), f"not ready after {START_SECONDS} s: {self.said}"
        assert self.base_url, f"ended before it was ready: {self.said}"

    def end(self, number: int = signal.SIGTERM, *, seconds: float = END_SECONDS) -> int:
        """Send it a signal, and wait for its end; its exit code."""
        self.process.send_signal(number)
        return self.ended(seconds=seconds)

    def ended(self, *, seconds: float = END_SECONDS) -> int:
        """Wait for its end, and for the rest of what it says; its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)  # a process that it started may still hold the other end
        return code

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; the exit code, and what the process wrote since then."""
        before = len(self.said)
        return self.end(signal.SIGINT), self.said[before:]


@contextmanager
def running(*command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a command that serves, in the project's folder or another; its outputs are read as one.

    What is left of it is ended as a service manager would: by SIGTERM, and after ten seconds by force.
    """
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        ran = Running(process)
        try:
            ran.wait()
            yield ran
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    ran.ended(seconds=10)
                except subprocess.TimeoutExpired:
                    process.kill()


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in the project's folder."""
    return subprocess.run(["bash", "-euc", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
