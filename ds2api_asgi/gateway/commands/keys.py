"""``ds2api keys``: the keys of a running gateway, and what an operator does with them, through its console.

Where the console is and what opens it stands in the gateway's own file, of which nothing else needs to be complete
here: keys that the environment of this shell does not have are of no concern. The exit code tells the end:

| code | end |
|---|---|
| 0 | told, or done |
| 1 | no gateway answered, it did not let us in, there is no such key, or a test failed |
| 2 | wrong usage, or a file from which it cannot be told where to ask |
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import os
import ssl
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from ...asgi.secret import Secret
from ...asgi.trace import printable
from ...errors import ConfigurationError, InvalidDocument
from ...universal import jsontext

__all__ = ["DESCRIPTION", "Door", "configure", "run", "table"]

DESCRIPTION = (
    "Show the keys of a running gateway, or switch one off or on, or try one out. "
    "It is asked through its console, which its file must have."
)

_ACTIONS: Final = ("disable", "enable", "test")
_DEFAULT_FILE: Final = "gateway.toml"
_TIMEOUT: Final = 30.0  # seconds; a key that is tried out may take half of it
_EVERY: Final = 1.0
_LARGEST: Final = 64 * 1024 * 1024  # bytes of an answer
_UNSET: Final = "ds2api-unset:"
_CLEAR: Final = "\x1b[H\x1b[J"


class Door(Struct, frozen=True, kw_only=True):
    """Where a console is, and what opens it.

    Attributes:
        url: Without a slash at its end.
        password: The console's.
        certificate: The file of the only certificate that is believed; None: as the system believes.
    """

    url: str
    password: Secret
    certificate: str | None = None


class _Refused(Exception):
    """It could not be done; the words are for the operator."""


class _Usage(Exception):
    """It was not said what to do, or where."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE | disable|enable|test POOL/ALIAS",
        help=f"the gateway's file (default: {_DEFAULT_FILE}), and what to do; nothing: show the keys",
    )
    parser.add_argument("--url", help="where the console is, instead of a file: http://127.0.0.1:8000/console")
    parser.add_argument("--password", metavar="REFERENCE", help="its password, as env:NAME or file:PATH")
    parser.add_argument("--model", help="with test: a model to ask for a few tokens, instead of the list of models")
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    parser.add_argument("--watch", action="store_true", help="show the keys again each second, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Ask the gateway; the exit code is as the module says."""
    try:
        file, action, key = _words(arguments)
        door = _door(file, arguments.url, arguments.password)
        if action is None:
            return _show(door, as_json=arguments.json, watch=arguments.watch)
        return _act(door, action, key, model=arguments.model, as_json=arguments.json)
    except _Usage as error:
        return _fail(2, str(error))
    except _Refused as error:
        return _fail(1, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 0


def _words(arguments: argparse.Namespace) -> tuple[str | None, str | None, str]:
    """The file, what is to be done, and with which key."""
    rest = list(arguments.words)
    file = rest.pop(0) if rest and rest[0] not in _ACTIONS else None
    if arguments.model is not None and rest[:1] != ["test"]:
        raise _Usage("--model goes with test")
    if not rest:
        return file, None, ""
    if arguments.watch:
        raise _Usage("--watch shows keys, and does nothing with them")
    if rest[0] not in _ACTIONS:
        raise _Usage(f"{printable(rest[0])}: not one of {', '.join(_ACTIONS)}")
    if len(rest) != 2 or "/" not in rest[1]:
        raise _Usage(f"{rest[0]} goes with one key, as POOL/ALIAS")
    return file, rest[0], rest[1]


def _door(file: str | None, url: str | None, password: str | None) -> Door:
    if url is not None:
        if file is not None:
            raise _Usage("a file and --url: give one of them")
        if password is None:
            raise _Usage("--url goes with --password env:NAME or file:PATH")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise _Usage("--url is not as http://127.0.0.1:8000/console")
        _check_port(url)
        return Door(url=f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", password=_secret(password))
    door = _door_of(_DEFAULT_FILE if file is None else file)
    return door if password is None else Door(url=door.url, password=_secret(password), certificate=door.certificate)


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise _Usage("--url has a port that is none") from None


def _secret(reference: str) -> Secret:
    """The secret that an argument refers to; the secret itself would be seen in the list of processes."""
    try:
        from pydantic import TypeAdapter, ValidationError

        from ..config.secrets import Reference, Surroundings
    except ImportError:
        raise _Usage("reading references needs pydantic: pip install 'ds2api-asgi[serve]'") from None
    if reference.partition(":")[0] not in ("env", "file"):
        raise _Usage("--password is not the password itself, but env:NAME or file:PATH")
    try:
        found: Secret = TypeAdapter(Reference).validate_python(
            reference, context=Surroundings(environ=os.environ, folder=Path())
        )
    except ValidationError as error:
        words = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise _Usage(f"--password: {words}") from None
    return found


class _Lenient(Mapping[str, str]):
    """An environment in which everything is set: keys of providers need not be known here."""

    def __getitem__(self, name: str) -> str:
        return os.environ.get(name) or _UNSET + quote(name, safe="")

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)

    def get(self, name: str, default: Any = None) -> Any:
        del default
        return self[name]


def _door_of(file: str) -> Door:
    try:
        from ..config.reading import read_config
    except ImportError:
        raise _Usage("reading a gateway's file needs pydantic: pip install 'ds2api-asgi[serve]'") from None
    try:
        config = read_config(file, environ=_Lenient())
    except ConfigurationError as error:
        raise _Usage(str(error)) from None
    if config.console is None:
        raise _Usage(f'{file}: there is no [console]; add one with a password, as password = "env:CONSOLE_PASSWORD"')
    password = config.console.password
    if password.reveal().startswith(_UNSET):
        name = password.reveal().removeprefix(_UNSET)
        raise _Usage(f"{file}: console.password: the environment variable {name} is not set")
    server = config.server
    if not server.port:
        raise _Usage(f"{file}: server.port is 0, any that is free: say which with --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    scheme = "http" if server.certfile is None else "https"
    name = f"[{host}]" if ":" in host else host
    certificate = None if server.certfile is None else str(Path(file).parent / server.certfile)
    return Door(url=f"{scheme}://{name}:{server.port}{config.console.path}", password=password, certificate=certificate)


def _show(door: Door, *, as_json: bool, watch: bool) -> int:
    _warn_of_plain_text(door)
    fresh = watch and not as_json and sys.stdout.isatty()
    while True:
        state = _ask(door, "GET", "state")
        pools = state.get("pools")
        if not isinstance(pools, list):
            raise _Refused(f"what answers at {door.url} is no console of this version")
        text = jsontext.dumps({"now": state.get("now"), "pools": pools}).decode() + "\n" if as_json else table(pools)
        sys.stdout.write((_CLEAR if fresh else "") + text)
        sys.stdout.flush()
        if not watch:
            return 0
        time.sleep(_EVERY)
        if not fresh and not as_json:
            sys.stdout.write("\n")


def _act(door: Door, action: str, key: str, *, model: str | None, as_json: bool) -> int:
    _warn_of_plain_text(door)
    pool, _, alias = key.partition("/")
    path = f"keys/{quote(pool, safe='')}/{quote(alias, safe='')}/{action}"
    answer = _ask(door, "POST", path, {} if model is None else {"model": model})
    result = answer.get("result")
    if as_json:
        sys.stdout.write(jsontext.dumps(answer).decode() + "\n")
    elif isinstance(result, dict):
        status = f" (status {result.get('status')}, {result.get('took')} s)" if result.get("status") else ""
        sys.stdout.write(f"{'ok' if result.get('ok') else 'not ok'}: {printable(str(result.get('words')))}{status}\n")
    else:
        sys.stdout.write(table([{"name": pool, "keys": [answer.get("key")]}]))
    return 0 if not isinstance(result, dict) or result.get("ok") is True else 1


def _ask(door: Door, method: str, path: str, document: Any = None) -> dict[str, Any]:
    """Ask the console.

    Raises:
        _Refused: It did not answer, or not as was hoped.
    """
    parts = urlsplit(door.url)
    body = b"" if document is None else jsontext.dumps(document)
    headers = {"authorization": f"Bearer {door.password.reveal()}", "accept": "application/json"}
    if body:
        headers["content-type"] = "application/json"
    try:
        connection = _connection(door)
        try:
            connection.request(method, f"{parts.path}/api/{path}", body=body, headers=headers)
            response = connection.getresponse()
            status, told = response.status, response.read(_LARGEST)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise _Refused(f"no gateway answers at {door.url}: {_reason(error)}") from None
    try:
        found = jsontext.loads(told)
    except InvalidDocument:
        found = None
    if status == 200 and isinstance(found, dict):
        return found
    raise _Refused(_refusal(door, status, found))


def _connection(door: Door) -> http.client.HTTPConnection:
    parts = urlsplit(door.url)
    assert parts.hostname is not None
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=door.certificate)
    if door.certificate is not None:
        # It is the gateway's own certificate that is believed and no other, whatever name it is for.
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_TIMEOUT, context=context)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'no reason given'}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or type(error).__name__
    return "it does not speak HTTP"


