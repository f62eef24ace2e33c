"""``ds2api check``: what a file means, what is wrong with it, and whether its keys work."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from ds2api_asgi.asgi.headers import find
from ds2api_asgi.asgi.path import relative_path
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands.probe import MAX_AT_A_TIME, Asked, Probed, probe
from ds2api_asgi.gateway.config import examine
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import serve

KEY = "sk-never-shown-anywhere-0123"
GOOD = """
[upstreams.openai]
preset = "openai"
keys = ["env:OPENAI_KEY", { secret = "env:OTHER_KEY", alias = "second" }]

[upstreams.local]
preset = "ollama"

[models.smart]
targets = ["openai/gpt-6", { upstream = "local", weight = 0.5, priority = 1, can = ["tools"] }]
fallbacks = ["small"]

[models.small]
targets = ["local/qwen3"]

[access]
keys = [{ key = "env:CLIENT_KEY", name = "alice", models = ["small"], limits = { rpm = 60 } }]

[console]
password = "env:PASSWORD"
"""
ENVIRON = {
    "OPENAI_KEY": KEY,
    "OTHER_KEY": KEY + "-other",
    "CLIENT_KEY": KEY + "-client",
    "PASSWORD": KEY + "-password",
}


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def run(text: str, *arguments: str) -> tuple[int, str, str]:
        for name, value in ENVIRON.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "gateway.toml").write_text(text)
        (tmp_path / "gateway.toml").chmod(0o600)
        monkeypatch.chdir(tmp_path)
        code = main(["check", *arguments])
        out, err = capsys.readouterr()
        assert KEY not in out + err
        return code, out, err

    return run


def test_what_was_understood(check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = check(GOOD)
    assert (code, err) == (0, "")
    aliased = out.splitlines()[2].rpartition(": ")[2].split(",")[0]
    assert aliased.startswith("key-")
    assert out.splitlines() == [
        "listens    http://127.0.0.1:8000 (uvicorn; only this machine reaches it)",
        "clients    alice  only small; 60 rpm",
        f"upstreams  openai  openai-chat  https://api.openai.com  2 keys (least-used): {aliased}, second",
        "           local   ollama       http://localhost:11434  no keys",
        "models     smart  openai/gpt-6, local (weight 0.5, priority 1, can tools); then as small",
        "           small  local/qwen3",
        "pages      console  /console",
    ]


def test_the_least_file(check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = check('[upstreams.a]\npreset = "openai"\n')
    assert code == 0
    assert out.splitlines() == [
        "listens    http://127.0.0.1:8000 (uvicorn; only this machine reaches it)",
        "clients    everybody on this machine, without a key",
        "upstreams  a  openai-chat  https://api.openai.com  no keys",
        "models     none: clients name an upstream and its model, as in upstream/model",
        "warning: gateway.toml:1: upstreams.a: has no keys, though OpenAI demands one",
    ]


def test_the_same_for_machines(check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = check(GOOD, "--json", "gateway.toml")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["right"] is True
    assert found["models"]["smart"]["targets"] == [
        {"upstream": "openai", "model": "gpt-6"},
        {"upstream": "local", "model": None, "weight": 0.5, "priority": 1, "can": ["tools"]},
    ]
    assert found["access"]["clients"] == [{"name": "alice", "models": ["small"], "limits": {"rpm": 60}}]
    assert found["pages"] == {"console": "/console"}


def test_problems_are_told_with_their_lines(check: Callable[..., tuple[int, str, str]]) -> None:
    text = GOOD + "paswd = 1\n[models.x]\ntargets = ['opnai/m']\n"
    code, out, err = check(text)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        'gateway.toml:21: console.paswd: unknown; did you mean "password"?',
        'gateway.toml:23: models.x.targets[0]: unknown upstream; did you mean "openai"?',
        "2 problems",
    ]
    code, out, err = check(text, "--json")
    assert (code, err) == (1, "")
    assert [(one["line"], one["path"]) for one in json.loads(out)["problems"]] == [
        (21, "console.paswd"),
        (23, "models.x.targets[0]"),
    ]


def test_warnings_can_count_as_problems(check: Callable[..., tuple[int, str, str]]) -> None:
    text = '[upstreams.a]\npreset = "openai"\n'
    code, out, err = check(text, "--strict")
    assert (code, out) == (1, "")
    assert err == "gateway.toml:1: upstreams.a: has no keys, though OpenAI demands one\n1 problem\n"
    assert check(GOOD, "--strict")[0] == 0


def test_what_only_parts_know_is_told_too(check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = check('[upstreams.a]\npreset = "openai"\n[upstreams.a.headers]\n"connection" = "x"')
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "gateway.toml:4: upstreams.a.headers.connection: is set by the gateway itself",
        "1 problem",
    ]


def test_a_check_leaves_no_files(check: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    stores = '[store]\ntype = "sqlite"\npath = "keys.db"\n[responses]\ntype = "sqlite"\npath = "responses.db"\n'
    assert check(GOOD + stores)[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.toml"]


def test_a_file_that_is_not_there(check: Callable[..., tuple[int, str, str]]) -> None:
    assert check(GOOD, "other.toml") == (
        1,
        "",
        "other.toml: there is no such file (ds2api init writes one)\n1 problem\n",
    )


def test_the_schema_is_printed(check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = check("", "--schema")
    assert (code, err) == (0, "")
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(json.loads(out))


class Provider:
    """Lists models as each key deserves; it speaks OpenAI's protocol, or Anthropic's where that is asked for."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.now = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        key = (find(scope["headers"], b"authorization") or b"").decode().removeprefix("Bearer ")
        answer = self._answers.get(
            key, (401, {"error": {"message": f"Incorrect API key: {key}", "code": "invalid_api_key"}})
        )
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await anyio.sleep(0.05)
            if answer == "hang":
                await anyio.sleep(20)
            if relative_path(scope) != "/v1/models":
                answer = (404, {"error": {"message": "no such path"}})
            if isinstance(answer, bytes):
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
                await send({"type": "http.response.body", "body": answer})
            else:
                await respond(send, status=answer[0], document=answer[1])
        finally:
            self.now -= 1


