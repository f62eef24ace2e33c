"""`Router`: which app is asked, for which model, and what is changed on the way: nothing else."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.exchange import KEY, Exchange
from ds2api_asgi.asgi.lifespan import running
from ds2api_asgi.asgi.types import Receive, Scope, Send
from ds2api_asgi.demo import DemoModel
from ds2api_asgi.errors import ClientGone, ConfigurationError
from ds2api_asgi.gateway.routing.model_lists import MAX_PAGES
from ds2api_asgi.gateway.routing.renamed import Renamed
from ds2api_asgi.gateway.routing.router import Router
from ds2api_asgi.gateway.routing.routes import Route, Routed, Ruled, Rules, Table, Target
from ds2api_asgi.testing import Driver
from ds2api_asgi.testing.driver import Answer
from ds2api_asgi.translator import Translator

pytestmark = pytest.mark.anyio
HELLO = [{"role": "user", "content": "Hello"}]


class App:
    """An app that remembers what it was asked and answers as it is told."""

    def __init__(
        self, name: str = "app", *, status: int = 200, document: Any = None, models: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.status = status
        self.document = document
        self.models = list(models)
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.events: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.events.append("start")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.events.append("stop")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] == "websocket":
            self.paths.append("ws?" + scope["query_string"].decode())
            await send({"type": "websocket.accept"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.paths.append(scope["path"])
        self.bodies.append(body)
        self.headers.append(dict(scope["headers"]))
        document = self.document
        if scope["path"].endswith("/models") and document is None:
            document = {"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]}
        elif document is None:
            document = {"app": self.name}
        data = json.dumps(document).encode()
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))],
            }
        )
        await send({"type": "http.response.body", "body": data})

    @property
    def asked(self) -> list[Any]:
        return [json.loads(body).get("model") for body in self.bodies]


async def chat(router: Router, model: str, **members: Any) -> Answer:
    document = {"model": model, "messages": HELLO, **members}
    return await Driver(router).request("POST", "/v1/chat/completions", json=document)


# --- which app, which model ---


@pytest.mark.parametrize(
    ("asked", "app", "model"),
    [
        ("smart", "claude", "claude-opus-5"),
        ("gpt-6", "openai", "gpt-6"),
        ("gpt-6-mini", "small", "gpt-6-mini"),
        ("gpt-6-mini-fixed", "claude", "x"),
        ("openai/gpt-6", "openai", "gpt-6"),
        ("openai/a/b", "openai", "a/b"),
        ("small/gpt-6", "small", "gpt-6"),
        ("openai/special", "claude", "special-1"),
        ("models/smart", "claude", "claude-opus-5"),
        ("smart:latest", "claude", "claude-opus-5"),
    ],
)
async def test_the_most_specific_name_counts(asked: str, app: str, model: str) -> None:
    apps = {name: App(name) for name in ("openai", "claude", "small")}
    router = Router(
        apps,
        {
            "*-mini": "small",
            "smart": "claude/claude-opus-5",
            "gpt-*": "openai",
            "gpt-*-mini": "small",
            "gpt-6-mini-fixed": "claude/x",
            "openai/special": "claude/special-1",
        },
    )
    answer = await chat(router, asked)
    assert answer.json() == {"app": app}
    assert apps[app].asked == [model]


@pytest.mark.parametrize("asked", ["gpt", "nobody/gpt-6", "x" * 300, "openai", "gpt-*"])
async def test_an_unknown_model_is_404_in_the_clients_protocol(asked: str) -> None:
    router = Router({"openai": App()}, {"gpt-6": "openai"})
    for path, document in [
        ("/v1/chat/completions", {"model": asked, "messages": HELLO}),
        ("/v1/responses", {"model": asked, "input": "Hello"}),
        ("/api/chat", {"model": asked, "messages": HELLO}),
        ("/v1/messages", {"model": asked, "max_tokens": 9, "messages": HELLO}),
        (f"/v1beta/models/{asked}:generateContent", {"contents": []}),
    ]:
        answer = await Driver(router).request("POST", path, json=document)
        assert answer.status == 404
        assert "error" in answer.json()
    anthropic = await Driver(router).request("POST", "/v1/messages", json={"model": asked})
    assert anthropic.json()["type"] == "error"


NAMES = st.text("ab-*/", min_size=1, max_size=6)


@given(
    st.lists(NAMES.filter(lambda name: name.count("*") < 4), max_size=6, unique=True),
    st.lists(st.text("ab-/", max_size=6), max_size=6),
)
def test_looking_up_is_total_and_the_same_every_time(patterns: list[str], models: list[str]) -> None:
    def tables() -> Table:
        return Table(["a", "b"], dict.fromkeys(patterns, "a"), prefixes=True)

    one, other = tables(), tables()
    for model in [*models, *patterns]:
        first, second = one.find(model), other.find(model)
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert first is one.find(model)
            assert (first.way.name, first.model) == (second.way.name, second.model)
        if model in patterns and "*" not in model:
            assert first is not None
            assert first.way.name == model


def test_many_names_are_not_all_remembered() -> None:
    table = Table(["a"], {"*": "a"}, prefixes=False)
    for number in range(5000):
        assert table.find(str(number)) is not None
    assert table._remembered.cache_info().currsize <= 1024


@pytest.mark.parametrize(
    "make",
    [
        lambda: Router({}),
        lambda: Router({"a/b": App()}),
        lambda: Router({"a": App()}, {"m": "b/x"}),
        lambda: Router({"a": App()}, {"m": []}),
        lambda: Router({"a": App()}, {"": "a"}),
        lambda: Router({"a": App()}, {"*a*a*a*a*a*": "a"}),
        lambda: Router({"a": App()}, {"m": Target(app="a", weight=-1)}),
        lambda: Router({"a": App()}, {"m": Target(app="a", weight=0)}),
        lambda: Router({"a": App()}, {"m": Target(app="a", weight=float("nan"))}),
        lambda: Router({"a": App()}, {"m": "a/x-*"}),
        lambda: Router({"a": App()}, {"m": Target(app="a", can=frozenset({"flight"}))}),
        lambda: Router({"a": App()}, {"m": Route(targets=("a",), fallbacks=("n",))}),
        lambda: Router({"a": App()}, {"m": Route(targets=("a",), fallbacks=("m",))}),
        lambda: Router(
            {"a": App()},
            {"m": Route(targets=("a",), fallbacks=("n",)), "n": Route(targets=("a",), fallbacks=("m",))},
        ),
        lambda: Router({"a": App()}, {"m": Route(targets=("a",), rules=Rules(override={"model": "x"}))}),
        lambda: Router({"a": App()}, {"m": Route(targets=("a",), rules=Rules(override={"x": object()}))}),
        lambda: Router({"a": App()}, default="b"),
        lambda: Router({"a": App()}, per="day"),
        lambda: Router({"a": App()}, list_timeout=0),
    ],
)
def test_bad_configuration_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


# --- shares and failures ---


async def test_shares_follow_weights() -> None:
    apps = {"a": App(), "b": App(), "c": App()}
    targets = [Target(app="a", weight=6), Target(app="b", weight=3), Target(app="c", weight=1)]
    router = Router(apps, {"m": targets}, per="request", rng=Random(7))
    for _ in range(600):
        await chat(router, "m")
    shares = [len(apps[name].bodies) / 600 for name in "abc"]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.06)


async def test_draws_are_the_same_under_the_same_seed() -> None:
    def run() -> Router:
        return Router({"a": App("a"), "b": App("b")}, {"m": ["a", "b"]}, per="request", rng=Random(3))

    one, other = run(), run()
    answers = [((await chat(one, "m")).json(), (await chat(other, "m")).json()) for _ in range(40)]
    assert all(first == second for first, second in answers)
    assert len({first["app"] for first, _ in answers}) == 2


async def test_a_conversation_stays_with_its_target() -> None:
    router = Router({"a": App("a"), "b": App("b")}, {"m": ["a", "b"]})
    seen: Counter[str] = Counter()
    for number in range(30):
        first = [{"role": "user", "content": f"question {number}"}]
        turns = [*first, {"role": "assistant", "content": "answer"}, {"role": "user", "content": "more"}]
        answers = [(await chat(router, "m", messages=messages)).json()["app"] for messages in (first, turns)]
        assert answers[0] == answers[1]
        seen[answers[0]] += 1
    assert set(seen) == {"a", "b"}


async def test_priorities_fallbacks_and_weight_zero_are_asked_in_their_order() -> None:
    broken = {"error": {"message": "down"}}
    apps = {name: App(name, status=503, document=broken) for name in ("late", "first", "spare", "other")}
    last = App("last")
    router = Router(
        {**apps, "last": last},
        {
            "m": Route(
                targets=(
                    Target(app="late", model="l", priority=1),
                    Target(app="spare", model="s", weight=0),
                    Target(app="first", model="f"),
                ),
                fallbacks=("n",),
                rules=Rules(override={"top_p": 1}),
            ),
            "n": Route(targets=("other",), fallbacks=("o",)),
            "o": Route(targets=("last/z",), rules=Rules(override={"top_p": 0.5})),
        },
    )
    exchange = Exchange(started=0)
    answer = await Driver(router, scope={KEY: exchange}).request(
        "POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO}
    )
    assert answer.json() == {"app": "last"}
    order = list(dict.fromkeys((fact.target, fact.upstream_model) for fact in exchange.all(Routed)))
    assert order == [("first", "f"), ("spare", "s"), ("late", "l"), ("other", "n"), ("last", "z")]
    assert {fact.model for fact in exchange.all(Routed)} == {"m"}
    assert json.loads(apps["first"].bodies[0])["top_p"] == 1
    assert "top_p" not in json.loads(apps["other"].bodies[0])
    assert json.loads(last.bodies[0])["top_p"] == 0.5


# --- what is changed ---


@pytest.mark.parametrize("chunks", [1, 7])
async def test_only_the_models_bytes_change(chunks: int) -> None:
    app = App()
    content = b'"\\u00e9 1.0e2 \\"model\\": \\"m\\""'
    body = b' { "messages" : [ {"role":"user","content":%s} ], "x":1.00 ,"model" : "m"}\n' % content
    size = -(-len(body) // chunks)
    parts = [body[at : at + size] for at in range(0, len(body), size)]

    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    router = Router({"a": app}, {"m": "a/other-name"})
    await Driver(router).request("POST", "/v1/chat/completions", body=pieces())
    expected = body[: body.rindex(b'"m"')] + b'"other-name"' + body[body.rindex(b'"m"') + 3 :]
    assert app.bodies == [expected]
    assert app.headers[0].get(b"content-length") in (None, b"%d" % len(expected))


async def test_what_needs_no_change_passes_as_the_very_same_bytes_unparsed() -> None:
    app = App()
    body = b'{"model":"gpt-6", "messages": [], "n": 1e400}'
    await Driver(Router({"openai": app}, {"gpt-*": "openai"})).request("POST", "/v1/chat/completions", body=body)
    assert app.bodies == [body]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1beta/models/m:generateContent", "/v1beta/models/vendor/x:generateContent"),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", "/v1beta/models/vendor/x:streamGenerateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/m:countTokens", None),
    ],
)
async def test_a_model_in_a_path_is_renamed_there(path: str, expected: str | None) -> None:
    app = App()
    body = b'{"contents": [{"parts":[{"text":"m"}]}]}'
    await Driver(Router({"a": app}, {"m": "a/vendor/x"})).request("POST", path, body=body)
    assert app.paths == [expected or path.replace("models/m:", "models/vendor/x:")]
    assert app.bodies == [body]


async def test_geminis_batches_say_the_renamed_model_everywhere() -> None:
    app = App()
    document = {"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]}
    router = Router({"a": app}, {"m": "a/x"})
    await Driver(router).request("POST", "/v1beta/models/m:batchEmbedContents", json=document)
    assert app.paths == ["/v1beta/models/x:batchEmbedContents"]
    assert json.loads(app.bodies[0])["requests"][0] == {**document["requests"][0], "model": "models/x"}


async def test_rules_change_members_and_say_so() -> None:
    app = App()
    rules = Rules(default={"temperature": 0, "n": 2}, override={"top_p": 1}, remove=frozenset({"user", "seed"}))
    exchange = Exchange(started=0)
    router = Router({"a": app}, {"m": Route(targets=("a/x",), rules=rules)})
    document = {"model": "m", "user": "me", "messages": HELLO, "n": 1, "top_p": 0.1}
    await Driver(router, scope={KEY: exchange}).request("POST", "/v1/chat/completions", json=document)
    assert json.loads(app.bodies[0]) == {"model": "x", "messages": HELLO, "n": 1, "top_p": 1, "temperature": 0}
    assert exchange.last(Ruled) == Ruled(removed=("user",), overridden=("top_p",), defaulted=("temperature",))


# --- answers ---

ANSWERS = [
    (
        "application/json",
        b'{"id":"1","model":"up","choices":[{"message":{"content":"model"}}],"usage":{"model":"keep"}}',
    ),
    ("application/json", b'{"candidates":[],"modelVersion":"up"}'),
    ("text/event-stream", b'data: {"id":"1","model":"up","choices":[]}\n\ndata: {"model":"up"}\n\ndata: [DONE]\n\n'),
    (
        "text/event-stream",
        b'event: message_start\r\ndata: {"type":"message_start","message":{"model":"up","x":{"model":"keep"}}}\r\n\r\n',
    ),
    ("text/event-stream", b'event: a\ndata: {"response":{"output":[{"model":"keep"}],"model":"up"}}\n\n: ping\n\n'),
    (
        "application/x-ndjson",
        b'{"model":"up","message":{"content":"{\\"model\\":\\"up\\"}"}}\n{"model":"up","done":true}\n',
    ),
    ("application/json", b'[{"modelVersion":"up"}\n,\n{"candidates":[],"modelVersion":"up"}]'),
    (
        "application/json",
        b'[{\n  "candidates": [{"x": "]}"}],\n  "modelVersion":"up"\n}\n,\r\n{\n  "modelVersion":"up"\n}\n]\n',
    ),
    ("application/json", b'[{"modelVersion":"up","candidates":["\\"]"]}'),
    ("application/json", b'[{"modelVersion":"up"}, what is this {"modelVersion":"keep"}]'),
    ("text/plain", b'{"model": "not ours"}'),
    ("text/event-stream", b'data: {"model":"up"'),
    ("application/json", b'{"model":"up"'),
]


@pytest.mark.parametrize(("kind", "body"), ANSWERS, ids=range(len(ANSWERS)))
@given(data=st.data())
def test_answers_say_the_name_that_was_asked_however_they_are_cut(kind: str, body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=6)) | {0, len(body)})
    parts = [body[start:end] for start, end in pairwise(cuts)]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        renamed = Renamed(send, "the name")
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await renamed({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts:
            await renamed({"type": "http.response.body", "body": part, "more_body": True})
        await renamed({"type": "http.response.body", "body": b"", "more_body": False})

    anyio.run(run)
    got = b"".join(message.get("body", b"") for message in sent)
    whole = not body.endswith(b'"up"')
    expected = body
    if whole:
        for name in (b'"model"', b'"modelVersion"'):
            expected = expected.replace(name + b':"up"', name + b':"the name"')
    assert got == expected
    assert sent[0]["type"] == "http.response.start"
    assert [message.get("more_body") for message in sent][-1] is False
    length = dict(sent[0]["headers"]).get(b"content-length")
    assert length in (None, b"%d" % len(got))


async def test_a_line_of_a_stream_leaves_as_soon_as_it_is_whole() -> None:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    renamed = Renamed(send, "n")
    await renamed({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await renamed({"type": "http.response.body", "body": b'data: {"model":"u"}\n\ndata: {"mo', "more_body": True})
    assert sent[-1] == b'data: {"model":"n"}\n\n'


async def test_an_element_of_an_indented_array_leaves_as_soon_as_it_is_whole() -> None:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    renamed = Renamed(send, "n")
    await renamed({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await renamed({"type": "http.response.body", "body": b'[{\n "modelVersion":', "more_body": True})
    assert sent == [b""]
    await renamed({"type": "http.response.body", "body": b' "up"\n}\n,\n{ "mod', "more_body": True})
    assert sent[-1] == b'[{\n "modelVersion": "n"\n}'
    await renamed({"type": "http.response.body", "body": b'elVersion": "up"}]', "more_body": False})
    assert sent[-1] == b'\n,\n{ "modelVersion": "n"}]'


def test_renaming_takes_time_linear_in_the_stream() -> None:
    def seconds(size: int) -> float:
        async def send(message: Any) -> None:
            """Take it."""

        async def run() -> None:
            renamed = Renamed(send, "n")
            headers = [(b"content-type", b"text/event-stream")]
            await renamed({"type": "http.response.start", "status": 200, "headers": headers})
            for _ in range(size):
                await renamed({"type": "http.response.body", "body": b'"model": [', "more_body": True})

        began = time.process_time()
        anyio.run(run)
        return time.process_time() - began

    assert seconds(40_000) < 25 * max(seconds(4_000), 0.02)


async def test_renamed_answers_are_an_option_of_router_and_route() -> None:
    def router(renames: bool, route: bool | None) -> Router:
        app = App(document={"model": "up", "x": 1})
        return Router({"a": app}, {"m": Route(targets=("a/up",), rename_answers=route)}, rename_answers=renames)

    for renames, route, expected in [(False, None, "up"), (True, None, "m"), (True, False, "up"), (False, True, "m")]:
        assert (await chat(router(renames, route), "m")).json() == {"model": expected, "x": 1}


async def test_a_provider_that_resolves_a_name_by_itself_is_renamed_too() -> None:
    app = App(document={"model": "gpt-5.5-2026-04-23"})
    answer = await chat(Router({"a": app}, {"gpt-*": "a"}, rename_answers=True), "gpt-5.5")
    assert (app.asked, answer.json()) == (["gpt-5.5"], {"model": "gpt-5.5"})


# --- capabilities ---

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("members", "app"),
    [
        ({}, "plain"),
        ({"tools": [TOOL]}, "tools"),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "all"),
        ({"reasoning_effort": "high"}, "all"),
        ({"reasoning_effort": "none"}, "plain"),
    ],
)
async def test_requests_go_to_targets_that_can(members: dict[str, Any], app: str) -> None:
    router = Router(
        {name: App(name) for name in ("plain", "tools", "all")},
        {
            "m": [
                Target(app="plain", can=frozenset()),
                Target(app="tools", can=frozenset({"tools"}), priority=1),
                Target(app="all", can=frozenset({"tools", "vision", "reasoning"}), priority=2),
            ]
        },
    )
    assert (await chat(router, "m", **members)).json() == {"app": app}


async def test_a_need_that_no_target_meets_is_the_clients_error() -> None:
    app = App()
    router = Router({"a": app}, {"m": Target(app="a", can=frozenset({"tools"}))})
    answer = await chat(router, "m", messages=[{"role": "user", "content": [PICTURE]}])
    assert answer.status == 400
    assert "vision" in answer.json()["error"]["message"]
    assert app.bodies == []


# --- lists ---


async def test_lists_are_merged_and_every_name_in_them_can_be_asked_for() -> None:
    apps = {"openai": App(models=["gpt-6", "tts"]), "other": App(models=["gpt-6", "big"]), "down": App(status=500)}
    router = Router(
        apps,
        {"smart": "other/big", "gpt-*": "openai", "hidden": Route(targets=("openai/tts",), listed=False)},
    )
    answer = await Driver(router).request("GET", "/v1/models")
    names = [row["id"] for row in answer.json()["data"]]
    assert names == ["smart", "gpt-6", "openai/tts", "other/gpt-6", "other/big"]
    for name in names:
        assert (await chat(router, name)).status == 200


async def test_a_list_waits_no_longer_than_it_may() -> None:
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    router = Router({"a": App(models=["x"]), "b": hangs}, {"alias": "b/y"}, list_timeout=0.05)
    answer = await Driver(router).request("GET", "/v1/models")
    assert [row["id"] for row in answer.json()["data"]] == ["alias", "a/x"]


@pytest.mark.parametrize(
    ("path", "headers", "names"),
    [
        ("/v1/models", {}, lambda document: [row["id"] for row in document["data"]]),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, lambda document: [row["id"] for row in document["data"]]),
        ("/v1beta/models", {}, lambda document: [row["name"].removeprefix("models/") for row in document["models"]]),
        ("/api/tags", {}, lambda document: [row["name"] for row in document["models"]]),
    ],
)
async def test_lists_have_each_protocols_shape(path: str, headers: dict[str, str], names: Any) -> None:
    router = Router({"demo": Translator(DemoModel(), speaks="openai-chat")}, {"alias": "demo/demo-small"})
    answer = await Driver(router).request("GET", path, headers=headers)
    listed = {name.removesuffix(":latest") for name in names(answer.json())}
    assert {"alias", "demo/demo-small"} <= listed


@pytest.mark.parametrize(
    ("path", "headers", "pages"),
    [
        (
            "/v1/models",
            {"anthropic-version": "2023-06-01"},
            {
                "limit=1000": {"data": [{"id": "a", "type": "model"}], "has_more": True, "last_id": "a b"},
                "limit=1000&after_id=a%20b": {
                    "data": [{"id": "b", "type": "model"}],
                    "has_more": False,
                    "last_id": "b",
                },
            },
        ),
        (
            "/v1beta/models",
            {},
            {
                "pageSize=1000": {"models": [{"name": "models/a"}], "nextPageToken": "t/2"},
                "pageSize=1000&pageToken=t%2F2": {"models": [{"name": "models/b"}]},
            },
        ),
    ],
)
async def test_lists_that_come_in_pages_are_read_to_their_end(path: str, headers: dict[str, str], pages: Any) -> None:
    asked: list[str] = []

    async def paged(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["query_string"].decode())
        await App(document=pages[asked[-1]])(scope, receive, send)

    answer = await Driver(Router({"x": paged}, {"*": "x"})).request("GET", path + "?limit=1", headers=headers)
    rows = answer.json().get("data") or answer.json()["models"]
    assert [str(row.get("id", row.get("name"))).removeprefix("models/") for row in rows] == ["a", "b"]
    assert asked == list(pages)
    assert not answer.json().get("has_more")


async def test_a_list_without_end_is_left_after_some_pages() -> None:
    asked = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        document = {"models": [{"name": f"models/{asked}"}], "nextPageToken": "more"}
        await App(document=document)(scope, receive, send)

    answer = await Driver(Router({"x": endless}, {"*": "x"})).request("GET", "/v1beta/models")
    assert len(answer.json()["models"]) == asked == MAX_PAGES


async def test_one_model_is_looked_up_under_its_own_name() -> None:
    router = Router({"demo": Translator(DemoModel(), speaks="openai-chat")}, {"alias": "demo/demo-small"})
    drive = Driver(router)
    assert (await drive.request("GET", "/v1/models/alias")).json()["id"] == "alias"
    assert (await drive.request("GET", "/v1/models/demo/demo-small")).json()["id"] == "demo/demo-small"
    assert (await drive.request("GET", "/v1beta/models/alias")).json()["name"] == "models/alias"
    assert (await drive.request("POST", "/api/show", json={"model": "alias"})).status == 200
    assert (await drive.request("GET", "/v1/models/nobody")).status == 404


# --- what names no model ---


@pytest.mark.parametrize("default", [None, "a"])
async def test_requests_without_a_model_go_to_the_default(default: str | None) -> None:
    app = App("a")
    drive = Driver(Router({"a": app, "b": App()}, default=default))
    answers = [
        await drive.request("POST", "/v1/files", body=b"x"),
        await drive.request("POST", "/v1/chat/completions", json={"messages": HELLO}),
        await drive.request("POST", "/v1/chat/completions", body=b"not json"),
        await drive.request("DELETE", "/v1/chat/completions"),
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == ([404, 400, 400, 405] if default is None else [200] * 4)
    assert len(app.bodies) == (0 if default is None else 4)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"model": "m"', "the body: not valid JSON at character 13"),
        (b"", "the body: not valid JSON at character 0"),
        (b"\xff", "the body: not valid UTF-8 at byte 0"),
        (b'{"messages": []}', "the request names no model"),
    ],
)
async def test_a_body_that_cannot_be_read_is_not_told_that_it_names_no_model(body: bytes, told: str) -> None:
    answer = await Driver(Router({"a": App()})).request("POST", "/v1/chat/completions", body=body)
    assert answer.status == 400
    assert answer.json()["error"]["message"] == told


async def test_too_large_a_body_is_413() -> None:
    app = App()
    assert (await chat(Router({"a": app}, {"m": "a"}, max_body=20), "m")).status == 413
    assert app.bodies == []


async def test_the_lifespan_goes_to_every_app_once() -> None:
    one, two = App(), App()
    async with running(Router({"a": one, "b": two, "c": one})):
        assert one.events == two.events == ["start"]
    assert one.events == two.events == ["start", "stop"]


async def test_websockets_go_by_the_model_in_the_query() -> None:
    one, two = App(), App()
    router = Router({"a": one, "b": two}, {"voice": "b/gpt realtime"}, default="a")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b"x=1&model=voice"}
    await router(scope, receive, send)
    await router({**scope, "query_string": b""}, receive, send)
    await Router({"a": one})(scope, receive, send)
    assert two.paths == ["ws?x=1&model=gpt%20realtime"]
    assert one.paths == ["ws?"]
    assert sent[-1]["type"] == "websocket.close"


async def test_websockets_are_shared_by_weights_and_a_target_without_one_waits_for_others_to_fail() -> None:
    one, two, spare = App(), App(), App()
    targets = [Target(app="c", weight=0), Target(app="a", weight=3), Target(app="b", weight=1)]
    router = Router({"a": one, "b": two, "c": spare}, {"voice": Route(targets=tuple(targets))}, rng=Random(7))

    async def nothing(message: Any = None) -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b"model=voice"}
    for _ in range(200):
        await router(scope, nothing, nothing)
    assert not spare.paths
    assert 25 < len(two.paths) < 75
    assert len(one.paths) + len(two.paths) == 200


async def test_a_target_without_weight_is_asked_last_though_it_is_alone_in_its_priority() -> None:
    spare, main = App("spare"), App("main")
    targets = (Target(app="spare", weight=0, priority=0), Target(app="main", priority=1))
    router = Router({"spare": spare, "main": main}, {"m": Route(targets=targets)})
    await Driver(router).request("POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO})
    assert (len(main.paths), len(spare.paths)) == (1, 0)


@pytest.mark.parametrize("renames", [False, True])
async def test_messages_of_a_websocket_say_each_sides_name(renames: bool) -> None:
    said = [
        {"type": "websocket.connect"},
        {
            "type": "websocket.receive",
            "text": '{"type":"session.update", "session":{"model":"voice","x":{"model":"voice"}}}',
        },
        {"type": "websocket.receive", "text": '{"type":"response.create","model" : "voice"}'},
        {"type": "websocket.receive", "text": '{"type":"response.create","response":{"model":"other"}}'},
        {"type": "websocket.receive", "bytes": b'{"model":"voice"}', "text": None},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    heard: list[Any] = []
    sent: list[Any] = []
    answer = '{"type":"session.created","session":{"model":"up","id":1},"item":{"model":"up"}}'

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while len(heard) < len(said):
            heard.append(await receive())
        await send({"type": "websocket.send", "text": answer})
        await send({"type": "websocket.send", "bytes": b'{"model":"up"}'})

    async def receive() -> Any:
        return said[len(heard)]

    async def send(message: Any) -> None:
        sent.append(message)

    router = Router({"b": app}, {"voice": Route(targets=("b/up",), rename_answers=renames)})
    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b"model=voice"}
    await router(scope, receive, send)
    texts = [message["text"] for message in heard[1:4]]
    assert texts == [
        '{"type":"session.update", "session":{"model":"up","x":{"model":"voice"}}}',
        '{"type":"response.create","model" : "up"}',
        '{"type":"response.create","response":{"model":"other"}}',
    ]
    assert heard[4:] == said[4:]
    expected = answer.replace('"session":{"model":"up"', '"session":{"model":"voice"') if renames else answer
    assert [message.get("text") for message in sent] == [expected, None]
    assert sent[1]["bytes"] == b'{"model":"up"}'


# --- on the way ---


async def test_a_streams_first_event_arrives_before_the_next_is_made() -> None:
    goes_on = anyio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        chunk = b'data: {"model":"up","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await goes_on.wait()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    for targets in (("a/up",), ("a/up", "b/up")):
        goes_on = anyio.Event()
        router = Router({"a": slow, "b": slow}, {"m": Route(targets=targets, rename_answers=True)})
        body = {"model": "m", "messages": HELLO, "stream": True}
        async with Driver(router).open("POST", "/v1/chat/completions", json=body) as response:
            with anyio.fail_after(20):
                assert b'"model":"m"' in await anext(response)
            goes_on.set()
            assert (await response.read()).complete


async def test_a_client_that_leaves_ends_a_list() -> None:
    ended: list[str] = []

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    messages = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        await anyio.sleep(0.01)
        return messages.pop(0)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/models", "headers": [], "query_string": b""}
    with anyio.fail_after(20):
        await Router({"a": hangs})(scope, receive, send)
    assert ended == ["cancelled"]
    assert sent == []


async def test_a_client_that_leaves_before_its_body_is_told_above_and_to_no_server() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody listens")

    router = Router({"a": App()}, {"m": "a"})
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    await router(scope, gone, send)
    with pytest.raises(ClientGone):
        await router({**scope, KEY: Exchange(started=0)}, gone, send)


async def test_head_and_other_methods_are_answered_as_they_should() -> None:
    router = Router({"a": App(models=["x"])}, {"m": "a"})
    head = await Driver(router).request("HEAD", "/api/tags")
    assert (head.status, head.body) == (200, b"")
    version = await Driver(router).request("GET", "/api/version")
    assert "version" in version.json()
    refused = await Driver(router).request("GET", "/v1/chat/completions")
    assert refused.status == 405


async def test_what_an_app_raises_is_not_hidden_but_in_lists() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a bug")

    router = Router({"a": broken, "b": App(models=["x"])}, {"m": "a"})
    with pytest.raises(RuntimeError, match="a bug"):
        await chat(router, "m")
    answer = await Driver(router).request("GET", "/v1/models")
    assert [row["id"] for row in answer.json()["data"]] == ["m", "b/x"]


async def test_routers_nest() -> None:
    app = App()
    inner = Router({"deep": app}, {"n": "deep/x"})
    outer = Router({"inner": inner}, {"m": "inner/n"})
    exchange = Exchange(started=0)
    await Driver(outer, scope={KEY: exchange}).request(
        "POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO}
    )
    assert app.asked == ["x"]
    assert [(fact.model, fact.target, fact.upstream_model) for fact in exchange.all(Routed)] == [
        ("m", "inner", "n"),
        ("n", "deep", "x"),
    ]


async def test_orders_are_made_once() -> None:
    made: list[int] = []

    def failover(apps: Any) -> Any:
        made.append(len(apps))
        return apps[0]

    router = Router({"a": App(), "b": App()}, {"m*": ["a", "b"]}, per="request", rng=Random(1), failover=failover)
    for number in range(60):
        await chat(router, f"m{number}")
    assert made == [2, 2]  # each of the two may be first; the models' names do not count


MEMBERS = st.dictionaries(
    st.sampled_from(["a", "messages", "x", 'mo"del']), st.sampled_from([1, 1.5, None, "model", ["m"], {"model": "m"}])
)


@given(MEMBERS, st.booleans())
def test_a_routed_document_is_equal_but_for_its_model(document: dict[str, Any], first: bool) -> None:
    app = App()
    named = {"model": "m", **document} if first else {**document, "model": "m"}

    async def run() -> None:
        await Driver(Router({"a": app}, {"m": "a/o\u00f6"})).request("POST", "/v1/chat/completions", json=named)

    anyio.run(run)
    assert [json.loads(body) for body in app.bodies] == [{**document, "model": "o\u00f6"}]


async def test_a_websocket_for_nobody_is_answered_404_where_the_server_can() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b"model=nobody"}
    await Router({"a": App()}, prefixes=False)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    await Router({"a": App()})({**scope, "extensions": {"websocket.http.response": {}}}, receive, send)
    assert sent[1]["status"] == 404
    assert b"no model that is known here" in sent[2]["body"]
