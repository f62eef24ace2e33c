"""One request, read, and what all its attempts have in common."""

from __future__ import annotations

import math

from msgspec.structs import replace

from ..asgi.body import Replay
from ..asgi.types import Scope
from ..protocols.base import Operation, Protocol, StreamWatch
from ..protocols.inference import watch_of
from .steps import Bounds
from .targets import Targets
from .terms import Terms
from .timeouts import RequestClock, Timeouts

__all__ = ["Asked"]


class Asked:
    """One request, read, and what all its attempts have in common.

    Args:
        terms: The engine's.
        targets: The engine's.
        scope: The request's; each attempt gets a copy.
        protocol: The protocol that the client speaks.
        operation: What is asked for.
        model: Where it is known.
        stream: Whether the client asked for a stream.
        body: The request's.

    Attributes:
        clock: The request's.
        bounds: What no attempt may exceed; to be set before the first one.
        timeouts: How long what may take, for the model.
    """

    __slots__ = (
        "body",
        "bounds",
        "clock",
        "model",
        "operation",
        "protocol",
        "scope",
        "stream",
        "targets",
        "terms",
        "timeouts",
    )

    bounds: Bounds

    def __init__(
        self,
        terms: Terms,
        targets: Targets,
        scope: Scope,
        protocol: Protocol,
        operation: Operation,
        *,
        model: str | None,
        stream: bool,
        body: Replay,
    ) -> None:
        self.terms = terms
        self.targets = targets
        self.scope = scope
        self.protocol = protocol
        self.operation = operation
        self.model = model
        self.stream = stream
        self.body = body
        self.clock = RequestClock(terms.clock)
        self.timeouts = terms.timeouts.of(model)

    @property
    def head(self) -> bool:
        """Whether the request was HEAD, whose answer has no body."""
        return bool(self.scope["method"] == "HEAD")

    def watch(self) -> StreamWatch:
        """A fresh watch for a stream that answers it."""
        return watch_of(self.protocol, self.operation)

    def own_scope(self) -> Scope:
        """An attempt's own copy of the scope, without extensions whose messages could not be held back."""
        scope = self.scope
        return {**scope, "extensions": {}} if scope.get("extensions") else {**scope}

    def due(self) -> float:
        """When an attempt must be done: the client that waits for a document hears of nothing before its end."""
        bounds = self.bounds
        return bounds.deadline if self.stream else min(bounds.deadline, bounds.patience)

    def timeouts_at(self, now: float) -> Timeouts:
        """How long what of an attempt may take that begins now: no longer than the client waits."""
        timeouts, patience = self.timeouts, self.bounds.patience
        if not self.stream or patience == math.inf:
            return timeouts
        left, first = patience - now, timeouts.first_content
        assert not callable(first)
        return timeouts if first is not None and first <= left else replace(timeouts, first_content=max(left, 0.0))

    def prolonged(self, now: float) -> float:
        """How long the first content may take whose stream has started now, at least: no longer than the client waits.

        What is not translated may have no content before its end: a picture without previews. What has started to be
        made must not be made again, so it has what else is given from content to content.
        """
        if self.operation is not Operation.INFER:
            return 0.0
        content = self.timeouts.content
        return min(math.inf if content is None else content, self.bounds.patience - now)
