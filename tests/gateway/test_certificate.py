"""`Certificate`: what its files hold is shown to whoever connects next, however it differs from what was shown."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import ssl
import weakref
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from trustme import KeyType

from ds2api_asgi.gateway.assembly.certificates import load_pair
from ds2api_asgi.gateway.serving import certificate as module
from ds2api_asgi.gateway.serving.certificate import Certificate

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Site:
    """Files with a certificate and its key, and the context of a server that shows them."""

    def __init__(self, folder: Path, kind: KeyType = KeyType.ECDSA) -> None:
        self.certfile, self.keyfile = folder / "cert.pem", folder / "key.pem"
        self._authority = trustme.CA()
        self.first = self.renew(kind)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_pair(self.context, self.certfile, self.keyfile)
        self._certificate = Certificate(self.certfile, self.keyfile)

    def issue(self, kind: KeyType = KeyType.ECDSA) -> tuple[bytes, bytes]:
        """A certificate and its key, in no file yet."""
        issued = self._authority.issue_cert("localhost", key_type=kind)
        return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()

    def renew(self, kind: KeyType = KeyType.ECDSA) -> bytes:
        """Put another pair into the files; its certificate."""
        certificate, key = self.issue(kind)
        self.certfile.write_bytes(certificate)
        self.keyfile.write_bytes(key)
        return certificate

    def look(self, times: int = 3) -> None:
        for _ in range(times):
            self._certificate.look(self.context)

    def client(self, version: ssl.TLSVersion = VERSIONS[1]) -> ssl.SSLContext:
        """A client's context, for any number of connections."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = version
        context.check_hostname = False  # some name no server
        self._authority.configure_trust(context)
        return context

    def meet(
        self, client: ssl.SSLContext, *, name: str | None = None, session: ssl.SSLSession | None = None
    ) -> ssl.SSLObject:
        """A client's end of a connection that is made now."""
        upwards, downwards = ssl.MemoryBIO(), ssl.MemoryBIO()
        near = client.wrap_bio(downwards, upwards, server_hostname=name, session=session)
        far = self.context.wrap_bio(upwards, downwards, server_side=True)
        for end in (near, far) * 3:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
        far.write(b"!")
        assert near.read(1) == b"!"  # what a session is taken up with comes before it
        return near

    def shown(self) -> bytes:
        """What a client is shown that connects now."""
        return shown(self.meet(self.client()))


def shown(connection: ssl.SSLObject) -> bytes:
    """What a client was shown."""
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der).encode()


@pytest.mark.parametrize("name", [None, "localhost"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kinds", [(KeyType.ECDSA, KeyType.RSA), (KeyType.RSA, KeyType.ECDSA)])
def test_a_certificate_with_a_key_of_another_kind_is_shown(
    kinds: tuple[KeyType, KeyType], version: ssl.TLSVersion, name: str | None, tmp_path: Path
) -> None:
    site = Site(tmp_path, kinds[0])
    client = site.client(version)
    assert shown(site.meet(client, name=name)) == site.first
    for kind in (kinds[1], kinds[0]):
        renewed = site.renew(kind)
        site.look()
        assert shown(site.meet(client, name=name)) == renewed


def test_files_that_change_while_they_are_taken_do_no_harm_to_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    renewed, (other, _) = site.renew(), site.issue()

    def load_and_change(context: ssl.SSLContext, certfile: Path, keyfile: Path) -> None:
        load_pair(context, certfile, keyfile)
        site.certfile.write_bytes(other)

    monkeypatch.setattr(module, "load_pair", load_and_change)
    site.look(2)
    assert site.shown() == renewed


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def test_a_renewal_that_failed_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    renewed = site.renew()
    failures = [OSError(errno.EMFILE, "") for _ in range(3)]

    class Starved(ssl.SSLContext):
        def load_cert_chain(self, *arguments: Any, **options: Any) -> None:
            if failures:
                raise failures.pop()
            super().load_cert_chain(*arguments, **options)

    monkeypatch.setattr(ssl, "SSLContext", Starved)
    site.look(6)
    monkeypatch.undo()
    assert site.shown() == renewed
    assert warnings(caplog) == [
        f"the certificate was not renewed: certfile, keyfile: cannot be read: {os.strerror(errno.EMFILE)}"
    ]


def test_a_key_that_was_away_and_comes_back_as_it_was_serves_its_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    renewed, key = site.issue()
    site.keyfile.write_bytes(key)
    site.look()
    site.keyfile.unlink()
    site.look()
    site.certfile.write_bytes(renewed)
    site.look(5)
    assert site.shown() == site.first
    site.keyfile.write_bytes(key)
    site.look()
    assert site.shown() == renewed
    assert [told.partition("keyfile: ")[2] for told in warnings(caplog)] == [
        "the key is another certificate's",
        f"cannot be read: {os.strerror(errno.ENOENT)}",
    ]


def test_why_a_renewal_fails_is_told_once_until_it_is_something_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    for _ in range(2):
        site.renew()
        key = site.keyfile.read_bytes()
        site.keyfile.write_bytes(site.issue()[1])
        site.look(5)
        site.keyfile.write_bytes(site.issue()[1])
        site.look(5)
        site.keyfile.write_bytes(key)
        site.look(5)
    assert [told.partition("keyfile: ")[2] for told in warnings(caplog)] == ["the key is another certificate's"] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"])
async def test_event_loops_show_it_and_go_on_with_the_connections_that_they_have(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.readline():
            writer.write(said)
        writer.close()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"Hello\n")
        return await reader.readline() == b"Hello\n"

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=site.context)
    host, port = server.sockets[0].getsockname()
    with closing(server), ExitStack() as writers:

        async def connect(client: ssl.SSLContext, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            made = await asyncio.open_connection(host, port, ssl=client, server_hostname=name)
            writers.enter_context(closing(made[1]))
            return made

        kept = await connect(site.client(), "")
        renewed = site.renew(KeyType.RSA)
        await anyio.to_thread.run_sync(site.look)
        for version in VERSIONS:
            for name in ("", "localhost"):
                made = await connect(site.client(version), name)
                assert shown(made[1].get_extra_info("ssl_object")) == renewed
                assert await answered(*made)
        assert await answered(*kept)


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_taken_up_across_renewals(version: ssl.TLSVersion, tmp_path: Path) -> None:
    site = Site(tmp_path)
    client = site.client(version)
    session = site.meet(client).session
    for kind in (KeyType.RSA, KeyType.ECDSA):
        site.renew(kind)
        site.look()
        taken_up = site.meet(client, session=session)
        assert taken_up.session_reused
        session = taken_up.session


def test_the_list_of_ciphers_stays(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.context.set_ciphers("ECDHE+CHACHA20")
    site.renew()
    site.look()
    client = site.client(VERSIONS[0])
    client.set_ciphers("ECDHE+AESGCM")
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        site.meet(client)


def test_what_was_shown_before_is_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path)
    renewed = []
    for _ in range(5):
        site.renew()
        site.look()
        renewed.append(weakref.ref(site._certificate._renewed))
        site.shown()
    gc.collect()
    assert [context() is None for context in renewed] == [True, True, True, True, False]
