"""Which tools a text asks for, and with what: the plan of an agent's loop.

Steps are parted by "then", "after that" and their like. Within a step a tool is called once for each of the names
(quoted, or capitalised) that follow it, when one free string is what it requires. Where the conversation stands is
told by how many calls were made since the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct

from .offers import Tool
from .request import ChatRequest
from .schema import is_free_text

__all__ = ["MAX_CALLS", "Aim", "names_in", "next_aims", "numbers_in"]

MAX_CALLS = 16
"""Calls that one user message leads to."""

_STEP = re.compile(r"\b(?:then|after that|afterwards|finally)\b", re.IGNORECASE)
_FOLLOWS_ON = re.compile(r"\W*(?:also|again|for|in|at|of|with|to|on|about)\b", re.IGNORECASE)
_NAME = re.compile(
    r"\"([^\"\n]{1,200})\"|`([^`\n]{1,200})`|(?<!\w)'([^'\n]{1,200})'(?!\w)|“([^”\n]{1,200})”"
    r"|(?<!\w)([^\W\d_a-z][\w'’-]*(?: [^\W\d_a-z][\w'’-]*)*)"
)
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w.]*\w)")
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NO_NAMES = re.compile(
    r"an?|and|answer|ask|be|both|call|can|check|compare|could|describe|do|does|explain|fetch|find|first|for|from|get|give|"
    r"hel+o|hi|how|if|in|is|it|its|judge|list|look|make|now|of|ok|on|our|please|read|reply|run|say|search|see|show|tell|"
    r"thanks?|that|the|their|then|there|these|this|to|translate|use|what|when|where|which|who|why|will|with|write|yes|"
    r"i|you|he|she|we|they|my|your|his|her",
    re.IGNORECASE,
)
"""Words that begin sentences and are no names."""


class Aim(Struct, frozen=True):
    """A tool, and the names and numbers that it is to be called with."""

    tool: Tool
    strings: tuple[str, ...] = ()


def next_aims(request: ChatRequest, text: str, done: int) -> list[Aim]:
    """The calls to make now: what is left of the step that the conversation stands in."""
    choice = request.choice
    tools = [tool for tool in request.tools if not choice.names or tool.name in choice.names]
    if not tools or choice.mode == "none":
        return []
    steps = _steps(text, tools)
    if not steps and choice.mode == "required":
        steps = [_spread(tools[0], names_in(text, tools))]
    for step in steps:
        if done < len(step):
            return step[done:] if request.parallel else step[done : done + 1]
        done -= len(step)
    if choice.mode == "required":  # a call must be made although all were: the one that looks like the last word
        unused = [tool for tool in tools if all(tool != aim.tool for step in steps for aim in step)]
        return [Aim((unused or tools)[-1], names_in(text, tools))]
    return []


def _steps(text: str, tools: Sequence[Tool]) -> list[list[Aim]]:
    """The plan that a text asks for: a list of steps, each a list of calls to make together."""
    mentions = re.compile("|".join(_mention(tool.name) for tool in tools), re.IGNORECASE)
    by_name = {tool.name.casefold(): tool for tool in reversed(tools)}
    steps: list[list[Aim]] = []
    left = MAX_CALLS
    last: Tool | None = None
    for part in _STEP.split(text):
        found = [(match, by_name[match.group().casefold()]) for match in mentions.finditer(part)]
        if found:
            step = [aim for tool, segment in _segments(part, found) for aim in _spread(tool, names_in(segment, tools))]
        elif last is not None and _FOLLOWS_ON.match(part) and names_in(part, tools):
            step = _spread(last, names_in(part, tools))
        elif last is None and (guess := _resembles(part, tools)) is not None:
            step = _spread(guess, names_in(part, tools))
        else:
            continue
        step = step[:left]
        left -= len(step)
        if step:
            last = step[-1].tool
            steps.append(step)
    return steps


def _mention(name: str) -> str:
    return rf"(?<![\w-]){re.escape(name)}(?![\w-])"


def _segments(part: str, found: Sequence[tuple[re.Match[str], Tool]]) -> Iterator[tuple[Tool, str]]:
    """Each mentioned tool with the text that is about it: up to the next tool, or all where that holds no name."""
    for index, (match, tool) in enumerate(found):
        end = found[index + 1][0].start() if index + 1 < len(found) else len(part)
        segment = part[match.end() : end]
        tools = [one for _, one in found]
        yield tool, segment if names_in(segment, tools) or numbers_in(segment) else part


def _resembles(part: str, tools: Sequence[Tool]) -> Tool | None:
    """The first tool with a word of four letters or more in its name that the text has as well."""
    words = {word.casefold() for word in re.findall(r"\w+", part)}
    for tool in tools:
        if any(len(word) >= 4 and word.casefold() in words for word in _NAME_WORDS.findall(tool.name)):
            return tool
    return None


def names_in(text: str, tools: Sequence[Tool]) -> tuple[str, ...]:
    """The quoted and the capitalised names in a text, without tools and the words that begin sentences."""
    known = {word.casefold() for tool in tools for word in (tool.name, *_NAME_WORDS.findall(tool.name))}
    names: dict[str, None] = {}
    for match in _NAME.finditer(text):
        quoted = next((group for group in match.groups()[:4] if group), None)
        name = quoted if quoted is not None else _without_lead(match.group(5), known)
        if name and name.casefold() not in known:
            names[name] = None
    return tuple(names)


def _without_lead(name: str, known: AbstractSet[str]) -> str:
    """A capitalised name without the words that begin a sentence; empty when nothing is left."""
    words = name.split(" ")
    while words and (words[0].casefold() in known or _NO_NAMES.fullmatch(re.split(r"['’]", words[0])[0])):
        words = words[1:]
    return " ".join(words) if words and words[0][0].isupper() else ""


def numbers_in(text: str) -> tuple[int | float, ...]:
    """The numbers in a text."""
    return tuple(float(found) if "." in found else int(found) for found in _NUMBER.findall(text))


def _spread(tool: Tool, names: tuple[str, ...]) -> list[Aim]:
    """One call for each name when the tool takes one; else as many calls as it takes to deal the names out."""
    size = _free_strings(tool)
    if not size or not names:
        return [Aim(tool, names)]
    return [Aim(tool, names[start : start + size]) for start in range(0, len(names), size)]


def _free_strings(tool: Tool) -> int:
    if tool.kind == "custom":
        return 1
    properties = tool.schema.get("properties")
    if not isinstance(properties, Mapping):
        return 0
    required = tool.schema.get("required")
    wanted = required if isinstance(required, list) and required else list(properties)
    return sum(1 for name in wanted if isinstance(name, str) and is_free_text(properties.get(name)))
