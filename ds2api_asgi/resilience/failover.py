"""`Failover`: an app over several apps that can stand in for each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from random import Random

from ..asgi.body import DEFAULT_MAX_BODY
from ..asgi.lifespan import lifespan_of
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..errors import ConfigurationError
from ..protocols.base import Protocol
from ..universal.failure import Row
from .breaker import BreakerPolicy
from .budget import BudgetPolicy
from .engine import Engine, Terms
from .hedge import Hedge
from .plan import RetryPolicy
from .plans import FALLBACKS, failover_plan, retry_plan
from .stated import timeout_headers
from .targets import BreakerReport
from .timeouts import Timeouts

__all__ = ["Failover"]


class Failover:
    """Ask the first app, and the next one where it fails, invisibly to the client.

    All apps must understand the same requests: put a `Translator` around one that speaks another protocol. Each app is
    tried as `Retry` does, but given up sooner as long as another follows: at once when the upstream is overloaded or
    its keys are all resting, after one repeat when it just failed. A fault of the request itself ends it. All times are
    in seconds::

        Failover([Upstream("https://eu.example"), Upstream("https://us.example")], protocol="openai-chat")

    An app that keeps failing is passed over for a while (`breaker`). A request that names state at a provider (files,
    an earlier response) stays with the first app. WebSockets and requests of no protocol go to the first app; the
    lifespan goes to all of them.

    Args:
        apps: In the order of preference; at least one.
        protocol: Their protocol or the name of it; None: of each request what the registry tells.
        max_attempts: Attempts on one app for failures that are not a key's; 1 never repeats.
        max_keys_tried: Keys that one request may try on one app; they are not counted as attempts.
        max_calls: Upstream calls per client request, over everything nested; no fewer than there are apps.
        deadline: For the whole request.
        wait_cap: The longest wait within a request that an upstream's hint may cause.
        backoff: The first pause without a hint lasts at most this long; doubled from pause to pause.
        backoff_cap: No pause without a hint is longer.
        first_content_timeout: From an attempt's start to a stream's first content; reasoning models may need 300.
            The wait in a pool's queue is not counted. Also what tells it for a model:
            ``lambda model: 300.0 if model.startswith("o3") else 60.0``. None: no such bound. Of what
            is not translated (pictures, sound, completions) it bounds the start of the answer, and `content_timeout`
            the first content, which may be its end. An `Upstream` beneath has a bound of its own to the first byte.
        idle_timeout: Between bytes of a running answer, and how long a client may take to read some; None: no such
            bound.
        content_timeout: Between content of a running stream (comments and pings are none); None: no such bound.
        early_commit_after: Seconds of silence after which a client that waits for a stream gets its headers and a
            comment, again and again while nothing else comes, so that no proxy cuts the connection; trying goes on as
            before, but a failure is then told in the stream. Only OpenAI's and Anthropic's clients bear comments; for
            the others nothing changes. None: never.
        hedge: When a slow first attempt gets a second one beside it, which asks the next app; the first
            content is the answer, the other attempt is cut off, and both cost tokens. Only for answers that leave
            nothing behind at the provider, and not for requests that get comments. None: never.
        max_body: Bytes of a request's body; larger ones are answered with 413.
        rules: Rows of your own, which come before the protocol's and a pool's verdict; see `rule`.
        fallback_on: Faults of the request that the next app may not share: ``"context-window"`` (it is too long),
            ``"content-policy"`` (it was refused). Then the next app is asked; when all fail, the first of these faults
            is the answer.
        breaker: When an app that keeps failing is left alone for a while; None: never. With one app there is none.
        budget: How much of what an app gets may be repeats and hedges; None: anything.
        keep_pace: Begin no further attempt that half of the last ones would not have finished in time.
        client_timeouts: Answer before the client gives up, where its SDK tells how long it waits for the first byte.
            Who gets comments in time is not held to it.
        timeout_header: A header by which clients say the same in milliseconds (``"x-request-timeout-ms"``).
        rng: Draws the jitter; None: a fresh one.
        clock: Monotonic seconds.
        wall: Unix time, to read the dates that providers send.

    Raises:
        ConfigurationError: No apps, more of them than `max_calls`, another value that cannot work, or an unknown
            protocol.
    """

    def __init__(
        self,
        apps: Iterable[ASGIApp],
        *,
        protocol: str | Protocol | None = None,
        max_attempts: int = 3,
        max_keys_tried: int = 5,
        max_calls: int = 6,
        deadline: float = 600.0,
        wait_cap: float = 10.0,
        backoff: float = 0.5,
        backoff_cap: float = 8.0,
        first_content_timeout: float | Callable[[str], float | None] | None = 60.0,
        idle_timeout: float | None = 60.0,
        content_timeout: float | None = 300.0,
        early_commit_after: float | None = None,
        hedge: Hedge | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        fallback_on: Iterable[str] = (),
        breaker: BreakerPolicy | None = BreakerPolicy(),  # noqa: B008 - frozen
        budget: BudgetPolicy | None = BudgetPolicy(),  # noqa: B008 - frozen
        keep_pace: bool = True,
        client_timeouts: bool = True,
        timeout_header: str | None = None,
        rules: Iterable[Row] = (),
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._apps = tuple(apps)
        targets = len(self._apps)
        policy = RetryPolicy(
            max_attempts=max_attempts,
            max_keys_tried=max_keys_tried,
            max_calls=max_calls,
            deadline=deadline,
            wait_cap=wait_cap,
            backoff=backoff,
            backoff_cap=backoff_cap,
        )
        timeouts = Timeouts(first_content=first_content_timeout, idle=idle_timeout, content=content_timeout)
        if breaker is not None:
            breaker.check()
        kinds = frozenset((fallback_on,) if isinstance(fallback_on, str) else fallback_on)
        if not kinds <= FALLBACKS:
            raise ConfigurationError(f"fallback_on knows {', '.join(sorted(FALLBACKS))} only")
        dice = rng or Random()  # noqa: S311 - jitter is no secret
        self._engine = Engine(
            self._apps,
            lambda elsewhere: failover_plan(targets, policy, dice, elsewhere=elsewhere, fallback_on=kinds),
            protocol=protocol,
            terms=Terms(
                policy=policy,
                timeouts=timeouts,
                breaker=breaker if targets > 1 else None,
                budget=budget,
                keep_pace=keep_pace,
                timeout_headers=timeout_headers(sdks=client_timeouts, own=timeout_header),
                early_commit_after=early_commit_after,
                hedge=hedge,
                rng=dice,
                clock=clock,
                wall=wall,
                max_body=max_body,
                rules=tuple(rules),
                name="failover",
            ),
            pinned=lambda elsewhere: retry_plan(policy, dice, elsewhere=elsewhere),
        )
        if not self._apps:
            raise ConfigurationError("Failover needs at least one app")
        if targets > max_calls:
            raise ConfigurationError(f"with max_calls={max_calls} the last of {targets} apps would never be asked")

    def breakers(self) -> list[BreakerReport]:
        """How the breakers are: the apps', then those of their models; empty without breakers."""
        return self._engine.breakers()

    def drain(self) -> None:
        """Repeat nothing from now on: the server is to end soon. What is under way goes on."""
        self._engine.drain()

    def inherit(self, other: Failover) -> None:
        """Share what another one knows of the same apps' breakers, budgets and paces; for one that takes its place.

        Nothing is shared where the two have other terms: another breaker, budget or hedge, or another number of apps.

        Args:
            other: What it takes the place of. It may go on with what it has begun.
        """
        self._engine.inherit(other._engine)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve ``http`` by the plan, run everyone's ``lifespan``; everything else is the first app's."""
        match scope["type"]:
            case "http":
                await self._engine(scope, receive, send)
            case "lifespan":
                await lifespan_of(self._apps, scope, receive, send, ending=self.drain)
            case _:
                await self._apps[0](scope, receive, send)
