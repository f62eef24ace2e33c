"""What builds on an earlier response goes to the account that has it, and to no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ds2api_asgi import Key, KeyPool, Retry, Secret
from ds2api_asgi.pool import makers
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio


class Keeper:
    """A provider whose accounts have responses of their own."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.asked: list[str] = []
        self.limited: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        document = json.loads((await receive())["body"])
        self.asked.append(key)
        named = document.get("previous_response_id")
        kind = b"application/json"
        if key in self.limited:
            status, body = 429, json.dumps({"error": {"message": "slow", "code": "rate_limit_exceeded"}}).encode()
        elif named is not None and self.made.get(named, key[:4]) != key[:4]:
            status, body = 400, json.dumps({"error": {"message": "no", "code": "previous_response_not_found"}}).encode()
        else:
            made = f"resp_{len(self.made)}"
            self.made[made] = key[:4]
            answer = {"id": made, "object": "response", "status": "completed", "output": []}
            status, body = 200, json.dumps(answer).encode()
            if document.get("stream"):
                kind = b"text/event-stream"
                event = {"type": "response.created", "response": answer, "sequence_number": 0}
                done = {**event, "type": "response.completed", "sequence_number": 1}
                body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (event, done))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for at in range(0, len(body), 7):
            await send({"type": "http.response.body", "body": body[at : at + 7], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def pool_of(keeper: Keeper, **options: Any) -> KeyPool:
    keys = [Key(secret=Secret(f"{scope}-{n}"), quota_scope=scope) for scope in ("blue", "gold") for n in (1, 2)]
    return KeyPool(keeper, protocol="openai-responses", keys=keys, strategy="round-robin", **options)


async def ask(app: Any, previous: str | None = None, *, stream: bool = False) -> int:
    document = {"model": "m", "input": "x", "stream": stream}
    if previous is not None:
        document["previous_response_id"] = previous
    return (await Driver(app).request("POST", "/v1/responses", json=document)).status


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_turn_goes_to_the_account_that_has_the_last_one(stream: bool) -> None:
    keeper = Keeper()
    app = Retry(pool_of(keeper))
    for _ in range(4):
        assert await ask(app, stream=stream) == 200
    for made in list(keeper.made):
        for _ in range(5):
            assert await ask(app, made, stream=stream) == 200
    assert set(keeper.asked) == {"blue-1", "blue-2", "gold-1", "gold-2"}  # within an account any key may


async def test_where_its_account_rests_it_goes_nowhere_else() -> None:
    keeper = Keeper()
    app = Retry(pool_of(keeper, queue_timeout=0.0), wait_cap=0.0)
    assert await ask(app) == 200
    (made, scope), *_ = keeper.made.items()
    keeper.limited |= {f"{scope}-1", f"{scope}-2"}
    del keeper.asked[:]
    assert await ask(app, made) == 429
    assert {key[:4] for key in keeper.asked} == {scope}
    assert await ask(app) == 200  # others are not kept from the other account


async def test_of_a_response_that_nobody_here_has_seen_any_key_may_be_asked() -> None:
    keeper = Keeper()
    app = pool_of(keeper)
    for _ in range(4):
        assert await ask(app, "resp_elsewhere") == 200
    assert len(set(keeper.asked)) == 4


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, "MOST", 3)
    app = pool_of(keeper := Keeper())
    for _ in range(6):
        assert await ask(app) == 200
    assert app._makers is not None
    assert list(app._makers._made_by) == list(keeper.made)[-3:]


@pytest.mark.parametrize("body", [b"", b"{", b'{"previous_response_id": 5}', b'["previous_response_id"]', b"\xff"])
def test_garbage_excludes_nobody(body: bytes) -> None:
    assert makers.Makers({"a": "x", "b": "y"}).excluded(body) == frozenset()
