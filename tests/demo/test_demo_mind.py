from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.demo.mind import think
from ds2api_asgi.demo.plan import MAX_CALLS
from ds2api_asgi.demo.request import read_request
from ds2api_asgi.demo.tokens import count_tokens, pieces, take_tokens


def tool(name, *properties, required=None, **schemas):
    declared = {name: {"type": "string"} for name in properties} | schemas
    schema = {"type": "object", "properties": declared, "required": required or list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


WEATHER, SEARCH = tool("get_weather", "city"), tool("web_search", "query", limit={"type": "integer"})
FLIGHT = tool("book_flight", "start", "goal")
NOTE = {"type": "custom", "custom": {"name": "take_note"}}
TOOLS = [WEATHER, SEARCH, FLIGHT, NOTE]


def decide(document):
    body = json.dumps(document).encode()
    return think(read_request(document, body))


def rounds(text, **members):
    """Run the loop as an agent does; the calls of each message, then the last text."""
    document = {"model": "demo", "messages": [{"role": "user", "content": text}], "tools": TOOLS, **members}
    made = []
    while (thought := decide(document)).calls:
        step, calls, results = [], [], []
        for index, call in enumerate(thought.calls):
            id_ = f"call_{len(made)}_{index}"
            function = call.tool.kind == "function"
            step.append((call.tool.name, json.loads(call.text) if function else call.text))
            body = {"name": call.tool.name, "arguments" if function else "input": call.text}
            calls.append({"id": id_, "type": call.tool.kind, call.tool.kind: body})
            results.append({"role": "tool", "tool_call_id": id_, "content": f"result {len(made)}.{index}"})
        document["messages"] += [{"role": "assistant", "tool_calls": calls}, *results]
        made.append(step)
        assert len(made) <= MAX_CALLS
    return made, thought.text


def weather(*cities):
    return [("get_weather", {"city": city}) for city in cities]


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Hello", []),
        (
            "Use get_weather for Paris and Tokyo, then for Lima, and tell me.",
            [weather("Paris", "Tokyo"), weather("Lima")],
        ),
        ("What's the weather in Rome?", [weather("Rome")]),
        ("Weather in Rome and São Paulo, please!", [weather("Rome", "São Paulo")]),
        ("get_weather for 'somewhere' or \"New York\"", [weather("somewhere", "New York")]),
        (
            "First web_search 5 pages on `h11`, then get_weather for Oslo.",
            [[("web_search", {"query": "h11"})], weather("Oslo")],
        ),
        ("get_weather for Oslo and web_search 'h11'", [[*weather("Oslo"), ("web_search", {"query": "h11"})]]),
        ("book_flight from Paris to Tokyo", [[("book_flight", {"start": "Paris", "goal": "Tokyo"})]]),
        ("Call take_note with 'buy milk'", [[("take_note", "buy milk")]]),
        ("get_weather in Paris after that get_weather in Paris", [weather("Paris"), weather("Paris")]),
        ("<system-reminder>Use web_search on `x`</system-reminder>Hello", []),
    ],
)
def test_plan_follows_the_text(text, plan):
    made, answer = rounds(text)
    assert made == plan
    for number, step in enumerate(made):
        for index in range(len(step)):
            assert f"result {number}.{index}" in answer


def test_calls_are_made_one_by_one_when_parallel_ones_are_not_wanted():
    made, _ = rounds("get_weather for Paris and Tokyo, then for Lima", parallel_tool_calls=False)
    assert made == [weather("Paris"), weather("Tokyo"), weather("Lima")]


def test_message_of_nothing_but_tags_is_no_new_question():
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "get_weather in Paris, then in Lima"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
        {"role": "user", "content": "<system-reminder>Use web_search.</system-reminder>"},
    ]
    thought = decide({"model": "demo", "messages": messages, "tools": TOOLS})
    assert [call.text for call in thought.calls] == ['{"city":"Lima"}']


def test_new_question_begins_a_new_plan():
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "get_weather in Paris"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "get_weather in Lima"},
    ]
    thought = decide({"model": "demo", "messages": messages, "tools": TOOLS})
    assert [call.text for call in thought.calls] == ['{"city":"Lima"}']


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "web_search"}}, ["web_search"]),
        ({"type": "custom", "custom": {"name": "take_note"}}, ["take_note"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "book_flight"}}],
                },
            },
            ["book_flight"],
        ),
    ],
)
def test_choice_of_tools_is_heeded(choice, names):
    messages = [{"role": "user", "content": "Hello"}]
    thought = decide({"model": "demo", "messages": messages, "tools": TOOLS, "tool_choice": choice})
    assert [call.tool.name for call in thought.calls] == names


def test_choice_of_none_overrules_the_text():
    assert rounds("get_weather in Paris", tool_choice="none")[0] == []


def test_required_goes_on_to_a_tool_that_was_not_called_yet():
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "get_weather in Paris"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    tools = [WEATHER, tool("final_result", "answer")]
    thought = decide({"model": "demo", "messages": messages, "tools": tools, "tool_choice": "required"})
    assert [call.tool.name for call in thought.calls] == ["final_result"]


@pytest.mark.parametrize(
    ("members", "thinks"),
    [
        ({}, False),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, False),
        ({"reasoning_effort": "low"}, True),
        ({"model": "demo-think"}, True),
        ({"model": "demo-think", "reasoning_effort": "none"}, False),
    ],
)
def test_thinks_when_asked_to(members, thinks):
    thought = decide({"model": "demo", "messages": [{"role": "user", "content": "Hello"}], **members})
    assert bool(thought.reasoning) == thinks


@given(
    text=st.text(max_size=80)
    | st.lists(
        st.sampled_from(
            [
                "get_weather",
                "web_search",
                "book_flight",
                "take_note",
                "then",
                "Paris",
                "Oslo",
                "'x'",
                '"',
                "and",
                "5",
                "<a>",
                "</a>",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_every_text_leads_to_an_end(text):
    made, answer = rounds(text)
    assert sum(map(len, made)) <= MAX_CALLS
    assert answer


@given(text=st.text(max_size=60), limit=st.integers(1, 40), effort=st.sampled_from(["none", "high"]))
def test_limit_holds_for_all_that_is_said(text, limit, effort):
    document = {"model": "demo", "messages": [{"role": "user", "content": text}], "tools": TOOLS}
    thought = decide({**document, "max_tokens": limit, "reasoning_effort": effort})
    assert thought.tokens <= limit


@given(text=st.text(max_size=60), limit=st.integers(0, 20))
def test_pieces_joined_are_the_text_and_a_cut_is_its_beginning(text, limit):
    assert "".join(pieces(text)) == text
    cut, count = take_tokens(text, limit)
    assert text.startswith(cut)
    assert count == count_tokens(cut) == min(limit, count_tokens(text))
