"""What is asked of models in forms that nobody translates (`Operation.INFER`): how its answers are watched.

They are documents, sound, pictures, texts, and streams of events that are not those of the protocol's own answers. A
protocol that has such streams declares ``inference_watch``; whoever watches a stream asks here.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

from .base import Operation, Protocol, StreamWatch

__all__ = ["HasInferenceStreams", "is_document_type", "watch_of"]

_PAGE: typing.Final = b"text/html"


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


def is_document_type(operation: Operation | None, content_type: bytes) -> bool:
    """Whether a whole answer of this type is to be a JSON document, and no answer when it is not one.

    What is not translated may be anything else, but a page: that is a proxy's.

    Args:
        operation: What was asked for.
        content_type: Without parameters, in lower case.
    """
    return operation is not Operation.INFER or content_type.endswith(b"json") or content_type == _PAGE
