"""A scenario: what is simulated, as it is written in a TOML file.

    start = "13:50"
    duration = "20m"

    [retry]                          # Retry's own parameters (with several providers: Failover's)
    deadline = "30s"

    [[providers]]
    name = "main"
    first_token = { median = "400ms", spread = 0.4 }
    pool = { strategy = "round-robin", max_concurrency = 8 }      # KeyPool's own parameters

    [[providers.keys]]               # key-1 … key-5, each with a limit that the provider enforces
    count = 5
    rpm = 60

    [[providers.events]]
    at = "14:00"
    what = "dead"                    # from now on the provider answers 401
    key = "key-3"

    [[clients]]
    count = 200
    think = "45s"

Unknown members are refused, and every error names the path of what is wrong.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..errors import ConfigurationError
from ..pool import RateLimits
from ..protocols import registry
from .units import DayTime, Moment, Quantity, Seconds, decode_unit

__all__ = ["Clients", "Event", "Keys", "Provider", "Scenario", "read_scenario"]

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]


class Keys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some keys that are alike.

    Attributes:
        name: What they are called, each with its number after it: ``key-1``.
        count: How many.
        scope: The quota scope that all of them share; None: each has its limits for itself.
        rpm: Requests a minute that the provider takes.
        tpm: Tokens a minute that the provider takes.
        concurrency: Requests at a time that the provider takes.
        told: The part of these limits that the pool is told, as a factor; 0: it must find out.
        told_concurrency: Whether it is told of `concurrency` too.
        weight: As in `Key`.
        priority: As in `Key`.
        models: The only models they may be used for.
    """

    name: Name = "key"
    count: Count = 1
    scope: Name | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    concurrency: Count | None = None
    told: Share = 0.0
    told_concurrency: bool = False
    weight: Annotated[float, Meta(gt=0)] = 1.0
    priority: int = 0
    models: tuple[str, ...] | None = None

    def limits(self) -> RateLimits:
        """What the pool is told."""
        told = [
            None if limit is None or not self.told else max(1, int(limit * self.told)) for limit in (self.rpm, self.tpm)
        ]
        return RateLimits(rpm=told[0], tpm=told[1], concurrency=self.concurrency if self.told_concurrency else None)

    def names(self) -> list[str]:
        """Each key's name."""
        return [f"{self.name}-{number}" for number in range(1, self.count + 1)]


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"lasts": "for"}):
    """Something that happens to a provider.

    | what | from then on |
    |---|---|
    | ``dead`` | the key is refused (401) |
    | ``quota`` | the key's quota, or its scope's, is used up (429 without a date) |
    | ``outage`` | the provider answers with `status` |
    | ``refuse`` | no connection |
    | ``hang`` | requests get no answer |
    | ``cut`` | answers break off |
    | ``slow`` | everything takes `factor` times as long |

    Attributes:
        at: When it begins.
        lasts: ``for`` in files: how long; None: to the end.
        what: See above.
        key: The one key that it happens to; None: all.
        model: The one model that it happens to; None: all.
        share: Of the requests.
        status: Of an outage.
        factor: Of a slow-down.
    """

    at: Moment
    what: Literal["dead", "quota", "outage", "refuse", "hang", "cut", "slow"]
    lasts: Seconds | None = None
    key: str | None = None
    model: str | None = None
    share: Share = 1.0
    status: Annotated[int, Meta(ge=500, le=599)] = 503
    factor: Annotated[float, Meta(gt=0)] = 10.0


class Provider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider, and the pool of its keys.

    Attributes:
        name: What it is called.
        first_token: Seconds until an answer begins.
        tokens_per_second: How fast it goes on.
        window: How limits are counted: minutes by the clock (``fixed``), any minute (``sliding``), or a bucket that is
            always filled up again and holds a tenth of a minute's (``bucket``).
        hint: What a 429 says: ``seconds``, ``milliseconds`` or nothing.
        headers: Whether answers tell what is left of the limits.
        pool: `KeyPool`'s own parameters.
        retry: Parameters of a `Retry` around this pool alone; None: there is none.
        keys: The keys; none: the provider needs none, and there is no pool.
        events: What happens.
    """

    name: Name = "main"
    first_token: Quantity = Quantity(0.5)
    tokens_per_second: Quantity = Quantity(60.0)
    window: Literal["fixed", "sliding", "bucket"] = "fixed"
    hint: Literal["seconds", "milliseconds", "none"] = "seconds"
    headers: bool = True
    pool: dict[str, Any] = {}
    retry: dict[str, Any] | None = None
    keys: tuple[Keys, ...] = ()
    events: tuple[Event, ...] = ()

    def key_names(self) -> list[str]:
        """The name of every key, in the pool's order."""
        return [name for keys in self.keys for name in keys.names()]


