"""Task groups wrap every exception in a group; hosts' exception handlers then no longer match the one inside."""

from __future__ import annotations

from types import TracebackType

__all__ = ["unwrapped"]


class unwrapped:  # noqa: N801 - reads as a verb, like contextlib's
    """Raise the exception itself where a task group raised a group of just that one.

    ::

        with unwrapped():
            async with anyio.create_task_group() as group:
                ...
    """

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, BaseExceptionGroup):
            single = _single(error)
            if single is not None:
                raise single from single.__cause__


def _single(error: BaseException) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error
