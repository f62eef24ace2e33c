"""``ds2api demo`` as its users meet it: a process, a port, Ctrl-C."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx2 import Client

from commands import DS2API, ROOT, Running, running, shell
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.gateway.commands.quickstart import Snippet, snippets
from ds2api_asgi.gateway.serving.uvicorn_server import listen


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    with running(*DS2API, "demo", "--port", "0", "--pace", "0") as process:
        yield process


def _snippets(demo: Running, language: str) -> list[Snippet]:
    return [found for found in snippets(demo.base_url, "demo-small") if found.language == language]


def test_it_says_where_it_listens_and_what_to_ask(demo: Running) -> None:
    assert not demo.base_url.endswith(":0")
    for snippet in snippets(demo.base_url, "demo-small"):
        assert f"# {snippet.title}\n{snippet.text}\n" in demo.said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_its_curl_lines_work(demo: Running) -> None:
    said = [shell(snippet.text).stdout for snippet in _snippets(demo, "sh")]
    chat, chat_stream, message, message_stream, response, gemini, ollama, models = said
    answer = json.loads(chat)["choices"][0]["message"]["content"]
    assert "Hello" in answer
    assert json.loads(message)["content"] == [{"type": "text", "text": answer}]
    assert chat_stream.endswith("data: [DONE]\n\n")
    assert message_stream.startswith("event: message_start\n")
    assert "event: message_stop\n" in message_stream
    assert json.loads(response)["output"][0]["content"][0]["text"] == answer
    assert json.loads(gemini)["candidates"][0]["content"]["parts"] == [{"text": answer}]
    assert json.loads(ollama)["message"]["content"] == answer
    assert "demo-small" in [model["id"] for model in json.loads(models)["data"]]


def test_its_code_for_the_sdks_works(demo: Running) -> None:
    for snippet in _snippets(demo, "python"):
        done = subprocess.run([sys.executable, "-c", snippet.text], capture_output=True, text=True, check=False)
        assert "Hello" in done.stdout, done.stderr


def test_it_tells_of_other_paths_in_no_protocols_words(demo: Running) -> None:
    with Client(base_url=demo.base_url) as client:
        assert client.get("/").json()["endpoints"]["anthropic"]["generate"] == "POST /v1/messages"
        missing = client.get("/favicon.ico")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found")


def test_a_key_that_is_told_to_fail_is_not_noticed() -> None:
    command = (*DS2API, "demo", "--port", "0", "--pace", "0", "--keys", "good-key", "bad-key+429")
    with running(*command) as demo, Client(base_url=demo.base_url) as client:
        document = {"model": "demo-small", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
        answers = [client.post("/v1/messages", json=document) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4


def test_what_it_logs_can_be_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "demo.log"
    command = (*DS2API, "demo", "--port", "0", "--pace", "0", "--keys", "good-key", "bad-key+429", "--log", str(log))
    with running(*command) as demo, Client(base_url=demo.base_url) as client:
        document = {"model": "demo-small", "max_tokens": 9, "messages": [{"role": "user", "content": "a word of mine"}]}
        assert [client.post("/v1/messages", json=document).status_code for _ in range(2)] == [200, 200]
        assert demo.interrupt()[0] == 0
    assert main(["explain", str(log)]) == 0
    told = capsys.readouterr().out
    assert "openai-chat.429" in told
    assert "key cooled, another key" in told
    assert "tokens in" in told
    assert "good-key" not in log.read_text("utf-8")
    assert "a word of mine" not in log.read_text("utf-8")


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", "0", "--log", str(tmp_path / "absent" / "log")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_ctrl_c_ends_it_quietly() -> None:
    with running(*DS2API, "demo", "--port", "0") as demo:
        assert demo.interrupt() == (0, "")


def test_ctrl_c_ends_it_also_when_an_answer_hangs() -> None:
    hanging = b'{"model": "demo-fail-hang", "messages": [{"role": "user", "content": "Hello"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    with (
        running(*DS2API, "demo", "--port", "0") as demo,
        socket.create_connection(("127.0.0.1", int(demo.base_url.rpartition(":")[2]))) as client,
    ):
        client.sendall(head % len(hanging))
        assert client.recv(100).startswith(b"HTTP/1.1 100")  # the app is waiting for the body by now
        client.sendall(hanging)
        code, told = demo.interrupt()
    assert code == 0
    assert "Traceback" not in told


def test_answers_in_several_writes_do_not_wait_for_the_clients_acks() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_told_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    assert capsys.readouterr().err == f"ds2api demo: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_host_that_is_not_ours_is_told_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", "0", "--host", "192.0.2.1"]) == 1
    assert capsys.readouterr().err.startswith("ds2api demo: cannot listen on 192.0.2.1:0: ")


def test_a_key_that_cannot_be_one_is_told_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", "0", "--keys", "two words"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ds2api demo: ")
    assert "two words" not in error


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "http"], ["--pace", "-1"], ["--pace", "nan"]])
def test_arguments_that_make_no_sense_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", *arguments])
    assert ended.value.code == 2


def test_without_a_server_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; from ds2api_asgi.gateway.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "ds2api demo: serving needs uvicorn: pip install 'ds2api-asgi[serve]'\n",
    )
