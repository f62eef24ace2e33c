"""A gateway of one's own parts: the cheapest key first, addresses that stay here, a small model before a large one.

    uvicorn --app-dir examples/custom_gateway main:app

It needs no keys and no network: the demo model answers. Set ``UPSTREAM_URL`` for a provider that speaks OpenAI Chat
Completions, ``CHEAP_KEY`` and ``DEAR_KEY`` for its keys, ``SMALL_MODEL`` and ``LARGE_MODEL`` for its models.
"""

import re
from collections.abc import Container, Iterable
from os import environ
from random import Random

from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.routing import Mount

from ds2api_asgi import Key, KeyPool, Router, Secret, Translator, Upstream, lifespan
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.pool import Ask, Seat
from ds2api_asgi.resilience import Answered, Engine, Plan, RetryPolicy, Terms, Timeouts, Try
from ds2api_asgi.universal.content import Part, Text, ToolResult
from ds2api_asgi.universal.events import Event
from ds2api_asgi.universal.loss import Loss
from ds2api_asgi.universal.request import Request
from ds2api_asgi.universal.response import Response


class Cheapest:
    """A strategy: the key that costs least, unless it has so much to do that answers would come late."""

    def __init__(self, prices: dict[str, float], busy: int = 8, seats: Iterable[Seat] = ()) -> None:
        self.prices, self.busy, self.seats = prices, busy, {seat.index: seat for seat in seats}

    def lineup(self, rng: Random) -> "Cheapest":  # noqa: ARG002 - it leaves nothing to chance
        return Cheapest(self.prices, self.busy)

    def copy(self) -> "Cheapest":
        return Cheapest(self.prices, self.busy, self.seats.values())

    def add(self, seat: Seat) -> None:
        self.seats[seat.index] = seat

    def discard(self, seat: Seat) -> None:
        self.seats.pop(seat.index, None)

    def pick(self, tried: Container[int], ask: Ask | None = None) -> Seat | None:  # noqa: ARG002 - all requests are alike
        free = [seat for seat in self.seats.values() if seat.index not in tried]
        return min(free, key=lambda seat: (seat.in_flight // self.busy, self.prices[seat.alias]), default=None)


class Withheld:
    """A transform: providers never see e-mail addresses; the model reads and writes ``<email>`` instead."""

    address = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
    request: Request
    losses: tuple[Loss, ...] = ()  # what the model is not told is what was meant

    def begin(self, request: Request) -> "Withheld":  # the one object per request that transforms make
        turns = tuple(replace(turn, parts=tuple(map(self.part, turn.parts))) for turn in request.turns)
        begun = Withheld()
        begun.request = replace(request, turns=turns)
        return begun

    def part(self, part: Part) -> Part:
        if isinstance(part, Text):
            return replace(part, text=self.address.sub("<email>", part.text))
        if isinstance(part, ToolResult) and isinstance(part.parts, tuple):
            return replace(part, parts=tuple(map(self.part, part.parts)))
        return part  # what a model wrote itself, and pictures

    def response(self, response: Response) -> Response:
        return response

    def stream(self) -> "Withheld":
        return self

    def feed(self, events: Iterable[Event]) -> list[Event]:
        return list(events)


def small_first(elsewhere: bool) -> Plan:  # noqa: ARG001 - nobody stands behind us
    """A plan: ask the small model; where it cannot (too long, overloaded, too slow), the large one."""
    for attempt in (Try(0, elsewhere=True), Try(1)):
        outcome = yield attempt
        if isinstance(outcome, Answered):
            break
    return outcome


provider = Upstream(environ["UPSTREAM_URL"], protocol="openai-chat") if "UPSTREAM_URL" in environ else DemoModel()
keys = [Key(secret=Secret(environ.get(f"{name}_KEY", f"demo-{name}")), alias=name) for name in ("CHEAP", "DEAR")]
pool = KeyPool(provider, protocol="openai-chat", keys=keys, strategy=Cheapest({"CHEAP": 0.1, "DEAR": 2.5}))
names = (environ.get("SMALL_MODEL", "demo-small"), environ.get("LARGE_MODEL", "demo-large"))
models = [Router({"pool": pool}, {"*": f"pool/{name}"}, rename_answers=True) for name in names]
terms = Terms(policy=RetryPolicy(), timeouts=Timeouts(first_content=20.0))
engine = Engine(models, small_first, protocol="openai-chat", terms=terms)
llm = Translator(engine, speaks="openai-chat", transforms=[Withheld()])
app = Starlette(routes=[Mount("/", llm)], lifespan=lifespan(pool))
