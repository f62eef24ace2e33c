"""The pages that programs write are what these programs write today."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest

from commands import ROOT
from ds2api_asgi.universal.request import Request
from shared import needs_shared

DOCS = ROOT / "docs"
PAGES = DOCS / "pages"


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program of a page."""
    if not DOCS.exists():
        pytest.skip("not a checkout: docs is not part of a source distribution")
    names = {program.stem for program in DOCS.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names & set(sys.modules)}  # modules beside the tests
    monkeypatch.syspath_prepend(str(DOCS))
    yield import_module(request.param)
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)


@pytest.mark.parametrize("written", ["mapping"], indirect=True)
def test_the_mapping_is_what_the_codecs_do(written: ModuleType) -> None:
    assert (PAGES / "mapping.md").read_text() == written.page(), "python docs/mapping.py > docs/pages/mapping.md"


@pytest.mark.parametrize("written", ["mapping"], indirect=True)
def test_the_mapping_has_every_member_of_a_request(written: ModuleType) -> None:
    structure = {"turns", "tools", "origin", "ext", "form"}
    assert set(written.REQUEST) == set(Request.__struct_fields__) - structure


@pytest.mark.parametrize("written", ["classification"], indirect=True)
def test_the_table_of_failures_is_what_the_parts_go_by(written: ModuleType) -> None:
    current = (PAGES / "classification.md").read_text()
    assert current == written.page(), "python docs/classification.py > docs/pages/classification.md"


@needs_shared
@pytest.mark.timeout(300)
@pytest.mark.parametrize("written", ["corpus"], indirect=True)
def test_the_table_of_recorded_traffic_is_true(written: ModuleType) -> None:
    assert (PAGES / "corpus.md").read_text() == written.page(), "python docs/corpus.py > docs/pages/corpus.md"


@pytest.mark.parametrize("written", ["configuration", "commands", "metrics", "providers"], indirect=True)
def test_a_reference_is_what_the_code_says(written: ModuleType) -> None:
    name = written.__name__
    assert (PAGES / f"{name}.md").read_text() == written.page(), f"python docs/{name}.py > docs/pages/{name}.md"


@pytest.mark.parametrize("written", ["configuration"], indirect=True)
def test_every_table_has_an_example(written: ModuleType) -> None:
    assert set(written.EXAMPLES) == set(written._tables())


@pytest.mark.parametrize("written", ["protocols"], indirect=True)
def test_the_pages_of_protocols_are_what_the_codecs_say(written: ModuleType) -> None:
    current = {page.name: page.read_text() for page in (PAGES / "protocols").glob("*.md")}
    assert current == written.pages(), "python docs/protocols.py"