def listed(*models: str) -> tuple[int, Any]:
    return 200, {"object": "list", "data": [{"id": model, "object": "model"} for model in models]}


KEYS: dict[str, Any] = {
    "good": listed("gpt-6", "gpt-6-mini"),
    "more": listed("gpt-6", "o9"),
    "used-up": (429, {"error": {"message": "quota", "code": "insufficient_quota", "type": "insufficient_quota"}}),
    "slow": (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
    "narrow": (403, {"error": {"message": "missing scopes: api.model.read"}}),
    "trouble": (500, {"error": {"message": "server", "type": "server_error"}}),
    "moved": (302, {}),
    "page": b"<html>welcome</html>",
    "odd": (200, {"hello": "world"}),
    "hangs": "hang",
}
WORDS = {
    "good": ("works", "works, 2 models"),
    "more": ("works", "works, 2 models"),
    "used-up": ("fails", "credit or quota is used up (429)"),
    "slow": ("fails", "is over a rate limit now (429); ask again later"),
    "narrow": ("unknown", "may not list models (403), so nothing else is known"),
    "trouble": ("fails", "the provider is in trouble (500)"),
    "moved": ("fails", "answers 302, but with no list of models: does base_url lead to an API?"),
    "page": ("fails", "answers 200, but with no list of models: does base_url lead to an API?"),
    "odd": ("fails", "answers, but with no list of models: does base_url lead to an API?"),
    "hangs": ("fails", "did not answer within 1 s"),
    "wrong": ("fails", "the key is refused (401)"),
}


async def probed(folder: Path, text: str, out: io.StringIO | None = None, timeout: float = 1.0) -> Probed:
    file = folder / "gateway.toml"
    file.write_text(text)
    config = examine(file, environ=ENVIRON).config
    assert config is not None
    return await anyio.to_thread.run_sync(lambda: probe(config, folder=Path(), timeout=timeout, out=out))


@pytest.mark.anyio
async def test_each_key_is_told_what_it_is(tmp_path: Path) -> None:
    names = [*KEYS, "wrong"]
    keys = ", ".join(f'{{ secret = "{name}", alias = "{name}!" }}' for name in names)
    async with serve(Provider(KEYS)) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}"\nkeys = [{keys}]'
        found = await probed(tmp_path, text)
    assert {one.key: (one.state, one.words) for one in found.asked} == {f"{name}!": WORDS[name] for name in names}
    assert [one.key for one in found.asked] == [f"{name}!" for name in names]
    assert not found.works
    assert found.document()["keys"][0]["models"] == 2


