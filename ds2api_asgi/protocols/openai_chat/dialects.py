"""Dialects: what the vendors that speak this protocol take otherwise than OpenAI, as data.

A `Dialect` says what is different, `fitting` makes a request fit it, `spelling` writes it down. Answers need no
dialect: they are read whoever sent them. What could not be confirmed stands as OpenAI has it.

| dialect | its page (all read 2026-11-28) | beside it |
|---|---|---|
| ``azure`` | https://learn.microsoft.com/azure/ai-foundry/openai/latest | |
| ``cerebras`` | https://inference-docs.cerebras.ai/api-reference/chat-completions | types of its SDK 1.91.0 |
| ``deepseek`` | https://api-docs.deepseek.com/api/create-chat-completion | /guides/thinking_mode |
| ``fireworks`` | https://docs.fireworks.ai/api-reference/post-chatcompletions | types of its SDK 1.2.30 |
| ``groq`` | https://console.groq.com/docs/openai | types of its SDK 1.7.0 |
| ``llama.cpp`` | https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md | |
| ``mistral`` | https://docs.mistral.ai/api/endpoint/chat | types of its SDK 3.7.0 |
| ``ollama`` | https://docs.ollama.com/api/openai-compatibility | openai/openai.go of its repository |
| ``openrouter`` | https://openrouter.ai/docs/api/reference/parameters | types of its SDK 1.3.84 |
| ``together`` | https://docs.together.ai/reference/chat-completions | types of its SDK 3.1.1 |
| ``vllm`` | https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html | chat_completion/protocol.py |
| ``xai`` | https://docs.x.ai/developers/rest-api-reference/inference/chat-completions | /docs/guides/reasoning |
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final, Literal

from msgspec import Struct, field

from ..dialects import unknown
from ..openai_shared.settings import EFFORTS, TIERS
from ..scope import Target
from .profile import CALL_ID, MAX_STOP, NAME, TOOL_NAME
from .vendors import MEMBERS

__all__ = ["DIALECTS", "Dialect", "Effort", "dialect"]


class Effort(Struct, frozen=True, kw_only=True):
    """How a vendor is told how much to reason. Members are dotted: ``"reasoning.effort"`` is ``reasoning: {effort}``.

    Attributes:
        words: The efforts that it knows; another one becomes the nearest.
        member: Where the word stands.
        off: The member and value that stand for ``"none"``; None: the word does.
        budget: Where a budget in tokens stands, for vendors that take one as it is.
        min_budget: Its smallest value, in tokens.
        beside_budget: A member and value that must stand beside it.
    """

    words: frozenset[str] = EFFORTS
    member: str = "reasoning_effort"
    off: tuple[str, Any] | None = None
    budget: str = ""
    min_budget: int = 1
    beside_budget: tuple[str, Any] | None = None


class Dialect(Struct, frozen=True, kw_only=True, dict=True):
    """What a family of upstreams takes otherwise than OpenAI.

    Attributes:
        name: What configuration calls it; ``""`` where a request needs no fitting.
        base_url: What an upstream's base URL is (a part of it is the customer's where it says so); the route is
            appended. ``""``: it is the operator's own server.
        accepts: Request members that it documents, in its own spelling; None: all of OpenAI's.
        refuses: Request members that it does not take, for those without `accepts`.
        open: Whether members that nobody knows are passed on: it takes more than it documents, or ignores the rest.
        message: Members of messages that it documents; None: all.
        bound: The bound of output, as it is called there.
        renamed: OpenAI's names of members to its own.
        developer: Whether it knows the role ``developer``; else ``system`` stands for it.
        names: Whether speakers may have names.
        thoughts: Where reasoning of earlier turns goes: a member of the message, ``"thinking"`` parts of its content,
            or nowhere (``""``).
        effort: How it is told how much to reason.
        required: Its word for a ``tool_choice`` of ``required``.
        subsets: Whether a choice may name several (``allowed_tools``).
        custom: Whether it knows tools of free text.
        strict: Whether a tool may be ``strict``.
        parameters: Whether a function must have them.
        media: Kinds of media that a user's message may have; None: all.
        marks: Whether parts may have cache marks.
        formats: Types of ``response_format``.
        tiers: Values of ``service_tier``.
        max_stop: How many stop sequences a request may have.
        call_id: What a whole call id must match.
        id_length: Characters of ids that we make; 0: the usual ones.
    """

    name: str = ""
    base_url: str = ""
    accepts: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset({"top_k"})
    open: bool = True
    message: frozenset[str] | None = None
    bound: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    renamed: dict[str, str] = field(default_factory=dict)
    developer: bool = True
    names: bool = True
    thoughts: Literal["reasoning_content", "reasoning", "thinking", ""] = "reasoning_content"
    effort: Effort = Effort()
    required: Literal["required", "any"] = "required"
    subsets: bool = True
    custom: bool = True
    strict: bool = True
    parameters: bool = False
    media: frozenset[str] | None = None
    marks: bool = True
    formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    tiers: frozenset[str] = TIERS
    max_stop: int = MAX_STOP
    call_id: re.Pattern[str] = CALL_ID
    id_length: int = 0

    @cached_property
    def target(self) -> Target:
        """Its alphabets."""
        return Target(
            protocol=self.name or NAME,
            call_id=self.call_id,
            tool_name=TOOL_NAME,
            max_tool_name=64,
            id_length=self.id_length,
        )

    def takes(self, member: str) -> bool:
        """Whether a request may have this member, in OpenAI's spelling or its own."""
        member = self.renamed.get(member, member)
        return member not in self.refuses if self.accepts is None else member in self.accepts

    def says(self, member: str) -> bool:
        """Whether a message may have this member."""
        return self.message is None or member in self.message


