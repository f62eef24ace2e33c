"""``ds2api keys``: against a console on a socket, and everything that can be wrong with the way to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from console_kit import PASSWORD, Nest, nest
from ds2api_asgi.asgi.lifespan import Mounted
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands.key_table import table
from ds2api_asgi.gateway.config import examine
from ds2api_asgi.gateway.console.attempts import BURST
from ds2api_asgi.pool import Key, RateLimits, Secret
from ds2api_asgi.testing import json_script, serve
from watched import CANARY, SPARE

MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}
REFUSED = {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": "invalid_api_key"}}


@contextmanager
def serving(app: Any) -> Iterator[str]:
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(serve(app)) as url:
        yield url


@contextmanager
def a_gateway(scripts: Any = None, **options: Any) -> Iterator[tuple[Nest, str]]:
    made = nest(scripts, **options)
    with serving(Mounted(made.app, "/console", made.console)) as url:
        yield made, url


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSOLE_PASSWORD", PASSWORD)


def ask(url: str, *words: str) -> int:
    return main(["keys", "--url", f"{url}/console", "--password", "env:CONSOLE_PASSWORD", *words])


def file_for(folder: Path, url: str, console: str = '[console]\npassword = "env:CONSOLE_PASSWORD"') -> str:
    path = folder / "gateway.toml"
    port = url.rpartition(":")[2]
    path.write_text(
        f'[upstreams.up]\npreset = "openai"\nkeys = ["env:NOBODY_HAS_THIS", "env:NOR_THIS"]\n'
        f'[models.m]\ntargets = ["up/m"]\n[server]\nport = {port}\n{console}\n'
    )
    path.chmod(0o600)
    return str(path)


def test_keys_are_told_in_a_table_and_as_json(capsys: Any, tmp_path: Path) -> None:
    limited = [
        Key(secret=Secret(CANARY), alias="one", limits=RateLimits(rpm=60)),
        Key(secret=Secret(SPARE), alias="two"),
    ]
    with a_gateway(keys=limited) as (made, url):
        assert ask(url) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0].split() == ["POOL", "KEY", "STATE", "FOR", "RUNNING", "SERVED", "FAILED", "LEFT"]
        assert told[1].split() == ["openai", "one", "active", "0", "0", "0", "rpm", "60/60"]
        assert ask(url, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert [key["alias"] for key in document["pools"][0]["keys"]] == ["one", "two"]
        # The same by the gateway's file, in a shell that has none of its providers' keys.
        assert main(["keys", file_for(tmp_path, url)]) == 0
        assert capsys.readouterr().out.splitlines() == told
        assert made.pool.waiting == 0


def test_a_key_is_switched_off_and_on(capsys: Any, tmp_path: Path) -> None:
    with a_gateway() as (_, url):
        assert main(["keys", file_for(tmp_path, url), "disable", "openai/two"]) == 0
        assert "switched off" in capsys.readouterr().out
        assert ask(url) == 0
        assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["active", "switched"]
        assert ask(url, "enable", "openai/two") == 0
        assert "active" in capsys.readouterr().out


def test_workers_that_do_not_tell_are_told_of(capsys: Any) -> None:
    with a_gateway(workers=3) as (_, url):
        assert ask(url) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "2 workers did not answer in time: not counted here."
        assert ask(url, "disable", "openai/two") == 0
        assert "2 workers did not say that the key is disabled there" in capsys.readouterr().err
        assert ask(url, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["workers"], document["missing"]) == (3, 2)
    key = {"alias": "k", "state": "cooling", "workers": [1, 2]}
    assert "cooling in 1 of 2 workers" in table([{"name": "p", "keys": [key]}])


def test_a_key_is_tried_out(capsys: Any) -> None:
    with a_gateway([json_script(MODELS), json_script(REFUSED, status=401)]) as (_, url):
        assert ask(url, "test", "openai/one") == 0
        assert capsys.readouterr().out.startswith("ok: The provider lists 1 model. (status 200, ")
        assert ask(url, "test", "openai/one") == 1
        told = capsys.readouterr()
        assert told.out.startswith("not ok: The provider refuses the key")
        assert CANARY not in told.out + told.err


@pytest.mark.parametrize("key", ["openai/three", "other/one", "other/../../login"])
def test_a_key_that_is_not_there_is_told(capsys: Any, key: str) -> None:
    with a_gateway() as (_, url):
        assert ask(url, "disable", key) == 1
    assert "no such" in capsys.readouterr().err


def test_a_wrong_password_is_told_and_not_repeated(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("CONSOLE_PASSWORD", "not-the-password")
    with a_gateway(clock=lambda: 0.0) as (_, url):
        for _ in range(BURST):
            assert ask(url) == 1
            assert "does not accept the password" in capsys.readouterr().err
        assert ask(url) == 1
        told = capsys.readouterr().err
        assert "try again in" in told
        assert "not-the-password" not in told


def test_nobody_there_is_told(capsys: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}") == 1
    assert "no gateway answers at http://127.0.0.1" in capsys.readouterr().err
    assert main(["keys", file_for(tmp_path, f":{port}")]) == 1
    assert "Connection refused" in capsys.readouterr().err


def test_somebody_else_there_is_told(capsys: Any) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        status = next((status for status in (401, 404) if str(status) in scope["path"]), 200)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<html>\x1b[31m"})

    with serving(other) as url:
        assert ask(url) == 1
        assert "is no console" in capsys.readouterr().err
        assert ask(f"{url}/401") == 1
        assert "is no console (status 401)" in capsys.readouterr().err
        assert ask(f"{url}/404") == 1
        assert "there is no console at" in capsys.readouterr().err


def test_something_that_is_no_http_is_told(capsys: Any) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 smtp.example\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        assert ask(f"http://127.0.0.1:{listener.getsockname()[1]}") == 1
        thread.join()
    assert "does not speak HTTP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense.toml", "explode", "a/b"], "explode: not one of"),
        (["disable"], "goes with one key"),
        (["disable", "one"], "goes with one key"),
        (["disable", "a/b", "c/d"], "goes with one key"),
        (["--url", "http://127.0.0.1:1/console"], "--url goes with --password"),
        (["--url", "ftp://x", "--password", "env:CONSOLE_PASSWORD"], "--url is not as"),
        (["--url", "http://user:word@x", "--password", "env:CONSOLE_PASSWORD"], "--url is not as"),
        (["--url", "http://x:99999", "--password", "env:CONSOLE_PASSWORD"], "a port that is none"),
        (["--url", "http://127.0.0.1:1", "--password", PASSWORD], "not the password itself"),
        (["--url", "http://127.0.0.1:1", "--password", "env:NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["x.toml", "--url", "http://127.0.0.1:1"], "give one of them"),
        (["--watch", "disable", "a/b"], "--watch shows keys"),
        (["--model", "m"], "--model goes with test"),
        (["missing.toml"], "missing.toml: there is no such file"),
    ],
)
def test_wrong_usage_says_what_is_wrong(capsys: Any, words: list[str], says: str) -> None:
    assert main(["keys", *words]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert PASSWORD not in told


def test_a_file_without_a_console_or_its_password_is_told(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    assert main(["keys", file_for(tmp_path, ":1", console="")]) == 2
    assert "there is no [console]" in capsys.readouterr().err
    monkeypatch.delenv("CONSOLE_PASSWORD")
    assert main(["keys", file_for(tmp_path, ":1")]) == 2
    assert "console.password: the environment variable CONSOLE_PASSWORD is not set" in capsys.readouterr().err
    assert main(["keys", file_for(tmp_path, ":0")]) == 2
    assert main(["keys", file_for(tmp_path, ":1", console="[consol]")]) == 2
    assert "gateway.toml:8" in capsys.readouterr().err


def test_watching_shows_them_again(capsys: Any, monkeypatch: Any) -> None:
    from ds2api_asgi.gateway.commands import keys

    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(keys.time, "sleep", nap)
    with a_gateway() as (_, url):
        assert ask(url, "--watch") == 0
        assert capsys.readouterr().out.count("POOL") == 3
        naps.clear()
        assert ask(url, "--watch", "--json") == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert all(json.loads(line)["pools"] for line in lines)


def test_a_password_over_a_plain_connection_is_warned_of(capsys: Any) -> None:
    assert main(["keys", "--url", "http://gw.invalid/console", "--password", "env:CONSOLE_PASSWORD"]) == 1
    assert "unencrypted" in capsys.readouterr().err


values: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "keys", "alias", "models", "headroom", "until", "limit", "left", "of", "model"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=3))
def test_whatever_a_gateway_tells_becomes_lines_that_a_terminal_can_show(pools: Any) -> None:
    told = table(pools)
    assert told.endswith("\n")
    assert all(line.isprintable() or "\ufffd" in line for line in told.splitlines())
    assert "\x1b" not in told


def test_doubts_about_a_file_are_not_told_by_who_only_looks_at_keys(tmp_path: Path, caplog: Any) -> None:
    console = '[console]\npassword = "env:CONSOLE_PASSWORD"\n[store]\n[responses]'
    file = file_for(tmp_path, ":1\nworkers = 2", console)
    environ = {"CONSOLE_PASSWORD": PASSWORD, "NOBODY_HAS_THIS": "sk-1", "NOR_THIS": "sk-2"}
    assert examine(file, environ=environ).warnings
    assert main(["keys", file]) == 1
    assert not caplog.records
