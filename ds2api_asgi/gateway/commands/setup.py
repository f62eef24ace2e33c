"""What `init` does: choose by flags and questions, make secrets, write files that were not there."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from ...access.client_key import digest_of
from ...errors import ConfigurationError
from ..config import Config, examine
from ..config.checks import is_own
from ..config.schema import schema
from ..providers.presets import PRESETS, Preset
from .draft import PASSWORD_FILE, PASSWORD_VARIABLE, SCHEMA_FILE, Draft
from .probe import probe
from .questions import Questions

__all__ = ["Missing", "set_up"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOCAL_TIMEOUT: Final = 1.0
"""Seconds that a server on this machine has to answer."""

_PORTS: Final = (8000, 8080, 4000)
"""The first of these that no chosen local server has is the gateway's."""


class Missing(Exception):
    """Something must be known and was not said, or was said wrongly."""


def set_up(arguments: argparse.Namespace, questions: Questions | None, environ: Mapping[str, str]) -> int:
    """Choose, and write.

    Args:
        arguments: From `init.configure`.
        questions: Whom to ask; None: nobody.
        environ: The environment.

    Returns:
        0.

    Raises:
        Missing: See the class.
        Unanswered: A question without a default was not answered.
        OSError: A file cannot be written, or is there already.
    """
    names = _providers(arguments, questions, environ)
    parameters = {name: found for name in names if (found := _parameters(PRESETS[name], arguments, questions))}
    variables = {name: _variables(PRESETS[name], names, arguments, questions, environ) for name in names}
    host = arguments.host or "127.0.0.1"
    guarded = _choice(arguments.access, arguments.open, questions, "Must clients show a key?")
    console = arguments.console
    if console is None:
        console = questions is None or questions.ask_yes("A console, to look at keys and requests?", default=True)
    port = arguments.port or _asked_port(_free_port(names), questions)
    key = f"ds2-{secrets.token_urlsafe(32)}" if guarded else ""
    draft = Draft(
        variables=variables,
        parameters=parameters,
        digest=digest_of(key.encode()) if key else "",
        console=console,
        password=f"env:{PASSWORD_VARIABLE}" if arguments.stdout else f"file:{PASSWORD_FILE}",
        host=host,
        port=port,
        schema=not arguments.stdout,
    )
    if arguments.stdout:
        sys.stdout.write(draft.text())
        sys.stdout.flush()
        password = secrets.token_urlsafe(18) if console else ""
        _tell(sys.stderr, arguments.file, draft, key, environ, password=password)
    else:
        _write(Path(arguments.file), draft, force=arguments.force)
        _tell(sys.stdout, arguments.file, draft, key, environ)
    return 0


def _providers(
    arguments: argparse.Namespace, questions: Questions | None, environ: Mapping[str, str]
) -> tuple[str, ...]:
    local = arguments.local
    if questions is None:
        return tuple(dict.fromkeys([*arguments.provider, *(_local_servers() if local else ())]))
    if local is None:
        local = questions.ask_yes(
            "Look for model servers on this machine (Ollama, vLLM, llama.cpp, LM Studio)?", default=True
        )
    found = [name for name, preset in PRESETS.items() if _set_variables(preset, environ)]
    found = [name for name in found if name not in ("openai-responses", "azure-deployment")]  # another way to the same
    servers = _local_servers() if local else []
    listed = list(PRESETS)
    questions.tell("\nProviders:")
    for number, name in enumerate(listed, 1):
        preset = PRESETS[name]
        seen = next(iter(_set_variables(preset, environ)), "")
        mark = f"  ({seen} is set)" if seen else "  (answers on this machine)" if name in servers else ""
        questions.tell(f"  {number:>2}  {name:<17} {preset.title}{mark}")

    def read(answer: str) -> tuple[str, ...]:
        words = [word for word in re.split(r"[\s,]+", answer) if word]
        chosen = [
            listed[int(word) - 1] if word.isdecimal() and 0 < int(word[:3]) <= len(listed) else word for word in words
        ]
        if not chosen or not all(name in PRESETS for name in chosen):
            raise ValueError("numbers or names out of the list, with commas in between")
        return tuple(dict.fromkeys(chosen))

    return questions.ask("Which of them", ", ".join([*found, *servers]) or "openai", read)


def _local_servers() -> list[str]:
    """Presets of servers that answer where they do by default."""
    names = [name for name, preset in PRESETS.items() if preset.keyless]
    config = Config.model_validate({"upstreams": {name: {"preset": name} for name in names}})
    return [one.upstream for one in probe(config, folder=Path(), timeout=_LOCAL_TIMEOUT).asked if one.state == "works"]


def _set_variables(preset: Preset, environ: Mapping[str, str]) -> list[str]:
    """Variables that are set and hold a key: the usual ones, or those with a number behind (``OPENAI_API_KEY_2``)."""
    for variable in preset.variables:
        numbered = re.compile(re.escape(variable) + r"(_?\d{1,3})?")
        found = [name for name, value in environ.items() if numbered.fullmatch(name) and value.strip()]
        if found:
            return sorted(found, key=lambda name: (len(name), name))
    return []


