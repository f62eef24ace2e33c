"""`Draft`: what somebody chose for a gateway, and the commented configuration that says it.

Whatever is chosen, the file passes ``ds2api check`` where the variables that it names are set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from ..config.places import dotted
from ..providers.presets import PRESETS

__all__ = ["PASSWORD_FILE", "PASSWORD_VARIABLE", "SCHEMA_FILE", "Draft"]

PASSWORD_FILE: Final = "console-password"  # noqa: S105 - a file's name
"""Where the console's password is kept, beside the configuration."""

PASSWORD_VARIABLE: Final = "DS2API_CONSOLE_PASSWORD"  # noqa: S105 - a variable's name
"""The same where no file may be written."""

SCHEMA_FILE: Final = "gateway.schema.json"


class Draft(Struct, frozen=True, kw_only=True):
    """What was chosen.

    Attributes:
        variables: Environment variables with keys, by the preset; none: it is asked without a key.
        parameters: Of presets that need some.
        digest: Of the key that clients must show; ``""``: they need none.
        console: Whether there is a console.
        password: A reference to its password.
        host: Where the gateway listens.
        port: The port.
        schema: Whether the schema for editors stands beside the file.
    """

    variables: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digest: str = ""
    console: bool = True
    password: str = f"file:{PASSWORD_FILE}"
    host: str = "127.0.0.1"
    port: int = 8000
    schema: bool = True

    def text(self) -> str:
        """The configuration."""
        blocks = [self._head(), *map(self._upstream, self.variables), self._models(), self._access(), self._server()]
        if self.console:
            blocks.append(self._console())
        return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"

    def _head(self) -> list[str]:
        lines = [f"#:schema ./{SCHEMA_FILE}", ""] if self.schema else []
        return [
            *lines,
            "# A gateway to models. `ds2api check` tells what this file means and whether it is right,",
            "# `ds2api serve` serves it, and takes changes over while it runs.",
            "#",
            '# Secrets stand elsewhere: "env:NAME" is an environment variable, "file:PATH" a file beside this one.',
        ]

    def _upstream(self, name: str) -> list[str]:
        preset = PRESETS[name]
        lines = [f"[{dotted(('upstreams', name))}]", f"# {preset.title}; see {preset.page}"]
        lines += [f"# {quirk}" for quirk in preset.quirks]
        lines.append(f"preset = {_text(name)}")
        given = self.parameters.get(name, {})
        if given:
            pairs = ", ".join(f"{parameter} = {_text(value)}" for parameter, value in given.items())
            lines.append(f"parameters = {{ {pairs} }}")
        variables = self.variables[name]
        if preset.token_command:
            lines.append("# The command prints an access token; it is run again before the last one ends.")
            lines.append(f"token = {{ command = {json.dumps(preset.token_command)} }}")
        elif variables:
            if name == next(one for one, keys in self.variables.items() if keys and not PRESETS[one].token_command):
                lines.append("# With several keys, one that is limited or refused rests, and the others go on.")
            lines.append(f"keys = [{', '.join(_text(f'env:{variable}') for variable in variables)}]")
        return lines

    def _models(self) -> list[str]:
        routes = dict(self._routes())
        first = next(iter(self.variables))
        lines = ["# What clients may ask for. Any model is also reached by its upstream's name in front of it, as in"]
        lines.append(f"# {first}/MODEL. A model with several targets goes to the others when one fails:")
        lines += [
            "#",
            "# [models.smart]",
            f"# targets = [{_text(f'{first}/MODEL')}, {_text(f'{self._other}/OTHER-MODEL')}]",
        ]
        if routes:
            whole = "*" in routes
            lines += [
                "",
                "# Every name means a model of the only upstream:" if whole else "# Names that tell whose they are:",
            ]
        for pattern, upstream in routes.items():
            lines += ["", f"[{dotted(('models', pattern))}]", f"targets = [{_text(upstream)}]"]
        return lines

    @property
    def _other(self) -> str:
        return list(self.variables)[-1]

    def _routes(self) -> Iterator[tuple[str, str]]:
        """Names of models that tell their provider, each with the first upstream that has it."""
        if len(self.variables) == 1:
            yield "*", next(iter(self.variables))
            return
        seen: set[str] = set()
        for name in self.variables:
            for family in PRESETS[name].families:
                if family not in seen:
                    seen.add(family)
                    yield family, name

    def _access(self) -> list[str]:
        if self.digest:
            return [
                "[access]",
                "# Who shows this key may come in. Here is only its SHA-256, from which nobody gets the key;",
                '# further keys may be references as well, as "env:NAME".',
                f'keys = [{{ key = "{self.digest}", name = "first" }}]',
            ]
        if self.host in ("127.0.0.1", "localhost", "::1"):
            return []
        return ["[access]", "# Everybody who reaches the port may use the providers' keys.", "open = true"]

    def _server(self) -> list[str]:
        lines = ["[server]"]
        if not self.digest and self.host in ("127.0.0.1", "localhost", "::1"):
            lines.append("# Programs on this machine need no key; for others to come in, [access] must say who.")
        return [*lines, f"host = {_text(self.host)}", f"port = {self.port}"]

    def _console(self) -> list[str]:
        return [
            "[console]",
            "# A page that shows keys, requests and why they went as they did.",
            'path = "/console"',
            f"password = {_text(self.password)}",
        ]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
