"""A provider known by name: `Preset`, which makes an app of itself.

`Preset.upstream` asks the provider in its own protocol, `Preset.app` puts a `Translator` in front, in the provider's
dialect. What a request may contain is the dialect's matter (`protocols.openai_chat.dialects`); here is only how the
provider is reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from string import Formatter
from typing import Any, Final

from msgspec import Struct, field

from ...asgi.types import ASGIApp
from ...errors import ConfigurationError
from ...pool.renewed_token import RenewedToken, TokenSource
from ...protocols import registry
from ...translator import Translator
from ...upstream import Upstream
from .address import Readdressed

__all__ = ["Preset"]

_PARAMETER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Preset(Struct, frozen=True, kw_only=True):
    """A provider.

    Attributes:
        name: What configuration calls it (``"groq"``).
        title: What people call it.
        protocol: The protocol that it speaks.
        base_url: Where it is; ``{resource}`` is a parameter that the operator must give.
        header: The header of its key, in lower case; the values of ``authorization`` begin with ``Bearer``.
        dialect: The dialect of `protocol` that it understands; ``""``: the protocol itself.
        keyless: Whether it answers without a key.
        lists: Whether what it lists are the models that may be asked for (Azure's are asked for by deployment).
        defaults: Values of parameters that need not be given.
        variables: Environment variables that the provider's own tools read its key from, the usual one first.
        variables_page: The page that says so, read on 2026-11-29.
        token_command: What prints an access token where the provider takes those in place of keys; none: it takes keys.
        families: What the names of its own models look like; none where it has other makers' models, too.
        strip: A pattern of what the protocol's paths begin with and its own do not.
        prefix: What comes instead.
        query: What is added to the query; may have parameters, too.
        quirks: What else to know, in sentences.
        page: The provider's own page about it.
        read: When that was read, as an ISO date.
    """

    name: str
    title: str
    base_url: str
    page: str
    protocol: str = "openai-chat"
    header: str = "authorization"
    dialect: str = ""
    keyless: bool = False
    lists: bool = True
    defaults: dict[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    variables_page: str = ""
    token_command: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    strip: str = ""
    prefix: str = ""
    query: str = ""
    quirks: tuple[str, ...] = ()
    read: str = "2026-11-28"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what its URLs need to know, in the order in which they stand there."""
        names = (name for text in (self.base_url, self.query) for _, name, _, _ in Formatter().parse(text) if name)
        return tuple(dict.fromkeys(names))

    def url(self, **parameters: str) -> str:
        """Its base URL.

        Args:
            parameters: ``resource="mine"``.

        Raises:
            ConfigurationError: One is missing, unknown, or could lead to another host or path.
        """
        values = self.check(parameters)
        if self.name == "vertex" and values["location"] == "global":  # its host has no location in it
            return self.base_url.format(**values).replace("//global-", "//", 1)
        return self.base_url.format(**values)

    def upstream(
        self,
        *,
        api_key: str | None = None,
        token: TokenSource | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> ASGIApp:
        """An app that asks the provider, for requests in its own protocol.

        A `KeyPool` of the preset's protocol may stand around it: the pool's key is shown as the provider wants it.

        Args:
            api_key: Sent with every request that no key pool has equipped.
            token: Fetches access tokens that end, which are sent instead; see `RenewedToken`.
            base_url: Another one, for a server elsewhere; parameters that only the usual one has are not needed then.
            options: The preset's parameters, and what `Upstream` takes.

        Raises:
            ConfigurationError: A parameter is missing, unknown or unsafe, a value is not for `Upstream`, or both a key
                and tokens are given.
        """
        if token is not None and api_key is not None:
            raise ConfigurationError("api_key and token exclude each other")
        given = {name: options.pop(name) for name in self.parameters if name in options}
        url = self.url(**given) if base_url is None else base_url
        if api_key is not None and not api_key.strip():
            raise ConfigurationError("api_key is empty")
        name, _ = registry.get(self.protocol).authorize("key")
        own = name == self.header.encode()
        authorize = None if own else partial(_authorization, self.header)
        values = self.check(given, elsewhere=base_url is not None)
        app: ASGIApp = Upstream(url, protocol=self.protocol, api_key=api_key if own else None, **options)
        if self.strip or self.prefix or self.query or authorize is not None:
            app = Readdressed(
                app,
                strip=self.strip,
                prefix=self.prefix,
                query=self.query.format(**values).encode(),
                own=name,
                authorize=authorize,
                api_key=None if own else api_key,
            )
        return app if token is None else RenewedToken(app, protocol=self.protocol, fetch=token)

    def app(
        self,
        *,
        api_key: str | None = None,
        token: TokenSource | None = None,
        base_url: str | None = None,
        around: Callable[[ASGIApp], ASGIApp] | None = None,
        translator: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Translator:
        """An app that speaks every protocol and asks the provider in its dialect.

        Args:
            api_key: See `upstream`.
            token: See `upstream`.
            base_url: See `upstream`.
            around: Puts parts around the upstream: ``lambda app: Retry(KeyPool(app, protocol=…, keys=…))``.
            translator: What else `Translator` takes.
            options: The preset's parameters, and what `Upstream` takes.

        Raises:
            ConfigurationError: As `upstream`.
        """
        upstream = self.upstream(api_key=api_key, token=token, base_url=base_url, **options)
        inner = upstream if around is None else around(upstream)
        return Translator(inner, speaks=self.protocol, dialect=self.dialect, **(translator or {}))

    def needed(self, *, elsewhere: bool = False) -> tuple[str, ...]:
        """The parameters that must be given.

        Args:
            elsewhere: Whether another base URL is.
        """
        return tuple(
            name
            for name in self.parameters
            if name not in self.defaults and (not elsewhere or "{" + name + "}" in self.query)
        )

    def check(self, given: Mapping[str, str], *, elsewhere: bool = False) -> dict[str, str]:
        """All values of its parameters.

        Args:
            given: Those that are given.
            elsewhere: Whether another base URL is, too.

        Raises:
            ConfigurationError: One is missing, unknown, or could lead to another host or path. No message holds a
                value.
        """
        values = {**self.defaults, **given}
        for name, value in values.items():
            if name not in self.parameters:
                raise ConfigurationError(f"the preset {self.name} has no parameter {name!r}")
            if not isinstance(value, str) or not _PARAMETER.fullmatch(value) or ".." in value:
                raise ConfigurationError(f"the preset {self.name}: {name} has letters, digits, dots and dashes only")
            if "//{" + name + "}" in self.base_url and not value.replace("-", "").isalnum():
                raise ConfigurationError(f"the preset {self.name}: {name} is a part of a host name")
        missing = [name for name in self.needed(elsewhere=elsewhere) if name not in values]
        if missing:
            raise ConfigurationError(f"the preset {self.name} needs {', '.join(missing)}")
        return values


def _authorization(header: str, key: str) -> tuple[bytes, bytes]:
    if header == "authorization":
        return b"authorization", b"Bearer " + key.encode("latin-1", "replace")
    return header.encode(), key.encode("latin-1", "replace")
