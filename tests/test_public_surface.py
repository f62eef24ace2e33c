"""The public door: what is exported, that it is documented, and that importing it costs little."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ds2api_asgi
from ds2api_asgi import errors

PACKAGE = Path(ds2api_asgi.__file__).parent
MODULES = ["ds2api_asgi"] + [
    found.name
    for found in pkgutil.walk_packages([str(PACKAGE)], "ds2api_asgi.")
    if not found.name.endswith(".__main__")
]

DOORS = {
    f"ds2api_asgi{room}"
    for room in (
        "",
        ".access",
        ".demo",
        ".observe",
        ".pool",
        ".resilience",
        ".stateful",
        ".testing",
        ".transforms",
        ".translator",
        ".upstream",
    )
}
"""Packages whose ``__init__`` does nothing but collect what users import."""


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order that ruff's RUF022 demands."""
    rank = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return rank, name


def _own(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines itself, or that a door collects."""
    door = module.__name__ in DOORS
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and (value.__module__.startswith("ds2api_asgi.") if door else value.__module__ == module.__name__)
    ]


def _exports(module: ModuleType) -> list[str]:
    """``__all__``; a package whose ``__init__`` is only a docstring has none."""
    return list(getattr(module, "__all__", ()))


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_complete_and_importable(name: str) -> None:
    module = importlib.import_module(name)
    exports = _exports(module)
    assert exports == sorted(set(exports), key=_order)
    assert [export for export in exports if not hasattr(module, export)] == []
    assert [own for own in _own(module) if own not in exports] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_module_and_every_public_thing_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(" .\n"), f"{name} has no docstring"
    for export in _exports(module):
        value = getattr(module, export)
        if inspect.isclass(value) or inspect.isfunction(value):
            # A class without a docstring would show its base's.
            assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__, f"{name}.{export}"


def test_every_error_is_exported_by_the_package() -> None:
    assert set(errors.__all__) <= set(ds2api_asgi.__all__)


def test_the_tree_in_the_docstring_of_errors_is_the_tree_of_classes() -> None:
    told: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)(?: \((\w+)\))?(?:\s{2,}|$)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        branch = [*branch[:depth], match[2]]
        told[match[2]] = branch[depth - 1] if depth else "Exception"
        if match[3]:
            told[match[2]] += f", {match[3]}"
    real = {name: ", ".join(base.__name__ for base in getattr(errors, name).__bases__) for name in errors.__all__}
    assert told == real


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_importing_the_package_loads_no_client_no_server_and_no_codec_and_warns_of_nothing() -> None:
    heavy = (
        "httpx", "httpx2", "httptools", "uvicorn", "starlette", "trio", "argparse",
        "ds2api_asgi.protocols.anthropic", "ds2api_asgi.protocols.openai_chat", "ds2api_asgi.demo",
        "ds2api_asgi.testing", "ds2api_asgi.gateway.cli", "ds2api_asgi.gateway.config", "pydantic",
    )  # fmt: skip
    code = f"import sys, ds2api_asgi; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
