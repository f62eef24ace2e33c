"""What is asked of models beside chats, by OpenAI's SDK through a served gateway: keys, routes, limits, and logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from anyio.from_thread import start_blocking_portal

from ds2api_asgi.testing import serve
from served import Served, served
from studio import PICTURE, SOUND, Studio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

DEAD, WEARY, GOOD = "sk-studio-dead-1a2b3c", "sk-studio-weary-4d5e6f", "sk-studio-good-7a8b9c"
CLIENT, NARROW = "sk-client-wide-0a1b2c", "sk-client-narrow-3d4e5f"
FILE = ("hear.mp3", SOUND, "audio/mpeg")


class Scene:
    """A served gateway and the two providers behind it."""

    def __init__(self, gateway: Served, main: Studio, other: Studio) -> None:
        self.gateway = gateway
        self.main = main
        self.other = other

    def sdk(self, key: str = CLIENT) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key=key, max_retries=0)


def config(main: str, other: str) -> str:
    return f"""
[upstreams.main]
protocol = "openai-chat"
base_url = "{main}"
keys = ["env:DEAD", "env:WEARY", "env:GOOD"]
strategy = "round-robin"

[upstreams.other]
protocol = "openai-responses"
base_url = "{other}"
keys = ["env:GOOD"]

[upstreams.claude]
protocol = "anthropic"
base_url = "{other}"
keys = ["env:GOOD"]

[models."*"]
targets = ["main"]

[models.alias]
targets = ["main/real"]

[models.elsewhere]
targets = ["other/there"]

[models.shared]
targets = ["claude/no", {{ upstream = "main", model = "yes", priority = 1 }}]

[models.claude]
targets = ["claude/claude-9"]

[router]
default = "main"

[access]
keys = [
    "env:CLIENT",
    {{ key = "env:NARROW", name = "narrow", models = ["code-*", "hear"] }},
]

[metrics]

[log]
format = "json"
file = "gateway.log"
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    main, other = Studio({DEAD: 401, WEARY: 429}), Studio()
    env = {"DEAD": DEAD, "WEARY": WEARY, "GOOD": GOOD, "CLIENT": CLIENT, "NARROW": NARROW}
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        urls = [stack.enter_context(portal.wrap_async_context_manager(serve(app))) for app in (main, other)]
        folder = tmp_path_factory.mktemp("inference")
        yield Scene(stack.enter_context(served(folder, config(*urls), env=env)), main, other)


def test_keys_that_fail_are_replaced_before_anything_is_sent(scene: Scene) -> None:
    with scene.sdk() as sdk:
        for _ in range(4):
            whole = sdk.completions.create(model="code-1", prompt="def f(", suffix="return 1")
            assert whole.choices[0].text == "def f(…return 1"
    assert {DEAD, WEARY, GOOD} == set(scene.main.keys())
    assert scene.main.keys().count(DEAD) == scene.main.keys().count(WEARY) == 1


