"""What the demo model answers: a pure function of the request.

It reads the text of the last user message.

    "Use get_weather for Paris and Tokyo, then for Lima"     two calls at once, then one, then a text with the results
    "First search for 'h11', then read_file `README`"        search, then read_file, then the text
    "What is the weather in Rome?"                           a word of the name get_weather: a call
    "Hello"                                                  names no tool: a text that quotes it

Steps are parted by "then", "after that" and their like. Within a step a tool is called once for each of the names
(quoted, or capitalised) that follow it, when one free string is what it requires; the calls of a step are made in one
message unless ``parallel_tool_calls`` is false. Where the conversation stands is told by how many calls were made
since that user message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import UNSET, Struct

from ..universal import jsontext
from .offers import Tool
from .request import ChatRequest, Turn
from .schema import Words, is_free_text, make_value
from .tokens import count_tokens, take_tokens

__all__ = ["Planned", "Thought", "think"]

MAX_CALLS = 16
"""Calls that one user message leads to."""

MAX_QUOTE = 60
"""Tokens of the user's text that an answer quotes."""

MAX_RESULT = 400
"""Tokens of one tool result that the final text quotes."""

MAX_READ = 8_000
"""Characters of the user's text that are read, the last ones: agents put their own words before the user's."""

_STEP = re.compile(r"\b(?:then|after that|afterwards|finally)\b", re.IGNORECASE)
_MARKED = re.compile(r"<([a-z][\w-]{0,40})>.*?</\1>", re.DOTALL)
"""What an agent adds to a message in tags, as ``<system-reminder>``: not the user's words."""

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


class Planned(Struct, frozen=True, kw_only=True):
    """A call that is to be made."""

    tool: Tool
    text: str