def _vendor(name: str, **members: Any) -> Dialect:
    """A vendor's dialect: functions are its only tools, and it marks no caches, unless told otherwise."""
    accepts = MEMBERS.get(name)
    usual: dict[str, Any] = {"custom": False, "subsets": False, "marks": False, "accepts": accepts}
    return Dialect(name=name, **{"open": accepts is None, **usual, "refuses": frozenset(), **members})


_LOW_TO_HIGH: Final = frozenset({"low", "medium", "high"})
_UP_TO_HIGH: Final = _LOW_TO_HIGH | {"none"}
_FLEX: Final = frozenset({"auto", "default", "flex", "priority"})
_IMAGES: Final = frozenset({"image"})
_PLAIN: Final = frozenset({"role", "content", "tool_calls", "tool_call_id"})
"""Members of messages that everybody has."""

DIALECTS: Final = {
    "": Dialect(),
    "strict": Dialect(thoughts=""),
    "compatible": Dialect(bound="max_tokens", refuses=frozenset()),
    # OpenAI's own models: all that OpenAI documents, and no more. Its keys are taken as bearers too
    # (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle), so no ``api-key`` header is needed.
    "azure": Dialect(name="azure", base_url="https://RESOURCE.openai.azure.com/openai", thoughts=""),
    "cerebras": _vendor(
        "cerebras",
        base_url="https://api.cerebras.ai",
        message=_PLAIN | {"name", "reasoning"},
        thoughts="reasoning",
        effort=Effort(words=_UP_TO_HIGH),
        media=_IMAGES,
        tiers=_FLEX,
    ),
    # Thoughts must come back with calls; ``strict`` works at another base URL only.
    "deepseek": _vendor(
        "deepseek",
        base_url="https://api.deepseek.com",
        message=_PLAIN | {"reasoning_content", "prefix"},
        bound="max_tokens",
        developer=False,
        names=False,
        effort=Effort(off=("thinking.type", "disabled")),
        strict=False,
        formats=frozenset({"text", "json_object"}),
        max_stop=16,
    ),
    # A budget excludes an effort.
    "fireworks": _vendor(
        "fireworks",
        base_url="https://api.fireworks.ai/inference",
        message=_PLAIN | {"reasoning_content"},
        bound="max_tokens",
        developer=False,
        names=False,
        effort=Effort(
            words=_UP_TO_HIGH,
            budget="thinking.budget_tokens",
            min_budget=1024,
            beside_budget=("thinking.type", "enabled"),
        ),
        media=_IMAGES,
        tiers=_FLEX,
    ),
    # Answers 400 to names of speakers, log probabilities and more than one choice; states usage unasked.
    "groq": _vendor(
        "groq",
        base_url="https://api.groq.com/openai",
        message=_PLAIN | {"reasoning", "function_call"},
        names=False,
        thoughts="reasoning",
        effort=Effort(words=_UP_TO_HIGH),
        media=_IMAGES,
        tiers=frozenset({"auto", "on_demand", "flex", "performance"}),
    ),
    "llama.cpp": _vendor("llama.cpp", bound="max_tokens"),
    # "any" is what every deployment knows. Ids: https://github.com/mistralai/client-js/issues/69; usage comes unasked.
    "mistral": _vendor(
        "mistral",
        base_url="https://api.mistral.ai",
        message=_PLAIN | {"prefix", "name"},
        bound="max_tokens",
        renamed={"seed": "random_seed"},
        developer=False,
        names=False,
        thoughts="thinking",
        required="any",
        parameters=True,
        tiers=frozenset({"auto", "standard_only"}),
        call_id=re.compile(r"[a-zA-Z0-9]{9}"),
        id_length=9,
    ),
    "ollama": _vendor(
        "ollama",
        message=_PLAIN | {"name", "reasoning"},
        bound="max_tokens",
        developer=False,
        thoughts="reasoning",
        strict=False,
        media=_IMAGES,
    ),
    "openrouter": _vendor(
        "openrouter",
        base_url="https://openrouter.ai/api",
        open=True,
        thoughts="reasoning",
        effort=Effort(member="reasoning.effort", budget="reasoning.max_tokens"),
        marks=True,
    ),
    "together": _vendor(
        "together",
        base_url="https://api.together.ai",
        message=_PLAIN | {"name", "reasoning", "reasoning_content"},
        bound="max_tokens",
        developer=False,
        effort=Effort(words=_LOW_TO_HIGH, off=("reasoning.enabled", False)),
        strict=False,
        media=_IMAGES,
    ),
    "vllm": _vendor("vllm", open=True, thoughts="reasoning"),
    # Its models reason, and those answer 400 to penalties and stop sequences.
    "xai": _vendor(
        "xai",
        base_url="https://api.x.ai",
        developer=False,
        thoughts="",
        effort=Effort(words=_UP_TO_HIGH),
        tiers=frozenset(),
    ),
}
"""``""`` suits OpenAI and most others, ``"strict"`` sends nothing that OpenAI does not document, ``"compatible"`` is
for servers that only know ``max_tokens`` and take ``top_k``; the rest are vendors."""


def dialect(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        ConfigurationError: There is none.
    """
    found = DIALECTS.get(name)
    if found is None:
        raise unknown(DIALECTS, name, NAME)
    return found
