"""No message holds what the file, a variable or a referenced file holds, wherever something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ds2api_asgi.gateway.config import examine
from ds2api_asgi.gateway.config.base import Table
from ds2api_asgi.gateway.config.places import dotted
from gateway_documents import ENVIRON, FULL, changed, places, toml

CANARY = "sk-cAnArY7w0rd"
EVERYWHERE = set(places(FULL))
# A failover's numbers are those of an upstream's retry: one table, which is tried out there.
PLACES = [
    place
    for place in places(FULL)
    if place[0] != "failover" or ("upstreams", "openai", "retry", *place[1:]) not in EVERYWHERE or len(place) == 1
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_text(name)
    (folder / "canary").write_text(f"{CANARY} {CANARY}\n")
    return folder


def told(folder: Path, document: dict[str, Any], **more: str) -> list[str]:
    file = folder / "gateway.toml"
    file.write_text(toml(document))
    file.chmod(0o600)
    examined = examine(file, environ={**ENVIRON, **more})
    return [f"{one.path}: {one.words}" for one in (*examined.problems, *examined.warnings)]


def test_the_full_document_is_right_and_has_every_member(folder: Path) -> None:
    file = folder / "gateway.toml"
    file.write_text(toml(FULL))
    file.chmod(0o600)
    examined = examine(file, environ=ENVIRON)
    assert not examined.problems
    assert examined.config is not None
    said: dict[type[Table], set[str]] = {}
    rest: list[Any] = [examined.config]
    while rest:
        one = rest.pop()
        if isinstance(one, Table):
            said.setdefault(type(one), set()).update(one.model_fields_set)
            rest += [getattr(one, name) for name in type(one).model_fields]
        elif isinstance(one, dict):
            rest += one.values()
        elif isinstance(one, tuple):
            rest += one
    said[type(examined.config.store)].add("path")  # of sqlite only
    for table, names in said.items():
        assert set(table.model_fields) - names <= {"protocol"}, table.__name__
    assert len(said) > 25


# What is written at every place in turn; of several in a tuple, the places take turns.
WRONG: list[tuple[Any, ...]] = [
    (CANARY,),
    (f"env:{CANARY}",),
    (f"file:{CANARY}",),
    ("file:canary",),
    ("env:CANARY",),
    (f"{CANARY} {CANARY}\n", CANARY * 100),
    (f"/{CANARY}",),
    (f"openai/{CANARY}*",),
    ([CANARY],),
    ([{CANARY.lower(): CANARY, "type": CANARY}],),
    ({"secret": CANARY, "key": CANARY, "upstream": CANARY, "type": CANARY, "x": [CANARY]},),
    (7,),
    (-1.5, True, float("nan")),
    ([],),
    ({},),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: repr(wrong[0])[:20])
def test_a_wrong_value_is_never_repeated_and_told_where_it_is(folder: Path, wrong: tuple[Any, ...]) -> None:
    for number, place in enumerate(PLACES):
        value = wrong[number % len(wrong)]
        document = changed(FULL, place, value)
        there = {dotted(one) for one in places(document)}
        named = CANARY.lower() if isinstance(value, list) and value and isinstance(value[0], dict) else None
        for one in told(folder, document, CANARY=f"{CANARY} \x7f"):
            path, words = one.split(": ", 1)
            assert CANARY not in one, place
            assert named is None or named not in words, place
            assert "cannot be this" not in words, place
            assert path in there or "missing" in words, one


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    place=st.sampled_from(PLACES), value=st.recursive(st.text(max_size=8), lambda inner: st.lists(inner, max_size=2))
)
def test_any_text_anywhere_is_told_or_taken(folder: Path, place: tuple[str | int, ...], value: Any) -> None:
    if "\0" not in toml({"a": value}) and not any(0xD800 <= ord(one) < 0xE000 for one in toml({"a": value})):
        told(folder, changed(FULL, place, value))


def test_a_secret_twice_is_not_repeated(folder: Path) -> None:
    twice = changed(FULL, ("upstreams", "openai", "keys"), [CANARY, {"secret": CANARY, "alias": CANARY}])
    twice = changed(twice, ("access", "keys"), [CANARY * 2, {"key": CANARY * 2, "name": CANARY * 2}])
    words = told(folder, twice)
    assert len(words) == 2
    assert not any(CANARY in one for one in words)


def test_a_name_of_a_key_that_is_the_key_is_not_repeated(folder: Path) -> None:
    named = changed(FULL, ("upstreams", "openai", "keys"), [{"secret": CANARY, "alias": CANARY}])
    named = changed(named, ("access", "keys"), [{"key": CANARY * 2, "name": CANARY * 2}])
    assert told(folder, named) == [
        "upstreams.openai.keys[0].alias: is the key itself, and would be shown",
        "access.keys[0].name: is the key itself, or not 1 to 64 printable characters",
    ]


@pytest.mark.parametrize(
    "url", ["redis://:{}/x@localhost/0", "{}", "http://{}@localhost", "redis://localhost:{}", "redis://[{}/0"]
)
def test_an_address_of_redis_that_is_none_is_not_repeated(folder: Path, url: str) -> None:
    """A password with ``/`` in it is taken for a port, and Python and redis-py would tell which port is none."""
    words = told(folder, changed(FULL, ("store", "url"), url.format(CANARY)))
    assert len(words) == 1
    assert words[0].startswith("store.url: is no address such as redis://")
    assert CANARY not in words[0]


def test_syntax_errors_repeat_nothing(folder: Path) -> None:
    file = folder / "gateway.toml"
    for text in (
        f"[a]\n{CANARY} = 1\n{CANARY} = 2",
        f"[{CANARY}]\n[{CANARY}]",
        f"a = {{ {CANARY} = 1, {CANARY} = 2 }}",
        f"{CANARY} = {{}}\n[{CANARY}.b]",
        f"a = {CANARY}",
        f'a = "{CANARY}',
    ):
        file.write_text(text)
        problems = examine(file, environ=ENVIRON).problems
        assert len(problems) == 1
        assert CANARY not in str(problems[0])


def test_the_configuration_itself_shows_no_secret(folder: Path) -> None:
    document = changed(FULL, ("upstreams", "openai", "keys", 0), CANARY)
    document = changed(document, ("upstreams", "openai", "headers", "x-more"), CANARY)
    document = changed(document, ("store", "url"), f"redis://:{CANARY}@localhost/0")
    file = folder / "gateway.toml"
    file.write_text(toml(document))
    config = examine(file, environ=ENVIRON).config
    assert config is not None
    shown = repr(config) + str(config) + config.model_dump_json() + repr(config.model_dump())
    assert CANARY not in shown
