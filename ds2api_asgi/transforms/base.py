"""What a transform is: universal to universal, whatever the protocols on either side.

    begun = transform.begin(request)            # one per request; `transform` itself is shared and never changes
    encode(begun.request); report(begun.losses)
    begun.response(decode(answer))              # a whole answer …
    stream = begun.stream(); stream.feed(events)    # … or a stream of one

Several stand in a row: requests go through them first to last, answers last to first, each through the `Begun` of its
own request. A transform is pure and synchronous; clock and chance have no part in it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

from ..universal.events import Event
from ..universal.loss import Loss
from ..universal.request import Request
from ..universal.response import Response

__all__ = ["Begun", "Transform", "TransformStream"]


class TransformStream(typing.Protocol):
    """One stream on its way through a transform."""

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """Take events of the source; return all that are certain by now.

        Both sides keep the order of `universal.lifecycle`. The last event of the source (`End`, `Error`) brings out
        whatever was held back, so there is nothing to close; a stream that is given up is just dropped.

        Args:
            events: The next ones, as many at a time as there are.
        """
        ...


class Begun(typing.Protocol):
    """One request's way through a transform.

    Attributes:
        request: What is to be asked in place of the client's request.
        losses: What that does not say of it, paths as in the client's request; in document order.
    """

    @property
    def request(self) -> Request:
        """See the class."""
        ...

    @property
    def losses(self) -> Sequence[Loss]:
        """See the class."""
        ...

    def response(self, response: Response) -> Response:
        """The client's answer for a whole answer; a transform that refuses it sets ``error``."""
        ...

    def stream(self) -> TransformStream:
        """A fresh object for one stream, which folds to what `response` gives for the folded source."""
        ...


class Transform(typing.Protocol):
    """Changes requests, and their answers accordingly. Immutable, so it may be shared by all requests."""

    def begin(self, request: Request) -> Begun:
        """Take one request in; total: what it cannot say it reports.

        Args:
            request: The client's, which stays as it is.
        """
        ...
