"""What tables demand of each other, and what is doubtful about them."""

# ruff: noqa: E501, ISC004 - a row is a case

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.config import checks, examine
from ds2api_asgi.gateway.config.checks import is_own
from ds2api_asgi.gateway.config.warnings import _shadowed
from ds2api_asgi.gateway.routing.routes import Table
from gateway_documents import ENVIRON

UP = '[upstreams.a]\npreset = "openai"\nkeys = ["env:OPENAI_KEY"]\n'
ACCESS = '[access]\nkeys = ["env:CLIENT"]\n'
DIGEST = "sha256:" + "9f" * 32


def told(folder: Path, text: str) -> tuple[list[str], list[str]]:
    """Problems and warnings, without the file's name."""
    file = folder / "gateway.toml"
    file.write_text(text)
    file.chmod(0o600)
    for name in ("cert.pem", "key.pem"):
        (folder / name).touch()
    examined = examine(file, environ=ENVIRON)

    def plain(found: Any) -> list[str]:
        return [str(one).removeprefix(f"{folder}{os.sep}gateway.toml:").strip() for one in found]

    return plain(examined.problems), plain(examined.warnings)


PROBLEMS = [
    # where an upstream is
    ("[upstreams.a]", ["1: upstreams.a.protocol: missing; without a preset it is needed",
                       "1: upstreams.a.base_url: missing; without a preset it is needed"]),
    ('[upstreams.a]\nprotocol = "anthropic"', ["1: upstreams.a.base_url: missing; without a preset it is needed"]),
    ('[upstreams.a]\nprotocol = "anthropc"\nbase_url = "http://a"',
     ['2: upstreams.a.protocol: unknown protocol; did you mean "anthropic"?']),
    (UP + 'base_url = "api.openai.com"', ["4: upstreams.a.base_url: must be an absolute http or https URL"]),
    (UP + 'base_url = "https://u:p@a"', ["4: upstreams.a.base_url: must have no credentials, no query and no fragment"]),
    (UP + 'base_url = "https://a/ "',
     ["4: upstreams.a.base_url: must have no white space, backslashes and control characters"]),
    (UP + 'base_url = "https://a/v1/chat/completions"',
     ["4: upstreams.a.base_url: leads to one endpoint: leave out /chat/completions"]),
    (UP + 'base_url = "http://[::1"', ["4: upstreams.a.base_url: is no address"]),
    (UP + 'protocol = "anthropic"', ['4: upstreams.a.protocol: the preset speaks "openai-chat"; leave this out']),
    (UP + 'parameters = { resource = "x" }', ["4: upstreams.a.parameters.resource: this preset has none"]),
    (UP + 'dialect = "grok"', ['4: upstreams.a.dialect: unknown dialect of openai-chat; did you mean "groq"?']),
    ('[upstreams.a]\nprotocol = "anthropic"\nbase_url = "http://a"\nparameters = { x = "y" }',
     ["4: upstreams.a.parameters: only presets have any"]),
    ('[upstreams.a]\npreset = "azure"', ["1: upstreams.a.parameters.resource: missing; Azure OpenAI needs it"]),
    ('[upstreams.a]\npreset = "azure"\nparameters = { resourse = "x" }',
     ['3: upstreams.a.parameters.resourse: unknown parameter; did you mean "resource"?',
      "3: upstreams.a.parameters.resource: missing; Azure OpenAI needs it"]),
    ('[upstreams.a]\npreset = "azure"\nparameters = { resource = "x.y" }',
     ["3: upstreams.a.parameters: resource is a part of a host name"]),
    (UP + 'headers = { host = "x" }', ["4: upstreams.a.headers.host: is set by the gateway itself"]),
    (UP + 'headers = { "x y" = "x" }', ['4: upstreams.a.headers."x y": must be the name of a header']),
    (UP + 'headers = { x = "a\\nb" }', ["4: upstreams.a.headers.x: has control characters, which no header can carry"]),
    # keys
    ('[upstreams.a]\npreset = "openai"\nkeys = [\n"env:OPENAI_KEY",\n"sk-openai-0123456789"]',
     ["5: upstreams.a.keys[1]: is the same key as keys[0]"]),
    ('[upstreams.a]\npreset = "openai"\nkeys = [{secret="k1", alias="x"}, {secret="k2", alias="x"}]',
     ["3: upstreams.a.keys[1].alias: is that of keys[0] as well"]),
    ('[upstreams.a]\npreset = "openai"\nkeys = [{secret="k1", alias="x y"}]',
     ["3: upstreams.a.keys[0].alias: must be 1 to 64 printable characters without white space"]),
    ('[upstreams.a]\npreset = "openai"\nkeys = [{secret="k1", models=[]}]',
     ["3: upstreams.a.keys[0].models: allows no model at all; leave it out to allow all"]),
    ('[upstreams.a]\npreset = "openai"\nkeys = [{secret="k1", quota_scope="q"},\n'
     '{secret="k2", quota_scope="q", limits={rpm=1}}]',
     ["4: upstreams.a.keys[1]: shares its quota_scope with keys[0], but not its limits"]),
    (UP + 'strategy = "roundrobin"', ['4: upstreams.a.strategy: unknown strategy; did you mean "round-robin"?']),
    (UP + 'token = { command = ["x"] }', ["4: upstreams.a.token: stands in place of keys; leave out one of both"]),
    ('[upstreams.a]\npreset = "vertex"\nparameters = { project = "p" }\ntoken = { command = [] }',
     ["4: upstreams.a.token.command: must not be empty"]),
    # keys as they are pasted
    (UP + "[access]\nkeys = ['\"client-key-0123456789\"']",
     ["5: access.keys[0]: stands in quotes that are taken for a part of it (docker's --env-file keeps them)"]),
    (UP + '[access]\nkeys = ["Bearer client-key-0123456789"]',
     ['5: access.keys[0]: begins with "Bearer", which is no part of it']),
    ('[upstreams.a]\npreset = "openai"\nkeys = [{ key = "env:OPENAI_KEY" }]',
     ["3: upstreams.a.keys[0].secret: missing; it is needed",
      '3: upstreams.a.keys[0].key: unknown; did you mean "secret"?']),
    (UP + '[access]\nkeys = [{ secret = "env:CLIENT" }]',
     ["5: access.keys[0].key: missing; it is needed", '5: access.keys[0].secret: unknown; did you mean "key"?']),
    # failures
    (UP + "retry.hedge = { samples = 1000 }",
     ["4: upstreams.a.retry.hedge: samples of a hedge must be at least 1 and at most the window"]),
    (UP + "retry.budget = { capacity = 0.5 }",
     ["4: upstreams.a.retry.budget: a capacity below per_retry allows no repeat; use max_attempts = 1 for that"]),
    (UP + '[failover]\nfallback_on = ["context_window"]',
     ['5: failover.fallback_on[0]: unknown word; did you mean "context-window"?']),
    (UP + '[[rules]]\nid = "x"\nthen = "stop"',
     ["4: rules[0]: would match every failure; give a status, a code or words of the message"]),
    (UP + '[[rules]]\nid = "x"\nthen = "stop"\nstatus = [418]\n[[rules]]\nid = "x"\nthen = "stop"\nmessage = "m"\n'
     'upstreams = ["b"]',
     ["9: rules[1].id: is that of rules[0] as well", "12: rules[1].upstreams[0]: unknown upstream; there are: a"]),
    # models
    (UP + "[models.m]\ntargets = []", ["5: models.m.targets: must not be empty"]),
    (UP + '[models.m]\ntargets = ["b/m"]', ["5: models.m.targets[0]: unknown upstream; there are: a"]),
    (UP + '[models.m]\ntargets = [{ upstream = "A" }]',
     ['5: models.m.targets[0].upstream: unknown upstream; did you mean "a"?']),
    (UP + '[models.m]\ntargets = ["a/m*"]', ["5: models.m.targets[0]: a target's model is one name, without *"]),
    (UP + '[models.m]\ntargets = [{ upstream = "a", weight = 0 }]',
     ["5: models.m.targets: no target has a weight, so none would be asked"]),
    (UP + '[models.m]\ntargets = ["a"]\nfallbacks = ["n"]\n[models.nn]\ntargets = ["a"]',
     ['6: models.m.fallbacks[0]: there is no model of this name here; did you mean "nn"?']),
    (UP + '[models.m]\ntargets = ["a"]\nfallbacks = ["m*"]\n[models."m*"]\ntargets = ["a"]',
     ["6: models.m.fallbacks[0]: a pattern names no model"]),
    (UP + '[models.m]\ntargets = ["a"]\nfallbacks = ["m"]', ["6: models.m.fallbacks[0]: closes a circle: m -> m"]),
    (UP + '[models.m]\ntargets = ["a"]\nfallbacks = ["n", "o"]\n[models.n]\ntargets = ["a"]\nfallbacks = ["o"]\n'
     '[models.o]\ntargets = ["a"]\nfallbacks = ["m"]',
     ["12: models.o.fallbacks[0]: closes a circle: m -> n -> o -> m"]),
    (UP + '[models.m]\ntargets = ["a"]\noverride = { model = "x" }\nremove = ["stream"]\n',
     ["6: models.m.override.model: is what the gateway itself goes by, and cannot be changed here",
      "7: models.m.remove[0]: is what the gateway itself goes by, and cannot be changed here"]),
    (UP + '[models.m]\ntargets = ["a"]\ndefault = { x = [1979-05-27], y = { z = nan } }',
     ["6: models.m.default.x[0]: is a date or a time, which JSON does not have; put it into quotes",
      "6: models.m.default.y.z: must be a finite number"]),
    (UP + '[models."*a*b*c*d*e"]\ntargets = ["a"]', ['4: models."*a*b*c*d*e": a pattern has at most 4 stars']),
    (UP + '[models.""]\ntargets = ["a"]', ['4: models."": the name of a model has 1 to 256 characters']),
    (UP + '[router]\ndefault = "b"', ["5: router.default: unknown upstream; there are: a"]),
    (UP + '[models.gpt-4.1]\ntargets = ["a"]',
     ["4: models.gpt-4.targets: missing; it is needed",
      '4: models.gpt-4.1: unknown; a name with a dot needs quotes: [models."gpt-4.1"]']),
    (UP + 'transforms = ["think-tags"]',
     ['4: upstreams.a.transforms[0]: must be a table that says what it is, as { type = "…" }, and is text']),
    # access
    (UP + "[access]", ["4: access.keys: missing; without keys nobody could come in (open = true lets everybody in)"]),
    (UP + ACCESS + "open = true", ["6: access.open: is for a gateway without keys; leave out one of both"]),
    (UP + '[access]\nkeys = ["short"]',
     ["5: access.keys[0]: is shorter than 16 characters or a placeholder: anybody could guess it"]),
    (UP + '[access]\nkeys = [{ key = "sha256:12" }]',
     ["5: access.keys[0].key: that begins with sha256: is not followed by 64 hex digits"]),
    (UP + f'[access]\nkeys = ["{DIGEST}",\n"{DIGEST.replace("f", "F")}"]',
     ["6: access.keys[1]: is the same key as keys[0]"]),
    (UP + f'[access]\nkeys = [{{ key = "{DIGEST}", name = "x" }}, {{ key = "env:CLIENT", name = "x" }}]',
     ["5: access.keys[1].name: is that of keys[0] as well"]),
    (UP + f'[access]\nkeys = [{{ key = "{DIGEST}", models = ["a", "*a*b*c*d*"] }}]',
     ["5: access.keys[0].models[1]: has at most four stars"]),
    (UP + 'proxy = "proxy.example:3128"', ["4: upstreams.a.proxy: is no address such as http://proxy.example:3128"]),
    (UP + 'proxy = "socks5://h:1"',
     ["4: upstreams.a.proxy: takes http:// and https://; for others hand in a client"]),
    (UP + 'tls = { cafile = "none.pem", certfile = "cert.pem" }',
     ["4: upstreams.a.tls.certfile: needs keyfile beside it", "4: upstreams.a.tls.cafile: there is no such file"]),
    # the server
    (UP + '[server]\nhost = "0.0.0.0"',
     ["5: server.host: other machines reach this: say in [access] who may come in, or open = true there for everybody"]),
    (UP + '[server]\nhost = "127.0.0.1:8000"',
     ["5: server.host: must be a name or an address, without http:// and port (which is server.port)"]),
    (UP + ACCESS + '[server]\nhost = "[::1]"', []),
    (UP + ACCESS + '[server]\nhost = "fe80::1%eth0"', []),
    (UP + ACCESS + '[server]\nhost = "10.0.0.0/8"',
     ["7: server.host: must be a name or an address, without http:// and port (which is server.port)"]),
    (UP + '[server]\nhost = "http://localhost"',
     ["5: server.host: must be a name or an address, without http:// and port (which is server.port)"]),
    (UP + '[server]\ntrust_forwarded = ["::1", "10.0.0.0/8", "nginx"]',
     ["5: server.trust_forwarded[2]: must be an address, or a network as 10.0.0.0/8"]),
    (UP + '[store]\ntype = "sqlite"\npath = "none/keys.db"', ["6: store.path: there is no such folder to keep it in"]),
    (UP + '[responses]\ntype = "sqlite"\npath = "none/r.db"', ["6: responses.path: there is no such folder to keep it in"]),
    (UP + '[log]\nfile = "none/gateway.log"', ["5: log.file: there is no such folder to keep it in"]),
    (UP + '[server]\ncertfile = "cert.pem"', ["5: server.certfile: needs keyfile beside it"]),
    (UP + '[server]\ncertfile = "cert.pem"\nkeyfile = "none.pem"', ["6: server.keyfile: there is no such file"]),
    (UP + '[server]\nroot_path = "llm/"', ['5: server.root_path: must be a path such as "/llm", without / at its end']),
    (UP + '[store]\ntype = "redis"', ['4: store.url: missing; the type "redis" needs it']),
    (UP + '[store]\npath = "x"', ['5: store.path: only the type "sqlite" has one']),
    (UP + '[store]\ntype = "sqlite"\nurl = "redis://x"',
     ['4: store.path: missing; the type "sqlite" needs a file', '6: store.url: only the type "redis" has one']),
    (UP + '[responses]\ntype = "sqlite"', ['4: responses.path: missing; the type "sqlite" needs a file']),
    (UP + '[console]\npassword = "too-short"', ["5: console.password: has fewer than 12 characters"]),
    (UP + '[metrics]\npath = "/console"\n[console]\npassword = "env:PASSWORD"',
     ["5: metrics.path: is that of [console], or one of both is beneath the other"]),
    (UP + '[metrics]\npath = "/console/metrics"\n[console]\npassword = "env:PASSWORD"',
     ["5: metrics.path: is that of [console], or one of both is beneath the other"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PROBLEMS)
def test_what_does_not_fit_together_is_told(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert told(tmp_path, text)[0] == expected


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1", "openai-chat"),
        ("/api", "ollama"),
        ("/v1beta", "gemini"),
        ("/v1/messages", "anthropic"),
        ("/v1/chat", "openai-chat"),
        ("/chat/completions", "openai-chat"),
        ("/responses", "openai-responses"),
        ("/v1/realtime", "openai-responses"),
        ("/v1/models/console", "openai-chat"),
    ],
)
def test_a_page_hides_no_protocol(tmp_path: Path, path: str, owner: str) -> None:
    found, _ = told(tmp_path, UP + f'[metrics]\npath = "{path}"')
    assert found == [f"5: metrics.path: hides requests of {owner}; take another"]


@pytest.mark.parametrize("path", ["/metrics", "/console", "/v1x", "/admin/v1", "/internal/metrics"])
def test_other_paths_are_free(tmp_path: Path, path: str) -> None:
    assert told(tmp_path, UP + f'[metrics]\npath = "{path}"') == ([], [])


@pytest.mark.parametrize(
    ("text", "place", "extra"),
    [
        ("[metrics]", "metrics", "metrics"),
        ("[cost]", "cost", "cost"),
        ("[telemetry]", "telemetry", "otel"),
        ('[store]\ntype = "redis"\nurl = "redis://x"', "store.type", "redis"),
        ('[server]\nserver = "granian"', "server.server", "granian"),
        ("websockets = true", "upstreams.a.websockets", "websocket"),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str, extra: str
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    (found,) = told(tmp_path, UP + text)[0]
    assert found.split(": ", 1)[1] == f"{place}: needs a package that is missing: pip install 'ds2api-asgi[{extra}]'"


WARNINGS = [
    (UP, []),
    (UP + ACCESS, []),
    ('[upstreams.a]\npreset = "openai"', ["1: upstreams.a: has no keys, though OpenAI demands one"]),
    ('[upstreams.a]\npreset = "ollama"', []),
    ('[upstreams.a]\npreset = "vertex"\nparameters = { project = "p" }\ntoken = { command = ["sh"] }', []),
    ('[upstreams.a]\npreset = "vertex"\nparameters = { project = "p" }\ntoken = { command = ["no-such-program"] }',
     ["4: upstreams.a.token.command: there is no such program on this machine"]),
    ('[upstreams.a]\npreset = "openai"\nkeys = ["env:OPENAI_KEY", "sk-1,sk-2"]',
     ["3: upstreams.a.keys[1]: has a comma: several keys are as many members of the list"]),
    (UP + '[access]\nkeys = ["env:OPENAI_KEY"]',
     ["5: access.keys[0]: is a key of upstreams.a as well, which clients would then hold"]),
    (UP + 'conversation_header = "x-c"', ['4: upstreams.a.conversation_header: counts only for the strategy "affinity"']),
    (UP + 'base_url = "http://llm.example.com"', ["4: upstreams.a.base_url: sends keys without TLS"]),
    (UP + 'base_url = "http://vllm:8000"', []),
    (UP + '[models."gpt-*"]\ntargets = ["a"]\n[models."gpt-**"]\ntargets = ["a"]',
     ['6: models."gpt-**": is never reached: "gpt-*" comes first']),
    (UP + '[models.m]\ntargets = ["a"]\ndefault = { x = 1, y = 2 }\noverride = { x = 2 }\nremove = ["y"]',
     ["6: models.m.default.x: counts for nothing, since it is overridden or removed",
      "6: models.m.default.y: counts for nothing, since it is overridden or removed"]),
    (UP + '[models.m]\ntargets = [{ upstream = "a", can = ["tools"] }]',
     ["5: models.m.targets: no target has reasoning, vision; requests that need it are refused"]),
    (UP + f'[models.m]\ntargets = ["a"]\n[access]\nkeys = [{{ key = "{DIGEST}", models = ["m", "a/x", "gpt-*", "n"], '
     "expires_at = 2020-01-01T00:00:00Z }]",
     ["7: access.keys[0].expires_at: is in the past, so the key opens nothing",
      "7: access.keys[0].models[3]: is no model of this file"]),
    (UP + "[access]\nopen = true", ["5: access.open: counts for nothing while only this machine reaches the server"]),
    (UP + '[access]\nopen = true\n[server]\nhost = "::"',
     ["5: access.open: everybody who reaches the port may use the providers' keys"]),
    (UP + ACCESS + '[server]\nhost = "0.0.0.0"\n[metrics]\n[console]\npassword = "env:PASSWORD"',
     ["7: server.host: client keys come without TLS",
      "8: metrics: everybody who reaches the port may read them; a token keeps them private",
      "9: console: its password and what it shows go over the network without TLS"]),
    (UP + ACCESS + '[server]\nhost = "0.0.0.0"\ncertfile = "cert.pem"\nkeyfile = "key.pem"', []),
    (UP + ACCESS + '[server]\nhost = "0.0.0.0"\ntrust_forwarded = ["*"]',
     ["8: server.trust_forwarded: everybody may say whose address a request comes from"]),
    (UP + "[server]\nworkers = 2\n[responses]\n",
     ["5: server.workers: each worker learns for itself how keys are, and limits hold for each; give them a [store]",
      "5: server.workers: each worker has its own responses, so previous ones are often not found; keep them in sqlite"]),
    (UP + f'[access]\nkeys = [{{ key = "{DIGEST}", limits = {{ rpm = 1 }} }}]\n'
     '[server]\nworkers = 2\n[store]\ntype = "sqlite"\npath = "x"',
     ["7: server.workers: the limits of clients are counted by each worker; only a [store] of redis shares them"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WARNINGS)
def test_what_is_doubtful_is_told(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert told(tmp_path, text) == ([], expected)


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ('keys = ["sk-literal"]', 0o644, True),
        ('keys = ["sk-literal"]', 0o640, True),
        ('keys = ["sk-literal"]', 0o600, False),
        ('keys = ["env:OPENAI_KEY"]', 0o644, False),
        (f'keys = ["env:OPENAI_KEY"]\n[access]\nkeys = ["{DIGEST}"]', 0o644, False),
        ('keys = ["env:OPENAI_KEY"]\n[access]\nkeys = ["a-client-key-of-length"]', 0o644, True),
    ],
)
def test_secrets_in_a_file_that_others_read_are_a_warning(tmp_path: Path, text: str, mode: int, warned: bool) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'[upstreams.a]\npreset = "openai"\n{text}')
    file.chmod(mode)
    found = [str(one) for one in examine(file, environ=ENVIRON).warnings]
    words = f"{file}: holds secrets, and others than its owner may read it: chmod 600 {file}"
    assert found == ([words] if warned else [])


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("app.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_hosts_of_this_machine(host: str, own: bool) -> None:
    assert is_own(host) is own


PATTERNS = st.lists(st.text(st.sampled_from("ab*"), min_size=1, max_size=5), min_size=1, max_size=4, unique=True)
NAMES = st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=6), max_size=20)


@given(PATTERNS, NAMES)
def test_a_pattern_that_is_said_to_be_hidden_is_never_reached(patterns: list[str], names: list[str]) -> None:
    try:
        table = Table(["up"], dict.fromkeys(patterns, "up"), prefixes=False)
    except ConfigurationError:
        return
    hidden = {name for name, _ in _shadowed(patterns)}
    for name in names:
        found = table.find(name)
        assert found is None or found.way.name not in hidden
