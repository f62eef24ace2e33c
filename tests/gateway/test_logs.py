"""`start_logs`: one place and one format for every logger of a process."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds2api_asgi.gateway.config.observing import LogTable
from ds2api_asgi.gateway.serving.logs import NAME, start_logs

NAMES = ("", "ds2api_asgi", "httpx2", "httpcore2", "uvicorn", "uvicorn.error", "uvicorn.access", "websockets")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The loggers of this process belong to pytest."""
    kept = [(name, logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in NAMES]
    yield
    logging.captureWarnings(capture=False)
    for name, level, handlers in kept:
        logger = logging.getLogger(name)
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = True


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_every_logger_writes_to_one_file_in_one_format(tmp_path: Path) -> None:
    file = tmp_path / "log"
    start_logs(LogTable(format="json", file=str(file)))
    logging.getLogger("ds2api_asgi.pool").info("ours", extra={"pool": "p"})
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 5)
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /v1?key=sk-canary HTTP/1.1" 200')
    logging.getLogger("httpx2").info("HTTP Request: GET https://x/?key=sk-canary")
    logging.getLogger("httpx2").warning("trouble")
    logging.getLogger("somebody.else").debug("details")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("odd", UserWarning, stacklevel=1)
    found = documents(file)
    assert [told["logger"] for told in found] == ["ds2api_asgi.pool", "uvicorn.error", "httpx2", "py.warnings"]
    assert found[0]["extra"] == {"pool": "p"}
    assert found[1]["message"] == "Started server process [5]"
    assert "canary" not in file.read_text()


@pytest.mark.parametrize(("level", "ours", "others"), [("debug", 10, 20), ("warning", 30, 30), ("error", 40, 40)])
def test_details_are_told_by_our_own_loggers_only(tmp_path: Path, level: Any, ours: int, others: int) -> None:
    start_logs(LogTable(level=level, file=str(tmp_path / "log")))
    assert logging.getLogger("ds2api_asgi.pool").getEffectiveLevel() == ours
    assert logging.getLogger("somebody.else").getEffectiveLevel() == others
    assert logging.getLogger("httpx2").getEffectiveLevel() == max(30, ours)


def test_a_file_that_was_moved_is_opened_again(tmp_path: Path) -> None:
    file, moved = tmp_path / "log", tmp_path / "log.1"
    start_logs(LogTable(format="json", file=str(file)))
    logger = logging.getLogger("ds2api_asgi.x")
    logger.info("one")
    file.rename(moved)
    logger.info("two")
    file.unlink()
    logger.info("three")
    assert [told["message"] for told in documents(moved)] == ["one"]
    assert [told["message"] for told in documents(file)] == ["three"]


def test_a_reload_replaces_the_place_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    start_logs(LogTable(format="json", file=str(one)))
    with pytest.raises(OSError):
        start_logs(LogTable(file=str(tmp_path / "no" / "where")))
    logging.getLogger("ds2api_asgi.x").info("first")
    start_logs(LogTable(format="text", file=str(two)))
    logging.getLogger("ds2api_asgi.x").info("second")
    assert [told["message"] for told in documents(one)] == ["first"]
    assert two.read_text().endswith("INFO ds2api_asgi.x: second\n")
    assert len([one for one in logging.getLogger().handlers if one.name == NAME]) == 1


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    """Two handlers stand for two workers: each has a descriptor of its own."""
    file = tmp_path / "log"
    start_logs(LogTable(format="json", file=str(file)))
    other = type(start_logs(LogTable(format="json", file=str(file))))(str(file))
    mine = logging.getLogger().handlers[-1]
    other.setFormatter(mine.formatter)
    long = "x" * 7_000

    def write(handler: logging.Handler, name: str) -> None:
        for _ in range(100):
            handler.handle(logging.makeLogRecord({"name": name, "msg": long, "levelname": "INFO"}))

    threads = [threading.Thread(target=write, args=(handler, name)) for handler, name in ((mine, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    found = documents(file)
    assert sorted(told["logger"] for told in found) == ["a"] * 100 + ["b"] * 100
    assert {told["message"] for told in found} == {long}


def test_standard_error_is_the_place_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    start_logs(LogTable(format="json"))
    logging.getLogger("ds2api_asgi.x").warning("a\nb")
    assert json.loads(capsys.readouterr().err)["message"] == "a\nb"