def _parameters(preset: Preset, arguments: argparse.Namespace, questions: Questions | None) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in arguments.parameter:
        place, equals, value = text.partition("=")
        name, _, parameter = place.rpartition(".")
        if not equals or name not in PRESETS or parameter not in PRESETS[name].parameters:
            raise Missing("--parameter is PROVIDER.NAME=VALUE, as azure.resource=mine")
        if name == preset.name:
            given[parameter] = value
    for parameter in preset.needed():
        if parameter in given:
            continue
        if questions is None:
            raise Missing(f"{preset.title} needs --parameter {preset.name}.{parameter}=VALUE")

        def read(answer: str, parameter: str = parameter) -> str:
            try:
                preset.check({**dict.fromkeys(preset.needed(), "x"), parameter: answer})
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
            return answer

        given[parameter] = questions.ask(f"{preset.title}: {parameter}", None, read)
    try:
        preset.check(given)
    except ConfigurationError as error:
        raise Missing(str(error)) from None
    return given


def _variables(
    preset: Preset,
    names: Sequence[str],
    arguments: argparse.Namespace,
    questions: Questions | None,
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    keyed = [name for name in names if not _needs_no_key(PRESETS[name])]
    given: list[str] = []
    for text in arguments.key_env:
        provider, equals, variable = text.rpartition("=")
        if not _VARIABLE.fullmatch(variable) or (equals and provider not in names):
            raise Missing("--key-env is the name of an environment variable, with PROVIDER= in front")
        if not equals and len(keyed) != 1:
            raise Missing("--key-env needs PROVIDER= in front: there is not exactly one provider with keys")
        if provider == preset.name or (not equals and keyed == [preset.name]):
            given.append(variable)
    if given or _needs_no_key(preset):
        return tuple(dict.fromkeys(given))
    usual = _set_variables(preset, environ) or [*preset.variables[:1]]
    if questions is None:
        return tuple(usual)

    def read(answer: str) -> tuple[str, ...]:
        words = [word for word in re.split(r"[\s,]+", answer) if word]
        if not all(_VARIABLE.fullmatch(word) for word in words):
            raise ValueError("names of environment variables, with commas in between; never a key itself")
        return tuple(dict.fromkeys(words))

    return questions.ask(f"{preset.title}: environment variables with its keys", ", ".join(usual), read)


def _needs_no_key(preset: Preset) -> bool:
    return preset.keyless or bool(preset.token_command)


def _choice(yes: bool, no: bool, questions: Questions | None, question: str) -> bool:
    if yes or no:
        return yes
    return questions is None or questions.ask_yes(question, default=True)


def _free_port(names: Iterable[str]) -> int:
    taken = {PRESETS[name].base_url.rpartition(":")[2] for name in names if PRESETS[name].keyless}
    return next(port for port in _PORTS if str(port) not in taken)


def _asked_port(port: int, questions: Questions | None) -> int:
    if questions is None:
        return port

    def read(answer: str) -> int:
        if not answer.isdecimal() or not 0 < int(answer[:6]) <= 65535:
            raise ValueError("1 to 65535")
        return int(answer)

    return questions.ask("Port", str(port), read)


def _write(path: Path, draft: Draft, *, force: bool) -> None:
    """Write the files; what is there stays, but for the configuration with `force`.

    Raises:
        OSError: One cannot be written, or the configuration is there already.
    """
    if draft.console and not os.path.lexists(path.with_name(PASSWORD_FILE)):
        _create(path.with_name(PASSWORD_FILE), secrets.token_urlsafe(18) + "\n", mode=0o600)
    if not os.path.lexists(path.with_name(SCHEMA_FILE)) and draft.schema:
        _create(path.with_name(SCHEMA_FILE), json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", mode=0o644)
    if not force:
        _create(path, draft.text(), mode=0o644)
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _create(beside, draft.text(), mode=0o644)
    try:
        beside.replace(path)  # a gateway that follows the file never sees half of it
    except OSError:
        beside.unlink()
        raise


def _create(path: Path, text: str, *, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)


def _tell(out: TextIO, name: str, draft: Draft, key: str, environ: Mapping[str, str], *, password: str = "") -> None:
    """What was written, the secrets that are shown once, and what comes next."""
    host = draft.host if is_own(draft.host) else "127.0.0.1"
    url = f"http://{f'[{host}]' if ':' in host else host}:{draft.port}"
    lines: list[str] = [""]
    if draft.schema:
        lines.append(f"{name} is written, and {SCHEMA_FILE} for editors beside it.")
    if key:
        lines += [f"Clients show this key; it is kept nowhere, so note it now:  {key}"]
    if draft.console:
        where = (
            f"{PASSWORD_VARIABLE}, which must be set; take this, it is kept nowhere:  {password}"
            if password
            else f"the file {PASSWORD_FILE}"
        )
        lines.append(f"The console will be at {url}/console, its password is in {where}")
    unset = [one for names in draft.variables.values() for one in names if not environ.get(one, "").strip()]
    if unset:
        lines.append(f"Not set yet in this environment: {', '.join(dict.fromkeys(unset))}")
    if draft.schema:
        problems = [] if unset else examine(name, environ=environ).problems
        lines += [f"warning: {problem}" for problem in problems]
    target = name if draft.schema else "FILE"
    lines += ["", f"Next:  ds2api check --probe {target}", f"       ds2api serve {target}"]
    out.writelines(f"{line}\n" for line in lines)
    out.flush()
