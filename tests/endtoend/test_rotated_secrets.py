"""Secrets in files that are replaced while a gateway serves: by another file, by another folder, in their place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve
from served import Held, Served, question, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and signals")

OLD, NEW, LAST = "sk-canary-old-1a2b3c4d5e", "sk-canary-new-6f7a8b9c0d", "sk-canary-last-2e3f4a5b6c"


class Upstream:
    def __init__(self, model: DemoModel, url: str, held: Held, held_url: str) -> None:
        self.model = model
        self.url = url
        self.held = held
        self.held_url = held_url

    def asked(self) -> list[int]:
        """How many requests came with each key."""
        return [self.model.requests.of(key=key) for key in (OLD, NEW, LAST)]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    model, held = DemoModel(), Held()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        urls = [stack.enter_context(portal.wrap_async_context_manager(serve(app))) for app in (model, held)]
        stack.callback(held.release)
        yield Upstream(model, urls[0], held, urls[1])


def file(upstream: Upstream) -> str:
    return f"""
[upstreams.demo]
protocol = "openai-chat"
base_url = "{upstream.url}"
keys = ["file:secrets/key"]
[upstreams.held]
protocol = "openai-chat"
base_url = "{upstream.held_url}"
keys = ["file:secrets/key"]
[reload]
interval = 0.05
"""


def replaced(folder: Path, key: str) -> None:
    """As Vault's agent does it."""
    new = folder / "key.new"
    new.write_text(key)
    new.replace(folder / "key")


def swapped(folder: Path, key: str) -> None:
    """As Kubernetes does it: the name is a link through ``..data``, and that is another link."""
    data = folder / f"..{key[-10:] or 'empty'}"
    data.mkdir()
    (data / "key").write_text(key)
    if not (folder / "key").is_symlink():
        (folder / "key").symlink_to("..data/key")
    new = folder / "..data_tmp"
    new.symlink_to(data.name)
    new.replace(folder / "..data")


def rewritten(folder: Path, key: str) -> None:
    (folder / "key").write_text(key)


@pytest.mark.parametrize(
    ("replace", "server"),
    [(replaced, "uvicorn"), (swapped, "uvicorn"), (rewritten, "uvicorn"), (swapped, "granian")],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_a_key_that_is_replaced_is_taken_over_at_work(
    replace: Callable[[Path, str], None], server: str, upstream: Upstream, tmp_path: Path
) -> None:
    pytest.importorskip(server)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    replace(secrets, OLD)
    upstream.held.hold()
    with served(tmp_path, file(upstream), "--server", server) as one, ThreadPoolExecutor(1) as pool:
        assert ask(one) == 200
        stream = pool.submit(last_line, one)
        until(lambda: upstream.held.running == 1)
        replace(secrets, NEW)
        until(lambda: "took over the configuration, number 2 " in one.said)
        assert ask(one) == 200
        assert upstream.asked() == [1, 1, 0]
        # What nobody could use leaves everything as it is, and is told once.
        replace(secrets, "")
        until(lambda: "was not taken over" in one.said)
        assert ask(one) == 200
        replace(secrets, LAST)
        until(lambda: "took over the configuration, number 3 " in one.said)
        assert ask(one) == 200
        assert upstream.asked() == [1, 2, 1]
        assert one.said.count("was not taken over") == 1
        # A stream that began with the first key was not cut.
        assert not stream.done()
        upstream.held.release()
        assert stream.result(30) == "data: [DONE]"
        assert one.end() == 0
        assert not [key for key in (OLD, NEW, LAST) if key in one.said]


def test_a_key_that_comes_later_than_the_file_that_refers_to_it_is_waited_for(
    upstream: Upstream, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    replaced(secrets, OLD)
    with served(tmp_path, file(upstream)) as one:
        one.write(file(upstream).replace("secrets/key", "secrets/other"))
        until(lambda: "was not taken over" in one.said)
        assert ask(one) == 200
        (secrets / "other").write_text(NEW)
        until(lambda: "took over the configuration, number 2 " in one.said)
        assert ask(one) == 200
        assert upstream.asked() == [1, 1, 0]


def ask(one: Served) -> int:
    with one.client() as client:
        return client.post("/v1/chat/completions", json=question("demo/demo-small")).status_code


def last_line(one: Served) -> str:
    """The last line of a held stream."""
    with one.client(timeout=60) as client:
        body = question("held/m", stream=True)
        return client.post("/v1/chat/completions", json=body).text.rstrip().splitlines()[-1]


def until(condition: Callable[[], bool], *, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
