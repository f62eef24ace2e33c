"""`TextTools`: tools for models that have none.

The model is told its tools in words, and the calls that it writes become calls of the answer, streamed or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...errors import ConfigurationError
from ...universal.request import Request
from .begun import BegunTextTools
from .dialect import Dialect
from .dialects import DIALECTS
from .offer import Offer, Tally
from .sieve import MAX_KEPT, Sieve
from .telling import told

__all__ = ["TextTools"]

_AUTO: Final = "auto"


class TextTools:
    """A transform that gives tools to models without native function calling.

    Only tools that the request declares (and its choice allows) become calls; code blocks, inline code, calls of other
    tools and whatever is malformed or unfinished stay text, to the character. Where a call has to be made and none is,
    the answer is a failure (`verdict`).

    It reads the text that is left when thoughts are taken out, so it stands before `ThinkTags` in a row of transforms.

    Args:
        dialect: How the model is told to write calls: ``"xml"``, ``"hermes"``, ``"llama3-json"``, ``"mistral"``,
            ``"json-fence"``, or a `Dialect` of one's own.
        recognise: What is read: ``"auto"`` (all of ours, and `dialect`), or just these. Models fall back to the form
            that they were trained on, whatever they are told. All of them includes ``json-fence``, for which a fenced
            block of JSON that has the shape of a declared call is one.
        reasoning: Whether calls in the model's thoughts count too.
        eager: Whether the arguments of a call go out as they come, before it is known to be complete. That shows a long
            text (a file that is written) while it grows, and keeps nothing of it. Its price: a call that breaks off has
            been begun already; it stays, its arguments cut off and never valid JSON, as those of models with tools of
            their own do, and its candidate stops as malformed. Calls of ``json-fence``, and of ``llama3-json`` without
            its tag, go out whole all the same; so does what is no string in CDATA of ``xml``.
        max_kept: Characters of one call that are kept until it is known to be one; a longer one is text.

    Raises:
        ConfigurationError: A dialect that there is not, or a bound that is not positive.
    """

    __slots__ = ("_dialect", "_dialects", "_eager", "_max_kept", "_reasoning")

    def __init__(
        self,
        dialect: str | Dialect = "xml",
        *,
        recognise: str | Sequence[str | Dialect] = _AUTO,
        reasoning: bool = False,
        eager: bool = False,
        max_kept: int = MAX_KEPT,
    ) -> None:
        if max_kept < 1:
            raise ConfigurationError("max_kept must be a positive number of characters")
        self._dialect = _dialect(dialect)
        read: tuple[Dialect, ...]
        if recognise == _AUTO:
            read = DIALECTS if self._dialect in DIALECTS else (self._dialect, *DIALECTS)
        else:
            read = tuple(map(_dialect, [recognise] if isinstance(recognise, str) else recognise))
        self._dialects = read
        self._reasoning = reasoning
        self._eager = eager
        self._max_kept = max_kept

    def begin(self, request: Request) -> BegunTextTools:
        """One request; see `base.Transform`."""
        offer = Offer.of(request)
        asked, losses = told(request, offer, self._dialect)
        return BegunTextTools(asked, losses, offer, self._sieve, reasoning=self._reasoning)

    def _sieve(self, tally: Tally) -> Sieve:
        return Sieve(self._dialects, tally, eager=self._eager, bound=self._max_kept)


def _dialect(named: str | Dialect) -> Dialect:
    if isinstance(named, Dialect):
        return named
    found = next((dialect for dialect in DIALECTS if dialect.name == named), None)
    if found is None:
        raise ConfigurationError(f"no dialect {named!r}; there are {', '.join(dialect.name for dialect in DIALECTS)}")
    return found
