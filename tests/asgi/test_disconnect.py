from __future__ import annotations

import asyncio
import gc
import math
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from ds2api_asgi.asgi.disconnect import Watch, while_connected
from ds2api_asgi.asgi.loop import asyncio_loop
from ds2api_asgi.errors import ClientGone

pytestmark = pytest.mark.anyio


class Client:
    """A ``receive`` that counts its readers."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.left = anyio.Event()
        self.readers = 0
        self.most_readers = 0

    async def __call__(self) -> dict[str, Any]:
        self.readers += 1
        self.most_readers = max(self.readers, self.most_readers)
        try:
            if self.messages:
                return {"type": self.messages.pop(0)}
            await self.left.wait()
            return {"type": "http.disconnect"}
        finally:
            self.readers -= 1


async def until_read(client: Client) -> None:
    with anyio.fail_after(20):
        while client.readers == 0:  # noqa: ASYNC110 - the reader is the code under test
            await anyio.sleep(0.001)


async def test_work_that_ends_gives_its_result_and_leaves_no_reader() -> None:
    client = Client()

    async def work() -> int:
        await until_read(client)
        return 5

    assert await while_connected(client, work) == 5
    assert (client.readers, client.most_readers) == (0, 1)


async def test_work_is_cancelled_when_the_client_leaves() -> None:
    client = Client("http.request", "http.request")
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        client.left.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled = True

    with pytest.raises(ClientGone):
        await while_connected(client, work)
    assert cancelled


async def test_an_exception_comes_out_as_itself() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await while_connected(Client(), work)


async def test_an_exception_of_receive_comes_out_as_itself() -> None:
    async def receive() -> Any:
        raise PermissionError("the host's own body limit")

    with pytest.raises(PermissionError):
        await while_connected(receive, anyio.sleep_forever)


async def test_a_deadline_cancels_and_is_told_from_a_disconnect() -> None:
    watch = Watch(Client(), asyncio_loop(), deadline=anyio.current_time() + 0.01)
    async with watch:
        await anyio.sleep_forever()
    assert watch.expired
    assert not watch.gone


async def test_a_deadline_can_be_moved() -> None:
    watch = Watch(Client(), asyncio_loop())
    async with watch:
        assert watch.deadline == math.inf
        watch.deadline = anyio.current_time()
        await anyio.sleep_forever()
    assert watch.expired


async def test_a_block_that_ends_in_time_has_not_expired() -> None:
    watch = Watch(Client(), asyncio_loop(), deadline=anyio.current_time() + 60)
    async with watch:
        await anyio.lowlevel.checkpoint()
    assert not watch.expired


async def test_a_disconnect_after_release_is_the_end_and_no_abort() -> None:
    client = Client()
    watch = Watch(client, asyncio_loop())
    async with watch:
        await until_read(client)
        watch.release()
        client.left.set()
        await watch.settle()
        await anyio.wait_all_tasks_blocked()
    assert not watch.gone


@pytest.mark.parametrize("cancel_when", ["beginning", "working", "settling"])
async def test_a_cancellation_from_outside_passes(cancel_when: str) -> None:
    client = Client()

    async def work(watch: Watch) -> None:
        if cancel_when != "beginning":
            await until_read(client)
        if cancel_when == "settling":
            scope.cancel()
            await watch.settle()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        watch = Watch(client, asyncio_loop())
        async with watch:
            if cancel_when != "settling":
                scope.deadline = anyio.current_time() + (0.0 if cancel_when == "beginning" else 0.1)
            await work(watch)
        pytest.fail("the cancellation was swallowed")
    assert scope.cancelled_caught
    assert client.readers == 0


async def test_an_exception_of_the_work_goes_before_that_of_receive() -> None:
    failed = anyio.Event()

    async def receive() -> Any:
        failed.set()
        raise PermissionError

    async def work() -> None:
        await failed.wait()
        raise LookupError("mine")

    with pytest.raises(LookupError):
        await while_connected(receive, work)


async def test_a_native_cancellation_passes_and_leaves_no_reader(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own")
    client = Client()
    task = asyncio.get_running_loop().create_task(while_connected(client, anyio.sleep_forever))
    await until_read(client)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.readers == 0


async def test_a_short_request_leaves_no_garbage_in_cycles(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("trio's nurseries are cycles")
    client = Client()
    freed = weakref.ref(client)
    gc.disable()
    try:
        async with Watch(client, asyncio_loop(), deadline=anyio.current_time() + 60):
            await anyio.lowlevel.checkpoint()
        del client
        assert freed() is None
    finally:
        gc.enable()


async def test_a_receive_that_never_waits_does_not_hold_up_the_work() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def work() -> str:
        await anyio.sleep(0.01)
        return "done"

    assert await while_connected(receive, work) == "done"


async def test_phases_after_each_other_read_one_at_a_time_and_lose_no_disconnect() -> None:
    client = Client()
    steps: list[Callable[[], Awaitable[None]]] = [anyio.lowlevel.checkpoint] * 3
    for step in steps:
        await while_connected(client, step)
    client.left.set()
    with pytest.raises(ClientGone):
        await while_connected(client, anyio.sleep_forever)
    assert client.most_readers == 1
