"""The way from here to a provider: through a proxy, over TLS with certificates of one's own. Over real sockets."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi import Upstream, running
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.testing import Driver, serve
from ds2api_asgi.upstream.proxy import proxy_url
from forward_proxy import ForwardProxy, forward_proxy
from raw_upstream import Connection, raw_upstream
from socket_provider import dial, echo, provider

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CREDENTIALS = "somebody:proxy-canary-71c2"
QUESTION = json.dumps({"model": "demo-small", "messages": [{"role": "user", "content": "Hello"}]}).encode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's that knows the authority, and shows nothing."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def secure(authority: trustme.CA, *, demands: bool = False) -> AsyncIterator[str]:
    """A provider over TLS, which may demand a certificate of the same authority."""

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(OK)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if demands:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    async with raw_upstream(script, tls=context) as made:
        yield made.url


@pytest.fixture(params=["fast", "httpx2"])
def sending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What sends where nothing is said of it: the fast sender if it can, and httpx2."""
    if request.param == "httpx2":
        monkeypatch.setattr("ds2api_asgi.upstream.per_loop._has_fast", lambda: False)
    return str(request.param)


async def ask(upstream: Upstream) -> tuple[int, Any]:
    """Twice, so that what is kept of the first serves the second; the last answer."""
    async with running(upstream):
        for _ in range(2):
            answer = await Driver(upstream).request("POST", "/v1/chat/completions", body=QUESTION)
    return answer.status, json.loads(answer.body)


async def test_a_private_authority_is_trusted_where_it_is_named(
    sending: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with secure(authority) as url:
        assert (await ask(Upstream(url, protocol="openai-chat", ssl_context=trusting)))[0] == 200
        status, document = await ask(Upstream(url, protocol="openai-chat"))
    assert (status, document["error"]["type"]) == (502, "server_error")


async def test_a_certificate_is_shown_to_who_demands_one(
    sending: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    known = ssl.create_default_context()
    authority.configure_trust(known)
    authority.issue_cert("gateway.example").configure_cert(known)
    async with secure(authority, demands=True) as url:
        assert (await ask(Upstream(url, protocol="openai-chat", ssl_context=known)))[0] == 200
        assert (await ask(Upstream(url, protocol="openai-chat", ssl_context=trusting)))[0] == 502


@pytest.mark.parametrize("credentials", ["", CREDENTIALS], ids=["open", "with a password"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_proxy_leads_to_the_provider(
    credentials: str, tls: bool, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with forward_proxy(credentials) as proxy, secure(authority) if tls else serve(DemoModel()) as url:
        upstream = Upstream(url, protocol="openai-chat", proxy=proxy.url, ssl_context=trusting)
        assert (await ask(upstream))[0] == 200
        host = url.partition("//")[2]
        said = f"CONNECT {host} HTTP/1.1" if tls else f"POST {url}/v1/chat/completions HTTP/1.1"
    assert set(proxy.asked) == {said}


async def test_nothing_goes_through_a_proxy_that_only_the_environment_names(
    sending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forward_proxy() as proxy, serve(DemoModel()) as url:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await ask(Upstream(url, protocol="openai-chat")))[0] == 200
    assert proxy.asked == []


async def refused(proxy: ForwardProxy, url: str, context: ssl.SSLContext) -> tuple[int, Any]:
    wrong = proxy.url.replace("proxy-canary", "wrong-canary")
    return await ask(Upstream(url, protocol="openai-chat", proxy=wrong, ssl_context=context))


async def test_a_proxy_that_leads_nowhere_is_a_clear_error_without_its_password(
    authority: trustme.CA, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with forward_proxy(CREDENTIALS) as proxy, secure(authority) as url:
        found = [await refused(proxy, url, trusting)]
        proxy.refuse = True
        found.append(await ask(Upstream(url, protocol="openai-chat", proxy=proxy.url, ssl_context=trusting)))
    dead = Upstream(url, protocol="openai-chat", proxy=proxy.url)
    found.append(await ask(dead))
    for status, document in found:
        assert (status, document["error"]["message"]) == (502, "no answer from the upstream (connect)")
    assert "canary" not in json.dumps([document for _, document in found]) + caplog.text + repr(dead)


async def test_websockets_take_the_same_way(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("websockets are passed through on asyncio only")
    async with forward_proxy(CREDENTIALS) as proxy, provider(echo) as made:
        for way, opens in ((proxy.url, True), (proxy.url.replace("proxy-canary", "wrong-canary"), False)):
            upstream = Upstream(made.url, websockets=True, proxy=way)
            async with serve(upstream, ws="websockets-sansio") as url:
                if opens:
                    async with dial(url) as client:
                        await client.send("through")
                        assert await client.recv() == "through"
                else:
                    with pytest.raises(Exception, match="HTTP 502"):
                        async with dial(url):
                            pass
    host = made.url.partition("//")[2]
    assert set(proxy.asked) == {f"CONNECT {host} HTTP/1.1"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("proxy.example:3128", "no address"),
        ("http://", "no address"),
        ("http://proxy.example:port", "no address"),
        ("http://proxy.example:0", "no address"),
        ("http://proxy.example/path", "no address"),
        ("http://proxy.example?a=b", "no address"),
        ("http://proxy .example", "no address"),
        ("http://[::1", "no address"),
        ("socks5://proxy.example:1080", "hand in a client"),
    ],
)
def test_what_is_no_proxy_is_refused_without_being_repeated(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Upstream("https://a.example", proxy=url)
    assert "example" not in str(caught.value).replace("proxy.example:3128", "")


@given(st.text() | st.from_regex(r"https?://[^/]{0,20}", fullmatch=True))
def test_any_text_is_a_proxy_or_refused(text: str) -> None:
    with suppress(ConfigurationError):
        assert proxy_url(text) == text


def test_a_client_brings_its_own_way() -> None:
    with pytest.raises(ConfigurationError, match="proxy and ssl_context"):
        Upstream("https://a.example", sender=_Nobody(), proxy="http://proxy.example")


class _Nobody:
    async def send(self, *_: Any) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing."""
