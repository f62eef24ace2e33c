"""What a request asks for, as far as the door must know: which models, and how many tokens it may cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..errors import InvalidDocument
from ..universal import jsontext
from ..universal.estimate import BYTES_PER_TOKEN

__all__ = ["MAX_RESERVED_OUTPUT", "USUAL_OUTPUT", "estimate", "models_of"]

MAX_RESERVED_OUTPUT: Final = 4_096
"""Output tokens that are reserved at most: agents state the most that a model can, and use a hundredth of it."""

USUAL_OUTPUT: Final = 512
"""Output tokens that are reserved where a request does not say how many it wants."""

_MEDIA_TOKENS: Final = 1_000  # of a picture or a page; providers count 85 to some thousands
_LEAST_MEDIA: Final = 2048  # bytes in base64; shorter runs of such letters are words
_RUN: Final = re.compile(rb"[A-Za-z0-9+/=_-]*+")
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"


class _Names(msgspec.Struct):
    model: Any = None
    models: Any = None


class _Sizes(msgspec.Struct, rename={"generation": "generationConfig"}):
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    generation: Any = None
    options: Any = None


_names = msgspec.json.Decoder(_Names)
_sizes = msgspec.json.Decoder(_Sizes)


def models_of(body: bytes) -> list[str] | None:
    """The models that a body names: ``model``, and OpenRouter's ``models``, which stand in when it fails.

    Returns:
        The names; None where the body cannot be read, or has a name that is none.
    """
    try:
        found = _names.decode(body)
        model, models = found.model, found.models
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            document = jsontext.loads(body)
        except InvalidDocument:
            return None
        if not isinstance(document, dict):
            return None
        model, models = document.get("model"), document.get("models")
    names = [] if model is None else [model]
    if models is not None:
        names += models if isinstance(models, list) else [None]
    return names if all(isinstance(name, str) for name in names) else None


def estimate(body: bytes, *, generates: bool) -> int:
    """Guess how many tokens a request and its answer will cost; at least 1.

    Args:
        body: The request.
        generates: Whether a model will write something.
    """
    media, covered = _media(body)
    output = _output(body) if generates else 0
    return max(1, (len(body) - covered) // BYTES_PER_TOKEN + media * _MEDIA_TOKENS + output)


def _media(body: bytes) -> tuple[int, int]:
    """How many long runs of base64 there are, and how many bytes they have together.

    A search for such runs begins anew at each letter of those that are too short, which takes a minute for a large
    body that is made of them. A long run cannot lie between two places so far apart, so only those are looked at.
    """
    media = covered = 0
    at = 0
    while at < len(body):
        run = _RUN.match(body, at)
        end = at if run is None else run.end()
        if end > at:
            before = body[max(0, at - _LEAST_MEDIA) : at]
            length = end - at + len(before) - len(before.rstrip(_LETTERS))
            if length >= _LEAST_MEDIA:
                media += 1
                covered += length
        at = end + _LEAST_MEDIA
    return media, covered


def _output(body: bytes) -> int:
    stated = [int(number) for number in _stated(body) if type(number) in (int, float) and number >= 0]
    return min(MAX_RESERVED_OUTPUT, *stated) if stated else USUAL_OUTPUT


def _stated(body: bytes) -> Iterator[Any]:
    try:
        found = _sizes.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    yield from (found.max_tokens, found.max_completion_tokens, found.max_output_tokens)
    for holder, name in ((found.generation, "maxOutputTokens"), (found.options, "num_predict")):
        if isinstance(holder, dict):
            yield holder.get(name)
