"""The translator bench in a browser, and the console's own functions without a page around them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from console_stage import Stage
from ds2api_asgi.asgi.trace import Step, Trace, encode_trace
from ds2api_asgi.gateway.commands import explain
from ds2api_asgi.gateway.commands.explain import story
from ds2api_asgi.protocols import registry
from ds2api_asgi.translator import convert

PROTOCOLS = sorted(registry.names())


def test_a_document_is_shown_in_every_protocol_with_what_it_lost(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/bench")
    page = visit.page
    document = {"model": "m", "max_tokens": 9, "top_k": 3, "messages": [{"role": "user", "content": "Hello"}]}
    page.get_by_label("Document", exact=True).fill(json.dumps(document))
    expect(page.locator("#bench-guess")).to_have_text("It looks like an Anthropic Messages request.")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".result-of")).to_have_count(5)
    chat = page.get_by_role("region", name="OpenAI Chat")
    expect(chat.locator(".chip")).to_have_text("1 loss")
    expect(chat.locator(".losses li")).to_contain_text(["top_k"])
    expect(chat.locator(".losses li")).to_contain_text(["Dropped"])
    converted = convert(json.dumps(document), kind="request", source="anthropic", target="openai-chat")
    assert json.loads(chat.locator("pre").inner_text()) == converted.document
    expect(page.get_by_role("region", name="Gemini").locator(".chip")).to_have_text("Nothing lost")
    expect(page.get_by_role("region", name="Gemini")).to_contain_text("POST /v1beta/models/m:generateContent")
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat.get_by_role("button", name="Copy").click()
    expect(page.locator("#said")).to_have_text("Copied.")
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == converted.document


def test_a_mistake_is_told_at_the_field_with_its_place(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/bench")
    page, field = visit.page, visit.page.get_by_label("Document", exact=True)
    text = '{"model": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": 7}]}'
    field.fill(text)
    page.get_by_label("Protocol").select_option("openai-chat")
    page.get_by_role("button", name="Translate").click()
    alert = page.locator("#bench-problem")
    expect(alert.locator("code")).to_have_text("messages[1].content:")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    visit.shot("bench-mistake-light")
    alert.get_by_role("button", name="Show it").click()
    assert page.evaluate("getSelection().toString()") == "7"
    field.fill("{ not json")
    page.get_by_label("Kind").select_option("request")
    page.get_by_role("button", name="Translate").click()
    expect(alert).to_be_visible()
    expect(page.locator(".result-of")).to_have_count(0)


def test_what_cannot_be_guessed_is_asked(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/bench")
    page = visit.page
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#bench-problem")).to_contain_text("There is nothing to translate yet.")
    page.get_by_label("Document", exact=True).fill('{"hello": "world"}')
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#bench-problem")).to_contain_text("please choose its kind and its protocol")
    expect(page.get_by_label("Kind")).to_be_focused()


def test_every_example_is_a_request_that_some_protocol_cannot_carry_whole(stage: Stage) -> None:
    visit = stage.visit(stage.gateway(), "#/bench")
    examples = visit.page.evaluate(
        """async (names) => {
          const { example } = await import("./static/examples.js");
          const { guess } = await import("./static/guess.js");
          return Object.fromEntries(names.map((name) => [name, [example(name), guess(example(name))]]));
        }""",
        PROTOCOLS,
    )
    for source, (text, guessed) in examples.items():
        assert guessed == {"kind": "request", "source": source}
        converted = [
            convert(text, kind="request", source=source, target=target) for target in PROTOCOLS if target != source
        ]
        assert any(one.losses for one in converted), source


STREAMED = {"role": "assistant", "content": "Hello"}
ANSWERS: dict[str, str] = {
    "openai-chat": json.dumps(
        {
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": STREAMED, "finish_reason": "stop"}],
        }
    ),
}  # fmt: skip


@pytest.fixture
def guesses(stage: Stage) -> Any:
    """What the page guesses of a text."""
    page = stage.visit(stage.gateway(), "#/bench").page
    return lambda text: page.evaluate("async (text) => (await import('./static/guess.js')).guess(text)", text)


def test_answers_streams_and_errors_of_every_protocol_are_guessed(guesses: Any) -> None:
    chat = ANSWERS["openai-chat"]
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    first = {**chunk, "choices": [{"index": 0, "delta": STREAMED, "finish_reason": None}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = f"data: {json.dumps(first)}\n\ndata: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    error = '{"error": {"message": "no", "type": "server_error", "param": null, "code": null}}'
    for kind, text in (("response", chat), ("stream", stream), ("error", error)):
        for target in PROTOCOLS:
            if kind == "error" and target == "openai-responses":
                continue  # spelled as Chat spells it
            said = convert(text, kind=kind, source="openai-chat", target=target).body.decode()  # type: ignore[arg-type]
            assert guesses(said) == {"kind": kind, "source": target}, said
    assert guesses("hello") == {"kind": None, "source": None}


STEPS = [
    Step(at=0.0, what="Attempted", members={"number": 1}),
    Step(at=0.0, what="Attempted", members={"number": 2, "target": 1, "after": 0.12345}),
    Step(at=0.1, what="KeyLeased", members={"pool": "it's", "key": "a1"}),
    Step(at=0.1, what="KeyLeased", members={"pool": 'say "it\'s"\\', "key": "a1"}),
    Step(at=0.2, what="Judged", members={
        "by": "pool", "status": 429, "key": "a1",
        "verdict": {"row": "openai-chat.429", "fault": "rate", "retry": "key", "key": "cool", "hint": 25.5,
                    "hint_source": "retry-after"}}),
    Step(at=0.2, what="Judged", members={
        "by": "retry", "status": 0, "verdict": {"row": "x", "fault": "network", "retry": "same", "hint": 1234567.0,
                                                "hint_source": "h"}}),
    Step(at=0.2, what="Judged", members={"by": "retry", "status": 500, "verdict": {"row": "x", "retry": "new"}}),
    Step(at=0.2, what="Judged", members={"by": "retry"}),
    Step(at=0.3, what="PoolEmpty", members={"pool": "main", "reason": "cooling", "retry_after": 0.00001}),
    Step(at=0.3, what="PoolEmpty", members={"pool": "main", "reason": "disabled"}),
    Step(at=0.3, what="Unreachable", members={"reason": "connect", "processed": False}),
    Step(at=0.3, what="Broke", members={"reason": "closed"}),
    Step(at=0.3, what="Called", members={
        "upstream": "openai", "model": "m", "status": 200, "first": 0.12, "took": 1.5}),
    Step(at=0.3, what="Called", members={"upstream": "openai", "took": 0.0321, "end": "cancelled"}),
    Step(at=0.3, what="Called", members={"upstream": "openai"}),
    Step(at=0.3, what="Closed", members={"by": "client", "code": 1000}),
    Step(at=0.3, what="Routed", members={"model": "smart", "target": "claude", "upstream_model": "claude-opus-5"}),
    Step(at=0.3, what="Routed", members={"model": "gpt-6", "target": "openai", "upstream_model": "gpt-6"}),
    Step(at=0.3, what="Ruled", members={"removed": ["seed"], "defaulted": ["top_p", "user"]}),
    Step(at=0.3, what="Used", members={"input": 3, "audio_input": 2, "audio_output": 1}),
    Step(at=0.3, what="Committed", members={"status": 200, "held": 0.3}),
    Step(at=0.3, what="Used", members={"input": 3, "output": 4, "cached": 2}),
    Step(at=0.3, what="Used", members={"input": 3, "cached": 2, "reasoning": 1}),
    Step(at=0.3, what="Lost", members={"count": 6, "paths": ["a", "b", "c", "d", "e", "f"]}),
    Step(at=0.3, what="TurnedAway", members={"status": 429, "code": "gateway_rate_limit_exceeded"}),
    Step(at=0.3, what="TurnedAway", members={"status": 401}),
    Step(at=0.3, what="Queued", members={"pool": "main", "seconds": 1.23456, "position": 3}),
    Step(at=0.3, what="Queueing", members={"pool": "main"}),
    Step(at=0.3, what="Skipped", members={"target": 1, "reason": "breaker", "retry_after": 12.0}),
    Step(at=0.3, what="Stopped", members={"by": "retry", "reason": "attempts", "attempts": 3}),
    Step(at=0.3, what="Stopped", members={"by": "retry", "reason": "final", "attempts": 1}),
    Step(at=0.3, what="Hedged", members={"target": 1, "after": 100.0}),
    Step(at=0.3, what="HedgeLost", members={"second": True}),
    Step(at=0.3, what="KeptAlive", members={"begins": True}),
    Step(at=0.3, what="KeptAlive", members={"begins": False}),
    Step(at=0.3, what="BreakerOpened", members={"target": 1, "model": "m", "seconds": 5.0}),
    Step(at=0.3, what="BreakerClosed", members={"target": 1, "model": None}),
    Step(at=0.3, what="AccountGroup", members={"group": "org-blue"}),
    Step(at=0.3, what="Unheard", members={"a": "b", "list": [1, {"c": None}], "yes": True}),
    Step(at=0.3, what="constructor", members={}),
]  # fmt: skip


def test_every_fact_that_has_words_is_among_the_steps() -> None:
    assert explain._WORDS.keys() <= {step.what for step in STEPS}


def test_the_page_tells_every_step_in_the_words_of_explain(stage: Stage) -> None:
    page = stage.visit(stage.gateway()).page
    trace = Trace(
        id="1f", when=1_796_000_000.0, took=1.5, status=429, end="failed", why="all attempts were made",
        protocol="anthropic", operation="generate", model="m", caller="alice", steps=tuple(STEPS), omitted=7,
    )  # fmt: skip
    told = page.evaluate(
        "async (text) => (await import('./static/trace.js')).textOf(JSON.parse(text))", encode_trace(trace)
    )
    assert told.splitlines() == story(trace).splitlines()


WORDS: list[tuple[str, list[Any], str]] = [
    ("duration", [0.0004], "<1 ms"), ("duration", [0.32], "320 ms"), ("duration", [0.9996], "1.00 s"),
    ("duration", [1.244], "1.24 s"), ("duration", [59.96], "1 min"), ("duration", [75], "1 min 15 s"),
    ("duration", [93_784], "1 d 2 h"), ("duration", [None], "–"),
    ("countdown", [41.2], "0:42"), ("countdown", [3_723], "1:02:03"), ("countdown", [-1], "0:00"),
    ("countdown", [90_000], "1 d 1 h"),
    ("count", [1_234], "1,234"), ("count", [123_456], "123k"), ("count", [999_600], "1M"), ("count", [None], "–"),
    ("count", [1_234_567], "1.23M"), ("count", [12_345_678], "12M"),
    ("rate", [0.5], "0.5"), ("rate", [12.34], "12.3"), ("rate", [1234.5], "1,235"), ("rate", [0], "0"),
    ("percent", [0.0213], "2.1%"), ("percent", [0], "0%"), ("percent", [0.0001], "<0.1%"), ("percent", [1], "100%"),
    ("dollars", [0.0012], "$0.0012"), ("dollars", [1.5], "$1.50"), ("dollars", [0], "$0"),
]  # fmt: skip


def test_numbers_and_times_are_said_so(stage: Stage) -> None:
    page = stage.visit(stage.gateway()).page
    said = page.evaluate(
        """async (cases) => {
          const words = await import("./static/words.js");
          return cases.map(([name, given]) => words[name](...given));
        }""",
        [[name, given] for name, given, _ in WORDS],
    )
    assert said == [wanted for *_, wanted in WORDS]


def test_json_is_indented_without_changing_a_value(stage: Stage) -> None:
    page = stage.visit(stage.gateway()).page
    text = '{"a":[],"b":{},"c":[1.0,12345678901234567890,{"d":"x, {y}: \\"z\\""}],"e":null}'
    said = page.evaluate("async (text) => (await import('./static/indent.js')).indent(text)", text)
    assert said == (
        '{\n  "a": [],\n  "b": {},\n  "c": [\n    1.0,\n    12345678901234567890,\n    {\n'
        '      "d": "x, {y}: \\"z\\""\n    }\n  ],\n  "e": null\n}'
    )
    assert page.evaluate("async () => (await import('./static/indent.js')).indent('data: {}')") == "data: {}"


PLACES = {
    "": '{"a": [1, {"b.c": "x]", "d": [null]}], "e": "f"}',
    "a": '[1, {"b.c": "x]", "d": [null]}]',
    "a[1].d[0]": "null",
    "a[1].missing": '{"b.c": "x]", "d": [null]}',
    "e": '"f"',
}


def test_a_path_is_found_in_the_text(stage: Stage) -> None:
    page = stage.visit(stage.gateway()).page
    text = PLACES[""]
    script = "async ([text, path]) => (await import('./static/place.js')).place(text, path)"
    for path, found in PLACES.items():
        start, end = page.evaluate(script, [text, path])
        assert text[start:end] == found
    assert page.evaluate(script, ["{not json", "a"]) is None
    assert page.evaluate(script, [text, "a[1"]) is None