def _refusal(door: Door, status: int, found: Any) -> str:
    error = found.get("error") if isinstance(found, dict) else None
    kind, words = (error.get("type"), error.get("message")) if isinstance(error, dict) else (None, None)
    ours = isinstance(kind, str) and isinstance(words, str)
    if status == 401:
        return f"the console at {door.url} does not accept the password"
    if status == 429 and ours:
        return printable(f"the console at {door.url}: {words}")
    if status == 404 and ours and kind == "not_found" and "pool" in str(words):
        return printable(str(words))
    if status == 404:
        return f"there is no console at {door.url}"
    if ours:
        return printable(f"the console at {door.url} answers {status}: {words}")
    return f"what answers at {door.url} is no console (status {status})"


def table(pools: Sequence[Any]) -> str:
    """The keys of all pools, a line each.

    Args:
        pools: As the console's document has them; what is not as expected is left out.
    """
    rows: list[tuple[str, ...]] = [("POOL", "KEY", "STATE", "FOR", "RUNNING", "SERVED", "FAILED", "LEFT")]
    notes = []
    for pool in pools:
        if not isinstance(pool, dict):
            continue
        name = str(pool.get("name"))
        if pool.get("problem"):
            notes.append(f"{name}: {pool['problem']}")
        if pool.get("waiting"):
            notes.append(f"{name}: {pool['waiting']} waiting for a key")
        rows += [_row(name, key) for key in _listed(pool.get("keys"))]
    if len(rows) == 1:
        notes.append("There are no keys.")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(printable(line) for line in [*(lines if len(rows) > 1 else ()), *notes]) + "\n"


