"""``ds2api init``: what it writes is right whatever was chosen, and nothing is written over."""

from __future__ import annotations

import io
import os
import pty
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from commands import DS2API, ROOT
from ds2api_asgi.access.client_key import digest_of
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands.draft import Draft
from ds2api_asgi.gateway.config import Config, examine
from ds2api_asgi.gateway.providers.presets import PRESETS
from ds2api_asgi.testing import serve

VALUES = {"resource": "res", "deployment": "dep", "project": "mine"}
KEYED = [name for name, preset in PRESETS.items() if not preset.keyless]
SECRET = re.compile(r"ds2-[A-Za-z0-9_-]{43}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for preset in PRESETS.values():
        for variable in preset.variables:
            monkeypatch.delenv(variable, raising=False)
    return tmp_path


def init(monkeypatch: pytest.MonkeyPatch, *arguments: str, answers: str = "") -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
    return main(["init", *arguments])


def right(text: str, folder: Path, environ: dict[str, str] | None = None) -> Config:
    """A configuration that has neither problems nor warnings, with all variables set that it names."""
    file = folder / "checked.toml"
    file.write_text(text)
    named = re.findall(r'"env:(\w+)"', text)
    examined = examine(file, environ={name: f"value-of-{name}" for name in named} | (environ or {}))
    assert examined.config is not None, examined.problems
    assert not examined.warnings
    return examined.config


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    names=st.lists(st.sampled_from(list(PRESETS)), min_size=1, unique=True),
    keys=st.integers(1, 3),
    digest=st.sampled_from(["", digest_of(b"key")]),
    console=st.booleans(),
    port=st.integers(1, 65535),
)
def test_what_is_written_is_right_for_all_providers(
    tmp_path: Path, names: list[str], keys: int, digest: str, console: bool, port: int
) -> None:
    (tmp_path / "console-password").write_text("a-long-password")
    draft = Draft(
        variables={
            name: () if PRESETS[name].keyless else tuple(f"{name.upper().replace('-', '_')}_{n}" for n in range(keys))
            for name in names
        },
        parameters={name: {one: VALUES[one] for one in PRESETS[name].needed()} for name in names},
        digest=digest,
        console=console,
        port=port,
    )
    text = draft.text()
    config = right(text, tmp_path)
    assert list(config.upstreams) == names
    assert (config.access is None, config.console is None) == (not digest, not console)
    assert config.server.port == port
    # The example in the comments is right as well.
    shown = re.sub(r"^# (\[models\.smart\]|targets = )", r"\1", text, flags=re.MULTILINE)
    assert "smart" in right(shown, tmp_path).models
    if len(names) == 1:
        assert [target for model in config.models.values() for target in model.targets] == names


def test_an_open_gateway_for_other_machines_says_so(tmp_path: Path) -> None:
    draft = Draft(variables={"ollama": ()}, console=False, host="0.0.0.0")
    file = tmp_path / "gateway.toml"
    file.write_text(draft.text())
    examined = examine(file, environ={})
    assert not examined.problems
    assert [str(one.path) for one in examined.warnings] == ["access.open"]


def test_files_are_written_with_their_secrets_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    assert init(monkeypatch, "--provider", "openai", "--provider", "ollama") == 0
    told = capsys.readouterr().out
    assert sorted(file.name for file in folder.iterdir()) == ["console-password", "gateway.schema.json", "gateway.toml"]
    password = (folder / "console-password").read_text().strip()
    assert stat.S_IMODE((folder / "console-password").stat().st_mode) == 0o600
    assert len(password) >= 24
    (key,) = SECRET.findall(told)
    text = (folder / "gateway.toml").read_text()
    assert key not in text
    assert digest_of(key.encode()) in text
    assert password not in told + text
    assert "sk-of-openai" not in told + text
    examined = examine(folder / "gateway.toml", environ=os.environ)
    assert not examined.problems
    assert not examined.warnings
    assert main(["check"]) == 0
    assert text.startswith("#:schema ./gateway.schema.json\n")


