"""Every official SDK on every upstream protocol: the demo model behind each, over real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from ds2api_asgi import Translator
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.testing import serve
from sdks import SDKS, Sdk, Verdict

PROMPT = "Use get_weather for Paris and Tokyo, then for Lima, and tell me the results."
FAILURES = {
    "invalid": "demo-fail-400",
    "missing": "unheard-of",
    "limited": "demo-fail-429",
    "overloaded": "demo-fail-500",
}


def model_that_speaks(protocol: str) -> Any:
    """The demo model, which speaks OpenAI Chat, made to speak another protocol and no other."""
    demo = DemoModel()
    return demo if protocol == "openai-chat" else Translator(demo, speaks="openai-chat", clients=[protocol])


@pytest.fixture(scope="module", params=SDKS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A gateway over each upstream."""
    app = Translator(model_that_speaks(request.param), speaks=request.param)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        yield stack.enter_context(portal.wrap_async_context_manager(serve(app)))


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest, url: str) -> Iterator[Sdk]:
    """Each SDK on it."""
    found = SDKS[request.param](url)
    yield found
    found.close()


def test_whole_and_streamed_answers_say_the_same(sdk: Sdk) -> None:
    whole = sdk.say("Hello")
    assert whole == "".join(sdk.stream("Hello"))
    assert 'You wrote: "Hello"' in whole


def test_a_stream_comes_in_pieces(sdk: Sdk) -> None:
    assert len([piece for piece in sdk.stream("Hello") if piece]) > 3


def test_an_answer_has_the_shape_of_a_class(sdk: Sdk) -> None:
    assert isinstance(sdk.parse("Judge it"), Verdict)


def test_a_picture_is_seen(sdk: Sdk) -> None:
    assert "I see 1 image" in sdk.see("What is this?")


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_parallel_and_in_steps(sdk: Sdk, *, streamed: bool) -> None:
    steps, answer = sdk.loop(PROMPT, lambda city: f"{city} is sunny", streamed=streamed)
    assert steps == [["Paris", "Tokyo"], ["Lima"]]
    assert [answer.count(f"{city} is sunny") for city in ("Paris", "Tokyo", "Lima")] == [1, 1, 1]


def test_thoughts_come_along_through_three_turns(sdk: Sdk) -> None:
    said = sdk.talk("First", "Second", "Third")
    assert all(thought and text for thought, text in said)
    assert "This is message 3 from you" in said[2][1]


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_are_of_the_sdks_own_classes(sdk: Sdk, failure: str) -> None:
    with pytest.raises(sdk.errors[failure]):
        sdk.say("Hello", model=FAILURES[failure])
    with pytest.raises(sdk.errors[failure]):
        list(sdk.stream("Hello", model=FAILURES[failure]))
