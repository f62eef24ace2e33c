"""The coding agents' example: its files work as they stand, for what the agents ask, and for the agents themselves.

The agents are asked where `DS2API_AGENTS` names the folder of their programs (``node_modules/.bin``); they get a home
of their own and are told of nothing but the gateway.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anthropic
import anyio.to_thread
import httpx2
import openai
import pytest
from anyio.from_thread import start_blocking_portal
from google import genai

from commands import DS2API, ROOT, running
from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.gateway import Gateway
from ds2api_asgi.testing import serve

EXAMPLE = ROOT / "examples" / "coding_agents"
KEY = "sk-gateway-0123456789abcdef"
HELLO: Any = [{"role": "user", "content": "Hello"}]
MODELS = {"gpt-5.5": "demo-large", "gpt-5-mini": "demo-small", "default": "demo-large"}
"""What stands in the files, and who plays its part."""


class Played:
    """The provider: the demo model in the part of others; it remembers who was asked.

    Attributes:
        asked: Names, as the gateway said them.
        bodies: Documents.
        says: A text that is answered instead.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.says: str | None = None
        self._demo = DemoModel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._demo(scope, receive, send)
            return
        body = await read_body(receive)
        document = json.loads(body.body)
        self.asked.append(document["model"])
        self.bodies.append(document)
        if self.says is not None:
            message = {"role": "assistant", "content": self.says}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
            return
        document["model"] = MODELS[document["model"]]
        data = json.dumps(document).encode()

        async def again() -> Any:
            nonlocal data
            if data:
                sent, data = data, b""
                return {"type": "http.request", "body": sent}
            return await body()

        length = (b"content-length", b"%d" % len(data))
        headers = [*(field for field in scope["headers"] if field[0] != b"content-length"), length]
        await self._demo({**scope, "headers": headers}, again, send)


@asynccontextmanager
async def gateway(name: str, folder: Path, played: Played) -> AsyncIterator[str]:
    """One of the files, with another address of its provider and no other change."""
    async with serve(played) as provider:
        text = (EXAMPLE / name).read_text()
        address = f'protocol = "openai-chat"\nbase_url = "{provider}"'
        assert text.count('preset = "openai"') == (name == "gateway.toml")
        file = folder / name
        file.write_text(text.replace('preset = "openai"', address))
        environ = {"GATEWAY_KEY": KEY, "OPENAI_API_KEY": "sk-provider", "LOCAL_URL": provider}
        async with serve(Gateway.from_toml(file, environ=environ), lifespan="on") as url:
            yield url


def _gemini(url: str, model: str) -> str | None:
    with genai.Client(api_key=KEY, http_options={"base_url": url}) as gemini:
        return gemini.models.generate_content(model=model, contents="Hello").model_version


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_name_that_agents_ask_for_leads_to_a_model(tmp_path: Path) -> None:
    played = Played()
    async with (
        gateway("gateway.toml", tmp_path, played) as url,
        anthropic.AsyncAnthropic(base_url=url, auth_token=KEY, max_retries=0) as claude,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as codex,
    ):
        for model, expected in [
            ("claude-opus-4-8", "gpt-5.5"),
            ("claude-sonnet-5", "gpt-5.5"),
            ("claude-haiku-4-5-20251001", "gpt-5-mini"),
            ("large", "gpt-5.5"),
        ]:
            async with claude.messages.stream(model=model, max_tokens=99, messages=HELLO) as stream:
                assert (await stream.get_final_message()).model == model
            assert played.asked[-1] == expected
        counted = await claude.messages.count_tokens(model="claude-opus-4-8", messages=HELLO)
        assert counted.input_tokens > 0
        for model, expected in [
            ("gpt-5.5", "gpt-5.5"),
            ("gpt-5-mini", "gpt-5-mini"),
            ("gpt-5.4-mini", "gpt-5-mini"),
            ("gpt-5.3-codex", "gpt-5.5"),
            ("codex-auto-review", "gpt-5.5"),
        ]:
            async with codex.responses.stream(model=model, input="Hello", store=False) as events:
                async for _ in events:
                    pass
                assert (await events.get_final_response()).model == model
            assert played.asked[-1] == expected
        for model, expected in [
            ("gemini-3.1-pro-preview", "gpt-5.5"),
            ("gemini-3.8-flash", "gpt-5.5"),
            ("gemini-3.5-flash-lite", "gpt-5-mini"),
        ]:
            assert await anyio.to_thread.run_sync(_gemini, url, model) == model
            assert played.asked[-1] == expected
        listed = [model.id async for model in codex.models.list()]
        assert listed[:2] == ["large", "small"]
        assert not [name for name in listed if "*" in name]
        with pytest.raises(openai.AuthenticationError):
            await codex.with_options(api_key="sk-nobodys").models.list()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_model_without_tools_is_told_of_them_in_words(tmp_path: Path) -> None:
    played = Played()
    played.says = '<think>Look first.</think><tool_call>{"name": "Bash", "arguments": {"command": "ls"}}</tool_call>'
    tools: Any = [{"name": "Bash", "description": "Run it", "input_schema": {"type": "object", "properties": {}}}]
    async with (
        gateway("self_hosted.toml", tmp_path, played) as url,
        anthropic.AsyncAnthropic(base_url=url, auth_token=KEY, max_retries=0) as claude,
    ):
        message = await claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=HELLO, tools=tools)
    assert [block.type for block in message.content] == ["thinking", "tool_use"]
    assert message.content[1].input == {"command": "ls"}  # type: ignore[union-attr]
    assert message.stop_reason == "tool_use"
    assert played.asked == ["default"]
    assert "tools" not in played.bodies[0]
    assert "Bash" in json.dumps(played.bodies[0]["messages"])