class Thought(Struct, frozen=True, kw_only=True):
    """One answer.

    Attributes:
        reasoning: What was thought before; empty when it does not think.
        text: The text; empty when tools are called.
        calls: The calls, in order.
        finish: ``stop``, ``length`` or ``tool_calls``.
    """

    reasoning: str = ""
    text: str = ""
    calls: tuple[Planned, ...] = ()
    finish: str = "stop"

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the reasoning."""
        return count_tokens(self.reasoning)

    @property
    def tokens(self) -> int:
        """Tokens of everything."""
        return self.reasoning_tokens + count_tokens(self.text) + sum(_call_tokens(call) for call in self.calls)


class _Aim(Struct, frozen=True):
    """A tool, and the names and numbers that it is to be called with."""

    tool: Tool
    strings: tuple[str, ...] = ()


def think(request: ChatRequest, choice: int = 0) -> Thought:
    """Decide what to answer.

    Args:
        request: A checked request.
        choice: Which of ``n`` answers, from 0; each differs a little.

    Returns:
        The answer, within ``stop`` and the token limit.

    Raises:
        InvalidDocument: A schema in the request cannot be satisfied.
    """
    asked, since = _last_question(request.turns)
    heard = _heard(asked.text)
    aims = _next_aims(request, heard, sum(len(turn.calls) for turn in since))
    if aims:
        calls = tuple(Planned(tool=aim.tool, text=_arguments(aim, heard)) for aim in aims)
        names = ", ".join(call.tool.name for call in calls)
        return _limited(request, Thought(reasoning=_reason(request, heard, f"I call {names}."), calls=calls))
    if request.schema is not UNSET:
        words = Words(heard, _names(heard, ()), _numbers(heard))
        value = make_value(request.schema, words, path="response_format.json_schema.schema")
        text = jsontext.dumps(value).decode() + " " * choice
    else:
        text = _reply(request, heard, asked.images, since) + (f" (choice {choice + 1})" if choice else "")
    return _limited(request, Thought(reasoning=_reason(request, heard, "I answer at once."), text=text))


def _last_question(turns: Sequence[Turn]) -> tuple[Turn, Sequence[Turn]]:
    """The last user message and what followed it; the whole conversation follows an empty one when there is none."""
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role == "user":
            return turns[index], turns[index + 1 :]
    return Turn(role="user"), turns


def _heard(text: str) -> str:
    end = text[-MAX_READ:]
    return _MARKED.sub("", end).strip() or end.strip()


def _next_aims(request: ChatRequest, text: str, done: int) -> list[_Aim]:
    """The calls to make now: what is left of the step that the conversation stands in."""
    choice = request.choice
    tools = [tool for tool in request.tools if not choice.names or tool.name in choice.names]
    if not tools or choice.mode == "none":
        return []
    steps = _steps(text, tools)
    if not steps and choice.mode == "required":
        steps = [_spread(tools[0], _names(text, tools))]
    for step in steps:
        if done < len(step):
            return step[done:] if request.parallel else step[done : done + 1]
        done -= len(step)
    if choice.mode == "required":  # a call must be made although all were: the one that looks like the last word
        unused = [tool for tool in tools if all(tool != aim.tool for step in steps for aim in step)]
        return [_Aim((unused or tools)[-1], _names(text, tools))]
    return []


def _steps(text: str, tools: Sequence[Tool]) -> list[list[_Aim]]:
    """The plan that a text asks for: a list of steps, each a list of calls to make together."""
    mentions = re.compile("|".join(_mention(tool.name) for tool in tools), re.IGNORECASE)
    by_name = {tool.name.casefold(): tool for tool in reversed(tools)}
    steps: list[list[_Aim]] = []
    left = MAX_CALLS
    last: Tool | None = None
    for part in _STEP.split(text):
        found = [(match, by_name[match.group().casefold()]) for match in mentions.finditer(part)]
        if found:
            step = [aim for tool, segment in _segments(part, found) for aim in _spread(tool, _names(segment, tools))]
        elif last is not None and _FOLLOWS_ON.match(part) and _names(part, tools):
            step = _spread(last, _names(part, tools))
        elif last is None and (guess := _resembles(part, tools)) is not None:
            step = _spread(guess, _names(part, tools))
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
        yield tool, segment if _names(segment, tools) or _numbers(segment) else part


def _resembles(part: str, tools: Sequence[Tool]) -> Tool | None:
    """The first tool with a word of four letters or more in its name that the text has as well."""
    words = {word.casefold() for word in re.findall(r"\w+", part)}
    for tool in tools:
        if any(len(word) >= 4 and word.casefold() in words for word in _NAME_WORDS.findall(tool.name)):
            return tool
    return None


def _names(text: str, tools: Sequence[Tool]) -> tuple[str, ...]:
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


def _numbers(text: str) -> tuple[int | float, ...]:
    return tuple(float(found) if "." in found else int(found) for found in _NUMBER.findall(text))


def _spread(tool: Tool, names: tuple[str, ...]) -> list[_Aim]:
    """One call for each name when the tool takes one; else as many calls as it takes to deal the names out."""
    size = _free_strings(tool)
    if not size or not names:
        return [_Aim(tool, names)]
    return [_Aim(tool, names[start : start + size]) for start in range(0, len(names), size)]


def _free_strings(tool: Tool) -> int:
    if tool.kind == "custom":
        return 1
    properties = tool.schema.get("properties")
    if not isinstance(properties, Mapping):
        return 0
    required = tool.schema.get("required")
    wanted = required if isinstance(required, list) and required else list(properties)
    return sum(1 for name in wanted if isinstance(name, str) and is_free_text(properties.get(name)))


def _arguments(aim: _Aim, text: str) -> str:
    if aim.tool.kind == "custom":
        return aim.strings[0] if aim.strings else text
    value = make_value(aim.tool.schema, Words(text, aim.strings, _numbers(text)), path=aim.tool.path)
    return jsontext.dumps(value if isinstance(value, dict) else {}).decode()


def _reply(request: ChatRequest, heard: str, images: int, since: Sequence[Turn]) -> str:
    results = list(_results(since))
    if results:
        return "Done. " + " ".join(f"{name} answered: {_quote(result, MAX_RESULT)}." for name, result in results)
    text = f'You wrote: "{_quote(heard, MAX_QUOTE)}".' if heard else "You wrote nothing."
    if images:
        text += f" I see {images} image{'s' if images > 1 else ''}."
    asked_before = sum(1 for turn in request.turns if turn.role == "user")
    if asked_before > 1:
        text += f" This is message {asked_before} from you."
    return f"{text} I am {request.model}, a model that always says the same."


def _results(since: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    names: dict[str, str] = {}
    for turn in since:
        names.update({call.id: call.name for call in turn.calls})
        if turn.role == "tool":
            yield names[turn.answers], turn.text


def _quote(text: str, limit: int) -> str:
    kept = text.strip()
    cut, _ = take_tokens(kept, limit)
    return cut if cut == kept else f"{cut} …"


def _reason(request: ChatRequest, heard: str, resolve: str) -> str:
    if not request.thinks:
        return ""
    return f'They wrote: "{_quote(heard, 12)}". That is message {len(request.turns)} of our talk. {resolve}'


def _limited(request: ChatRequest, thought: Thought) -> Thought:
    """Apply the stop sequences, then the token limit."""
    text = thought.text
    for stop in request.stops:
        text = text.partition(stop)[0]
    finish = "tool_calls" if thought.calls else "stop"
    whole = Thought(reasoning=thought.reasoning, text=text, calls=thought.calls, finish=finish)
    if request.limit is None or whole.tokens <= request.limit:
        return whole
    reasoning, used = take_tokens(whole.reasoning, request.limit)
    left = request.limit - used
    text, used = take_tokens(text, left)
    calls = []
    for call in whole.calls:
        left -= count_tokens(call.tool.name)
        if left <= 0:
            break
        cut, used = take_tokens(call.text, left)
        left -= used
        calls.append(Planned(tool=call.tool, text=cut))
    return Thought(reasoning=reasoning, text=text, calls=tuple(calls), finish="length")


def _call_tokens(call: Planned) -> int:
    return count_tokens(call.tool.name) + count_tokens(call.text)
