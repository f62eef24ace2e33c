"""The command itself."""

from __future__ import annotations

import subprocess

import pytest

from commands import DS2API, ROOT
from ds2api_asgi import __version__
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands import convert


def test_version_is_a_command_and_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ds2api {__version__}\n" * 2


def test_no_command_and_unknown_commands_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["nonsense"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "usage: ds2api" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(command in told for command in ("demo", "convert", "version"))


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([*DS2API, "version"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ds2api {__version__}\n", "")


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "run", interrupted)
    assert main(["convert", "--kind", "request", "--from", "anthropic", "--to", "gemini"]) == 130
