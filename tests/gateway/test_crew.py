"""`Crew`: processes that are looked after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PROGRAM = """
import signal
import time
from pathlib import Path

from ds2api_asgi.gateway.serving.crew import Crew

HERE = Path(__file__).parent


def work(name, ready):
    (HERE / "begun").touch()
    time.sleep(0.5)
    heard = []
    signal.signal(signal.SIGHUP, lambda number, frame: (HERE / f"heard-{__import__('os').getpid()}").touch())
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    ready()
    while not heard:
        time.sleep(0.02)
    return 0


if __name__ == "__main__":
    raise SystemExit(Crew(2, work, None, patience=5).run(lambda: (HERE / "ready").touch()))
"""


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_sighup_while_workers_start_ends_nobody_and_reaches_all(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], env=env)
    try:
        _until((tmp_path / "begun").exists)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        _until((tmp_path / "ready").exists)
        _until(lambda: len(list(tmp_path.glob("heard-*"))) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
