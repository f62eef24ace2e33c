"""``[models.NAME]`` and ``[router]``: which models go where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Amount, Flag, JsonObject, Seconds, Table, Whole
from .either import WordOrTable
from .upstreams import TransformTable

__all__ = ["ModelTable", "RouterTable", "TargetTable"]


class TargetTable(Table):
    """Where a model's requests may go; `"openai/gpt-6"` is short for one."""

    upstream: str
    """The name of an upstream."""
    model: str | None = None
    """The model to ask it for; missing: the one that the client named."""
    weight: Annotated[Amount, Field(ge=0)] = 1.0
    """Its share among the targets of its priority; 0: only asked where others fail."""
    priority: Whole = 0
    """Lower ones are asked first."""
    can: tuple[Literal["vision", "tools", "reasoning"], ...] | None = None
    """What it has; a request that needs something else does not go to it. Missing: everything goes to it."""


class ModelTable(Table):
    """What a model's name means; the name may have `*` for any characters."""

    targets: Annotated[tuple[WordOrTable[str, TargetTable], ...], Field(min_length=1)]
    """Where its requests go."""
    fallbacks: tuple[str, ...] = ()
    """Names of other models of this file, whose targets are asked after these."""
    default: JsonObject = {}
    """Members of requests that are added where they are missing, in the spelling of the client's protocol."""
    override: JsonObject = {}
    """Members of requests that get this value, whatever the client said."""
    remove: tuple[str, ...] = ()
    """Members of requests that go."""
    transforms: tuple[TransformTable, ...] = ()
    """What is done with this model's requests and answers, after what its upstream does."""
    rename_answers: Flag | None = None
    """Whether answers say the name that was asked for; missing: as the router says."""
    listed: Flag = True
    """Whether lists of models have it."""


class RouterTable(Table):
    """How names become targets, for all models."""

    prefixes: Flag = True
    """Whether `openai/gpt-6` means the upstream `openai`, where no model of that name is."""
    default: str | None = None
    """The upstream for requests that name no model (files, batches, moderations)."""
    per: Literal["conversation", "request"] = "conversation"
    """Whether all turns of a conversation stay with a target, or each request is drawn for."""
    rename_answers: Flag = False
    """Whether answers say the name that the client asked for instead of the provider's."""
    list_timeout: Seconds = 10.0
    """Seconds that an upstream has to list its models."""
