"""A file is read whole: every problem at once, each with its line, its path and a suggestion, and no value in it."""

from __future__ import annotations

import os
import typing
from pathlib import Path
from typing import Any

import pytest

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.gateway.config import Config, examine, read_config
from ds2api_asgi.gateway.config.base import PATTERNS, Table

ENVIRON = {
    "OPENAI_KEY": "sk-openai-0123456789",
    "GROQ_KEY": "gsk-groq-0123456789",
    "CLIENT": "client-key-0123456789",
    "PASSWORD": "a-long-password",
    "EMPTY": " ",
    "SPACED": "two words",
}
GOOD = """
[upstreams.openai]
preset = "openai"
keys = ["env:OPENAI_KEY"]
"""


def write(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    file = folder / "gateway.toml"
    file.write_bytes(text.encode())
    file.chmod(mode)
    return file


def problems(folder: Path, text: str, **more: str) -> list[str]:
    """The problems of a file, without its folder."""
    examined = examine(write(folder, text), environ={**ENVIRON, **more})
    assert (examined.config is None) == bool(examined.problems)
    return [str(problem).removeprefix(f"{folder}{os.sep}") for problem in examined.problems]


def warnings(folder: Path, text: str) -> list[str]:
    examined = examine(write(folder, text), environ=ENVIRON)
    assert examined.config is not None, examined.problems
    return [str(problem).removeprefix(f"{folder}{os.sep}") for problem in examined.warnings]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, GOOD), environ=ENVIRON)
    assert isinstance(config, Config)
    key = config.upstreams["openai"].keys[0]
    assert key.reveal() == ENVIRON["OPENAI_KEY"]  # type: ignore[union-attr]
    assert ENVIRON["OPENAI_KEY"] not in repr(config) + config.model_dump_json()


def test_all_problems_are_raised_together(tmp_path: Path) -> None:
    text = GOOD + 'retries = 3\n[server]\nport = "x"\n[models.m]\ntargets = ["openia/m"]\n'
    with pytest.raises(ConfigurationError) as raised:
        read_config(write(tmp_path, text), environ=ENVIRON)
    assert str(raised.value).replace(f"{tmp_path}{os.sep}", "").splitlines() == [
        'gateway.toml:5: upstreams.openai.retries: unknown; did you mean "retry"?',
        "gateway.toml:7: server.port: must be a whole number, and is text",
        'gateway.toml:9: models.m.targets[0]: unknown upstream; did you mean "openai"?',
    ]


STRUCTURE = [
    ("", ["1: upstreams: missing; it is needed"]),
    ("upstreams = 5", ["1: upstreams: must be a table, and is a number"]),
    ("[upstreams]", ["1: upstreams: must not be empty"]),
    (GOOD + "[upstream.x]", ['5: upstream: unknown; did you mean "upstreams"?']),
    (GOOD + "[console]\n", ["5: console.password: missing; it is needed"]),
    (GOOD + 'api_key = "x"', ['5: upstreams.openai.api_key: unknown; did you mean "keys"?']),
    (GOOD + "retry = true", ["5: upstreams.openai.retry: must be a table, or false"]),
    (GOOD + "retry.hedge.shar = 1", ['5: upstreams.openai.retry.hedge.shar: unknown; did you mean "share"?']),
    (GOOD + "server.port = 1", ["5: upstreams.openai.server: unknown here; it is a table of its own, [server]"]),
    (GOOD + "on_loss = 'alow'", ['5: upstreams.openai.on_loss: unknown word; did you mean "allow"?']),
    (GOOD + "on_loss = 1", ['5: upstreams.openai.on_loss: must be one of "allow", "warn", "reject", and is a number']),
    (GOOD + "websockets = 1", ["5: upstreams.openai.websockets: must be true or false, and is a number"]),
    (GOOD + "max_total = true", ["5: upstreams.openai.max_total: must be a whole number, and is true or false"]),
    (GOOD + "max_total = 0", ["5: upstreams.openai.max_total: must be at least 1"]),
    (GOOD + "max_total = 1.5", ["5: upstreams.openai.max_total: must be a whole number, and is a number"]),
    (GOOD + "connect_timeout = inf", ["5: upstreams.openai.connect_timeout: must be a finite number"]),
    (GOOD + "connect_timeout = 0", ["5: upstreams.openai.connect_timeout: must be more than 0"]),
    (GOOD + 'connect_timeout = "1"', ["5: upstreams.openai.connect_timeout: must be a number, and is text"]),
    (GOOD + "transforms = 1", ["5: upstreams.openai.transforms: must be an array, as [ … ], and is a number"]),
    (GOOD + "transforms = [{}]", ["5: upstreams.openai.transforms[0].type: missing; it says what this table is"]),
    (
        GOOD + 'transforms = [\n{ type = "text-tools", dialect = "hermse" }]',
        ['6: upstreams.openai.transforms[0].dialect: unknown dialect of tool calls; did you mean "hermes"?'],
    ),
    (
        GOOD + 'transforms = [{ type = "tools" }]',
        ['5: upstreams.openai.transforms[0].type: unknown; there are: "text-tools", "think-tags"'],
    ),
    (
        GOOD + "[access]\nkeys = [{ key = 'env:CLIENT', expires_at = 2027-01-01 }]",
        ["6: access.keys[0].expires_at: must say its zone, as in 2027-01-31T00:00:00Z"],
    ),
    (
        GOOD + "[access]\nkeys = [{ key = 'env:CLIENT', expires_at = 2027-01-01T00:00:00 }]",
        ["6: access.keys[0].expires_at: must say its zone, as in 2027-01-31T00:00:00Z"],
    ),
    (
        GOOD + "[access]\nkeys = [{ name = 'x' }]",
        ["6: access.keys[0].key: missing; it is needed"],
    ),
    (GOOD + "[cost.prices.m]\ninput = 'x'\noutput = -1", [
        "6: cost.prices.m.input: must be a number",
        "7: cost.prices.m.output: must be at least 0",
    ]),
    (
        '[upstreams."my openai"]\npreset = "openai"',
        ['1: upstreams."my openai": ' + next(iter(PATTERNS.values()))],
    ),
    (GOOD + "[[rules]]\nid = 'a'\nthen = 'cool'", ['7: rules[0].then: unknown word; did you mean "cool-key"?']),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STRUCTURE)
