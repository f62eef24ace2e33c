"""What the tests of `TextTools` share: tools, answers of a model without any, and what becomes of them at any cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from ds2api_asgi.transforms import TextTools
from ds2api_asgi.transforms.text_tools.begun import BegunTextTools
from ds2api_asgi.universal.content import Part, Text, ToolCall
from ds2api_asgi.universal.events import Event
from ds2api_asgi.universal.fold import fold, unfold
from ds2api_asgi.universal.jsontext import dumps
from ds2api_asgi.universal.lifecycle import Lifecycle
from ds2api_asgi.universal.node import Origin
from ds2api_asgi.universal.request import FunctionTool, Request, Turn
from ds2api_asgi.universal.response import Candidate, Response, Stop, StopReason

ORIGIN = Origin(protocol="p")
CUTS = (1, 2, 3, 7, 16, 64)


def tool(name: str, **properties: Any) -> FunctionTool:
    """A tool whose arguments have these schemas; ``str`` stands for a string, and so on."""
    kinds = {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}
    schemas = {key: {"type": kinds[value]} if isinstance(value, type) else value for key, value in properties.items()}
    return FunctionTool(name=name, description="does it", schema={"type": "object", "properties": schemas})


TOOLS = (
    tool("read_file", path=str),
    tool("write", path=str, content=str),
    tool("count", n=int, deep=bool),
    tool("batch", jobs=list, options=dict),
    FunctionTool(name="free"),
    FunctionTool(name="patch", kind="custom"),
)


def request(tools: Sequence[Any] = TOOLS, **members: Any) -> Request:
    members.setdefault("turns", (Turn(role="user", parts=(Text(text="hi"),)),))
    return Request(model="m", tools=tuple(tools) if tools else UNSET, origin=ORIGIN, **members)


def answer(*parts: Part | str, stop: StopReason = StopReason.END) -> Response:
    made = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    candidate = Candidate(turns=(Turn(role="assistant", parts=made),), stop=Stop(reason=stop))
    return Response(id="i", candidates=(candidate,), origin=ORIGIN)


def streamed(begun: BegunTextTools, events: Sequence[Event]) -> list[Event]:
    """The stream's events, fed one by one, in a legal order."""
    stream = begun.stream()
    life = Lifecycle()
    out = [made for event in events for made in stream.feed([event])]
    for made in out:
        life.step(made)
    return out


def parts_of(response: Response) -> tuple[Part, ...]:
    return response.candidates[0].turns[0].parts


def shown(parts: Sequence[Part]) -> list[Any]:
    """Texts as they are, calls as (name, arguments)."""
    out: list[Any] = []
    for part in parts:
        match part:
            case Text():
                out.append(part.text)
            case ToolCall():
                out.append((part.name, part.arguments.text))
            case _:
                out.append(part)
    return out


def read(text: str, transform: TextTools | None = None, **members: Any) -> list[Any]:
    """What becomes of a model's text: the same whole and streamed, however it is cut, eager or not."""
    begun = (transform or TextTools()).begin(request(**members))
    whole = begun.response(answer(text))
    for cut in CUTS:
        assert fold(streamed(begun, unfold(answer(text), chunk=cut)), protocol="p") == whole, cut
    if transform is None:
        eager = TextTools(eager=True).begin(request(**members))
        got = eager.response(answer(text))
        if got.candidates[0].stop.reason is not StopReason.MALFORMED:
            assert got == whole
        for cut in CUTS:
            assert fold(streamed(eager, unfold(answer(text), chunk=cut)), protocol="p") == got, cut
    return shown(parts_of(whole))


def call(name: str, **arguments: Any) -> tuple[str, str]:
    """A call as `shown` has it."""
    return name, dumps(arguments).decode()


def invoke(name: str, **parameters: str) -> str:
    """An ``invoke`` in the canonical form; values as they are to be written."""
    inner = "".join(f'<parameter name="{key}">{value}</parameter>' for key, value in parameters.items())
    return f'<invoke name="{name}">{inner}</invoke>'


def block(*invokes: str) -> str:
    return f"<tool_calls>{''.join(invokes)}</tool_calls>"
