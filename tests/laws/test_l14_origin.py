"""L14: an opaque payload goes to nobody but the origin that minted it, and what is kept back is reported.

Conversations of every client's SDK over a failover of upstreams that differ in protocol, family and account group; who
is down changes from turn to turn by any schedule. Each upstream marks what it mints, so each request tells who is given
what. Two limits are stated by the test itself: a client that speaks the upstream's own protocol passes its bytes
untouched, so the account of what it was given untouched is not looked at; and a store knows only its own answers.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.protocols import registry
from ds2api_asgi.resilience import Failover
from ds2api_asgi.translator import Translator
from ds2api_asgi.universal.loss import Loss, LossKind
from minters import answer_of, said_in, stream_of
from replaying import CLIENTS, client_of

ORIGINS = [
    ("anthropic", "anthropic/blue"),
    ("anthropic", "anthropic/red"),
    ("anthropic", "bedrock/blue"),
    ("openai-responses", "openai"),
    ("openai-responses", "azure"),
    ("gemini", "google"),
    ("openai-chat", "openrouter"),
]
MINTED = re.compile(r"MINT(\d\d)(\d\d)")


class Upstream:
    """Answers with a thought that is marked as its own, unless it is down."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.protocol = ORIGINS[index][0]
        self.down = False
        self.given: list[tuple[int, str]] = []  # the answer's number, and what was asked
        self.minted = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await read_body(receive)).body
        if self.down:
            await respond(send, status=503, document={"error": {"message": "down", "type": "overloaded_error"}})
            return
        number = len(said_in(self.protocol, json.loads(body)))
        self.given.append((number, body.decode()))
        self.minted += 1
        answer = answer_of(self.protocol, self._answer(f"MINT{self.index:02}{number:02}"), number)
        streams = b'"stream":true' in body.replace(b" ", b"") or "stream" in scope["path"]
        kind = registry.get(self.protocol).stream_type() if streams else "application/json"
        data = stream_of(self.protocol, answer) if streams else json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": data})

    def _answer(self, mark: str) -> Any:
        match self.protocol:
            case "anthropic":
                return [
                    {"type": "thinking", "thinking": "I think", "signature": f"{mark}sign"},
                    {"type": "redacted_thinking", "data": f"{mark}data"},
                    {"type": "text", "text": "So."},
                ]
            case "openai-responses":
                text = {"type": "output_text", "text": "So.", "annotations": []}
                return [
                    {"type": "reasoning", "id": f"rs_{mark}", "summary": [], "encrypted_content": f"{mark}encr"},
                    {"type": "message", "id": f"msg_{mark}", "role": "assistant", "status": "completed",
                     "content": [text]},
                ]  # fmt: skip
            case "gemini":
                return [{"text": "I think", "thought": True}, {"text": "So.", "thoughtSignature": f"{mark}sign"}]
            case _:
                detail = {"type": "reasoning.encrypted", "data": f"{mark}data", "format": "x", "index": 0}
                return {"content": "So.", "reasoning_details": [detail]}


schedules = st.lists(st.sets(st.integers(0, len(ORIGINS) - 1), max_size=len(ORIGINS) - 1), min_size=2, max_size=6)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=10, deadline=None)
@given(schedule=schedules, order=st.permutations(range(len(ORIGINS))))
def test_a_payload_goes_to_its_minter_only(
    client: str, order: list[int], schedule: list[set[int]], *, streams: bool
) -> None:
    upstreams = [Upstream(index) for index in range(len(ORIGINS))]
    losses: dict[int, list[Loss]] = {index: [] for index in order}

    def note(index: int, found: Any) -> Any:
        losses[index] = list(found)
        return "allow"

    fleet = Failover(
        [
            Translator(
                upstreams[index], speaks=ORIGINS[index][0], origin=ORIGINS[index][1], on_loss=partial(note, index)
            )
            for index in order
        ],
        max_attempts=1,
        max_calls=64,
        backoff=0.001,
    )
    answered: list[int] = []

    async def converse() -> None:
        async with client_of(client, fleet, streams=streams) as sdk:
            for turn, down in enumerate(schedule):
                for index, upstream in enumerate(upstreams):
                    upstream.down = index in down
                before = [upstream.minted for upstream in upstreams]
                sdk.say(f"question {turn}")
                await sdk.answer()
                (now,) = [i for i, upstream in enumerate(upstreams) if upstream.minted != before[i]]
                _judge(client, upstreams[now], answered, losses[now])
                answered.append(now)

    anyio.run(converse)
    assert len(answered) == len(schedule)


def _judge(client: str, upstream: Upstream, answered: list[int], losses: list[Loss]) -> None:
    number, body = upstream.given[-1]
    home = upstream.protocol == client
    assert number == len(answered), "the history is not whole"
    assert "ds2.1." not in body
    assert "ZHMyLjEu" not in body
    given = {(int(index), int(turn)) for index, turn in MINTED.findall(body)}
    own = {(index, turn) for turn, index in enumerate(answered) if index == upstream.index}
    assert own <= given, "a payload did not reach its minter"
    for index, _ in given - own:
        untouched = home and ORIGINS[index][0] == client
        assert untouched, f"{ORIGINS[upstream.index]} was given what {ORIGINS[index]} minted"
    kept_back = [index for index in answered if index != upstream.index and not (home and ORIGINS[index][0] == client)]
    if client != "ollama" and not home:
        # What a vendor of the client's own protocol minted is known by its member only.
        reported = sum(loss.kind is LossKind.ORIGIN_MISMATCH or "reasoning_details" in loss.path for loss in losses)
        assert reported >= len(kept_back), "a payload was kept back without a word"
