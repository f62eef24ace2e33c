"""The way from a gateway to its providers, as a file says it: a proxy, a private authority, an own certificate."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import anyio
import pytest
import trustme

from ds2api_asgi import running
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway import Gateway
from ds2api_asgi.testing import Driver
from forward_proxy import forward_proxy
from raw_upstream import Connection, raw_upstream

pytestmark = pytest.mark.anyio

CREDENTIALS = "gateway:proxy-canary-71c2"
ANSWER = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
]}  # fmt: skip
QUESTION = {"model": "private/m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def write(folder: Path, authority: trustme.CA, url: str) -> Path:
    """A gateway's file, with its certificates beside it."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own = authority.issue_cert("gateway.example")
    own.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
    own.private_key_pem.write_to_path(str(folder / "own.key"))
    file = folder / "gateway.toml"
    file.write_text(f"""
[upstreams.private]
protocol = "openai-chat"
base_url = "{url}"
proxy = "env:PROXY"
tls = {{ cafile = "ca.pem", certfile = "own.pem", keyfile = "own.key" }}
retry = false
""")
    return file


async def test_a_file_says_which_way_leads_to_a_provider(authority: trustme.CA, tmp_path: Path) -> None:
    answer = json.dumps(ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(head + answer)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with forward_proxy(CREDENTIALS) as proxy, raw_upstream(script, tls=context) as made:
        gateway = Gateway.from_toml(write(tmp_path, authority, made.url), environ={"PROXY": proxy.url})
        async with running(gateway):
            told = await Driver(gateway).request("POST", "/v1/chat/completions", body=json.dumps(QUESTION).encode())
    assert (told.status, json.loads(told.body)["choices"][0]["message"]["content"]) == (200, "Hello")
    assert set(proxy.asked) == {f"CONNECT {made.url.partition('//')[2]} HTTP/1.1"}
    assert "canary" not in repr(gateway.config)


async def test_renewed_certificates_are_taken_over(authority: trustme.CA, tmp_path: Path) -> None:
    answer = json.dumps(ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(head + answer)

    renewed = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    renewed.issue_cert("127.0.0.1").configure_cert(context)
    renewed.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with raw_upstream(script, tls=context) as made:
        file = write(tmp_path, authority, made.url)
        file.write_text(file.read_text().replace('proxy = "env:PROXY"\n', "") + "[reload]\ninterval = 0.02\n")
        gateway = Gateway.from_toml(file)

        async def status() -> int:
            told = await Driver(gateway).request("POST", "/v1/chat/completions", body=json.dumps(QUESTION).encode())
            return told.status

        reloads, reloaded = anyio.create_memory_object_stream[object](100)
        gateway.on_reload(lambda *_: reloads.send_nowait(None))
        text = file.read_text()
        async with running(gateway), reloads, reloaded:
            assert await status() == 502
            write(tmp_path, renewed, made.url).write_text(text)
            with anyio.fail_after(20):
                while await status() != 200:  # the files are written, and seen, one after the other
                    await reloaded.receive()
            assert not await gateway.reload()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ca.pem", "nothing", "tls.cafile: no certificates in PEM"),
        ("own.pem", "nothing", "tls: certfile, keyfile: not PEM without a password"),
        ("own.key", None, "tls: certfile, keyfile: the key is another certificate's"),
    ],
)
def test_certificates_of_no_use_are_told_by_their_table(
    authority: trustme.CA, tmp_path: Path, file: str, content: str | None, words: str
) -> None:
    path = write(tmp_path, authority, "https://a.example")
    other = authority.issue_cert("other.example").private_key_pem.bytes()
    (tmp_path / file).write_bytes(other if content is None else content.encode())
    with pytest.raises(ConfigurationError) as caught:
        Gateway.from_toml(path, environ={"PROXY": "http://127.0.0.1:9"})
    assert str(caught.value) == f"[upstreams.private] {words}"
