"""`Router` and what is not translated: by a member of a document, a field of a form, or the path."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ds2api_asgi.asgi.body import read_body
from ds2api_asgi.asgi.respond import respond
from ds2api_asgi.framing.form import read_fields
from ds2api_asgi.gateway.routing.router import Router
from ds2api_asgi.gateway.routing.routes import Route, Target
from ds2api_asgi.testing import Driver

pytestmark = pytest.mark.anyio

FILES = {"file": ("a.mp3", b'\x00{"model": 1}\r\n--b', "audio/mpeg")}
PATH = "/v1/audio/transcriptions"


class App:
    """Remembers the path and the body of what it was asked, and the models that its parts see."""

    def __init__(self, status: int = 200) -> None:
        self._status = status
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.seen: list[str | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        replay = await read_body(receive)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(replay.peek(scope["headers"])[0])
        self.asked.append((scope["path"], headers, replay.body))
        await respond(send, status=self._status, document={})


def written(model: str | None, **fields: str) -> tuple[dict[str, str], bytes]:
    """A form as httpx writes it, for the official SDK too."""
    said = {**fields, **({} if model is None else {"model": model})}
    request = httpx.Request("POST", "http://h/", data=said, files=FILES)
    return {"content-type": request.headers["content-type"]}, request.read()


async def ask(router: Router, model: str | None, **fields: str) -> Any:
    headers, body = written(model, **fields)
    return await Driver(router).request("POST", PATH, headers=headers, body=body)


async def test_a_form_goes_where_its_model_goes_and_nothing_of_it_changes() -> None:
    apps = {"a": App(), "b": App()}
    router = Router(apps, {"hear": "b", "*": "a"})
    headers, body = written("hear", language="en")
    assert (await Driver(router).request("POST", PATH, headers=headers, body=body)).status == 200
    assert (apps["a"].asked, apps["b"].asked[0][2]) == ([], body)


@pytest.mark.parametrize("upstream", ["m", "whisper-large-v3-turbo-and-more", "é"])
async def test_an_alias_is_renamed_in_its_form(upstream: str) -> None:
    app = App()
    await ask(Router({"a": app}, {"alias": f"a/{upstream}"}), "alias", language="en")
    path, headers, body = app.asked[0]
    fields = read_fields(body, headers["content-type"].encode(), ("model", "language"))
    assert {name: field.value for name, field in fields.items()} == {"model": upstream, "language": "en"}
    assert (path, headers["content-length"], FILES["file"][1] in body) == (PATH, str(len(body)), True)
    assert app.seen == [upstream]


async def test_an_alias_is_renamed_for_each_target_that_is_asked() -> None:
    apps = {"a": App(status=503), "b": App()}
    targets = (Target(app="a", model="one"), Target(app="b", model="two", priority=1))
    answer = await ask(Router(apps, {"alias": Route(targets=targets)}), "alias")
    assert (answer.status, set(apps["a"].seen), apps["b"].seen) == (200, {"one"}, ["two"])


async def test_a_name_that_the_form_cannot_say_is_refused() -> None:
    app = App()
    kind = {"content-type": "multipart/form-data; boundary=b"}
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nalias\r\n--b--\r\n'
    answer = await Driver(Router({"a": app}, {"alias": "a/x--b"})).request("POST", PATH, headers=kind, body=body)
    assert (answer.status, app.asked) == (400, [])
    assert answer.json()["error"]["message"] == "the field 'model' cannot say that"


async def test_a_form_without_a_model_goes_to_the_default_app_or_is_refused() -> None:
    app = App()
    router = Router({"a": app}, {"*": "a"})
    headers, body = written("hear")
    twice = body.replace(b"language", b"model")
    for sent, words in (
        (written(None), "names no model"),
        ((headers, twice[:-2] + b"more"), "the body: "),
    ):
        answer = await Driver(router).request("POST", PATH, headers=sent[0], body=sent[1])
        assert (answer.status, words in answer.json()["error"]["message"]) == (400, True)
    assert app.asked == []
    assert (await ask(Router({"a": app}, {"*": "a"}, default="a"), None)).status == 200


async def test_a_form_that_cannot_be_read_goes_to_no_default_app() -> None:
    app = App()
    headers, body = written("alias", language="en")
    router = Router({"a": app}, {"alias": "a/real"}, default="a")
    for bad, why in (
        (body + b"more", "something follows the form"),
        (body.replace(b"language", b"Stream"), "the field 'stream' is spelled in another case"),
    ):
        answer = await Driver(router).request("POST", PATH, headers=headers, body=bad)
        assert (answer.status, app.asked) == (400, [])
        assert answer.json()["error"]["message"] == f"the body: {why}"


async def test_an_alias_is_renamed_in_a_form_with_lines_around_it() -> None:
    """Unity writes one before it, older Rubys one more behind it."""
    app = App()
    headers, body = written("alias")
    around = b"\r\n" + body + b"\r\n"
    answer = await Driver(Router({"a": app}, {"alias": "a/real"})).request("POST", PATH, headers=headers, body=around)
    assert (answer.status, app.asked[0][2]) == (200, around.replace(b"alias", b"real"))


@pytest.mark.parametrize("default", [None, "a"])
async def test_a_document_that_some_read_as_a_form_goes_nowhere(default: str | None) -> None:
    app = App()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b'{"model":"hear","x":"&model=other&y="}'
    router = Router({"a": app}, {"hear": "a/real"}, default=default)
    answer = await Driver(router).request("POST", PATH, headers=headers, body=body)
    assert (answer.status, answer.json()["error"]["type"], app.asked) == (415, "invalid_request_error", [])
    answer = await Driver(router).request("POST", "/v1/chat/completions", headers=headers, body=body)
    assert (answer.status, app.asked[0][2]) == (200, body.replace(b"hear", b"real"))


async def test_moderations_without_a_model_are_the_default_apps() -> None:
    apps = {"a": App(), "b": App()}
    moderate = {"input": "hello"}
    answer = await Driver(Router(apps, {"*": "a"})).request("POST", "/v1/moderations", json=moderate)
    assert (answer.status, answer.json()["error"]["message"]) == (400, "the request names no model")
    await Driver(Router(apps, {"*": "a"}, default="b")).request("POST", "/v1/moderations", json=moderate)
    assert ([], json.dumps(moderate).replace(" ", "")) == (apps["a"].asked, apps["b"].asked[0][2].decode())


async def test_a_document_is_renamed_as_those_of_chats_are() -> None:
    app = App()
    router = Router({"a": app}, {"alias": "a/real"})
    body = b'{ "prompt" : "a", "model":"alias", "suffix": 1e3 }'
    await Driver(router).request("POST", "/v1/completions", body=body)
    assert app.asked[0][2] == body.replace(b"alias", b"real")


async def test_geminis_predictions_are_routed_by_their_path() -> None:
    app = App()
    router = Router({"a": app}, {"paint": "a/imagen-4"})
    await Driver(router).request("POST", "/v1beta/models/paint:predict", body=b'{"instances":[{}]}')
    assert (app.asked[0][0], app.asked[0][2]) == ("/v1beta/models/imagen-4:predict", b'{"instances":[{}]}')


async def test_capabilities_say_nothing_about_it() -> None:
    app = App()
    targets = (Target(app="a", can=frozenset()),)
    assert (await ask(Router({"a": app}, {"hear": Route(targets=targets)}), "hear")).status == 200
