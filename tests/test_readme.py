"""What README says is run here: its program, its commands, its links."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import anthropic
import pytest

import ds2api_asgi
from commands import DS2API, ROOT, running, shell
from ds2api_asgi import Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver, in_process_client, serve
from page_folder import KNOWN, follow
from snippets import blocks

README = (ROOT / "README.md").read_text()
INSTALLED = ".venv/bin/ds2api"
HELLO: Any = [{"role": "user", "content": "Hello"}]


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _marked(name: str) -> str:
    """The one command between two comments."""
    (between,) = re.findall(rf"^<!-- {name} -->\n(.*?)^<!-- /{name} -->$", README, flags=re.MULTILINE | re.DOTALL)
    (block,) = _blocks("sh", between)
    (line,) = block.splitlines()
    return str(line)


def _lines(start: str) -> list[str]:
    return [line for block in _blocks("sh") for line in block.splitlines() if line.startswith(start)]


# the two commands


@pytest.mark.parametrize("name", ["test", "demo"])
def test_a_command_does_its_own_set_up_with_python_and_pip_alone(name: str) -> None:
    venv, install, run = _marked(name).split(" && ")
    assert venv == "python3 -m venv --without-pip .venv"
    assert install.startswith("python3 -m pip --python .venv install ")
    assert run.startswith(".venv/bin/")


def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("not a checkout: .ci is not part of a source distribution")
    (assignment,) = [line for line in script.read_text().splitlines() if line.startswith("command=")]
    assert shell(f'{assignment}; printf %s "$command"').stdout == _marked("test")
    assert "$command" in script.read_text().replace(assignment, "")


def test_extras_that_commands_install_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {extra for found in re.findall(r"'\.\[([\w,]+)\]'", README) for extra in found.split(",")}
    assert named == {"docs", "test", "fast", "serve"}
    assert named <= set(project["optional-dependencies"])
    assert "ds2api" in project["scripts"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_demo_command_serves_what_the_curl_lines_ask_for() -> None:
    program, *arguments = _marked("demo").split(" && ")[-1].split()
    assert program == INSTALLED
    with running(*DS2API, *arguments, "--port", "0", "--pace", "0") as demo:
        whole, streamed = [
            shell(line.replace("http://127.0.0.1:8000", demo.base_url))
            for line in _lines("curl ")
            if "demo-small" in line
        ]
        faults = "curl -sN {url}/v1/chat/completions -d '{document}'"
        once = {"model": "demo-fail-500!1", "messages": HELLO}
        survived = shell(faults.format(url=demo.base_url, document=json.dumps(once)))
    assert "Hello" in json.loads(whole.stdout)["choices"][0]["message"]["content"]
    assert streamed.stdout.startswith("event: message_start\n")
    assert "choices" in json.loads(survived.stdout)


def test_the_convert_command_converts() -> None:
    (line,) = _lines("echo ")
    assert INSTALLED in line
    done = shell(line.replace(INSTALLED, " ".join(DS2API)))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["messages"] == HELLO


def test_the_commands_of_the_examples_are_those_at_their_heads() -> None:
    for example in ("fastapi_app", "litestar_app", "quart_app", "custom_gateway"):
        (line,) = [line for line in _lines("python3 -m venv") if example in line]
        command = line.split(" && ")[-1].removeprefix(".venv/bin/")
        assert f"    {command}\n" in (ROOT / "examples" / example / "main.py").read_text()


# the gateway


def _gateway() -> str:
    return README.partition("## A gateway from a file\n")[2].partition("\n## ")[0]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_gateway_serves_what_the_curl_line_asks_for(anyio_backend: str, tmp_path: Path) -> None:
    await follow(list(blocks(_gateway())), tmp_path)


def test_the_commands_that_are_named_exist() -> None:
    named = re.findall(r"^\| `ds2api (\w+)` \|", README, flags=re.MULTILINE)
    assert len(named) == 8
    assert [name for name in named if name not in KNOWN] == []


# the tour


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tour's program writes a file beside it."""
    monkeypatch.chdir(tmp_path)


async def _tour(base_url: str, keys: list[str]) -> dict[str, Any]:
    """Run the tour's program against a provider here that accepts its keys; gives what it defined."""
    source = re.sub(r"https://api\.(?:openai\.com|anthropic\.com|mistral\.ai)", base_url, "\n".join(_blocks("python")))
    assert [key for key in keys if key not in source] == []
    namespace: dict[str, Any] = {"__name__": "tour"}
    exec(compile(source, "README.md", "exec", dont_inherit=True), namespace)
    return namespace


