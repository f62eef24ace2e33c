"""Write the reference of the Python interface out of the docstrings: one page for each public package.

    python docs/reference.py

The pages are written into `docs/pages/reference/`, which is not kept: docstrings are the reference, and these pages
are made with the site. `docs/build.py` does it.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from docstrings import markdown

__all__ = ["MODULES", "write"]

FOLDER: Final = Path(__file__).resolve().parent / "pages" / "reference"
PACKAGE: Final = "ds2api_asgi"

MODULES: Final = (
    "ds2api_asgi",
    "ds2api_asgi.errors",
    "ds2api_asgi.gateway",
    "ds2api_asgi.gateway.routing.router",
    "ds2api_asgi.gateway.routing.routes",
    "ds2api_asgi.gateway.providers.presets",
    "ds2api_asgi.gateway.config",
    "ds2api_asgi.gateway.console",
    "ds2api_asgi.resilience",
    "ds2api_asgi.resilience.timeouts",
    "ds2api_asgi.pool",
    "ds2api_asgi.pool.strategies",
    "ds2api_asgi.pool.store",
    "ds2api_asgi.access",
    "ds2api_asgi.observe",
    "ds2api_asgi.stateful",
    "ds2api_asgi.translator",
    "ds2api_asgi.transforms",
    "ds2api_asgi.upstream",
    "ds2api_asgi.asgi.exchange",
    "ds2api_asgi.asgi.facts",
    "ds2api_asgi.asgi.trace",
    "ds2api_asgi.protocols.base",
    "ds2api_asgi.protocols.codec",
    "ds2api_asgi.protocols.registry",
    "ds2api_asgi.protocols.classification",
    "ds2api_asgi.universal.request",
    "ds2api_asgi.universal.response",
    "ds2api_asgi.universal.content",
    "ds2api_asgi.universal.events",
    "ds2api_asgi.universal.failure",
    "ds2api_asgi.universal.loss",
    "ds2api_asgi.testing",
    "ds2api_asgi.demo",
    "ds2api_asgi.simulation",
)
"""What has a page, in the order of the list; the first page that has a name is where it is described."""


def write() -> None:
    """Write all pages, and remove what other runs have left."""
    FOLDER.mkdir(exist_ok=True)
    modules = [import_module(name) for name in MODULES]
    homes: dict[int, tuple[str, str]] = {}
    links: dict[str, str] = {}
    for module in modules:
        for name, thing in _public(module):
            page, anchor = homes.setdefault(_identity(name, thing), (module.__name__, f"{module.__name__}.{name}"))
            links.setdefault(name, f"{page}.md#{anchor.lower()}")
    written = {"index.md": "\n".join(_index(modules))}
    for module in modules:
        written[f"{module.__name__}.md"] = "\n".join(_page(module, homes, links))
    for old in FOLDER.glob("*.md"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text)


def _public(module: ModuleType) -> list[tuple[str, Any]]:
    return [(name, getattr(module, name)) for name in getattr(module, "__all__", ())]


def _identity(name: str, thing: Any) -> int:
    """Things are told apart by being the same; plain values, by their names too."""
    return id(thing) if isinstance(thing, type | FunctionType) else hash((name, id(thing)))


def _index(modules: list[ModuleType]) -> Iterator[str]:
    yield "# Python interface"
    yield ""
    yield "Written out of the docstrings. What most people need stands in the first one."
    yield ""
    yield "| module | what is in it |"
    yield "|---|---|"
    for module in modules:
        claim = markdown(module.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        yield f"| [`{module.__name__}`]({module.__name__}.md) | {claim} |"
    yield ""


def _page(module: ModuleType, homes: dict[int, tuple[str, str]], links: dict[str, str]) -> Iterator[str]:
    def link(name: str) -> str | None:
        target = links.get(name)
        return None if target is None else target.removeprefix(f"{module.__name__}.md")

    yield f"# {module.__name__}"
    yield ""
    yield markdown(module.__doc__ or "", link)
    elsewhere = []
    for name, thing in _public(module):
        page, anchor = homes[_identity(name, thing)]
        if page != module.__name__:
            elsewhere.append(f"[`{name}`]({page}.md#{anchor.lower()})")
            continue
        yield f"## `{name}` {{ #{anchor.lower()} }}"
        yield ""
        yield from _described(name, thing, link)
    if elsewhere:
        yield "## Described elsewhere"
        yield ""
        yield ", ".join(elsewhere)
        yield ""


def _described(name: str, thing: Any, link: Any) -> Iterator[str]:
    if isinstance(thing, type):
        yield from _signature(name, thing)
        yield markdown(thing.__doc__ or "", link)
        if issubclass(thing, enum.Enum):
            yield "Values: " + ", ".join(f"`{member.value!r}`" for member in thing)
            yield ""
        for member_name, member in vars(thing).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if member_name.startswith("_") or not getattr(function, "__doc__", None):
                continue
            if isinstance(member, property):
                yield f"**`{name}.{member_name}`** (property)"
            elif inspect.isfunction(function):
                words = "async " if inspect.iscoroutinefunction(function) else ""
                arguments = _arguments(function, bound=not isinstance(member, staticmethod))
                yield f"**`{words}{name}.{member_name}{arguments}`**"
            else:
                continue
            yield ""
            yield markdown(function.__doc__, link)
    elif inspect.isfunction(thing):
        yield from _signature(name, thing)
        yield markdown(thing.__doc__ or "", link)
    elif isinstance(thing, str | int | float | tuple | frozenset) and len(repr(thing)) < 200:
        yield f"`{thing!r}`"
        yield ""
    else:
        yield f"A `{type(thing).__name__}`."
        yield ""


def _signature(name: str, thing: Any) -> Iterator[str]:
    if isinstance(thing, type) and issubclass(thing, enum.Enum):
        return
    arguments = _arguments(thing)
    if arguments is None:
        return
    text = f"{name}{arguments}"
    if len(text) > 100 and ", " in text:
        inner, _, after = arguments[1:].rpartition(")")
        text = f"{name}(\n    " + ",\n    ".join(_split(inner)) + f",\n){after}"
    yield "```python"
    yield text
    yield "```"
    yield ""


def _split(arguments: str) -> Iterator[str]:
    """Arguments at the commas that stand in no bracket."""
    depth, one = 0, ""
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield one.strip()
            one = ""
        else:
            one += letter
    if one.strip():
        yield one.strip()


def _arguments(thing: Any, *, bound: bool = False) -> str | None:
    try:
        signature = inspect.signature(thing)
    except (ValueError, TypeError):
        return None
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    plain = [
        one.replace(
            annotation=_Shown(_annotation(one.annotation)) if one.annotation is not one.empty else one.empty,
            default=one.default if one.default is one.empty else _Shown(_default(one.default)),
        )
        for one in parameters
    ]
    answer = signature.return_annotation
    words = "" if answer is signature.empty or isinstance(thing, type) else f" -> {_annotation(answer)}"
    return str(signature.replace(parameters=plain, return_annotation=signature.empty)) + words


class _Shown:
    """Something that a signature shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", None)
    if text is None or getattr(annotation, "__args__", None):
        text = annotation if isinstance(annotation, str) else str(annotation)
    return re.sub(r"\b(?:[a-z_][\w]*\.)+([A-Z])", r"\1", text).replace("'", "")


def _default(default: Any) -> str:
    if callable(default):
        name = getattr(default, "__name__", "…")
        return "…" if "<" in name else name
    shown = repr(default)
    return "…" if " at 0x" in shown or len(shown) > 200 else shown


if __name__ == "__main__":
    write()
