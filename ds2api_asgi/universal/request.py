"""The request document: what a client asks of a model."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from .content import CacheMark, Part
from .node import Node, Origin

__all__ = [
    "FunctionTool",
    "NamedTool",
    "OpaqueTool",
    "OutputFormat",
    "Request",
    "Tool",
    "ToolChoice",
    "ToolSubset",
    "Turn",
]


class Turn(Node, frozen=True, kw_only=True):
    """One message.

    Attributes:
        role: ``"system"``, ``"developer"``, ``"user"``, ``"assistant"``, ``"tool"``, or a role we do not know.
        parts: In the order of the wire; where the wire keeps kinds apart, reasoning comes first, then text and media,
            refusal, calls.
        name: Of the speaker.
        id: Of the item.
        status: Of the item.
        phase: Of the item (``"commentary"``, ``"final_answer"``).
    """

    role: str
    parts: tuple[Part, ...] = ()
    name: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    phase: str | UnsetType = UNSET


class FunctionTool(Node, frozen=True, kw_only=True):
    """A tool of the client.

    Attributes:
        name: Its name.
        description: What it does.
        schema: JSON Schema of its arguments, as parsed; for a custom tool its ``format``.
        strict: Whether the arguments must follow the schema to the letter.
        kind: ``"function"``; ``"custom"`` takes free text.
        cache: A cache mark on this tool.
    """

    name: str
    description: str | UnsetType = UNSET
    schema: Any = UNSET
    strict: bool | UnsetType = UNSET
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | UnsetType = UNSET


class OpaqueTool(Struct, frozen=True, kw_only=True):
    """A tool of the provider, or of a type we do not know, verbatim.

    Attributes:
        json: The whole declaration.
        protocol: Whose it is.
        namespace: Its name, if it is a namespace of tools.
        functions: The tools in that namespace.
    """

    json: Any
    protocol: str
    namespace: str = ""
    functions: tuple[FunctionTool, ...] = ()


Tool: TypeAlias = FunctionTool | OpaqueTool


class NamedTool(Node, frozen=True, kw_only=True):
    """The model must call this tool."""

    name: str
    kind: Literal["function", "custom"] = "function"


class ToolSubset(Node, frozen=True, kw_only=True):
    """The model may (``auto``) or must (``required``) call one of these tools.

    Attributes:
        mode: ``"auto"`` or ``"required"``.
        names: The function tools allowed.
        tools: The wire's own list, verbatim.
    """

    mode: str
    names: tuple[str, ...]
    tools: Any = UNSET


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool | ToolSubset


class OutputFormat(Node, frozen=True, kw_only=True):
    """The shape that the answer's text must have.

    Attributes:
        kind: ``"text"``, ``"json"`` (any JSON object), ``"json_schema"``.
        name: Of the schema.
        description: Of the schema.
        schema: JSON Schema, as parsed.
        strict: Whether it must be followed to the letter.
    """

    kind: Literal["text", "json", "json_schema"]
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    schema: Any = UNSET
    strict: bool | UnsetType = UNSET


class Request(Node, frozen=True, kw_only=True):
    """What a client asks of a model; every member that a client may leave out is UNSET when it did.

    Attributes:
        model: The model's name as the client wrote it.
        turns: The conversation, the system prompt as its first turn where the wire keeps it apart.
        tools: Tools that the model may call.
        tool_choice: Whether it must.
        parallel_tools: Whether it may call several at once.
        stream: Whether the answer comes as a stream.
        stream_usage: Whether the stream should state usage.
        stream_obfuscation: Whether the stream is padded.
        max_output_tokens: Bound of the answer in tokens.
        stop: Sequences that end the answer.
        temperature: 0 to 2 (0 to 1 in some protocols).
        top_p: Nucleus sampling, 0 to 1.
        top_k: Sampling among the k best.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        seed: For repeatable sampling.
        candidates: How many answers.
        logprobs: Whether log probabilities of the output are stated.
        top_logprobs: How many alternatives per token.
        logit_bias: Token id to bias, verbatim.
        reasoning_effort: ``"none"``, ``"minimal"``, ``"low"``, ``"medium"``, ``"high"``, ``"xhigh"``, ``"max"``.
        reasoning_budget: Tokens that may be spent on reasoning.
        reasoning_mode: ``"enabled"``, ``"disabled"``, ``"adaptive"`` or a mode we do not know.
        reasoning_display: How reasoning is shown: ``"summarized"``, ``"omitted"``, ``"auto"``, ``"detailed"`` …
        reasoning_ext: Unknown members of the wire's reasoning object, verbatim.
        verbosity: ``"low"``, ``"medium"``, ``"high"``.
        output_format: The shape of the answer's text.
        modalities: Kinds of output (``("text", "audio")``).
        audio: Settings of audio output, verbatim.
        prediction: Predicted output, verbatim.
        moderation: Moderation settings, verbatim.
        web_search: Settings of a built-in web search, verbatim.
        user: An end user's id, as the older field has it.
        safety_identifier: An end user's id, for abuse detection.
        metadata: The client's own labels, verbatim.
        service_tier: ``"auto"``, ``"default"``, ``"flex"``, ``"priority"``, ``"standard_only"`` …
        speed: ``"fast"`` or ``"standard"``.
        store: Whether the provider keeps the answer.
        cache_key: Groups requests with the same prefix.
        cache_retention: How long a cached prefix lives.
        cache_options: Further cache settings, verbatim.
        cache: A cache mark on the request as a whole.
        inference_geo: Where inference may run.
        container: A container to reuse, verbatim.
        context_management: Edits of the context on the server, verbatim.
        mcp_servers: Remote tool servers, verbatim.
        thread: Server-held conversation state, verbatim.
        previous_response_id: The stored answer that this request continues.
        conversation: The stored conversation that this request belongs to, verbatim.
        prompt: A stored prompt that stands for (a part of) the conversation, verbatim.
        background: Whether the answer is to be fetched later.
        origin: Where the document came from.
    """

    model: str | UnsetType = UNSET
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tools: bool | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    stream_usage: bool | UnsetType = UNSET
    stream_obfuscation: bool | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    stop: tuple[str, ...] | UnsetType = UNSET
    temperature: float | int | UnsetType = UNSET
    top_p: float | int | UnsetType = UNSET
    top_k: float | int | UnsetType = UNSET
    presence_penalty: float | int | UnsetType = UNSET
    frequency_penalty: float | int | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    candidates: int | UnsetType = UNSET
    logprobs: bool | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET
    logit_bias: dict[str, Any] | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET
    reasoning_budget: int | UnsetType = UNSET
    reasoning_mode: str | UnsetType = UNSET
    reasoning_display: str | UnsetType = UNSET
    reasoning_ext: dict[str, Any] | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET
    output_format: OutputFormat | UnsetType = UNSET
    modalities: tuple[str, ...] | UnsetType = UNSET
    audio: Any = UNSET
    prediction: Any = UNSET
    moderation: Any = UNSET
    web_search: Any = UNSET
    user: str | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    speed: str | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    cache_key: str | UnsetType = UNSET
    cache_retention: str | UnsetType = UNSET
    cache_options: Any = UNSET
    cache: CacheMark | UnsetType = UNSET
    inference_geo: str | UnsetType = UNSET
    container: Any = UNSET
    context_management: Any = UNSET
    mcp_servers: Any = UNSET
    thread: Any = UNSET
    previous_response_id: str | UnsetType = UNSET
    conversation: Any = UNSET
    prompt: Any = UNSET
    background: bool | UnsetType = UNSET
    origin: Origin
