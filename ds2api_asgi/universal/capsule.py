"""Capsules: opaque state in an envelope that says whose it is, for clients that speak another protocol.

::

    ds2.1.anthropic~eu~k3v9x2qa.eyJrIjoidGhvdWdodCIsIm8iOltbInNpZ25hdHVyZSIsIkVyVUIi….NbrdfFTjUH4cuMDDxYyy3w
    │     │         │  │        │                                                     └ MAC, where a secret is known
    │     │         │  │        └ base64url of a JSON object: what belongs to one part of an answer
    │     │         │  └ digest of the account group, or nothing
    │     │         └ the upstream's family
    │     └ its protocol
    └ mark and version

An answer's signature, encrypted content, item id … goes to the client in the place where the client's protocol keeps
such a thing, and comes back with the history. A capsule is a hint and no authority: nothing is routed by it, and it
gives a payload to nobody but the upstream that it names. Writing is deterministic; reading is strict (what `write`
would not have written is no capsule, but a value of somebody else's) and never raises.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from ..errors import InvalidDocument
from .digest import sha256
from .jsontext import dumps, loads
from .node import Opaque

__all__ = ["MARK", "MAX_CAPSULE", "Capsule", "Minter", "digest_of", "read", "write"]

MARK: Final = "ds2.1."
"""What every capsule begins with."""

MAX_CAPSULE: Final = 256 * 1024
"""Characters of the longest capsule; a part whose payloads need more loses them, which is reported."""

_MAX_ITEMS: Final = 4096
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHAPE: Final = re.compile(
    r"ds2\.1\.([A-Za-z0-9_-]{1,64})~([A-Za-z0-9_-]{1,64})~([a-z2-7]{0,16})\.([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]{22}))?"
)
_PARTS: Final = ("thought", "text", "call", "message")
_KINDS: Final = ("thought", "sealed", "text", "call")
_MAC_BYTES: Final = 16


class Minter(Struct, frozen=True, kw_only=True):
    """Who can read a payload: an upstream's protocol, its family, and the account group whose key was used.

    Attributes:
        protocol: ``"anthropic"``.
        family: Upstreams of one family understand each other's payloads (``"anthropic"``, ``"bedrock"``).
        group: Digest of the account group (`of`); ``""``: there is only one.
    """

    protocol: str
    family: str
    group: str = ""

    @classmethod
    def of(cls, protocol: str, family: str = "", group: str = "") -> Minter:
        """A minter by names.

        Args:
            protocol: The upstream's protocol.
            family: ``""``: the protocol's own.
            group: The account group by any name, which stays here: capsules have a digest of it.

        Raises:
            ValueError: A protocol or family outside ``[A-Za-z0-9_-]{1,64}``.
        """
        family = family or protocol
        for word in (protocol, family):
            if not _WORD.fullmatch(word):
                raise ValueError(f"not a word of up to 64 letters, digits, - and _: {word!r}")
        return cls(protocol=protocol, family=family, group=_group(group) if group else "")

    @property
    def token(self) -> str:
        """What stands in a capsule and in `Opaque.origin`: ``"anthropic~eu~k3v9x2qa"``."""
        return f"{self.protocol}~{self.family}~{self.group}"


def _group(name: str) -> str:
    return base64.b32encode(sha256(name)).decode().lower()[:8]


class Capsule(Struct, frozen=True, kw_only=True):
    """What one part of an answer has that only its minter can read, and what tells the part again.

    Attributes:
        minter: Whose it is.
        part: What the payloads stood on: ``"thought"``, ``"text"``, ``"call"``, or ``"message"`` as a whole.
        payloads: In their order; `Opaque.protocol` and `Opaque.origin` are the minter's.
        lengths: Code points of each text of the part: of a thought its summaries, then, if `told`, its own text.
        told: A thought has a text of its own, be it empty.
        digest: `digest_of` the part's texts.
        call: The id that the client knows the call by.
        layout: Of a message: what its parts were in order, with their code points: ``("thought", 40)``,
            ``("text", 12)``, ``("sealed", 0)`` for a thought without text, ``("call", 0)``.
    """

    minter: Minter
    part: str
    payloads: tuple[Opaque, ...] = ()
    lengths: tuple[int, ...] = ()
    told: bool = False
    digest: str = ""
    call: str = ""
    layout: tuple[tuple[str, int], ...] = ()


def digest_of(texts: Iterable[str]) -> str:
    """A short digest of texts as one, by which a text that the client changed is known."""
    text = "".join(texts)
    return _text(sha256(text)[:9]) if text else ""


def write(capsule: Capsule, secret: bytes | None = None) -> str | None:
    """A capsule as text.

    Args:
        capsule: Its payloads' protocol and origin are taken to be the minter's.
        secret: Key of the MAC; None: it has none.

    Returns:
        The text, or None when it would be longer than `MAX_CAPSULE`.
    """
    document: dict[str, Any] = {"k": capsule.part}
    if capsule.payloads:
        document["o"] = [
            [each.kind, each.value] if each.position == "on" else [each.kind, each.value, each.position]
            for each in capsule.payloads
        ]
    if capsule.lengths:
        document["n"] = list(capsule.lengths)
    if capsule.told:
        document["t"] = True
    document.update({key: value for key, value in (("h", capsule.digest), ("c", capsule.call)) if value})
    if capsule.layout:
        document["l"] = [list(entry) for entry in capsule.layout]
    text = f"{MARK}{capsule.minter.token}.{_text(dumps(document))}"
    if secret is not None:
        text = f"{text}.{_mac(text, secret)}"
    return text if len(text) <= MAX_CAPSULE else None


def read(text: str, secret: bytes | None = None) -> Capsule | None:
    """A text as a capsule; None when it is none, which is so for every text that `write` has not written.

    Args:
        text: Anything.
        secret: Key of the MAC; without it a MAC is not looked at, with it a capsule must have a right one.
    """
    if not text.startswith(MARK) or len(text) > MAX_CAPSULE:
        return None
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    protocol, family, group, payload, mac = found.groups()
    bare = text[: found.end(4)]
    if secret is not None and not (mac and hmac.compare_digest(mac, _mac(bare, secret))):
        return None
    try:
        document = loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (InvalidDocument, binascii.Error, ValueError, RecursionError):
        return None
    capsule = _read_document(document, Minter(protocol=protocol, family=family, group=group))
    return capsule if capsule is not None and write(capsule) == bare else None


def _read_document(document: Any, minter: Minter) -> Capsule | None:
    if type(document) is not dict or document.get("k") not in _PARTS:
        return None
    payloads, lengths, layout = document.get("o", []), document.get("n", []), document.get("l", [])
    if not all(type(each) is list and len(each) <= _MAX_ITEMS for each in (payloads, lengths, layout)):
        return None
    texts = [document.get(key, "") for key in ("h", "c")]
    if not (
        all(type(each) is list and 2 <= len(each) <= 3 and all(type(word) is str for word in each) for each in payloads)
        and all(type(number) is int and number >= 0 for number in lengths)
        and all(
            type(each) is list and len(each) == 2 and each[0] in _KINDS and type(each[1]) is int and each[1] >= 0
            for each in layout
        )
        and all(type(text) is str for text in texts)
    ):
        return None
    return Capsule(
        minter=minter,
        part=document["k"],
        payloads=tuple(
            Opaque(
                kind=each[0],
                value=each[1],
                protocol=minter.protocol,
                position=each[2] if len(each) > 2 else "on",
                origin=minter.token,
            )
            for each in payloads
        ),
        lengths=tuple(lengths),
        told=document.get("t") is True,
        digest=texts[0],
        call=texts[1],
        layout=tuple((each[0], each[1]) for each in layout),
    )


def _mac(text: str, secret: bytes) -> str:
    return _text(hmac.digest(secret, text.encode("ascii"), "sha256")[:_MAC_BYTES])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
