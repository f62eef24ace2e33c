"""Two spellings of each member: the API reads ``inlineData`` and ``inline_data`` alike, and clients mix them.

We read both. Members are known by their camelCase name; the form ``snake:NAME`` remembers that one was spelled with
underscores, so that a document goes back as it came. What we don't know keeps its spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET, UnsetType

__all__ = ["canonical", "merge", "put_ext", "respelled", "snake"]

_HUMP: Final = re.compile(r"(?<!^)([A-Z])")

_WORDS: Final = (
    "systemInstruction cachedContent generationConfig safetySettings toolConfig serviceTier "
    "generateContentRequest maxOutputTokens topP topK candidateCount stopSequences presencePenalty "
    "frequencyPenalty responseLogprobs responseModalities responseMimeType responseSchema "
    "responseJsonSchema thinkingConfig thinkingBudget thinkingLevel includeThoughts functionDeclarations "
    "parametersJsonSchema functionCallingConfig allowedFunctionNames inlineData fileData functionCall "
    "functionResponse executableCode codeExecutionResult toolCall toolResponse thoughtSignature mimeType "
    "fileUri displayName partialArgs willContinue finishReason finishMessage logprobsResult "
    "groundingMetadata promptFeedback blockReason usageMetadata modelVersion responseId createTime "
    "promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount cachedContentTokenCount "
    "toolUsePromptTokenCount promptTokensDetails cacheTokensDetails candidatesTokensDetails "
    "toolUsePromptTokensDetails trafficType totalTokens "
)


def snake(name: str) -> str:
    """``mime_type`` of ``mimeType``."""
    return _HUMP.sub(r"_\1", name).lower()


_CAMEL: Final = {snake(name): name for name in _WORDS.split()}


def canonical(document: dict[str, Any], at: str = "") -> tuple[dict[str, Any], list[str]]:
    """The same object with the camelCase names of the members that we know.

    Args:
        document: An object of the wire; it is not changed.
        at: Where it stands in its node, with a dot at the end: ``"generationConfig."``.

    Returns:
        The object, and the forms that `respelled` needs to take it back.
    """
    for key in document:
        if "_" in key:
            break
    else:
        return document, []
    found: dict[str, Any] = {}
    tags: list[str] = []
    for key, value in document.items():
        camel = _CAMEL.get(key)
        if camel is None or camel in document:
            found[key] = value
        else:
            found[camel] = value
            tags.append(f"snake:{at}{camel}")
    return found, tags


def respelled(document: dict[str, Any], form: Iterable[str], at: str = "") -> dict[str, Any]:
    """`canonical` backwards."""
    head = f"snake:{at}"
    names = {tag[len(head) :] for tag in form if tag.startswith(head)}
    if not names:
        return document
    return {snake(key) if key in names else key: value for key, value in document.items()}


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Add members, those of objects on both sides one by one; what is there already stays."""
    for key, value in more.items():
        old = into.get(key)
        if type(old) is dict and type(value) is dict:
            merged = dict(old)
            merge(merged, value)
            into[key] = merged
        else:
            into.setdefault(key, value)


def put_ext(document: dict[str, Any], ext: dict[str, Any] | UnsetType) -> None:
    """Write back the members that only we know."""
    if ext is not UNSET:
        for key, value in ext.items():
            document.setdefault(key, value)