@pytest.mark.anyio
@pytest.mark.parametrize("name", [
    "llm", "claude", "fleet", "local", "coder", "stateful", "api", "litestar", "starlette", "quart"
])  # fmt: skip
async def test_an_app_of_the_tour_answers_anthropics_client(name: str, anyio_backend: str) -> None:
    if name == "quart" and anyio_backend == "trio":
        pytest.skip("Quart runs on asyncio only")
    keys = ["sk-openai", "sk-ant-1", "sk-ant-2", "sk-ant-3"]
    provider = Translator(DemoModel(keys=keys), speaks="openai-chat")
    async with serve(provider) as base_url:
        tour = await _tour(base_url, keys)
        mounted = name in ("api", "litestar", "starlette", "quart")
        async with ds2api_asgi.running(tour[name]), in_process_client(tour[name]) as http:
            client = anthropic.AsyncAnthropic(
                base_url="http://app/llm" if mounted else "http://app", api_key="any", http_client=http, max_retries=0
            )
            async with client.messages.stream(model="demo-small", max_tokens=99, messages=HELLO) as stream:
                assert "Hello" in await stream.get_final_text()


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "accepted"), [("claude", "sk-ant-3"), ("fleet", "sk-ant-2"), ("fleet", "sk-openai")])
async def test_the_pool_and_the_fleet_answer_as_long_as_one_key_works(name: str, accepted: str) -> None:
    provider = Translator(DemoModel(keys=[accepted]), speaks="openai-chat")
    async with serve(provider) as base_url:
        app = (await _tour(base_url, [accepted]))[name]
        async with ds2api_asgi.running(app):
            document = {"model": "demo-small", "max_tokens": 99, "messages": HELLO}
            for _ in range(3):
                assert (await Driver(app).request("POST", "/v1/messages", json=document)).json()["type"] == "message"


@pytest.mark.anyio
async def test_limited_keys_answer_one_conversation_with_one_key() -> None:
    demo = DemoModel(keys=["sk-blue", "sk-green"])
    async with serve(demo) as base_url:
        app = (await _tour(base_url, ["sk-blue", "sk-green"]))["limited"]
        async with ds2api_asgi.running(app):
            for _ in range(4):
                document = {"model": "demo-small", "messages": HELLO}
                assert (await Driver(app).request("POST", "/v1/chat/completions", json=document)).status == 200
        assert (demo.requests.of(key="sk-blue"), demo.requests.of(key="sk-green")) == (4, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "model", "status"),
    [
        ({}, "claude-demo", 401),
        ({"x-api-key": "sk-shop-9f86d081884c7d65"}, "claude-demo", 200),
        ({"x-api-key": "sk-shop-9f86d081884c7d65"}, "demo-small", 403),
    ],
)
async def test_the_door_lets_in_who_shows_its_key(headers: dict[str, str], model: str, status: int) -> None:
    async with serve(Translator(DemoModel(models=["claude-demo"]), speaks="openai-chat")) as base_url:
        app = (await _tour(base_url, []))["door"]
        async with ds2api_asgi.running(app):
            document = {"model": model, "max_tokens": 99, "messages": HELLO}
            answer = await Driver(app, headers=headers).request("POST", "/v1/messages", json=document)
    assert answer.status == status


@pytest.mark.anyio
async def test_the_router_sends_a_model_where_its_name_leads() -> None:
    keys = ["sk-openai", "sk-ant-1", "sk-ant-2", "sk-ant-3"]
    demo = DemoModel(keys=keys, models=["claude-opus-5"])
    async with serve(Translator(demo, speaks="openai-chat")) as base_url:
        app = (await _tour(base_url, keys))["router"]
        async with ds2api_asgi.running(app):
            document = {"model": "smart", "max_tokens": 99, "messages": HELLO}
            answer = await Driver(app).request("POST", "/v1/messages", json=document)
    assert (answer.status, demo.requests.of(model="claude-opus-5")) == (200, 1)


@pytest.mark.anyio
async def test_other_paths_of_a_local_app_pass_untouched() -> None:
    tour = await _tour("http://127.0.0.1:9", [])
    answer = await Driver(tour["local"]).request("GET", "/elsewhere")
    assert answer.body == (await Driver(DemoModel()).request("GET", "/elsewhere")).body


def test_the_table_of_parts_names_what_exists() -> None:
    parts = README.partition("\n## The parts\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", parts, flags=re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`([\w.]+)", cell)}
    assert {"Translator", "KeyPool", "Retry", "Failover", "Upstream", "convert"} <= names
    for name in names:
        module, _, attribute = name.removeprefix("ds2api_asgi.").rpartition(".")
        import_module(f"ds2api_asgi.{attribute}") if attribute == "testing" else getattr(
            import_module(f"ds2api_asgi.{module}" if module else "ds2api_asgi"), attribute
        )


def test_links_lead_to_files_of_the_project() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_protocols_are_those_that_it_names() -> None:
    assert set(registry.names()) == {"openai-chat", "openai-responses", "anthropic", "gemini", "ollama"}


def test_the_python_blocks_are_formatted_and_parse() -> None:
    for block in _blocks("python"):
        ast.parse(block)
        assert max(map(len, block.splitlines())) <= 120


def test_the_module_runs_without_the_installed_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ds2api_asgi", "--help"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0
