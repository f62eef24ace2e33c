"""`Retry`: an app that tries an app again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from random import Random

from ..asgi.body import DEFAULT_MAX_BODY
from ..asgi.types import ASGIApp, Receive, Scope, Send
from ..protocols.base import Protocol
from ..universal.failure import Row
from .breaker import BreakerPolicy
from .budget import BudgetPolicy
from .engine import Engine, Terms
from .hedge import Hedge
from .plan import RetryPolicy
from .plans import retry_plan
from .stated import timeout_headers
from .targets import BreakerReport
from .timeouts import Timeouts

__all__ = ["Retry"]


class Retry:
    """Try an app again where that makes sense, invisibly to the client; finish what breaks off as an error.

    Around a key pool each attempt draws another key. Nothing is tried again once content has reached the client, or
    when the request itself is at fault. All times are in seconds::

        Retry(KeyPool(Upstream("https://api.anthropic.com"), protocol="anthropic", keys=KEYS))

    Args:
        app: The app to ask.
        protocol: Its protocol or the name of it (``"anthropic"``); None: of each request what the registry tells.
        max_attempts: Attempts for failures that are not a key's; 1 never repeats.
        max_keys_tried: Keys that one request may try; they are not counted as attempts.
        max_calls: Upstream calls per client request, over everything nested.
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
        hedge: When a slow first attempt gets a second one beside it (with another key, as a pool beneath gives them
            out); the first content is the answer, the other attempt is cut off, and both cost tokens. Only for answers
            that leave nothing behind at the provider, and not for requests that get comments. None: never.
        max_body: Bytes of a request's body; larger ones are answered with 413.
        rules: Rows of your own, which come before the protocol's and a pool's verdict; see `rule`.
        breaker: When an app that keeps failing is left alone for a while; None: never. With nobody else to ask, a
            breaker turns a doubtful answer into a sure refusal, and a few requests that an upstream chokes on would
            refuse all others: the budget already keeps repeats from making a bad hour worse.
        budget: How much of what an app gets may be repeats and hedges; None: anything.
        keep_pace: Begin no further attempt that half of the last ones would not have finished in time.
        client_timeouts: Answer before the client gives up, where its SDK tells how long it waits for the first byte.
            Who gets comments in time is not held to it.
        timeout_header: A header by which clients say the same in milliseconds (``"x-request-timeout-ms"``).
        rng: Draws the jitter; None: a fresh one.
        clock: Monotonic seconds.
        wall: Unix time, to read the dates that providers send.

    Raises:
        ConfigurationError: A value that cannot work, or an unknown protocol.
    """

    def __init__(
        self,
        app: ASGIApp,
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
        breaker: BreakerPolicy | None = None,
        budget: BudgetPolicy | None = BudgetPolicy(),  # noqa: B008 - frozen
        keep_pace: bool = True,
        client_timeouts: bool = True,
        timeout_header: str | None = None,
        rules: Iterable[Row] = (),
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
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
        dice = rng or Random()  # noqa: S311 - jitter is no secret
        self._app = app
        self._engine = Engine(
            (app,),
            lambda elsewhere: retry_plan(policy, dice, elsewhere=elsewhere),
            protocol=protocol,
            terms=Terms(
                policy=policy,
                timeouts=timeouts,
                breaker=breaker,
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
                name="retry",
            ),
        )

    def breakers(self) -> list[BreakerReport]:
        """How the breakers are: the app's, then those of its models; empty without breakers."""
        return self._engine.breakers()

    def drain(self) -> None:
        """Repeat nothing from now on: the server is to end soon. What is under way goes on."""
        self._engine.drain()

    def inherit(self, other: Retry) -> None:
        """Share what another one knows of the same app's breakers, budget and pace; for one that takes its place.

        Nothing is shared where the two have other terms: another breaker, budget or hedge.

        Args:
            other: What it takes the place of. It may go on with what it has begun.
        """
        self._engine.inherit(other._engine)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve ``http`` by the plan; everything else is the app's."""
        serve = self._engine if scope["type"] == "http" else self._app
        await serve(scope, receive, send)
