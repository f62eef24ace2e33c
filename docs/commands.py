"""Write `commands.md`: the command line, as its own parser tells it.

python docs/commands.py > docs/pages/commands.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final

from ds2api_asgi.gateway import cli

__all__ = ["EXAMPLES", "page"]

_HEAD: Final = """\
# Command line

`ds2api COMMAND`, or `python -m ds2api_asgi COMMAND`. Exit codes: 0, 1 when it could not be done, 2 for wrong usage.
Written by `docs/commands.py` from the parser.

Where a command takes a gateway's file, it may be this one:

```toml title="gateway.toml"
[upstreams.openai]
preset = "openai"
keys = ["env:OPENAI_API_KEY"]

[models.smart]
targets = ["openai/gpt-6"]

[console]
password = "env:CONSOLE_PASSWORD"
```

| command | |
|---|---|
"""

EXAMPLES: Final[dict[str, str]] = {
    "demo": """\
ds2api demo --keys good-key bad-key+429 --log app.log
curl -sN http://127.0.0.1:8000/v1/responses -d '{"model": "demo-small", "input": "Hello"}'
""",
    "check": """\
ds2api check gateway.toml
ds2api check gateway.toml --probe --json
""",
    "convert": """\
echo '{"model": "m", "input": "Hello"}' > request.json
ds2api convert --kind request --from openai-responses --to anthropic request.json
""",
    "init": """\
ds2api init --provider openai --provider anthropic --no-local --stdout
""",
    "keys": """\
ds2api serve gateway.toml
ds2api keys --url http://127.0.0.1:8000/console --password env:CONSOLE_PASSWORD
""",
    "serve": """\
ds2api serve gateway.toml --workers 1 --host 127.0.0.1
curl -sN http://127.0.0.1:8000/v1/responses -d '{"model": "smart", "input": "Hello"}'
""",
    "explain": """\
ds2api explain app.log
""",
    "simulate": """\
ds2api simulate --examples
""",
    "version": """\
ds2api version
""",
}
"""By command: lines that a test runs, one command's after the other's, in one folder."""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    parser = cli._parser()
    (commands,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    summaries = {one.dest: one.help or "" for one in commands._choices_actions}
    yield _HEAD + "\n".join(f"| [`{name}`](#{name}) | {summaries[name]} |" for name in commands.choices)
    yield ""
    for name, command in commands.choices.items():
        yield f"## {name}"
        yield ""
        yield _plain(command.description or "")
        yield ""
        yield from _arguments(command)
        if name in EXAMPLES:
            yield "```sh"
            yield EXAMPLES[name].rstrip()
            yield "```"
            yield ""


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    actions = [
        one for one in command._actions if one.dest != "help" and not isinstance(one, argparse._SubParsersAction)
    ]
    if actions:
        yield "| argument | |"
        yield "|---|---|"
        for action in actions:
            yield f"| {_name(command, action)} | {_plain(_help(action))} |"
        yield ""
    for nested in (one for one in command._actions if isinstance(one, argparse._SubParsersAction)):
        for name, inner in nested.choices.items():
            yield f"### {command.prog.removeprefix('ds2api ')} {name}"
            yield ""
            yield _plain(inner.description or "")
            yield ""
            yield from _arguments(inner)


def _name(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    value = (
        command._get_formatter()._format_args(action, (action.metavar or action.dest.upper()))
        if action.nargs != 0
        else ""
    )
    if not action.option_strings:
        return f"`{value}`".replace("|", "\\|")
    return ", ".join(f"`{option}{' ' + value if value else ''}`" for option in action.option_strings).replace(
        "|", "\\|"
    )


def _help(action: argparse.Action) -> str:
    words = action.help or ""
    if words == argparse.SUPPRESS:
        return ""
    if "%(" in words:
        words = words % {**vars(action), "prog": "ds2api"}
    choices = [] if action.choices is None else [f"`{one}`" for one in action.choices]
    if choices:
        words = f"{words}{'; ' if words else ''}one of {', '.join(choices)}"
    needed = getattr(action, "required", False) and action.option_strings
    return f"**needed**; {words}" if needed and words else "**needed**" if needed else words


def _plain(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;").replace("%%", "%")


if __name__ == "__main__":
    sys.stdout.write(page())
