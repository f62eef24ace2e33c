"""The app around a gateway: its first page, and what no protocol claims."""

from __future__ import annotations

import pytest

from ds2api_asgi import __version__
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.gateway.commands.demo import demo_gateway
from ds2api_asgi.protocols import registry
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio

HELLO = {"model": "demo-small", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
HELLOS = {
    "openai-responses": {"model": "demo-small", "input": "Hello"},
    "gemini": {"contents": [{"parts": [{"text": "Hello"}]}]},
}


@pytest.fixture
def gateway() -> Driver:
    return Driver(demo_gateway())


async def test_the_first_page_lists_endpoints_that_exist(gateway: Driver) -> None:
    page = (await gateway.request("GET", "/")).json()
    assert page["version"] == __version__
    assert set(page["endpoints"]) == set(registry.names())
    for name, routes in page["endpoints"].items():
        for route in routes.values():
            method, path = route.split(" ")
            hello = HELLOS.get(name, HELLO) if method == "POST" else None
            answer = await gateway.request(method, path.replace("MODEL", "demo-small"), json=hello)
            assert answer.status == 200, route


async def test_head_of_the_first_page_has_no_body(gateway: Driver) -> None:
    answer = await gateway.request("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/elsewhere", 404),
    ("POST", "/v1/elsewhere", 404),
    ("HEAD", "/elsewhere", 404),
    ("POST", "/v1/chat/elsewhere", 404),
    ("POST", "/", 405),
])  # fmt: skip
async def test_what_no_protocol_claims_does_not_reach_the_model(
    gateway: Driver, method: str, path: str, status: int
) -> None:
    answer = await gateway.request(method, path)
    assert answer.status == status
    if method != "HEAD":
        assert set(answer.json()["error"]) == {"type", "message"}


async def test_a_mounted_front_serves_relative_to_its_mount() -> None:
    gateway = Driver(demo_gateway(), root_path="/llm")
    assert (await gateway.request("GET", "/")).status == 200
    assert (await gateway.request("POST", "/v1/messages", json=HELLO)).json()["type"] == "message"


async def test_a_wrong_method_is_answered_in_the_protocols_own_words(gateway: Driver) -> None:
    assert (await gateway.request("GET", "/v1/messages")).json()["type"] == "error"


async def test_a_lifespan_passes() -> None:
    async with running(demo_gateway()):
        pass