def _row(pool: str, key: dict[str, Any]) -> tuple[str, ...]:
    state = "switched off" if key.get("switched_off") else str(key.get("state"))
    rooms = _listed(key.get("headroom"))
    models = key.get("models")
    left = [*map(_room, rooms), *(_model(*one) for one in (models.items() if isinstance(models, dict) else ()))]
    numbers = [str(key.get(name)) for name in ("in_flight", "served", "failed")]
    return (pool, str(key.get("alias")), state, _span(key.get("until")), *numbers, ", ".join(left))


def _listed(told: Any) -> list[dict[str, Any]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _room(room: dict[str, Any]) -> str:
    limit = "" if room.get("limit") is None else f"/{_count(room['limit'])}"
    about = "" if room.get("model") is None else f"{room['model']}: "
    resets = _span(room.get("resets_in"))
    return f"{about}{room.get('of')} {_count(room.get('left'))}{limit}{f' (all in {resets})' if resets else ''}"


def _model(model: str, told: Any) -> str:
    state, until = told if isinstance(told, list) and len(told) == 2 else (told, None)
    span = _span(until)
    return f"{model}: {state}{f' for {span}' if span else ''}"


def _count(number: Any) -> str:
    if not isinstance(number, int | float):
        return "?"
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= 10 * size:
            return f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def _span(seconds: Any) -> str:
    """``"12 s"``, ``"3 min"``, ``"5 h"``; ``""`` where there is no end."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return ""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"


def _warn_of_plain_text(door: Door) -> None:
    parts = urlsplit(door.url)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if parts.scheme == "http" and not here:
        sys.stderr.write(
            f"ds2api keys: the password goes to {printable(host)} unencrypted; https would not let it be seen\n"
        )


def _fail(code: int, problem: str) -> int:
    sys.stderr.write("".join(f"ds2api keys: {line}\n" for line in problem.splitlines()))
    return code