def test_what_is_wrong_with_a_table_is_told_in_words(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problems(tmp_path, text) == [f"gateway.toml:{one}" for one in expected]


SYNTAX = [
    ("a = ", "1: not TOML: a value must stand here; text needs quotes"),
    ("\na = env:X", "2: not TOML: a value must stand here; text needs quotes"),
    ("a = 1 2", "1: not TOML: there is something behind the value; does it need quotes?"),
    ("a", "1: not TOML: a name must be followed by = and a value"),
    ('a = "x\n', "1: not TOML: a character that cannot stand here; was a quote forgotten?"),
    ("a = 'x", "1: not TOML: text does not end; was a quote forgotten?"),
    ("a = [\n1,\n", "2: not TOML: a value must stand here; text needs quotes"),
    ("a = [1\nb = 2\n", "2: not TOML: an array does not end"),
    ("a = {b = 1\n", "1: not TOML: a table does not end on its line"),
    ("a = 1\na = 2\n", "2: not TOML: this name stands in the file already, with another value"),
    ("[a]\n[a]\n", "2: not TOML: this table stands in the file already"),
    ("[a\n", "1: not TOML: the name of a table must end with ]"),
    ("[[a\n", "1: not TOML: the name of an array of tables must end with ]]"),
    ("a = {}\n[a.b]\n", "2: not TOML: this table stands in the file already"),
    ('a = "C:\\x"', "1: not TOML: a backslash must be doubled here, or text be put into single quotes"),
    ("= 1", "1: not TOML: a line must be a table's [name], or a name with = and a value"),
    ("é = 1", "1: not TOML: a line must be a table's [name], or a name with = and a value"),
    ("a.é = 1", "1: not TOML: a name must stand here; any but A-Z a-z 0-9 _ - need quotes"),
    ("a = 1979-02-30", "1: not TOML: this is no date"),
    ("a = " + "[" * 5000, "is nested too deeply, or has a number that is too long"),
    (".".join("a" * 5000) + " = 1", "is nested too deeply, or has a number that is too long"),
    ("a = " + "9" * 5000, "is nested too deeply, or has a number that is too long"),
]


@pytest.mark.parametrize(("text", "expected"), SYNTAX)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert found == [f"gateway.toml:{'' if expected[0].isdigit() else ' '}{expected}"]


def test_what_no_file_is_can_not_be_read(tmp_path: Path) -> None:
    assert [str(one) for one in examine(tmp_path / "none.toml").problems] == [
        f"{tmp_path / 'none.toml'}: there is no such file (ds2api init writes one)"
    ]
    assert [one.words for one in examine(tmp_path).problems] == ["cannot be read: Is a directory"]
    assert [one.words for one in examine("a\0b").problems] == ["cannot be read: not the name of a file"]
    (tmp_path / "gateway.toml").write_bytes(b"a = 1\n\xff")
    assert problems_of_bytes(tmp_path) == ["gateway.toml:2: is not UTF-8 text"]
    (tmp_path / "gateway.toml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert problems_of_bytes(tmp_path) == ["gateway.toml: is over 4 MiB"]


def problems_of_bytes(folder: Path) -> list[str]:
    return [str(one).removeprefix(f"{folder}{os.sep}") for one in examine(folder / "gateway.toml").problems]


def test_files_of_windows_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + (GOOD + "retries = 1\n").replace("\n", "\r\n")
    assert problems(tmp_path, text) == ['gateway.toml:5: upstreams.openai.retries: unknown; did you mean "retry"?']


REFERENCES = [
    ("env:OPENAI_KEYS", 'the environment variable OPENAI_KEYS is not set; did you mean "env:OPENAI_KEY"?'),
    ("env:NOTHING_LIKE_IT", "the environment variable NOTHING_LIKE_IT is not set"),
    ("env:EMPTY", "the environment variable EMPTY is empty"),
    ("env:sk-proj-abcdefgh", "the environment variable after env: is not set"),
    ("env: OPENAI_KEY", 'write "env:NAME", without white space'),
    ("env:", 'write "env:NAME", without white space'),
    ("ENV:OPENAI_KEY", 'write "env:NAME" or "file:PATH", in lower case and without white space'),
    (" env:OPENAI_KEY", 'write "env:NAME" or "file:PATH", in lower case and without white space'),
    ("$OPENAI_KEY", 'write "env:NAME" for the value of an environment variable'),
    ("${OPENAI_KEY}", 'write "env:NAME" for the value of an environment variable'),
    ("env:SPACED", "holds white space or other characters that no HTTP header can carry"),
    ("", "is empty"),
    ("file:none", "cannot read the file after file: (No such file or directory)"),
    ("file:", 'write "file:PATH", without white space'),
    ("file:empty", "the file after file: is empty"),
    ("file:binary", "the file after file: is not text"),
    ("file:large", "the file after file: is over 64 KiB"),
    ("file:pipe", "cannot read the file after file: (not a regular file)"),
    ("file:/dev/zero", "cannot read the file after file: (not a regular file)"),
    ("file:.", "cannot read the file after file: (Is a directory)"),
]


@pytest.mark.parametrize(("reference", "words"), REFERENCES)
def test_what_a_reference_does_not_lead_to_is_told(tmp_path: Path, reference: str, words: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    os.mkfifo(tmp_path / "pipe")
    text = f'[upstreams.a]\npreset = "openai"\nkeys = ["{reference}"]'
    assert problems(tmp_path, text) == [f"gateway.toml:3: upstreams.a.keys[0]: {words}"]


def test_references_lead_to_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" from-a-file\n")
    text = """
[upstreams.a]
protocol = "openai-chat"
base_url = "env:URL"
keys = ["file:key", "env:OPENAI_KEY", "literal"]
headers = { "x-team" = "env:SPACED", "x-plain" = "a b" }
"""
    config = read_config(write(tmp_path, text), environ={**ENVIRON, "URL": "http://localhost:1"})
    one = config.upstreams["a"]
    assert one.base_url == "http://localhost:1"
    assert [key.reveal() for key in one.keys] == ["from-a-file", ENVIRON["OPENAI_KEY"], "literal"]  # type: ignore[union-attr]
    assert one.headers == {
        "x-team": "two words",
        "x-plain": "a b",
    }


def test_a_configuration_of_no_file_refers_to_the_process_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_KEY", "sk-of-the-process")
    config = Config.model_validate({"upstreams": {"a": {"preset": "openai", "keys": ["env:OPENAI_KEY"]}}})
    assert config.upstreams["a"].keys[0].reveal() == "sk-of-the-process"  # type: ignore[union-attr]


def test_doubts_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, '[upstreams.a]\npreset = "openai"\n')
    read_config(file, environ=ENVIRON)
    assert caplog.messages == [f"{file}:1: upstreams.a: has no keys, though OpenAI demands one"]


def _tables(table: type[Table], seen: set[type[Table]]) -> None:
    seen.add(table)
    for field in table.model_fields.values():
        rest: list[Any] = [field.annotation]
        while rest:
            one = rest.pop()
            rest += [inner for inner in typing.get_args(one) if inner is not ...]
            if isinstance(one, type) and issubclass(one, Table) and one not in seen:
                _tables(one, seen)


def test_every_member_has_a_docstring() -> None:
    seen: set[type[Table]] = set()
    _tables(Config, seen)
    assert len(seen) > 25
    for table in seen:
        assert table.__doc__
        for name, field in table.model_fields.items():
            assert field.description, f"{table.__name__}.{name}"


@pytest.mark.parametrize("before_it", ["", "#" * 5_000_000])
def test_a_configuration_is_another_one_when_a_certificate_that_it_names_is(before_it: str, tmp_path: Path) -> None:
    file, certificate = tmp_path / "gateway.toml", tmp_path / "ca.pem"
    file.write_text('[upstreams.a]\npreset = "ollama"\ntls = { cafile = "ca.pem" }\n')
    certificate.write_text(before_it + "one")
    before, same = read_config(file), read_config(file)
    certificate.write_text(before_it + "two")
    after = read_config(file)
    files = [one.upstreams["a"].tls.cafile for one in (before, same, after)]
    assert before == same
    assert (before == after, before != after) == (False, True)
    assert (files[0] == files[2], files[0] != files[2], files[0] != files[1]) == (False, True, False)