def test_what_is_there_stays(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gateway.toml").write_text("mine")
    (folder / "console-password").write_text("my-own-password")
    assert init(monkeypatch, "--provider", "ollama") == 1
    assert "gateway.toml is there already" in capsys.readouterr().err
    assert sorted(file.name for file in folder.iterdir()) == ["console-password", "gateway.toml"]
    assert init(monkeypatch, "--provider", "ollama", "--force") == 0
    assert (folder / "console-password").read_text() == "my-own-password"
    assert "ollama" in (folder / "gateway.toml").read_text()
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_a_link_is_there_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gateway.toml").symlink_to(folder / "elsewhere")
    assert init(monkeypatch, "--provider", "ollama") == 1
    assert not (folder / "elsewhere").exists()


def test_a_folder_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(monkeypatch, "none/gateway.toml", "--provider", "ollama") == 1
    assert "cannot write none/console-password: No such file or directory" in capsys.readouterr().err


def test_flags_say_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert init(
        monkeypatch, "gw.toml", "--provider", "azure", "--provider", "groq", "--parameter", "azure.resource=mine",
        "--key-env", "azure=AZ_ONE", "--key-env", "azure=AZ_TWO", "--open", "--no-console", "--port", "9000",
    ) == 0  # fmt: skip
    document = tomllib.loads((folder / "gw.toml").read_text())
    assert document["upstreams"] == {
        "azure": {"preset": "azure", "parameters": {"resource": "mine"}, "keys": ["env:AZ_ONE", "env:AZ_TWO"]},
        "groq": {"preset": "groq", "keys": ["env:GROQ_API_KEY"]},
    }
    assert document["server"] == {"host": "127.0.0.1", "port": 9000}
    assert "access" not in document
    assert "console" not in document


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--provider", "azure"], "Azure OpenAI needs --parameter azure.resource=VALUE"),
        (["--provider", "azure", "--parameter", "azure.resource=a.b"], "resource is a part of a host name"),
        (["--provider", "azure", "--parameter", "azure.resorce=a"], "--parameter is PROVIDER.NAME=VALUE"),
        (["--provider", "openai", "--key-env", "sk-proj-secret"], "--key-env is the name of an environment variable"),
        (["--provider", "openai", "--key-env", "groq=X"], "--key-env is the name of an environment variable"),
        (["--provider", "openai", "--provider", "groq", "--key-env", "X"], "--key-env needs PROVIDER= in front"),
    ],
)
def test_what_cannot_be_is_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert init(monkeypatch, *arguments) == 1
    told = capsys.readouterr().err
    assert words in told
    assert "secret" not in told
    assert list(folder.iterdir()) == []


def test_nothing_but_the_file_is_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(monkeypatch, "--provider", "ollama", "--stdout") == 0
    out, err = capsys.readouterr()
    config = right(out, folder)
    assert config.console is not None
    password = re.search(r"kept nowhere:  (\S{20,})$", err, re.MULTILINE)
    assert password is not None
    right(out, folder, {"DS2API_CONSOLE_PASSWORD": password[1]})
    assert SECRET.search(err)
    assert not SECRET.search(out)
    assert [file.name for file in folder.iterdir()] == ["checked.toml"]


def test_answers_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-1")
    monkeypatch.setenv("GROQ_API_KEY_2", "gsk-2")
    answers = "n\nnothing\n9, azure\n\na.b\nmine\n\nsk-not-a-name\nAZ_KEY\nmaybe\nyes\nn\n70000\n8123\n"
    assert init(monkeypatch, answers=answers) == 0
    told = capsys.readouterr().out
    assert "Groq  (GROQ_API_KEY is set)" in told
    assert "Which of them [groq]" in told
    assert told.count("numbers or names out of the list") == 1
    assert "never a key itself" in told
    assert "sk-not" not in told
    document = tomllib.loads((folder / "gateway.toml").read_text())
    assert document["upstreams"] == {
        "groq": {"preset": "groq", "keys": ["env:GROQ_API_KEY", "env:GROQ_API_KEY_2"]},
        "azure": {"preset": "azure", "parameters": {"resource": "mine"}, "keys": ["env:AZ_KEY"]},
    }
    assert document["server"]["port"] == 8123
    assert "console" not in document
    assert len(document["access"]["keys"]) == 1


def test_the_end_of_the_answers_means_the_defaults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")
    assert init(monkeypatch, "--no-local") == 0
    document = tomllib.loads((folder / "gateway.toml").read_text())
    assert list(document["upstreams"]) == ["anthropic"]
    assert set(document) == {"upstreams", "models", "access", "server", "console"}


def test_what_must_be_known_has_no_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(monkeypatch, "--no-local", answers="vertex\n") == 1
    assert "nobody said: Google Vertex AI: project" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("name", "port"), [("vllm", 8080), ("llama.cpp", 8000), ("openai", 8000)])
def test_the_port_is_no_local_servers(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, port: int) -> None:
    assert init(monkeypatch, "--provider", name) == 0
    assert tomllib.loads((folder / "gateway.toml").read_text())["server"]["port"] == port


@pytest.mark.anyio
async def test_local_servers_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known: Any = PRESETS
    async with serve(DemoModel()) as url:
        for name, preset in PRESETS.items():
            if preset.keyless:
                address = url if name == "vllm" else "http://127.0.0.1:9"
                monkeypatch.setitem(known, name, replace(preset, base_url=address))
        code = await anyio.to_thread.run_sync(lambda: init(monkeypatch, "--local"))
    assert code == 0
    told = capsys.readouterr().out
    assert "vLLM  (answers on this machine)" in told
    assert "Which of them [vllm]" in told
    assert list(tomllib.loads((folder / "gateway.toml").read_text())["upstreams"]) == ["vllm"]


def test_it_works_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*DS2API, "init", str(tmp_path / "gateway.toml"), "--no-local"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GEMINI_API_KEY": "x", "HOME": str(tmp_path)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=ROOT) as process:
        os.close(theirs)
        said = b""
        for question in (
            b"Which of them [gemini]: ",
            b"keys [GEMINI_API_KEY]: ",
            b"key? (y/n) [y]: ",
            b"[y]: ",
            b"[8000]: ",
        ):
            seen = len(said)
            while question not in said[seen:]:
                said += os.read(ours, 1024)
            os.write(ours, b"\n")
        while True:
            try:
                piece = os.read(ours, 1024)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert "gemini" in tomllib.loads((tmp_path / "gateway.toml").read_text())["upstreams"]
