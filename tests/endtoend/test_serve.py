"""``ds2api serve`` as a process, over real sockets: SDKs, reloads under load, a graceful end, workers, secrets."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from commands import DS2API, Running, running
from ds2api_asgi import Translator
from ds2api_asgi.asgi.types import Receive, Scope, Send
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve
from sdks import SDKS, Sdk
from served import Held

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

SECRETS = {
    "CHAT_DEAD": "sk-canary-chat-dead-1a2b3c+401",
    "CHAT_WEARY": "sk-canary-chat-weary-4d5e6f+429:600",
    "CHAT_GOOD": "sk-canary-chat-good-7a8b9c",
    "CLAUDE_DEAD": "sk-canary-claude-dead-0d1e2f",
    "CLAUDE_WEARY": "sk-canary-claude-weary-3a4b5c",
    "CLAUDE_GOOD": "sk-canary-claude-good-6d7e8f",
    "CLIENT": "sk-canary-client-9a8b7c6d5e",
    "SCRAPER": "canary-scraper-1f2e3d4c5b",
    "PASSWORD": "canary-password-6b5a4f3e2d",
}
QUICK = "[reload]\ninterval = 0.05\n"
SERVERS = ["uvicorn", "granian"]


class Claude:
    """A server of Anthropic's protocol: one of its keys is refused, one is rate limited."""

    def __init__(self) -> None:
        self.app = Translator(DemoModel(), speaks="openai-chat", clients=["anthropic"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope.get("headers", ())).get(b"x-api-key", b"").decode()
        if scope["type"] != "http" or key == SECRETS["CLAUDE_GOOD"]:
            await self.app(scope, receive, send)
            return
        weary = key == SECRETS["CLAUDE_WEARY"]
        kind = b"rate_limit_error" if weary else b"authentication_error"
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"600")]
        await send({"type": "http.response.start", "status": 429 if weary else 401, "headers": headers})
        body = b'{"type":"error","error":{"type":"%s","message":"no"}}' % kind
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Upstreams:
    def __init__(self, chat: str, claude: str, slow: str, held: Held) -> None:
        self.chat = chat
        self.claude = claude
        self.slow = slow
        self.held = held


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstreams]:
    """Two providers of different protocols, and one whose streams end when they are told to."""
    known = [SECRETS[name].partition("+")[0] for name in ("CHAT_DEAD", "CHAT_WEARY", "CHAT_GOOD")]
    held = Held()
    apps: list[Any] = [DemoModel(keys=known), Claude(), held]
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        urls = [stack.enter_context(portal.wrap_async_context_manager(serve(app))) for app in apps]
        stack.callback(held.release)
        yield Upstreams(*urls, held)


def config(upstreams: Upstreams, more: str = "", *, slow: str = "") -> str:
    """The file."""
    return f"""
[upstreams.chat]
protocol = "openai-chat"
base_url = "{upstreams.chat}"
keys = ["env:CHAT_DEAD", "env:CHAT_WEARY", "env:CHAT_GOOD"]
strategy = "round-robin"

[upstreams.claude]
protocol = "anthropic"
base_url = "{upstreams.claude}"
keys = ["env:CLAUDE_DEAD", "env:CLAUDE_WEARY", "env:CLAUDE_GOOD"]
strategy = "round-robin"

[upstreams.slow]
protocol = "openai-chat"
base_url = "{upstreams.slow}"
{slow}

[models.smart]
targets = ["claude/demo-small", {{ upstream = "chat", model = "demo-small", priority = 1 }}]

[models."demo-*"]
targets = ["chat"]

[models.shaky]
targets = ["chat/demo-fail-503"]
fallbacks = ["smart"]

[models.slow]
targets = ["slow/demo-small"]

[access]
keys = ["env:CLIENT"]

[console]
password = "env:PASSWORD"

[metrics]
token = "env:SCRAPER"

[log]
level = "debug"
format = "json"
file = "gateway.log"
header = "x-trace"

[responses]
{QUICK}
{more}
"""