@pytest.mark.anyio
async def test_models_that_are_not_listed_are_told(tmp_path: Path) -> None:
    models = """
[models.smart]
targets = ["a/gpt-6", "a/gpt-6-mni", { upstream = "a", model = "something-else" }]
[models.o9]
targets = ["a"]
[models.gpt-7]
targets = ["a"]
[models."gpt-*"]
targets = ["a"]
[models.elsewhere]
targets = ["b/x"]
"""
    async with serve(Provider(KEYS)) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}"\nkeys = ["good", "more"]\n{models}'
        found = await probed(tmp_path, text + '[upstreams.b]\npreset = "ollama"\nbase_url = "http://127.0.0.1:9"')
    assert found.unlisted == (
        ("models.smart.targets[1]", 'a does not list this model; did you mean "gpt-6-mini"?'),
        ("models.smart.targets[2]", "a does not list this model"),
        ("models.gpt-7.targets[0]", 'a does not list this model; did you mean "gpt-6"?'),
    )
    assert [one.words for one in found.asked][2:] == ["was not reached: nobody answers there"]


@pytest.mark.anyio
async def test_a_token_of_a_command_is_asked_with(tmp_path: Path) -> None:
    program = f"import pathlib; print(pathlib.Path({str(tmp_path / 'token')!r}).read_text())"
    command = json.dumps([sys.executable, "-c", program])
    async with serve(Provider(KEYS)) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}"\ntoken = {{ command = {command} }}'
        (tmp_path / "token").write_text("good")
        found = await probed(tmp_path, text, timeout=20)
        assert [(one.key, one.state, one.words) for one in found.asked] == [(None, "works", "works, 2 models")]
        (tmp_path / "token").write_text("wrong")
        assert not (await probed(tmp_path, text, timeout=20)).works


@pytest.mark.anyio
async def test_a_path_without_lists_is_doubtful_where_the_address_is_ones_own(tmp_path: Path) -> None:
    async with serve(Provider(KEYS)) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}/x"\nkeys = ["good"]'
        found = await probed(tmp_path, text)
    assert [(one.state, one.words) for one in found.asked] == [("fails", "answers 404: does base_url lead to an API?")]


@pytest.mark.anyio
async def test_no_more_than_a_few_are_asked_at_a_time(tmp_path: Path) -> None:
    keys = {f"key-{number}": listed("m") for number in range(30)}
    provider = Provider(keys)
    async with serve(provider) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}"\nkeys = {json.dumps(list(keys))}'
        found = await probed(tmp_path, text, timeout=10)
    assert found.works
    assert 2 < provider.most <= MAX_AT_A_TIME


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.anyio
async def test_progress_is_told_on_a_terminal_and_gone_at_the_end(tmp_path: Path) -> None:
    terminal, file = Terminal(), io.StringIO()
    async with serve(Provider(KEYS)) as url:
        text = f'[upstreams.a]\nprotocol = "openai-chat"\nbase_url = "{url}"\nkeys = ["good", "more"]'
        await probed(tmp_path, text, terminal)
        await probed(tmp_path, text, file)
    assert terminal.getvalue() == "\rasked 1 of 2 \r             \r"
    assert file.getvalue() == ""


@pytest.mark.anyio
@pytest.mark.parametrize("protocol", registry.names())
async def test_the_demo_model_is_asked_in_its_protocol(
    protocol: str, check: Callable[..., tuple[int, str, str]]
) -> None:
    app: ASGIApp = DemoModel(keys=["sk-demo-key"])
    if protocol != "openai-chat":
        from ds2api_asgi import Translator, Upstream

        async with (
            serve(app) as inner,
            serve(Translator(Upstream(inner, api_key="sk-demo-key"), speaks="openai-chat")) as url,
        ):
            await _checked(check, protocol, url)
    else:
        async with serve(app) as url:
            await _checked(check, protocol, url)


async def _checked(check: Callable[..., tuple[int, str, str]], protocol: str, url: str) -> None:
    text = (
        f'[upstreams.demo]\nprotocol = "{protocol}"\nbase_url = "{url}"\nkeys = ["sk-demo-key"]\n'
        '[models.fast]\ntargets = ["demo/demo-fst"]'
    )
    code, out, err = await anyio.to_thread.run_sync(lambda: check(text, "--probe"))
    assert (code, err) == (0, "")
    last = out.split("\n\n")[1].splitlines()
    assert last[0].startswith("ok     demo  key-")
    assert "works, " in last[0]
    assert last[1].startswith("models.fast.targets[0]: demo does not list this model")


def test_what_came_of_asking_stands_in_columns() -> None:
    asked = [
        Asked(upstream="demo", key="blue", state="works", words="works, 1 model"),
        Asked(upstream="a", key="a-longer-one", state="fails", words="answers 400"),
        Asked(upstream="local", key=None, state="works", words="works, 2 models"),
    ]
    assert list(Probed(asked=tuple(asked)).lines()) == [
        "ok     demo   blue          works, 1 model",
        "FAILS  a      a-longer-one  answers 400",
        "ok     local  -             works, 2 models",
    ]
