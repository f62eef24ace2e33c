"""`Gateway`: everything that a configuration asks for, as one ASGI app that takes over another configuration at work.

A reload reads, checks and builds first, and then swaps one reference: a file that cannot work changes nothing.
Requests, streams and websockets end on the parts that they began on, which are closed when the last one has ended. What
the keys' health is, what breakers, limits, counters and conversations know goes over (`build`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import anyio.to_thread

from ..asgi.lifespan import lifespan_of
from ..asgi.types import Receive, Scope, Send
from ..asgi.unwrapped import unwrapped
from ..errors import ConfigurationError
from ..observe import Journal
from ..pool import KeyPool
from .assembly.build import build
from .assembly.generation import Generation
from .assembly.resource import Resource
from .config import Config, examine
from .console.part import BreakerSeen
from .serving.peers import Peers
from .watch import FileWatch

__all__ = ["LINGER", "Gateway"]

LINGER: Final = 3600.0
"""Seconds that what runs may go on with parts of an old configuration; longer than any provider keeps a connection."""

_logger = logging.getLogger("ds2api_asgi.gateway")


class Gateway:
    """An app for every protocol, from a configuration.

    ::

        gateway = Gateway.from_toml("gateway.toml")
        host = FastAPI(lifespan=lifespan(gateway))
        host.mount("/llm", gateway)

    Its lifespan opens connections, follows the file and those that it refers to, and takes over what has changed in
    them. Where no lifespan is run, it serves all the same, and follows nothing; `reload` then works, but old
    connections stay open until their event loop ends. The members of ``[server]`` are for who runs a server
    (``ds2api serve``), ``[log]`` but for its header, too.

    Args:
        config: The configuration.
        folder: What relative paths in it start from; None: the working directory.
        read: Reads the configuration anew, for `reload`; it may block. None: nothing can.
        watch: Tells when to read it anew; None: nobody does.
        peers: The other processes behind the same port, with which its console shares what it shows and does; None:
            there are none, or it knows only its own.
        wall: Unix time.

    Raises:
        ConfigurationError: A value that cannot work, or an extra that is not installed. It names the table.
    """

    def __init__(
        self,
        config: Config,
        *,
        folder: str | os.PathLike[str] | None = None,
        read: Callable[[], Config] | None = None,
        watch: FileWatch | None = None,
        peers: Peers | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = Path.cwd() if folder is None else Path(folder)
        self._read = read
        self._watch = watch
        self._wall = wall
        self.peers = peers
        self._lock = anyio.Lock()
        self._group: anyio.abc.TaskGroup | None = None
        self._draining = False
        self._retired: set[Generation] = set()
        self._listeners: list[Callable[[Config, Config], None]] = []
        self.started = wall()
        self.generation = 1
        self.reloaded: float | None = None
        self.reload_error: str | None = None
        self._current = self._build(config, None)
        self._use(self._current)
        self._current.show()

    @classmethod
    def from_toml(
        cls,
        path: str | os.PathLike[str] = "gateway.toml",
        *,
        environ: Mapping[str, str] | None = None,
        amend: Callable[[Config], Config] = lambda config: config,
        peers: Peers | None = None,
    ) -> Gateway:
        """A gateway that follows a file.

        Args:
            path: The file; what it names relatively is beside it.
            environ: Where ``env:`` references lead; None: the process's environment, read anew at each reload.
            amend: Changes what was read, each time: for what a command line says.
            peers: See `Gateway`.

        Raises:
            ConfigurationError: The file cannot be read, or says what cannot work; its message tells where.
        """
        file = Path(path).absolute()

        def read() -> Config:
            examined = examine(file, environ=environ)
            watch.follow(examined.files)
            return amend(examined.usable())

        watch = FileWatch(file)  # before it is read: what changes in between is seen
        return cls(read(), folder=file.parent, read=read, watch=watch, peers=peers)

    @property
    def config(self) -> Config:
        """What is served now."""
        return self._current.config

    @property
    def pools(self) -> dict[str, KeyPool]:
        """The key pools by their upstreams' names; upstreams without keys have none."""
        return {name: line.pool for name, line in self._current.lines.items() if line.pool is not None}

    @property
    def journal(self) -> Journal:
        """The traces of the last requests."""
        return self._current.lasting.journal

    @property
    def running(self) -> int:
        """How many requests and websockets there are now, those of old configurations among them."""
        return self._current.running + sum(generation.running for generation in self._retired)

    @property
    def draining(self) -> bool:
        """Whether its end has begun."""
        return self._draining

    @property
    def ready(self) -> bool:
        """Whether requests are welcome: its lifespan has begun, and its end has not."""
        return self._group is not None and not self._draining

    def breakers(self) -> list[BreakerSeen]:
        """How the breakers are."""
        return [
            BreakerSeen(target=one.target, model=one.model, state=one.state.name.lower(), until=one.reopens_in)
            for one in self._current.breakers()
        ]

    def on_reload(self, listener: Callable[[Config, Config], None]) -> None:
        """Call a function with the old and the new configuration after each that was taken over.

        Args:
            listener: It must not raise.
        """
        self._listeners.append(listener)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve (the ASGI interface)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        generation = self._current
        await generation.serve(generation.app, scope, receive, send)

    async def reload(self) -> bool:
        """Read the configuration anew, and take it over if it has changed.

        Returns:
            Whether it had.

        Raises:
            ConfigurationError: It cannot be read or cannot work; nothing has changed, and `reload_error` says why.
        """
        if self._read is None:
            raise ConfigurationError("this gateway was made of a configuration and has no file to read it from")
        async with self._lock:
            try:
                return await self._replace(await anyio.to_thread.run_sync(self._read))
            except ConfigurationError as error:
                self.reload_error = str(error)
                _logger.error("the configuration was not taken over: %s", error)  # noqa: TRY400 - the operator's error
                raise
            except Exception as error:  # noqa: BLE001 - what serves goes on, whatever another configuration makes of it
                # What it says may repeat a secret, so only its kind is told.
                self.reload_error = f"it could not be put together ({type(error).__name__})"
                _logger.error("the configuration was not taken over: %s", self.reload_error)  # noqa: TRY400
                raise ConfigurationError(self.reload_error) from None

    async def replace(self, config: Config) -> bool:
        """Take a configuration over; otherwise as `reload`."""
        async with self._lock:
            return await self._replace(config)

    def drain(self, *, sever_after: float | None = None) -> None:
        """Begin the end: repeat nothing, and take over no other configuration. What is under way goes on.

        Args:
            sever_after: Seconds after which what still runs is broken off (`sever`); None: it is not. For who calls it
                in the event loop of the lifespan.
        """
        begun, self._draining = self._draining, True
        for generation in (self._current, *self._retired):
            generation.drain()
        if sever_after is not None and not begun and self._group is not None:
            self._group.start_soon(self._sever_after, sever_after)

    async def _sever_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        severed = self.sever()
        if severed:
            _logger.warning("broke off %d requests that had not ended within %g seconds", severed, seconds)

    def sever(self, *kinds: str) -> int:
        """Break off what still runs: streams end with an error of their protocol, as far as they can say one.

        Args:
            kinds: The only types of scopes that are meant, as ``"websocket"``; none: all.

        Returns:
            How many calls of upstreams were broken off.
        """
        generations = (self._current, *self._retired)
        return sum(
            severable.sever(*kinds) for severable in {line.severable for g in generations for line in g.lines.values()}
        )

    async def _replace(self, config: Config) -> bool:
        """Take a configuration over; the lock is held.

        Raises:
            ConfigurationError: It cannot work.
        """
        self._check_time()
        before = self._current
        self.reload_error = None
        if config == before.config:
            return False
        successor = self._build(config, before)
        opened: list[Resource] = []
        try:
            if self._group is not None:
                for resource in successor.resources:
                    if not resource.users:
                        opened.append(resource)
                        await resource.open(self._group)
                self._check_time()  # the end may have begun since
        except BaseException:
            with anyio.CancelScope(shield=True):
                for resource in opened:
                    await resource.close()
            raise
        with anyio.CancelScope(shield=True):  # from here on nothing fails, and nothing is done by halves
            await successor.take_over(before)
            self._use(successor)
            self._current = successor
            if self._draining and self._group is not None:  # too late to go back
                successor.drain()
            successor.show()
            self.generation += 1
            self.reloaded = self._wall()
            before.retire()
        if self._group is not None:
            self._retired.add(before)
            self._group.start_soon(self._let_end, before)
        else:
            self._forget(before)
        _logger.info("took over the configuration, number %d since the start", self.generation)
        for listener in self._listeners:
            listener(before.config, config)
        return True

    def _check_time(self) -> None:
        if self._draining and self._group is not None:
            raise ConfigurationError("the gateway is about to end")

    def _build(self, config: Config, before: Generation | None) -> Generation:
        return build(
            config,
            folder=self._folder,
            before=before,
            core=self._core,
            sight=self,
        )

    async def _core(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the router of whatever generation serves now: for parts that outlive their own."""
        if scope["type"] == "lifespan":
            await lifespan_of((), scope, receive, send)
            return
        generation = self._current
        await generation.serve(generation.router, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            with unwrapped():
                async with anyio.create_task_group() as group:
                    await self._open(group)
                    started = True
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    await self._end()
                    group.cancel_scope.cancel()
        except ConfigurationError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        finally:
            self._group = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, group: anyio.abc.TaskGroup) -> None:
        if self._draining:  # a host that starts again what it has ended: what is drained stays so, so others are made
            self._forget(self._current)
            self._draining = False
            self._current = self._build(self.config, None)
            self._use(self._current)
            self._current.show()
        for resource in self._current.resources:
            await resource.open(group)
        self._group = group
        if self._watch is not None:
            group.start_soon(self._follow, self._watch)

    async def _end(self) -> None:
        self.drain()
        async with self._lock:  # a reload that has begun comes to its end first
            await self._close()

    async def _close(self) -> None:
        self._group = None
        for generation in (*self._retired, self._current):
            for resource in reversed(generation.resources):  # the outer ones first
                await resource.close()
            for line in generation.lines.values():
                await line.close()
        self._retired.clear()

    async def _follow(self, watch: FileWatch) -> None:
        """Take over what has changed in the files."""
        while True:
            await anyio.sleep(self.config.reload.interval)
            # In a thread, for a network's file system may not answer.
            changed = self.config.reload.watch and await anyio.to_thread.run_sync(watch.changed, abandon_on_cancel=True)
            if changed and not self._draining:
                try:
                    await self.reload()
                except ConfigurationError:
                    continue  # it was logged

    async def _let_end(self, generation: Generation) -> None:
        """Wait for the last exchange of a retired generation, and close what only it uses."""
        with anyio.move_on_after(LINGER):
            await generation.idle.wait()
        if generation.running:
            _logger.warning("%d exchanges of an old configuration are broken off", generation.running)
        generation.idle.set()  # its time is up
        others = [self._current, *(other for other in self._retired if not other.idle.is_set())]
        used = {id(line) for other in others for line in other.lines.values()}
        for line in generation.lines.values():
            if line.leaf.users == 1:
                line.severable.sever()
            if id(line) not in used:
                await line.close()
        for resource in reversed(generation.resources):
            await resource.drop()
        self._retired.discard(generation)

    def _use(self, generation: Generation) -> None:
        for resource in generation.resources:
            resource.users += 1

    def _forget(self, generation: Generation) -> None:
        """Without a lifespan nothing was opened, so nothing is closed."""
        for resource in generation.resources:
            resource.users -= 1