class Gateway:
    """A running gateway.

    Attributes:
        url: Where it is.
        file: Its configuration.
        process: Its process.
        answered: All that it answered.
        heard: That, and all that it said.
    """

    def __init__(self, ran: Running, file: Path) -> None:
        self.url = ran.base_url
        self.file = file
        self.process = ran.process
        self.answered = ""
        self._ran = ran
        self.client = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {SECRETS['CLIENT']}"},
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=False,  # of no use here, and slow to make
            timeout=20,
        )

    @property
    def heard(self) -> str:
        return self._ran.said + self.answered

    @property
    def log(self) -> str:
        return (self.file.parent / "gateway.log").read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        return self._ran.end(number)

    def ended(self) -> int:
        return self._ran.ended()

    def ask(self, model: str) -> httpx.Response:
        answer = self.client.post("/v1/chat/completions", json=_question(model))
        self.answered += answer.text + repr(answer.headers)
        return answer

    def stream(self, model: str) -> tuple[int, str]:
        with self.client.stream("POST", "/v1/chat/completions", json=_question(model, stream=True)) as answer:
            text = answer.read().decode()
        self.answered += text + repr(answer.headers)
        return answer.status_code, text

    def state(self) -> Any:
        headers = {"authorization": f"Bearer {SECRETS['PASSWORD']}"}
        answer = self.client.get("/console/api/state", headers=headers)
        self.answered += answer.text + repr(answer.headers)
        return answer.json()

    def scrape(self) -> str:
        assert self.client.get("/metrics").status_code == 401
        answer = self.client.get("/metrics", headers={"authorization": f"Bearer {SECRETS['SCRAPER']}"})
        self.answered += answer.text + repr(answer.headers)
        return answer.text

    def keys(self, pool: str) -> dict[str, Any]:
        pools = {one["name"]: one for one in self.state()["pools"]}
        return {key["alias"]: key for key in pools[pool]["keys"]}

    def write(self, text: str) -> None:
        """Replace the file as editors do."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def until(self, told: str, *, count: int = 1, seconds: float = 30.0) -> None:
        """Wait until the log says something, so many times."""
        _until(lambda: self.log.count(told) >= count, seconds=seconds)

    def is_discreet(self) -> None:
        """No secret is in anything that it said, logged or answered."""
        for name, secret in SECRETS.items():
            for said in (self.heard, self.log):
                assert secret.partition("+")[0] not in said, name


def _question(model: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}


@contextmanager
def gateway(folder: Path, text: str, *options: str) -> Iterator[Gateway]:
    """A gateway in a process."""
    file = folder / "gateway.toml"
    file.write_text(text)
    command = (*DS2API, "serve", "gateway.toml", "--port", "0", *options)
    with running(*command, cwd=folder, env={**os.environ, **SECRETS, "PYTHONPATH": os.getcwd()}) as ran:
        served = Gateway(ran, file)
        try:
            yield served
        finally:
            served.client.close()


@pytest.fixture(scope="module")
def gateways(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Gateway]]:
    """The gateways that SDKs ask, by server; each is started once, when it is asked for."""
    started: dict[str, Gateway] = {}
    with ExitStack() as stack:

        def start(server: str) -> Gateway:
            if server not in started:
                folder = tmp_path_factory.mktemp(server)
                started[server] = stack.enter_context(gateway(folder, config(upstreams), "--server", server))
            return started[server]

        yield start
        for one in started.values():
            assert one.end() == 0
            one.is_discreet()


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, gateways: Callable[[str], Gateway]) -> Gateway:
    """One of them."""
    pytest.importorskip(request.param)
    return gateways(request.param)


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest, served: Gateway) -> Iterator[Sdk]:
    found = SDKS[request.param](served.url, SECRETS["CLIENT"])
    yield found
    found.close()


@pytest.mark.parametrize("model", ["smart", "demo-small", "shaky", "claude/demo-small"])
def test_every_sdk_is_answered_though_two_of_three_keys_are_no_good(sdk: Sdk, model: str) -> None:
    whole = sdk.say("Hello", model=model)
    assert 'You wrote: "Hello"' in whole
    assert "".join(sdk.stream("Hello", model=model)) == whole


@pytest.mark.parametrize("streamed", [False, True])
def test_every_sdk_calls_tools(sdk: Sdk, streamed: bool) -> None:
    steps, answer = sdk.loop("What is the weather in Paris?", lambda city: f"sunny in {city}", streamed=streamed)
    assert steps
    assert "sunny" in answer


def test_a_stranger_raises_what_the_sdk_has_for_one(sdk: Sdk, served: Gateway) -> None:
    stranger = type(sdk)(served.url, "sk-canary-of-nobody-at-all")
    with pytest.raises(sdk.errors["stranger"]):
        stranger.say("Hello", model="smart")
    stranger.close()


def test_models_are_listed_in_every_shape(served: Gateway) -> None:
    client = served.client
    chat = {row["id"] for row in client.get("/v1/models").json()["data"]}
    claude = client.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()["data"]
    gemini = {row["name"] for row in client.get("/v1beta/models").json()["models"]}
    local = {row["name"] for row in client.get("/api/tags").json()["models"]}
    wanted = {"smart", "shaky", "slow", "demo-small", "claude/demo-small"}
    assert wanted <= chat
    assert wanted <= {row["id"] for row in claude}
    assert {f"models/{name}" for name in wanted} <= gemini
    assert wanted <= {name.removesuffix(":latest") for name in local}


def test_console_metrics_and_log_tell_what_happened(served: Gateway) -> None:
    assert served.ask("smart").status_code == 200
    answer = served.ask("demo-small")
    assert re.search(r"key=chat/key-[0-9a-f]{12}", answer.headers["x-trace"])
    keys = served.keys("chat")
    assert sorted(key["state"] for key in keys.values()) == ["active", "cooling", "disabled"]
    assert f'ds2api_key_state{{key="{next(iter(keys))}",pool="chat"' in served.scrape()
    assert '"smart"' in served.log


def test_answers_of_responses_are_kept(served: Gateway) -> None:
    first = served.client.post("/v1/responses", json={"model": "smart", "input": "Hello"}).json()
    asked = {"model": "smart", "input": "Again", "previous_response_id": first["id"]}
    assert served.client.post("/v1/responses", json=asked).status_code == 200
    assert served.client.get(f"/v1/responses/{first['id']}").json()["id"] == first["id"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_reload_under_fifty_streams_loses_none_and_an_end_lets_them_end(
    server: str, upstreams: Upstreams, tmp_path: Path
) -> None:
    pytest.importorskip(server)
    held = upstreams.held
    held.hold()
    with ThreadPoolExecutor(50) as pool, gateway(tmp_path, config(upstreams), "--server", server) as one:
        assert one.ask("demo-small").status_code == 200
        before = one.keys("chat")
        streams = [pool.submit(one.stream, "slow") for _ in range(50)]
        _until_running(one, 50)
        fresh = '\n[models.fresh]\ntargets = ["chat/demo-small"]\n'
        one.write(config(upstreams, fresh, slow="total_timeout = 30").replace('"env:CHAT_DEAD", ', ""))
        one.until("took over the configuration")
        assert one.ask("fresh").status_code == 200
        assert held.running == 50
        assert not any(stream.done() for stream in streams)
        held.release()
        for stream in streams:
            status, text = stream.result(20)
            assert status == 200
            assert text.rstrip().endswith("data: [DONE]")
        _until(lambda: len(one.keys("chat")) == 2)
        after = one.keys("chat")
        for alias, key in after.items():
            assert key["state"] == before[alias]["state"]
            assert key["leased"] >= before[alias]["leased"]
        assert one.state()["generation"] == 2
        # A bad file changes nothing, by whichever way it is read.
        one.write(config(upstreams, "[nonsense]\n"))
        one.until("was not taken over")
        one.process.send_signal(signal.SIGHUP)
        _until(lambda: "gateway.toml:" in (one.state()["reload_error"] or ""))
        assert one.ask("fresh").status_code == 200
        held.hold()
        last = [pool.submit(one.stream, "slow") for _ in range(5)]
        _until_running(one, 5)
        one.process.send_signal(signal.SIGTERM)
        _until(lambda: not _is_taken(one))
        assert one.process.poll() is None
        assert not any(stream.done() for stream in last)
        held.release()
        assert one.ended() == 0
        for stream in last:
            assert stream.result(20)[1].rstrip().endswith("data: [DONE]")
        one.is_discreet()


@pytest.mark.parametrize("server", SERVERS)
def test_what_has_not_ended_in_time_ends_with_an_error_of_its_protocol(
    server: str, upstreams: Upstreams, tmp_path: Path
) -> None:
    pytest.importorskip(server)
    text = config(upstreams, "[server]\ngraceful_timeout = 0.3\n")
    upstreams.held.hold()
    with ThreadPoolExecutor(2) as pool, gateway(tmp_path, text, "--server", server) as one:
        stream = pool.submit(one.stream, "slow")
        _until_running(one, 1)
        assert one.end() == 0
        status, said = stream.result(20)
        assert status == 200
        assert '"error"' in said.rstrip().splitlines()[-1]
        assert "broke off 1 requests" in one.log


@pytest.mark.parametrize("server", SERVERS)
def test_workers_share_the_health_of_keys_and_read_a_new_configuration(
    server: str, upstreams: Upstreams, tmp_path: Path
) -> None:
    pytest.importorskip(server)
    # On a busy machine a worker may take long to open the file, and shall not go on alone for that.
    shared = '[store]\ntype = "sqlite"\npath = "keys.db"\ntimeout = 30\n'
    text = config(upstreams, shared).replace(QUICK, "[reload]\nwatch = false\n")
    with gateway(tmp_path, text, "--server", server, "--workers", "2") as one:
        with ThreadPoolExecutor(8) as pool:
            assert {answer.status_code for answer in pool.map(one.ask, ["demo-small"] * 24)} == {200}
        # An answer is with its client a moment before the other worker can know of it.
        _until(lambda: sum(key["served"] for key in one.keys("chat").values()) == 24)
        assert sorted(key["state"] for key in one.keys("chat").values()) == ["active", "cooling", "disabled"]
        one.write(text + '\n[models.fresh]\ntargets = ["chat/demo-small"]\n')
        one.process.send_signal(signal.SIGHUP)
        one.until("took over the configuration", count=2)
        assert {one.ask("fresh").status_code for _ in range(8)} == {200}
        told = re.compile(r'^ds2api_requests_total\{.*model="demo-small".*\} (\d+)', re.MULTILINE)
        _until(lambda: sum(map(int, told.findall(one.scrape()))) == 24)
        assert one.end() == 0
        one.is_discreet()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_a_worker_that_dies_is_replaced_and_none_outlives_its_crew(upstreams: Upstreams, tmp_path: Path) -> None:
    with gateway(tmp_path, config(upstreams), "--workers", "2") as one:
        workers = _workers(one)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        one.until("a worker died")
        _until(lambda: len(_workers(one)) == 2 and workers[0] not in _workers(one))
        assert {one.ask("demo-small").status_code for _ in range(4)} == {200}
        left = _workers(one)
        one.process.kill()
        one.process.wait(10)
        _until(lambda: not any(_is_alive(number) for number in left))


def _workers(one: Gateway) -> list[int]:
    """The processes that serve: the children of the crew that listen to its pipes."""
    pid = one.process.pid
    children = [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def _is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_cannot_be_served_is_told_at_once(upstreams: Upstreams, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[upstreams.chat]\npreset = "opnai"\nkeys = ["sk-canary-literal-123"]\n')
    (tmp_path / "open.toml").write_text('[upstreams.chat]\npreset = "openai"\nkeys = ["sk-canary-literal-123"]\n')
    env = {**os.environ, "PYTHONPATH": os.getcwd()}

    def end(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        line = [*DS2API, "serve", *command]
        return subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)

    with socket.create_server(("127.0.0.1", 0)) as taken, ThreadPoolExecutor(4) as pool:
        port = str(taken.getsockname()[1])
        cases: dict[tuple[str, ...], tuple[int, str]] = {
            ("bad.toml",): (1, "bad.toml:2: upstreams.chat.preset"),
            ("missing.toml",): (1, "missing.toml: there is no such file"),
            ("open.toml", "--host", "0.0.0.0"): (1, "[access]"),
            ("open.toml", "--port", port): (1, f"cannot listen on 127.0.0.1:{port}: Address already in use"),
            ("open.toml", "--port", port, "--server", "granian"): (1, "Address already in use"),
            ("open.toml", "--port", "99999"): (2, "--port"),
            ("open.toml", "--workers", "0"): (2, "--workers"),
            ("open.toml", "--check"): (0, "could be served"),
        }
        for ended, (code, told) in zip(pool.map(end, cases), cases.values(), strict=True):
            said = ended.stdout + ended.stderr
            assert ended.returncode == code, said
            assert told in said
            assert "sk-canary" not in said
            assert "Traceback" not in said


def _is_taken(one: Gateway) -> bool:
    """Whether it still takes connections."""
    host, _, port = one.url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _until_running(one: Gateway, count: int) -> None:
    """Wait until so many requests stream."""
    _until(lambda: sum(entry["phase"] == "streaming" for entry in one.state()["live"]) >= count)


def _until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