@pytest.mark.parametrize("name", ["gateway.toml", "self_hosted.toml"])
def test_its_one_command_starts_it(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text((EXAMPLE / name).read_text().replace("port = 8000", "port = 0"))
    assert f"ds2api serve examples/coding_agents/{name}" in file.read_text()
    for variable, value in [("GATEWAY_KEY", KEY), ("OPENAI_API_KEY", "sk-x"), ("LOCAL_URL", "http://127.0.0.1:9")]:
        monkeypatch.setenv(variable, value)
    with running(*DS2API, "serve", str(file)) as process, httpx2.Client(base_url=process.base_url) as http:
        assert http.get("/v1/models").status_code == 401


# --- the agents themselves ---

AGENTS = os.environ.get("DS2API_AGENTS", "")
SAID = "said-by-the-shell"


def program(name: str) -> str:
    found = shutil.which(name, path=AGENTS) if AGENTS else None
    if found is None:
        pytest.skip(f"DS2API_AGENTS names no folder with {name} in it")
    return found


@contextmanager
def agent_home(name: str, tmp_path: Path) -> Iterator[tuple[Played, str, Path, dict[str, str]]]:
    played = Played()
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(gateway("gateway.toml", tmp_path, played)) as url,
    ):
        yield played, url, work, {"PATH": os.environ["PATH"], "HOME": str(home)}


def run(command: list[str], work: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=work,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told() -> dict[str, str]:
    """The README's own words: what is written there under each agent's name is what is done here."""
    blocks: dict[str, str] = {}
    for section in (EXAMPLE / "README.md").read_text().split("\n## ")[1:]:
        name, _, rest = section.partition("\n")
        parts = rest.split("```")
        blocks |= {f"{name} {part.partition(chr(10))[0]}": part.partition("\n")[2] for part in parts[1::2]}
    return blocks


def exported(block: str, url: str) -> dict[str, str]:
    lines = [line.removeprefix("export ").partition("=") for line in block.splitlines() if line.startswith("export ")]
    values = {name: value.partition(" #")[0].strip().strip('"') for name, _, value in lines}
    return {
        name: value.replace("http://127.0.0.1:8000", url).replace("$GATEWAY_KEY", KEY) for name, value in values.items()
    }


def test_claude_code_calls_its_tools(tmp_path: Path) -> None:
    claude = program("claude")
    with agent_home("claude", tmp_path) as (played, url, work, environ):
        environ |= exported(told()["Claude Code sh"], url) | {"IS_SANDBOX": "1"}
        asked = f"Use Bash with command `echo {SAID}`"
        said = run([claude, "-p", asked, "--allowedTools", "Bash"], work, environ)
        assert f"Bash answered: {SAID}" in said
        assert played.asked == ["gpt-5.5"] * 2
        run([claude, "-p", "Hello", "--model", "haiku"], work, environ)
        assert played.asked[2:] == ["gpt-5-mini"]


def test_codex_calls_its_tools(tmp_path: Path) -> None:
    codex = program("codex")
    with agent_home("codex", tmp_path) as (played, url, work, environ):
        folder = Path(environ["HOME"]) / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text(told()["Codex toml"].replace("http://127.0.0.1:8000", url))
        environ |= {"GATEWAY_KEY": KEY}
        asked = f"Use exec_command with cmd `echo {SAID}`"
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        said = run([codex, "exec", *options, asked], work, environ)
        assert SAID in said
        assert played.asked == ["gpt-5.5"] * 2


def test_gemini_cli_calls_its_tools(tmp_path: Path) -> None:
    gemini = program("gemini")
    with agent_home("gemini", tmp_path) as (played, url, work, environ):
        folder = Path(environ["HOME"]) / ".gemini"
        folder.mkdir()
        (folder / "settings.json").write_text(told()["Gemini CLI json"])
        environ |= exported(told()["Gemini CLI sh"], url) | {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
        said = run([gemini, "--yolo", "-p", f"Use run_shell_command with command `echo {SAID}`"], work, environ)
        assert SAID in said
        assert played.asked == ["gpt-5-mini", "gpt-5.5", "gpt-5.5"]  # the small one chooses who answers