class Clients(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of clients that are alike.

    Attributes:
        name: What they are called.
        count: How many, each asking, reading, thinking and asking again; 0: they come by `rate`.
        rate: New requests a second, whatever became of the others (a Poisson process).
        think: Seconds between an answer and the next request of the same client.
        requests: How many requests each makes at most (`rate`: the whole group); None: as many as there is time for.
        begin: When they begin; with `count`, each at a random moment of its first `think` after it.
        protocol: What they speak; None: what the providers speak.
        models: One of these each time.
        prompt_tokens: Of a request.
        output_tokens: Of its answer.
        stream: The share that asks for a stream.
        retries: How often their SDK tries again, in the manner of OpenAI's and Anthropic's.
        deadline: After so many seconds they leave and give up; None: never.
        leave: The share that leaves before that, after `patience`.
        patience: Seconds.
        kill: The share whose task the server cancels after `patience`, as on shutdown.
    """

    name: Name = "clients"
    count: Annotated[int, Meta(ge=0)] = 0
    rate: Annotated[float, Meta(ge=0)] = 0.0
    think: Quantity = Quantity(10.0)
    requests: Count | None = None
    begin: Moment = Moment(0.0, of_day=False)
    protocol: str | None = None
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("model-a",)
    prompt_tokens: Quantity = Quantity(500.0)
    output_tokens: Quantity = Quantity(200.0)
    stream: Share = 0.5
    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    deadline: Seconds | None = None
    leave: Share = 0.0
    patience: Quantity = Quantity(0.0, high=5.0)
    kill: Share = 0.0


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it.

    Attributes:
        duration: For how long clients ask; then what is under way may end.
        start: The time of day at which it begins.
        seed: Of everything that is left to chance.
        shuffle: Whether what happens at the same moment happens in any order.
        protocol: What the providers speak; so far ``openai-chat`` only.
        retry: Parameters of `Retry`, or of `Failover` where there are several providers; None: neither (several need
            one).
        providers: In the order of preference.
        clients: Who asks.
    """

    duration: Seconds
    start: DayTime = DayTime(0.0)
    seed: int = 1
    shuffle: bool = False
    protocol: Literal["openai-chat"] = "openai-chat"
    retry: dict[str, Any] | None = {}
    providers: Annotated[tuple[Provider, ...], Meta(min_length=1)]
    clients: Annotated[tuple[Clients, ...], Meta(min_length=1)]

    def check(self) -> None:
        """Refuse what cannot be simulated.

        Raises:
            ConfigurationError: Two things have the same name, an event names an unknown key, a group has neither
                `count` nor `rate` or both, an unknown protocol, several providers without `retry`.
        """
        _unique("providers", [provider.name for provider in self.providers])
        _unique("clients", [group.name for group in self.clients])
        if self.retry is None and len(self.providers) > 1:
            raise ConfigurationError("retry: several providers need it")
        for number, provider in enumerate(self.providers):
            names = provider.key_names()
            _unique(f"providers[{number}].keys", names)
            for position, event in enumerate(provider.events):
                if event.key is not None and event.key not in names:
                    raise ConfigurationError(
                        f"providers[{number}].events[{position}].key: there is no {event.key!r} among "
                        f"{', '.join(names[:8]) or 'no keys'}"
                    )
        for number, group in enumerate(self.clients):
            if (group.count > 0) == (group.rate > 0):
                raise ConfigurationError(f"clients[{number}]: either count or rate must be more than 0")
            if group.protocol is not None:
                try:
                    registry.get(group.protocol)
                except ConfigurationError as error:
                    raise ConfigurationError(f"clients[{number}].protocol: {error}") from None


def read_scenario(text: str) -> Scenario:
    """Read a scenario.

    Args:
        text: TOML.

    Raises:
        ConfigurationError: It is not TOML, or no scenario; the message names the path.
    """
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario, dec_hook=decode_unit)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        raise ConfigurationError(f"{path.rstrip('`').lstrip('.') or 'the scenario'}: {problem}") from None
    scenario.check()
    return scenario


def _unique(path: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{path}: the name {twice[0]!r} stands there twice")
