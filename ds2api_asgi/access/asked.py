"""What a request asks for, as far as the door must know: which models, and how many tokens it may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..errors import FramingError, InvalidDocument
from ..framing.form import read_fields
from ..universal import jsontext
from ..universal.estimate import estimate_body_tokens

__all__ = ["MAX_RESERVED_OUTPUT", "USUAL_OUTPUT", "estimate", "models_of"]

MAX_RESERVED_OUTPUT: Final = 4_096
"""Output tokens that are reserved at most: agents state the most that a model can, and use a hundredth of it."""

USUAL_OUTPUT: Final = 512
"""Output tokens that are reserved where a request does not say how many it wants."""


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


def models_of(body: bytes, form: bytes | None = None) -> list[str] | None:
    """The models that a body names: ``model``, and OpenRouter's ``models``, which stand in when it fails.

    Args:
        body: The request.
        form: The ``content-type`` of a form; None: it is a document.

    Returns:
        The names; None where the body cannot be read, or has a name that is none.
    """
    if form is not None:
        return _named_in_form(body, form)
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


def _named_in_form(body: bytes, form: bytes) -> list[str] | None:
    try:
        return [field.value for field in read_fields(body, form, ("model",)).values()]
    except FramingError:
        return None


def estimate(body: bytes, *, generates: bool, usual: int = USUAL_OUTPUT) -> int:
    """Guess how many tokens a request and its answer will cost; at least 1.

    Args:
        body: The request.
        generates: Whether a model will write something.
        usual: Output tokens where the request does not say how many it wants.
    """
    output = _output(body, usual) if generates else 0
    return max(1, estimate_body_tokens(body) + output)


def _output(body: bytes, usual: int) -> int:
    stated = [int(number) for number in _stated(body) if type(number) in (int, float) and number >= 0]
    return min(MAX_RESERVED_OUTPUT, *stated) if stated else usual


def _stated(body: bytes) -> Iterator[Any]:
    try:
        found = _sizes.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    yield from (found.max_tokens, found.max_completion_tokens, found.max_output_tokens)
    for holder, name in ((found.generation, "maxOutputTokens"), (found.options, "num_predict")):
        if isinstance(holder, dict):
            yield holder.get(name)
