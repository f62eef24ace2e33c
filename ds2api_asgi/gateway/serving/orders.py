"""`Orders`: what a command line says about serving, to every process that serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from ...errors import ConfigurationError
from ..config import Config
from ..config.checks import is_own
from ..gateway import Gateway
from .peers import Peers

__all__ = ["Orders"]


class Orders(Struct, frozen=True, kw_only=True):
    """The file, and what holds in place of its ``[server]``; None: as the file says.

    Attributes:
        file: The configuration, absolutely.
        host: A name or an address.
        port: 0 for a free one.
        workers: Processes.
        server: ``"uvicorn"`` or ``"granian"``.
        bound: The host of the port that is listened on already, whatever a file says that is read anew; None: none is.
        crew: The folder in which the workers meet (see `Peers`), and how many they are; None: there is one.
    """

    file: str
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    server: str | None = None
    bound: str | None = None
    crew: tuple[str, int] | None = None

    def on(self, host: str) -> Orders:
        """The same for processes whose port is listened on already."""
        return structs.replace(self, bound=host)

    def among(self, folder: str, count: int) -> Orders:
        """The same for one of several workers that meet in a folder."""
        return structs.replace(self, crew=(folder, count))

    def gateway(self) -> Gateway:
        """A gateway that follows the file.

        Raises:
            ConfigurationError: See `Gateway.from_toml`.
        """
        peers = None if self.crew is None else Peers(*self.crew)
        return Gateway.from_toml(self.file, amend=self.amended, peers=peers)

    def amended(self, config: Config) -> Config:
        """A configuration with what the command line says.

        Raises:
            ConfigurationError: Other machines would reach a gateway that lets everybody in.
        """
        said: dict[str, Any] = {
            name: value for name in ("host", "port", "workers", "server") if (value := getattr(self, name)) is not None
        }
        if self.host is not None and not is_own(self.host) and config.access is None:
            raise ConfigurationError(
                f"--host {self.host}: other machines reach this: say in [access] who may come in, or open = true there"
            )
        if self.bound is not None and not is_own(self.bound) and config.access is None:
            raise ConfigurationError(
                f"other machines reach this until it is started again, for it listens on {self.bound}: "
                "say in [access] who may come in, or open = true there"
            )
        server = config.server.model_copy(update=said)
        file = config.log.file
        log = config.log if file is None else config.log.model_copy(update={"file": str(self.folder / file)})
        return config.model_copy(update={"server": server, "log": log})

    @property
    def folder(self) -> Path:
        """What relative paths in the file start from."""
        return Path(self.file).parent
