"""``[[rules]]``: what a failure means, where the provider's own answer does not tell it well enough."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ...protocols.classification import Action
from ...universal.failure import RequestFault
from .base import Amount, Name, Table, Whole
from .either import WordOrNumber

__all__ = ["RuleTable"]

_Status = Annotated[Whole, Field(ge=100, le=599)]


class RuleTable(Table):
    """What follows from a failure; the first rule that matches comes before all that is built in.

    ::

        [[rules]]
        id = "plan"
        status = [403]
        message = "upgrade your plan"
        then = "exhaust-key"
        wait = 3600
    """

    id: Name
    """Its name; logs call it `rule.NAME`."""
    then: Action
    """What to do: `stop`; ask the `same` provider again, with the `other-key` or by an `other-route`; or take another
    key and `cool-key`, `exhaust-key`, `disable-key` or `block-model` this one."""
    status: tuple[_Status, ...] = ()
    """Statuses that it is about; none: all."""
    code: tuple[WordOrNumber, ...] = ()
    """Codes or types of the error, as the provider says them; none: all."""
    message: str | None = None
    """Words that must stand in the error's message, in any letter case."""
    wait: Annotated[Amount, Field(ge=0)] | None = None
    """Seconds that a key rests or a repeat waits, where the provider says nothing of it."""
    reason: RequestFault | None = None
    """The request's own fault that it is, for `failover.fallback_on`."""
    upstreams: tuple[str, ...] | None = None
    """The only upstreams that it is about; missing: all."""

    def as_options(self) -> dict[str, Any]:
        """What `ds2api_asgi.rule` takes."""
        return self.model_dump(exclude={"upstreams"})
