"""A request for a response: what it says of state, and the stateless request that the app is asked instead.

https://platform.openai.com/docs/api-reference/responses/create (read 2026-11-28). Decisions:

* The app is always sent ``store: false``: what it kept would be a second copy, in an account that many clients share,
  under ids that no client knows.
* When the answer is kept, ``reasoning.encrypted_content`` is asked for, since a stateless app cannot take its own
  thoughts back without it.
* ``instructions`` belong to their request alone; they are never part of the conversation.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from ..errors import InvalidDocument
from ..universal import jsontext
from .items import Head, head_of, text_item
from .members import NULL, elements, joined, listed, members, value
from .refusal import Refused, invalid, item_not_found, previous_not_found
from .store import ResponseStore
from .stored import StoredResponse

__all__ = ["ENCRYPTED", "Conversation", "Create", "converse", "read_create"]

ENCRYPTED: Final = "reasoning.encrypted_content"
"""What clients put into ``include`` to see encrypted reasoning."""


class Create(Struct, frozen=True, kw_only=True):
    """A request, read as far as state goes.

    Attributes:
        members: All its members.
        input: The items that it adds.
        text_input: Whether these were one string.
        previous: ``previous_response_id``, or None.
        store: Whether the answer is kept; True unless the client says no.
        background: Whether the client does not wait.
        stream: Whether it wants events.
        include: What it wants to see.
    """

    members: dict[str, bytes]
    input: tuple[bytes, ...]
    text_input: bool
    previous: str | None
    store: bool
    background: bool
    stream: bool
    include: tuple[str, ...]

    @property
    def encrypted(self) -> bool:
        """Whether the client wants to see encrypted reasoning."""
        return ENCRYPTED in self.include


def read_create(body: bytes) -> Create:
    """Read a request.

    Raises:
        InvalidDocument: Not JSON, or a value of the wrong type.
        Refused: It asks for what cannot be had.
    """
    found = members(body)
    if found.get("conversation", NULL) != NULL:
        raise invalid("conversations are not kept here; use previous_response_id", param="conversation")
    input_, text_input = _input(found.get("input", NULL))
    create = Create(
        members=found,
        input=input_,
        text_input=text_input,
        previous=_member(found, "previous_response_id", str, "a string"),
        store=_member(found, "store", bool, "a boolean") is not False,
        background=_member(found, "background", bool, "a boolean") is True,
        stream=_member(found, "stream", bool, "a boolean") is True,
        include=_include(found.get("include", NULL)),
    )
    if create.background and not create.store:
        raise invalid("a background response is polled, so store must not be false", param="store")
    return create


def _member(found: dict[str, bytes], name: str, kind: type, words: str) -> Any:
    member = value(found.get(name, NULL), name)
    if member is not None and type(member) is not kind:
        raise InvalidDocument(name, f"must be {words}")
    return member


def _input(text: bytes) -> tuple[tuple[bytes, ...], bool]:
    text = text.strip()
    if text == NULL:
        return (), False
    if text[:1] == b'"':
        return (text_item(text),), True
    if text[:1] != b"[":
        raise InvalidDocument("input", "must be a string or an array")
    return tuple(elements(text, "input")), False


def _include(text: bytes) -> tuple[str, ...]:
    include = value(text, "include")
    if include is None:
        return ()
    if type(include) is not list or not all(type(name) is str for name in include):
        raise InvalidDocument("include", "must be an array of strings")
    return tuple(include)


class Conversation(Struct, frozen=True, kw_only=True):
    """A request with all that it refers to.

    Attributes:
        create: The request.
        past: The items before it, oldest first.
        input: The items that it adds, none a reference.
    """

    create: Create
    past: tuple[bytes, ...]
    input: tuple[bytes, ...]

    def body(self, *, generates: bool, encrypted: bool) -> bytes:
        """The body of the stateless request.

        Args:
            generates: Whether a response is asked for, not a count of tokens.
            encrypted: Whether encrypted reasoning is needed.
        """
        create = self.create
        found = dict(create.members)
        for name in ("previous_response_id", "conversation", "background", "background_options"):
            found.pop(name, None)
        if self.past or self.input != create.input:
            found["input"] = listed([*self.past, *self.input])
        if generates:
            found["store"] = b"false"
            if encrypted and not create.encrypted:
                found["include"] = jsontext.dumps([*create.include, ENCRYPTED])
        return joined(found)


async def converse(create: Create, store: ResponseStore, client: str) -> Conversation:
    """Find what a request refers to.

    Args:
        create: The request.
        store: Where responses are kept.
        client: Whose request it is.

    Raises:
        InvalidDocument: An item is none.
        Refused: Something is not there.
    """
    past = () if create.previous is None else await _past(create.previous, store, client)
    heads = [head_of(item, f"input[{at}]") for at, item in enumerate(create.input)]
    wanted = {id_ for at, head in enumerate(heads) if (id_ := _wanted(head, f"input[{at}]")) is not None}
    known = await store.items(client, wanted) if wanted else {}
    items = create.input
    if wanted:
        items = tuple([_resolved(item, head, known) for item, head in zip(create.input, heads, strict=True)])
    return Conversation(create=create, past=past, input=items)


async def _past(id_: str, store: ResponseStore, client: str) -> tuple[bytes, ...]:
    history = await store.history(client, id_)
    if history is None:
        raise previous_not_found(id_)
    running = next((response for response in history if response.running), None)
    if running is not None:
        raise _unfinished(running)
    return tuple([item for response in history for item in (*response.input, *response.output)])


def _unfinished(response: StoredResponse) -> Refused:
    return invalid(
        f"Previous response with id '{response.id}' is still {response.status}.", param="previous_response_id"
    )


def _wanted(head: Head, path: str) -> str | None:
    """The id of the item that stands for this one."""
    if head.is_reference:
        if head.known_id is None:
            raise InvalidDocument(f"{path}.id", "must be a string")
        return head.known_id
    # Clients that were not shown encrypted reasoning send their thoughts back by name, as the API allows.
    return head.known_id if head.is_bare_thought else None


def _resolved(item: bytes, head: Head, known: dict[str, bytes]) -> bytes:
    id_ = head.known_id
    if id_ is not None and id_ in known:
        return known[id_] if head.is_reference or head.is_bare_thought else item
    if head.is_reference:
        raise item_not_found(str(id_))
    return item
