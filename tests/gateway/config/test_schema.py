"""The schema accepts what the gateway accepts, and refuses what editors can tell is wrong."""

from __future__ import annotations

import json
import tomllib
import typing
from pathlib import Path
from typing import Any

import pytest

from ds2api_asgi.gateway.config.schema import schema
from ds2api_asgi.gateway.providers.presets import PRESETS
from gateway_documents import FULL, changed, toml

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[3]
MINIMAL = {"upstreams": {"a": {"preset": "openai", "keys": ["env:OPENAI_KEY"]}}}


def as_json(document: dict[str, Any]) -> Any:
    """A document as it comes out of a file, dates as JSON has them."""
    return json.loads(json.dumps(tomllib.loads(toml(document)), default=lambda date: date.isoformat()))


def errors(document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema())
    return [error.json_path for error in validator.iter_errors(document)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("document", [FULL, MINIMAL], ids=["full", "minimal"])
def test_what_the_gateway_accepts_the_schema_accepts(document: dict[str, Any]) -> None:
    assert errors(as_json(document)) == []


def test_configurations_of_the_examples_are_accepted() -> None:
    files = [*ROOT.glob("examples/**/gateway*.toml"), *ROOT.glob("docs/**/gateway*.toml")]
    for file in files:
        document = json.loads(json.dumps(tomllib.loads(file.read_text()), default=lambda date: date.isoformat()))
        assert errors(document) == [], file


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("upstreams", "openai", "retries"), 3),
        (("upstreams", "openai", "preset"), "opnai"),
        (("upstreams", "openai", "strategy"), "tiers"),
        (("upstreams", "openai", "retry"), True),
        (("upstreams", "openai", "keys", 0), 5),
        (("upstreams", "openai", "keys", 1, "secrt"), "x"),
        (("upstreams", "openai", "transforms", 0, "type"), "tools"),
        (("upstreams", "openai", "transforms", 0, "dialect"), "klingon"),
        (("upstreams", "openai", "connect_timeout"), 0),
        (("models", "smart", "targets"), []),
        (("models", "smart", "targets", 1, "wight"), 1),
        (("access", "open"), "yes"),
        (("server", "port"), 70_000),
        (("console", "path"), "console"),
        (("rules", 0, "then"), "cool"),
        (("failover", "fallback_on"), ["context_length"]),
        (("upstreams",), {}),
    ],
)
def test_what_editors_can_tell_is_refused(place: tuple[str | int, ...], value: Any) -> None:
    assert errors(as_json(changed(FULL, place, value)))


def test_everything_in_it_is_described() -> None:
    def look(node: Any, where: str) -> None:
        if isinstance(node, dict):
            for name, member in node.get("properties", {}).items():
                assert member.get("description") or "$ref" in member, f"{where}.{name}"
            for name, member in node.items():
                look(member, f"{where}.{name}")
        elif isinstance(node, list):
            for number, member in enumerate(node):
                look(member, f"{where}[{number}]")

    look(schema(), "$")


def test_names_are_those_of_the_code() -> None:
    upstream = schema()["$defs"]["UpstreamTable"]["properties"]
    assert set(upstream["preset"]["anyOf"][0]["enum"]) == set(PRESETS)
    assert "openai-chat" in upstream["protocol"]["anyOf"][0]["enum"]


def test_nothing_is_fetched() -> None:
    text = json.dumps(schema())
    assert text.count("https://json-schema.org") == 1
    assert all(reference.startswith("#/$defs/") for reference in _references(schema()))


def _references(node: Any) -> typing.Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for member in node.values():
            yield from _references(member)
    elif isinstance(node, list):
        for member in node:
            yield from _references(member)
