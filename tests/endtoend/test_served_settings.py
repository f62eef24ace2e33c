"""``[server]`` of ``ds2api serve`` on both servers: TLS, a proxy in front, a prefix, a bound of connections."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.gateway.cli import main
from ds2api_asgi.testing import serve
from served import Held, Served, question, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

PASSWORD = "console-canary-77-horses"
SERVERS = ["uvicorn", "granian"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cert.pem`` and ``key.pem``."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    return certificate_in(tmp_path_factory.mktemp("tls"))


def certificate_in(folder: Path, *kind: str) -> Path:
    """Make one with a key of some kind."""
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    new = ["-newkey", *(kind or ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")), "-nodes", "-days", "2"]
    line = ["openssl", "req", "-x509", *new, *name, "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[str, str, Held]]:
    """The demo model, and a provider whose streams are held."""
    held = Held()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        stack.callback(held.release)
        urls = [stack.enter_context(portal.wrap_async_context_manager(serve(app))) for app in (DemoModel(), held)]
        yield urls[0], urls[1], held


def file(urls: tuple[str, str, Held], settings: str) -> str:
    return f"""
[upstreams.demo]
protocol = "openai-chat"
base_url = "{urls[0]}"
[upstreams.held]
protocol = "openai-chat"
base_url = "{urls[1]}"
[console]
password = "{PASSWORD}"
[server]
{settings}
"""


def logs_in(client: httpx.Client, password: str, sender: str) -> httpx.Response:
    return client.post("/console/login", data={"password": password}, headers={"x-forwarded-for": sender})


@pytest.mark.parametrize("server", SERVERS)
def test_tls_a_prefix_and_a_trusted_proxy(
    server: str, certificate: Path, upstream: tuple[str, str, Held], tmp_path: Path
) -> None:
    pytest.importorskip(server)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, tmp_path)
    settings = 'certfile = "cert.pem"\nkeyfile = "key.pem"\nroot_path = "/llm"\ntrust_forwarded = ["127.0.0.1"]\n'
    known = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with (
        served(tmp_path, file(upstream, settings), "--server", server) as one,
        one.client(verify=known) as client,
    ):
        assert one.url.startswith("https://")
        # What it says of itself answers, and what a proxy has taken its prefix from.
        answer = client.post(one.announced("openai-chat"), json=question("demo/demo-small"))
        assert answer.status_code == 200, answer.text
        with client.stream("POST", "/v1/chat/completions", json=question("demo/demo-small", stream=True)) as stream:
            assert stream.read().rstrip().endswith(b"data: [DONE]")
        assert client.get(one.announced("console")).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http{one.url.removeprefix('https')}/health", trust_env=False)
        # Who guesses is known by the proxy's word, and shuts nobody else out.
        guesses = [logs_in(client, "a wrong password", "192.0.2.1").status_code for _ in range(30)]
        assert guesses[-1] == 429
        assert logs_in(client, PASSWORD, "192.0.2.1").status_code == 429
        entered = logs_in(client, PASSWORD, "192.0.2.2")
        assert entered.status_code == 303
        assert "; Secure" in entered.headers["set-cookie"]
        # A client that idles on its connection says no goodbye, and holds nobody up.
        began = time.monotonic()
        assert one.end() == 0
        assert time.monotonic() - began < 20  # uvicorn alone would wait 30 seconds for it


def test_a_renewed_certificate_is_shown_to_the_next_connection(
    certificate: Path, upstream: tuple[str, str, Held], tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "renewed").mkdir()
    renewed = certificate_in(tmp_path / "renewed", "rsa:2048")
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, tmp_path)
    known = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with (
        served(tmp_path, file(upstream, 'certfile = "cert.pem"\nkeyfile = "key.pem"\n')) as one,
        one.client(verify=known) as client,
    ):
        address = ("127.0.0.1", int(one.url.rpartition(":")[2]))

        def shown() -> str:
            return ssl.get_server_certificate(address).strip()

        assert client.get("/health").status_code == 200
        assert shown() == (certificate / "cert.pem").read_text().strip()
        shutil.copy(renewed / "cert.pem", tmp_path)  # its key is not there yet
        until(lambda: "the certificate was not renewed" in one.said)
        assert shown() == (certificate / "cert.pem").read_text().strip()
        shutil.copy(renewed / "key.pem", tmp_path)
        until(lambda: shown() == (renewed / "cert.pem").read_text().strip())
        assert client.get("/health").status_code == 200  # on the connection that it had
        assert one.end() == 0


@pytest.mark.parametrize("server", SERVERS)
def test_more_connections_than_may_be_are_refused_and_the_others_served(
    server: str, upstream: tuple[str, str, Held], tmp_path: Path
) -> None:
    pytest.importorskip(server)
    held = upstream[2]
    held.hold()
    with (
        served(tmp_path, file(upstream, "max_connections = 2\n"), "--server", server) as one,
        ThreadPoolExecutor(2) as pool,
    ):
        streams = [pool.submit(read, one) for _ in range(2)]
        until(lambda: held.running == 2)
        with one.client() as client:
            refused = client.post("/v1/chat/completions", json=question("demo/demo-small"))
        assert refused.status_code == 503
        held.release()
        assert [stream.result(20) for stream in streams] == ["data: [DONE]"] * 2
        with one.client() as client:
            until(lambda: client.get("/health").status_code == 200)
            # Nobody is trusted here: whoever guesses cannot take another name.
            guesses = [logs_in(client, "a wrong password", f"192.0.2.{number}").status_code for number in range(30)]
            assert guesses[-1] == 429
            assert logs_in(client, PASSWORD, "192.0.2.99").status_code == 429


def read(one: Served) -> str:
    """The last line of a held stream."""
    with one.client() as client:
        body = question("held/m", stream=True)
        return client.post("/v1/chat/completions", json=body).text.rstrip().splitlines()[-1]


def until(condition: object, *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        ("cert.pem", "other.pem", "the key is another certificate's"),
        ("key.pem", "key.pem", "not PEM without a password"),
        ("cert.pem", "locked.pem", "not PEM without a password"),
    ],
)
def test_a_certificate_that_no_server_can_use_is_told_in_a_line(
    cert: str, key: str, told: str, certificate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, tmp_path)
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*make, "-out", "other.pem"], cwd=tmp_path, check=True, capture_output=True)
    lock = ["openssl", "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:long-enough", "-out", "locked.pem"]
    subprocess.run(lock, cwd=tmp_path, check=True, capture_output=True)
    settings = f'[server]\ncertfile = "{cert}"\nkeyfile = "{key}"\n'
    (tmp_path / "gateway.toml").write_text(f'[upstreams.local]\npreset = "ollama"\n{settings}')
    assert main(["serve", "--check", str(tmp_path / "gateway.toml")]) == 1
    assert capsys.readouterr().err == f"ds2api serve: [server] certfile, keyfile: {told}\n"
