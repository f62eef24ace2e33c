"""Opaque state of one request and its answer: what the history gives back, and what the answer gives to the client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ..asgi.exchange import Exchange
from ..asgi.facts import AccountGroup
from ..errors import ConfigurationError
from ..protocols.base import Context, StreamEncoder
from ..transforms.carry import (
    SLOTS,
    CarryStore,
    Packer,
    PackingEncoder,
    answers_before,
    is_plain,
    may_carry,
    only_for,
    recall,
    remember,
    unpack,
)
from ..universal.capsule import MARK, Minter
from ..universal.content import Part, ToolCall
from ..universal.digest import sha256
from ..universal.loss import Loss
from ..universal.request import Request
from ..universal.response import Response

__all__ = ["Carriage", "Carrying"]

_MARKS: Final = (MARK.encode(), b"ZHMyLjEu")  # plain, and as the beginning of base64
_ASKS: Final = {"openai-responses": ("include", "reasoning.encrypted_content")}


class Carriage(Struct, frozen=True, kw_only=True):
    """What all requests of a `Translator` share of it.

    Attributes:
        minter: The upstream.
        secret: Key of the MAC, or None.
        store: Keeps answers for clients that keep nothing, or None.
        stored: The protocols of clients that it is used for.
        strips: Whether requests of clients that speak the upstream's protocol are looked through, too.
    """

    minter: Minter
    secret: bytes | None
    store: CarryStore | None
    stored: frozenset[str]
    strips: bool

    @classmethod
    def of(
        cls,
        protocol: str,
        origin: str = "",
        *,
        secret: str | bytes | None = None,
        store: CarryStore | None = None,
        stored: Iterable[str] = (),
    ) -> Carriage:
        """What a translator was told.

        Args:
            protocol: What the upstream speaks.
            origin: ``"family"`` or ``"family/account group"``; ``""``: the protocol's own family, one group.
            secret: See above; a text is its UTF-8.
            store: See above.
            stored: See above.

        Raises:
            ConfigurationError: The family is no word, or the secret empty.
        """
        if secret is not None and not secret:
            raise ConfigurationError("secret is empty")
        family, _, group = origin.partition("/")
        try:
            minter = Minter.of(protocol, family, group)
        except ValueError as error:
            raise ConfigurationError(f"origin: {error}") from None
        return cls(
            minter=minter,
            secret=secret.encode() if isinstance(secret, str) else secret,
            store=store,
            stored=frozenset(stored),
            strips=bool(origin),
        )

    def keeps(self, client: str) -> bool:
        """Whether the store is used for clients of a protocol; for those of the upstream's it never is."""
        return self.store is not None and client in self.stored and client != self.minter.protocol

    def marked(self, body: bytes) -> bool:
        """Whether a capsule may be in a body; cheap."""
        return any(mark in body for mark in _MARKS)


class Carrying:
    """The opaque state of one exchange.

    Args:
        carriage: The translator's.
        client: The protocol that the client speaks; where it is the upstream's, nothing needs to be carried.
        owner: Gives what tells clients apart, a credential; asked only for a store, which keeps a digest of it.
        exchange: The request's journal, or None.
        begun: How long it was when the request came.
    """

    def __init__(
        self,
        carriage: Carriage,
        client: str,
        owner: Callable[[], str],
        exchange: Exchange | None = None,
        begun: int = 0,
    ) -> None:
        self._carriage = carriage
        self._slots = SLOTS.get(client)
        self._home = client == carriage.minter.protocol
        self._store = carriage.store if carriage.keeps(client) else None
        self._owner = b"" if self._store is None else sha256(owner())
        self._exchange = exchange
        self._begun = begun

    def request(self, request: Request) -> tuple[Request, list[Loss]]:
        """The client's request with the payloads that go to the upstream, and what does not."""
        losses: list[Loss] = []
        if (self._home and not self._carriage.strips) or (self._store is None and not may_carry(request.turns)):
            return request, losses
        if self._slots is not None:
            request, losses = unpack(request, self._slots, self._carriage.secret)
        if self._store is not None:
            request, found = recall(self._store, self._owner, request)
            losses += found
        request, foreign = only_for(request, self._carriage.minter)
        return request, [*losses, *foreign]

    def ask(self, document: dict[str, Any]) -> None:
        """Ask the upstream for its state, where it gives none unasked: of models that think, since others refuse."""
        asks = None if self._home else _ASKS.get(self._carriage.minter.protocol)
        reasoning = document.get("reasoning")  # what the client said of it, in whatever words
        if asks is None or type(reasoning) is not dict or reasoning.get("effort") == "none":
            return
        member, value = asks
        known = document.get(member, [])
        if type(known) is list and value not in known:
            document[member] = [*known, value]

    def response(self, response: Response, context: Context) -> tuple[Response, list[Loss]]:
        """The upstream's answer for the client, and what it loses."""
        if self._home or (self._store is None and is_plain(response)):
            return response, []
        packer = self._packer(context)
        response = packer.response(response)
        return response, [*packer.losses, *self._remembered(packer, context)]

    def encoder(self, encoder: StreamEncoder, context: Context) -> StreamEncoder:
        """The encoder of the client's stream, fed with the upstream's events."""
        if self._home:
            return encoder
        packer = self._packer(context)
        return PackingEncoder(packer, encoder, lambda: self._remembered(packer, context))

    def _packer(self, context: Context) -> Packer:
        return Packer(
            slots=self._slots,
            minter=self._minter,
            secret=self._carriage.secret,
            turn=answers_before(context.request),
            ids=context.call_ids,
            keeps=self._store is not None,
        )

    def _minter(self) -> Minter:
        """Who answers: of a part beneath that said its account group, the last word counts."""
        minter = self._carriage.minter
        groups = () if self._exchange is None else tuple(self._exchange.since(self._begun, AccountGroup))
        return Minter.of(minter.protocol, minter.family, groups[-1].group) if groups else minter

    def _remembered(self, packer: Packer, context: Context) -> Iterable[Loss]:
        request = context.request
        if self._store is None or packer.kept is None or request is UNSET:
            return ()
        before = request.turns[-1] if request.turns else None
        parts = [_as_known(part, context) for part in packer.kept]
        loss = remember(self._store, self._owner, before, parts, self._minter())
        return () if loss is None else (loss,)


def _as_known(part: Part, context: Context) -> Part:
    """A call by the names that the client knows."""
    if not isinstance(part, ToolCall):
        return part
    id_ = part.id if part.id is UNSET else context.call_ids.get(part.id, part.id)
    return replace(part, name=context.tool_names.get(part.name, part.name), id=id_)