def test_completions_stream(scene: Scene) -> None:
    with scene.sdk() as sdk:
        chunks = list(sdk.completions.create(model="code-1", prompt="a", suffix="b", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "a…b"
    assert chunks[-1].usage is not None


def test_the_middle_is_filled_in_and_documents_are_ranked(scene: Scene) -> None:
    with scene.gateway.client(headers={"authorization": f"Bearer {CLIENT}"}) as client:
        asked = {"model": "code-1", "prompt": "a", "suffix": "b"}
        filled = client.post("/v1/fim/completions", json=asked).json()
        ranked = client.post("/rerank", json={"model": "rank", "query": "q", "documents": ["a", "b"]}).json()
    assert filled["choices"][0]["message"]["content"] == "a…b"
    assert len(ranked["results"]) == 2


def test_moderations_need_no_model(scene: Scene) -> None:
    with scene.sdk() as sdk:
        assert sdk.moderations.create(input="hello").model == "usual"
        assert sdk.moderations.create(input="hello", model="alias").model == "real"
    assert scene.main.asked[-2][2:] == (None, "application/json")


def test_pictures_are_made_and_changed(scene: Scene) -> None:
    with scene.sdk() as sdk:
        made = sdk.images.generate(model="paint", prompt="a cat")
        changed = sdk.images.edit(model="alias", prompt="a hat", image=("cat.png", b"\x89PNG\r\n\x1a\n"))
        parts = list(sdk.images.generate(model="paint", prompt="a cat", stream=True))
    assert [one.data[0].b64_json for one in (made, changed) if one.data] == [PICTURE] * 2
    assert [part.type for part in parts] == ["image_generation.partial_image", "image_generation.completed"]
    assert ("/images/edits", GOOD, "real", "multipart/form-data") in scene.main.asked


def test_speech_is_sound_from_end_to_end(scene: Scene) -> None:
    with scene.sdk() as sdk:
        spoken = sdk.audio.speech.create(model="speak", voice="alloy", input="Hear me")
        assert spoken.content == SOUND
        assert spoken.response.headers["content-type"] == "audio/mpeg"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_what_is_heard_is_routed_by_a_field_of_its_form(scene: Scene) -> None:
    with scene.sdk() as sdk:
        heard = sdk.audio.transcriptions.create(model="alias", file=FILE)
        text = sdk.audio.transcriptions.create(model="elsewhere", file=FILE, response_format="text")
        events = list(sdk.audio.transcriptions.create(model="hear", file=FILE, stream=True))
        translated = sdk.audio.translations.create(model="hear", file=FILE)
    assert heard.text == translated.text == "Hear me"
    assert text == "Hear me\n"
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert ("/audio/transcriptions", GOOD, "real", "multipart/form-data") in scene.main.asked
    assert ("/audio/transcriptions", GOOD, "there", "multipart/form-data") in scene.other.asked


def test_an_app_of_another_protocol_is_never_asked(scene: Scene) -> None:
    before = len(scene.other.asked)
    with scene.sdk() as sdk, pytest.raises(openai.NotFoundError) as refused:
        sdk.audio.transcriptions.create(model="claude", file=FILE)
    assert "/v1/audio/transcriptions cannot be said in anthropic" in refused.value.message
    assert len(scene.other.asked) == before


def test_where_one_target_cannot_say_it_the_next_is_asked(scene: Scene) -> None:
    with scene.sdk() as sdk:
        assert sdk.completions.create(model="shared", prompt="a").model == "yes"


def test_a_client_key_is_held_to_its_models(scene: Scene) -> None:
    with scene.sdk(NARROW) as sdk:
        assert sdk.completions.create(model="code-1", prompt="a").choices
        assert sdk.audio.transcriptions.create(model="hear", file=FILE).text
        for ask in (
            lambda: sdk.completions.create(model="other", prompt="a"),
            lambda: sdk.audio.transcriptions.create(model="other", file=FILE),
            lambda: sdk.audio.speech.create(model="other", voice="alloy", input="a"),
            lambda: sdk.moderations.create(input="a"),
        ):
            with pytest.raises(openai.PermissionDeniedError):
                ask()


def test_a_form_that_another_reader_may_understand_otherwise_goes_nowhere(scene: Scene) -> None:
    before = len(scene.main.asked)
    parts = [b'Content-Disposition: form-data; name="model"\r\n\r\n%b\r\n' % model for model in (b"hear", b"other")]
    body = b"".join(b"--b\r\n" + part for part in parts) + b"--b--\r\n"
    headers = {"authorization": f"Bearer {NARROW}", "content-type": "multipart/form-data; boundary=b"}
    with scene.gateway.client(headers=headers) as client:
        answer = client.post("/v1/audio/transcriptions", content=body)
    assert (answer.status_code, "twice" in answer.json()["error"]["message"]) == (400, True)
    assert len(scene.main.asked) == before


def test_logs_and_metrics_name_it_and_count_its_tokens(scene: Scene) -> None:
    with scene.gateway.client(headers={"authorization": f"Bearer {CLIENT}"}) as client:
        asked = {"model": "counted", "query": "q", "documents": ["a"]}
        assert client.post("/v1/rerank", json=asked).status_code == 200
        metrics = client.get("/metrics").text
    log = (scene.gateway.folder / "gateway.log").read_text()
    lines: list[Any] = [json.loads(line) for line in log.splitlines() if '"counted"' in line]
    assert [line["operation"] for line in lines] == ["infer"]
    assert lines[0]["input"] == 11
    assert 'operation="infer"' in metrics
    assert not any(secret in log + metrics + scene.gateway.said for secret in (DEAD, WEARY, GOOD, CLIENT))
