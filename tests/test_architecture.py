"""The rooms: imports only go down, and what may live in one place lives nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ds2api_asgi"
ROOM = {
    "errors": 0,
    "universal": 0,
    "framing": 0,
    "protocols": 1,
    "transforms": 1,
    "asgi": 2,
    "translator": 3,
    "pool": 3,
    "resilience": 3,
    "upstream": 3,
    "stateful": 3,
    "access": 3,
    "observe": 3,
    "gateway": 4,
    "demo": 4,
    "simulation": 4,
    "testing": 5,
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def _imports(path: Path) -> list[tuple[str, ...]]:
    """What a module imports, as absolute dotted names in pieces."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            found += [(*module, alias.name) for alias in node.names]
    return found


def _room(pieces: tuple[str, ...]) -> str | None:
    return pieces[1] if len(pieces) > 1 and pieces[0] == "ds2api_asgi" and pieces[1] in ROOM else None


def _own(path: Path) -> str | None:
    return _room((*path.relative_to(PACKAGE.parent).with_suffix("").parts,))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    own = _own(path)
    if own is None:
        return  # the public door
    for pieces in _imports(path):
        room = _room(pieces)
        if room is None or room == own:
            continue
        assert ROOM[room] <= ROOM[own], f"{own} imports {'.'.join(pieces)}"
        if ROOM[own] == 3:
            assert ROOM[room] < 3, f"room-3 packages never import each other: {own} imports {'.'.join(pieces)}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "protocols").rglob("*.py")), ids=lambda path: str(path.name))
def test_no_protocol_imports_another(path: Path) -> None:
    relative = path.relative_to(PACKAGE / "protocols").parts
    own = relative[0] if len(relative) > 1 else None
    packages = {child.name for child in (PACKAGE / "protocols").iterdir() if child.is_dir()} - {"openai_shared"}
    for pieces in _imports(path):
        if pieces[:2] == ("ds2api_asgi", "protocols") and len(pieces) > 2 and pieces[2] in packages:
            assert pieces[2] == own


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_may_live_in_one_place_lives_nowhere_else(path: Path) -> None:
    own = _own(path)
    for pieces in _imports(path):
        if pieces[0] == "asyncio":
            known = [PACKAGE / name for name in ("asgi/disconnect.py", "asgi/loop.py", "simulation/loop.py")]
            http1 = PACKAGE / "upstream" / "http1"  # on asyncio's transports
            assert path in known or path.parent == http1, "anyio only, but for what their docstrings say"
        assert "BaseHTTPMiddleware" not in pieces
        if pieces[0] in ("httpx", "httpx2", "httptools", "aiohappyeyeballs"):
            assert own in ("upstream", "testing"), "the HTTP client lives in upstream"
        if pieces[0] in ("starlette", "argparse", "uvicorn"):
            assert own in ("gateway", "testing"), "routing, arguments and servers live in gateway"
        if pieces[0] == "redis":
            assert own in ("pool", "access"), "what processes share lives in stores"
        if pieces[0] == "hypothesis":
            assert own == "testing"
        if len(pieces) > 1 and pieces[:2] == ("ds2api_asgi", "testing"):
            assert own == "testing", "nothing imports testing"


def test_universal_names_no_protocol() -> None:
    for path in (PACKAGE / "universal").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                lowered = node.name.lower()
                assert not any(word in lowered for word in ("openai", "anthropic", "gemini", "ollama")), node.name


PACKAGES = [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE]


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(PACKAGE)))
def test_a_packages_table_names_its_modules_and_no_others(path: Path) -> None:
    rows = [line.split("|")[1] for line in path.read_text().splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)/?`", "".join(rows)))
    modules = {other.stem for other in path.parent.glob("*.py")} - {"__init__", "__main__"}
    packages = {other.parent.name for other in path.parent.glob("*/__init__.py")}
    assert named <= modules | packages
    assert modules <= named
