"""Parts: what turns and answers are made of.

`Part` is a closed union; whatever no class fits is an `OpaquePart`, kept verbatim at its place.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from .jsontext import JsonText
from .node import Node, Opaque

__all__ = [
    "Base64",
    "CacheMark",
    "Citation",
    "FileId",
    "Inline",
    "Media",
    "OpaquePart",
    "Part",
    "PlainText",
    "Reasoning",
    "Refusal",
    "ServerCall",
    "ServerResult",
    "Source",
    "Text",
    "ToolCall",
    "ToolResult",
    "Url",
]


class CacheMark(Node, frozen=True, kw_only=True):
    """The prompt up to here should be cached.

    Attributes:
        ttl: How long, in the words of the wire (``"5m"``, ``"1h"``, ``"30m"``); UNSET: the provider's default.
    """

    ttl: str | UnsetType = UNSET


class Citation(Node, frozen=True, kw_only=True):
    """Where a text has it from.

    Attributes:
        kind: The home protocol's type string (``"url_citation"``, ``"char_location"``).
        url: Of the source.
        title: Of the source.
        cited_text: The words of the source.
        start: First code point of the cited span within this part's text; UNSET: the whole part.
        end: One past the last.
    """

    kind: str
    url: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    cited_text: str | UnsetType = UNSET
    start: int | UnsetType = UNSET
    end: int | UnsetType = UNSET


class Text(Node, frozen=True, kw_only=True):
    """Text.

    Attributes:
        text: May be empty.
        citations: UNSET when the wire had none; ``()`` when it had an empty list.
        cache: A cache mark on this part.
        opaque: Payloads that stood on this part.
    """

    text: str
    citations: tuple[Citation, ...] | UnsetType = UNSET
    cache: CacheMark | UnsetType = UNSET
    opaque: tuple[Opaque, ...] = ()


class Url(Struct, frozen=True, tag=True):
    """Media behind an address."""

    url: str


class Base64(Struct, frozen=True, tag=True):
    """Media in the document itself; ``data`` is base64 exactly as it was spelled."""

    data: str


class FileId(Struct, frozen=True, tag=True):
    """Media that was uploaded to the provider; means nothing to any other."""

    id: str


class PlainText(Struct, frozen=True, tag=True):
    """A document that is plain text."""

    text: str


class Inline(Struct, frozen=True, tag=True):
    """A document made of parts; ``form`` is the spelling (``("content:string",)`` or none)."""

    parts: tuple[Part, ...]
    form: tuple[str, ...] = ()


Source: TypeAlias = Url | Base64 | FileId | PlainText | Inline


class Media(Node, frozen=True, kw_only=True):
    """An image, audio, video or document.

    Attributes:
        kind: What it is.
        source: Where its bytes are.
        mime: ``"image/png"``; UNSET when the wire did not say.
        name: File name.
        detail: How closely to look: ``"low"``, ``"high"``, ``"auto"``, ``"original"``.
        title: Title of a document.
        context: What the model should know of a document beside its content.
        citations: Whether the model should cite this document.
        cache: A cache mark on this part.
        source_ext: Unknown members of the wire's source object, verbatim.
    """

    kind: Literal["image", "audio", "video", "document"]
    source: Source
    mime: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    context: str | UnsetType = UNSET
    citations: bool | UnsetType = UNSET
    cache: CacheMark | UnsetType = UNSET
    source_ext: dict[str, Any] | UnsetType = UNSET


class Reasoning(Node, frozen=True, kw_only=True):
    """What the model thought.

    Attributes:
        text: The thought itself; UNSET when only a payload is there (redacted).
        summary: Summaries of it, one per summary part.
        opaque: Signature, encrypted content, redacted data.
    """

    text: str | UnsetType = UNSET
    summary: tuple[str, ...] = ()
    opaque: tuple[Opaque, ...] = ()


class Refusal(Node, frozen=True, kw_only=True):
    """The model's own words for declining."""

    text: str


class ToolCall(Node, frozen=True, kw_only=True):
    """The model calls a tool of the client.

    Attributes:
        id: UNSET where the protocol has none.
        name: The tool.
        arguments: A function's arguments as JSON text, exactly as spelled (may be cut off and invalid); a custom
            tool's free text.
        kind: ``"function"`` or ``"custom"``.
        namespace: The namespace that the tool was declared in.
        caller: Who called (``{"type": "direct"}``), verbatim.
        cache: A cache mark on this part.
        opaque: Payloads that stood on this part.
    """

    name: str
    arguments: JsonText
    id: str | UnsetType = UNSET
    kind: Literal["function", "custom"] = "function"
    namespace: str | UnsetType = UNSET
    caller: Any = UNSET
    cache: CacheMark | UnsetType = UNSET
    opaque: tuple[Opaque, ...] = ()


class ToolResult(Node, frozen=True, kw_only=True):
    """What a tool of the client answered.

    Attributes:
        call_id: The call it answers; UNSET where the protocol pairs by order.
        name: The tool, where the wire says so.
        parts: The answer; UNSET when the wire had no content at all.
        is_error: Whether the tool failed; UNSET when the wire did not say.
        cache: A cache mark on this part.
    """

    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    parts: tuple[Part, ...] | UnsetType = UNSET
    is_error: bool | UnsetType = UNSET
    cache: CacheMark | UnsetType = UNSET


class ServerCall(Node, frozen=True, kw_only=True):
    """The provider ran a tool of its own (web search, code execution). Never a client's tool call.

    Attributes:
        id: Its id.
        kind: The wire's type string (``"server_tool_use"``, ``"mcp_tool_use"``).
        name: The tool (``"web_search"``).
        arguments: As JSON text.
        cache: A cache mark on this part.
    """

    kind: str
    name: str
    arguments: JsonText
    id: str | UnsetType = UNSET
    cache: CacheMark | UnsetType = UNSET


class ServerResult(Node, frozen=True, kw_only=True):
    """What a tool of the provider answered.

    Attributes:
        kind: The wire's type string (``"web_search_tool_result"``).
        call_id: The server call it answers.
        content: The wire's content, verbatim.
        cache: A cache mark on this part.
    """

    kind: str
    content: Any = UNSET
    call_id: str | UnsetType = UNSET
    cache: CacheMark | UnsetType = UNSET


class OpaquePart(Struct, frozen=True, kw_only=True):
    """A part of a type that we do not know, verbatim.

    Attributes:
        json: The whole part (a JSON value).
        protocol: Whose it is.
        stateful: What it is called (``"item_reference"``), if it stands for something that only its server holds or can
            read: without it the document is another one.
    """

    json: Any
    protocol: str
    stateful: str = ""


Part: TypeAlias = Text | Media | Reasoning | Refusal | ToolCall | ToolResult | ServerCall | ServerResult | OpaquePart
