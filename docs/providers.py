"""Write `providers.md`: the providers that are known by name.

python docs/providers.py > docs/pages/providers.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from ds2api_asgi.gateway.providers.presets import PRESETS, Preset

__all__ = ["page"]

_HEAD: Final = """\
# Providers

Known by name: `preset = "groq"` of an upstream in a gateway's file, or `preset("groq")` in Python. Each is data: where
it is, what it speaks, how it wants its key. Any other server that speaks one of the five works with `protocol` and
`base_url`. Written by `docs/providers.py`.

| preset | | protocol | dialect | key | needs | read |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The page."""
    return "\n".join(
        [_HEAD + "\n".join(map(_row, PRESETS.values())), "", "## Where they are, and quirks", "", *_notes()]
    )


def _row(one: Preset) -> str:
    key = "none" if one.keyless else "`authorization: Bearer …`" if one.header == "authorization" else f"`{one.header}`"
    needs = ", ".join(
        f"`{name}`" + (f" (`{one.defaults[name]}`)" if name in one.defaults else "") for name in one.parameters
    )
    return (
        f"| `{one.name}` | [{one.title}]({one.page}) | `{one.protocol}` | {f'`{one.dialect}`' if one.dialect else '-'} "
        f"| {key} | {needs or '-'} | {one.read} |"
    )


def _notes() -> Iterator[str]:
    for one in PRESETS.values():
        quirks = " " + " ".join(one.quirks) if one.quirks else ""
        yield f"- `{one.name}`: `{one.base_url}`.{quirks}"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
