"""What the demo model answers: a pure function of the request.

It reads the text of the last user message.

    "Use get_weather for Paris and Tokyo, then for Lima"     two calls at once, then one, then a text with the results
    "First search for 'h11', then read_file `README`"        search, then read_file, then the text
    "What is the weather in Rome?"                           a word of the name get_weather: a call
    "Hello"                                                  names no tool: a text that quotes it

How a text becomes a plan is written in `plan`; the calls of a step are made in one message unless
``parallel_tool_calls`` is false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct

from ..universal import jsontext
from .offers import Tool
from .plan import Aim, names_in, next_aims, numbers_in
from .request import ChatRequest, Turn
from .schema import Words, make_value
from .tokens import count_tokens, take_tokens

__all__ = ["Planned", "Thought", "think"]

MAX_QUOTE = 60
"""Tokens of the user's text that an answer quotes."""

MAX_RESULT = 400
"""Tokens of one tool result that the final text quotes."""

MAX_READ = 8_000
"""Characters of the user's text that are read, the last ones: agents put their own words before the user's."""

_MARKED = re.compile(r"<([a-z][\w-]{0,40})>.*?</\1>", re.DOTALL)
"""What an agent adds to a message in tags, as ``<system-reminder>``: not the user's words."""


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
    aims = next_aims(request, heard, sum(len(turn.calls) for turn in since))
    if aims:
        calls = tuple(Planned(tool=aim.tool, text=_arguments(aim, heard)) for aim in aims)
        names = ", ".join(call.tool.name for call in calls)
        return _limited(request, Thought(reasoning=_reason(request, heard, f"I call {names}."), calls=calls))
    if request.schema is not UNSET:
        words = Words(heard, names_in(heard, ()), numbers_in(heard))
        value = make_value(request.schema, words, path="response_format.json_schema.schema")
        text = jsontext.dumps(value).decode() + " " * choice
    else:
        text = _reply(request, heard, asked.images, since) + (f" (choice {choice + 1})" if choice else "")
    return _limited(request, Thought(reasoning=_reason(request, heard, "I answer at once."), text=text))


def _last_question(turns: Sequence[Turn]) -> tuple[Turn, Sequence[Turn]]:
    """The last user message that has words of the user's own, and what followed it.

    Agents put messages that hold nothing but tags behind tool results; they are no new question.
    """
    asked = [index for index, turn in enumerate(turns) if turn.role == "user"]
    if not asked:
        return Turn(role="user"), turns
    index = next((index for index in reversed(asked) if turns[index].images or _own(turns[index].text)), asked[-1])
    return turns[index], turns[index + 1 :]


def _heard(text: str) -> str:
    return _own(text) or text[-MAX_READ:].strip()


def _own(text: str) -> str:
    return _MARKED.sub("", text[-MAX_READ:]).strip()


def _arguments(aim: Aim, text: str) -> str:
    if aim.tool.kind == "custom":
        return aim.strings[0] if aim.strings else text
    value = make_value(aim.tool.schema, Words(text, aim.strings, numbers_in(text)), path=aim.tool.path)
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
