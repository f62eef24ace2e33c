"""One version, said in four places."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import ds2api_asgi

ROOT = Path(__file__).resolve().parents[1]


def test_pyproject_says_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ds2api_asgi.__version__


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_package() -> None:
    found = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert found[0] == ds2api_asgi.__version__


def test_the_installed_metadata_say_the_version_of_the_package() -> None:
    try:
        installed = metadata.version("ds2api-asgi")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed, only on the path")
    assert installed == ds2api_asgi.__version__


def test_the_command_ds2api_is_installed_with_the_package() -> None:
    try:
        metadata.version("ds2api-asgi")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed, only on the path")
    (command,) = metadata.entry_points(group="console_scripts", name="ds2api")
    assert callable(command.load())
