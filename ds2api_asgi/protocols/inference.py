"""What is asked of models in forms that nobody translates (`Operation.INFER`): how its answers are watched.

They are documents, sound, pictures, texts, and streams of events that are not those of the protocol's own answers. A
protocol that has such streams declares ``inference_watch``; whoever watches a stream asks here.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from .base import Operation, Protocol, StreamWatch

__all__ = ["HasInferenceStreams", "is_document_type", "is_page", "watch_of"]

_PAGE: typing.Final = b"text/html"
_BEGUN: typing.Final = (b"<!doctype", b"<html", b"<head")
_MARK: typing.Final = b"\xef\xbb\xbf"
_MAX_BLANK: typing.Final = 1024  # bytes in front of it; what has more is no page


@typing.runtime_checkable
class HasInferenceStreams(typing.Protocol):
    """A protocol with streams of answers that are not translated.

    Attributes:
        inference_watch: Makes a watch for one of them; None: it has none.
    """

    inference_watch: Callable[[], StreamWatch] | None


def watch_of(protocol: Protocol, operation: Operation | None) -> StreamWatch:
    """A fresh watch for one stream.

    Args:
        protocol: What the stream is in.
        operation: What it answers; None: nothing that a model was asked for.
    """
    if operation is Operation.INFER:
        make: Callable[[], StreamWatch] | None = getattr(protocol, "inference_watch", None)
        if make is not None:
            return make()
    return protocol.stream_watch()


def is_document_type(operation: Operation | None, content_type: bytes) -> bool | None:
    """Whether a whole answer of this type is to be a JSON document, and no answer when it is not one.

    What is not translated may be anything else, but a page: that is a proxy's.

    Args:
        operation: What was asked for.
        content_type: Without parameters, in lower case.

    Returns:
        None where its first bytes tell (`is_page`): whisper.cpp's server says of plain text that it is a page.
    """
    if operation is not Operation.INFER or content_type.endswith(b"json"):
        return True
    return None if content_type == _PAGE else False


def is_page(body: bytes, *, whole: bool) -> bool | None:
    """Whether an answer that is said to be a page is one.

    Args:
        body: What there is of it.
        whole: Whether that is all.

    Returns:
        None as long as it cannot be told.
    """
    start = body[:_MAX_BLANK].removeprefix(_MARK).lstrip()[: len(_BEGUN[0])].lower()
    if start.startswith(_BEGUN):
        return True
    may_be = len(body) < _MAX_BLANK and any(begun.startswith(start) for begun in (*_BEGUN, _MARK))
    return None if may_be and not whole else False
