"""The console of a running gateway, asked from outside: where it is, what opens it, and what it answers.

Where it is and what opens it stands in the gateway's own file, of which nothing else needs to be complete here: keys
that the environment of this shell does not have are of no concern.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from ...asgi.secret import Secret
from ...asgi.trace import printable
from ...errors import InvalidDocument
from ...universal import jsontext

__all__ = ["DEFAULT_FILE", "Door", "Refused", "Usage", "door_to"]

DEFAULT_FILE: Final = "gateway.toml"
"""A gateway's file where none is named."""

_TIMEOUT: Final = 30.0  # seconds; a key that is tried out may take half of it
_LARGEST: Final = 64 * 1024 * 1024  # bytes of an answer
_UNSET: Final = "ds2api-unset:"


class Refused(Exception):
    """It could not be done; the words are for the operator."""


class Usage(Exception):
    """It was not said what to do, or where."""


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

    @property
    def host(self) -> str:
        """The host of `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_overheard(self) -> bool:
        """Whether the password would go over a network unencrypted."""
        try:
            here = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            here = self.host == "localhost"
        return urlsplit(self.url).scheme == "http" and not here

    def ask(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        """Ask the console.

        Args:
            method: HTTP method.
            path: Below the console's ``/api/``.
            document: The body; None: none.

        Returns:
            The document that it answers.

        Raises:
            Refused: It did not answer, or not as was hoped.
        """
        parts = urlsplit(self.url)
        body = b"" if document is None else jsontext.dumps(document)
        headers = {"authorization": f"Bearer {self.password.reveal()}", "accept": "application/json"}
        if body:
            headers["content-type"] = "application/json"
        try:
            connection = self._connection()
            try:
                connection.request(method, f"{parts.path}/api/{path}", body=body, headers=headers)
                response = connection.getresponse()
                status, told = response.status, response.read(_LARGEST)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"no gateway answers at {self.url}: {_reason(error)}") from None
        try:
            found = jsontext.loads(told)
        except InvalidDocument:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        raise Refused(_refusal(self, status, found))

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
        context = ssl.create_default_context(cafile=self.certificate)
        if self.certificate is not None:
            # It is the gateway's own certificate that is believed and no other, whatever name it is for.
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_TIMEOUT, context=context)


def door_to(file: str | None, url: str | None, password: str | None) -> Door:
    """The door that a command line names.

    Args:
        file: A gateway's file; None: `DEFAULT_FILE`.
        url: Where the console is, instead of a file.
        password: A reference to its password, instead of the file's.

    Raises:
        Usage: It cannot be told from these.
    """
    if url is not None:
        if file is not None:
            raise Usage("a file and --url: give one of them")
        if password is None:
            raise Usage("--url goes with --password env:NAME or file:PATH")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise Usage("--url is not as http://127.0.0.1:8000/console")
        _check_port(url)
        return Door(url=f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", password=_secret(password))
    door = _door_of(DEFAULT_FILE if file is None else file)
    return door if password is None else Door(url=door.url, password=_secret(password), certificate=door.certificate)


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise Usage("--url has a port that is none") from None


def _secret(reference: str) -> Secret:
    """The secret that an argument refers to; the secret itself would be seen in the list of processes."""
    try:
        from pydantic import TypeAdapter, ValidationError

        from ..config.secrets import Reference, Surroundings
    except ImportError:
        raise Usage("reading references needs pydantic: pip install 'ds2api-asgi[serve]'") from None
    if reference.partition(":")[0] not in ("env", "file"):
        raise Usage("--password is not the password itself, but env:NAME or file:PATH")
    try:
        found: Secret = TypeAdapter(Reference).validate_python(
            reference, context=Surroundings(environ=os.environ, folder=Path())
        )
    except ValidationError as error:
        words = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise Usage(f"--password: {words}") from None
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
        from ..config.reading import examine
    except ImportError:
        raise Usage("reading a gateway's file needs pydantic: pip install 'ds2api-asgi[serve]'") from None
    examined = examine(file, environ=_Lenient())  # warnings are for those who check or serve it
    config = examined.config
    if config is None:
        raise Usage("\n".join(map(str, examined.problems)))
    if config.console is None:
        raise Usage(f'{file}: there is no [console]; add one with a password, as password = "env:CONSOLE_PASSWORD"')
    password = config.console.password
    if password.reveal().startswith(_UNSET):
        name = password.reveal().removeprefix(_UNSET)
        raise Usage(f"{file}: console.password: the environment variable {name} is not set")
    server = config.server
    if not server.port:
        raise Usage(f"{file}: server.port is 0, any that is free: say which with --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    scheme = "http" if server.certfile is None else "https"
    name = f"[{host}]" if ":" in host else host
    certificate = None if server.certfile is None else str(Path(file).parent / server.certfile)
    return Door(url=f"{scheme}://{name}:{server.port}{config.console.path}", password=password, certificate=certificate)


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
    if status == 401 and kind in ("unauthorized", "wrong_password"):
        return f"the console at {door.url} does not accept the password"
    if status == 429 and ours:
        return printable(f"the console at {door.url}: {words}")
    if status == 404 and ours and kind == "not_found" and "pool" in str(words):
        return printable(str(words))
    if status == 404:
        return f"there is no console at {door.url}"
    if ours and status != 401:
        return printable(f"the console at {door.url} answers {status}: {words}")
    return f"what answers at {door.url} is no console (status {status})"
