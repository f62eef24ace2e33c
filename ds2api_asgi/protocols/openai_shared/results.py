"""Contents in OpenAI's protocols: a lone text is a string, and what tools say of their failure stands in the text.

https://platform.openai.com/docs/guides/function-calling (read 2026-11-23).
"""

from __future__ import annotations

from msgspec import UNSET

from ...universal.content import Inline, Media, PlainText, Text, ToolResult
from ...universal.loss import LossKind, Severity
from ...universal.templates import ERROR_PREFIX
from ..fields import Json
from ..scope import Scope

__all__ = ["say_failure", "string_or_parts", "write_text_document"]


def string_or_parts(content: list[Json], kind: str) -> str | list[Json]:
    """A lone text is a string: it says the same, and some servers take nothing else.

    Args:
        content: The content parts.
        kind: The type of those that are text.
    """
    if not content:
        return ""
    return str(content[0]["text"]) if _lone(content, kind) else content


def write_text_document(part: Media, kind: str, path: str, scope: Scope) -> Json | None:
    """A document that is text, as a text; None where there is more in it than text.

    Args:
        part: The document.
        kind: The type of content parts that are text.
        path: Where it stands.
        scope: This run.
    """
    texts: list[str] = []
    if isinstance(part.source, PlainText):
        texts.append(part.source.text)
    elif isinstance(part.source, Inline):
        if not all(isinstance(piece, Text) for piece in part.source.parts):
            return None
        texts += [piece.text for piece in part.source.parts if isinstance(piece, Text)]
    scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, f"{scope.protocol} has no documents of text")
    return {"type": kind, "text": "".join(texts)}


def say_failure(result: ToolResult, content: list[Json], kind: str, path: str, scope: Scope) -> list[Json]:
    """The content of a tool's result with the words that say that it failed, if it did.

    Args:
        result: The result.
        content: Its content parts.
        kind: The type of those that are text.
        path: Where it stands.
        scope: This run.
    """
    if result.is_error is UNSET:
        return content
    if not result.is_error:
        scope.lacks(f"{path}.is_error", Severity.COSMETIC, "error flag on tool results")
        return content
    template, prefix = ERROR_PREFIX
    # The words stand in the content, so all of the result differs.
    reason = f"{scope.protocol} has no error flag on tool results"
    scope.add(path, LossKind.TEXTUALISED, Severity.DEGRADED, reason, template=template)
    if _lone(content, kind):
        return [{"type": kind, "text": prefix + content[0]["text"]}]
    return [{"type": kind, "text": prefix}, *content]


def _lone(content: list[Json], kind: str) -> bool:
    return len(content) == 1 and content[0]["type"] == kind and len(content[0]) == len(("type", "text"))
