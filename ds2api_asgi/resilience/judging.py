"""What a failed attempt means: read from its answer, its exception, or the deadline that it missed.

An answer with an error is judged by its protocol's table, unless a part beneath (a key pool, which has seen it in the
upstream's own protocol) has judged it already. What has no answer is judged here:

    what happened                             fault      trying again
    the upstream was not reached              network    same
    it was, but did not answer in time        model      another app, else the same
    no connection free in our own pool        self       none (another app may do)
    the stream was cut, or its content late   model      another app, else the same
    the app raised, or did not answer         provider   same
    the request's deadline                    self       none
"""

from __future__ import annotations

from msgspec import Struct

from ..asgi.exchange import Exchange
from ..asgi.facts import Attempted, Judged, KeyLeased, PoolEmpty, Queueing, Stopped, Unreachable
from ..errors import BrokenStream, TransportError
from ..universal.failure import Failure, FailureKind, Fault, Verdict
from ..universal.unanswered import network, unanswered

__all__ = ["Findings", "Trouble", "cut", "late", "raised", "unreachable"]


class Trouble(Struct, frozen=True):
    """Why there is no complete answer.

    Attributes:
        failure: For the client.
        verdict: For the plan.
        broke: For the journal, as in `ds2api_asgi.errors.BrokenStream`.
    """

    failure: Failure
    verdict: Verdict
    broke: str


def _trouble(row: str, kind: FailureKind, message: str, broke: str) -> Trouble:
    return Trouble(Failure(kind=kind, message=message), unanswered(row), broke)


def cut(message: str = "the upstream's answer ended before its end") -> Trouble:
    """The answer ended too early."""
    return _trouble("answer.cut", FailureKind.TRUNCATED, message, "truncated")


def late(cause: str) -> Trouble:
    """A deadline passed.

    Args:
        cause: As `timeouts.Watchdog` tells it.
    """
    if cause == "total":
        message = "the request's deadline has passed"
        return _trouble("late.total", FailureKind.TIMEOUT, message, "total")
    message = "the upstream sent no content in time" if cause != "idle" else "the upstream fell silent"
    return _trouble(f"late.{cause}", FailureKind.TIMEOUT, message, "idle")


def raised(error: Exception | None) -> Trouble:
    """The app raised, or ended without an answer (None)."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case TransportError():
            verdict = unreachable(error.reason)
            kind = FailureKind.TIMEOUT if error.reason == "timeout" else FailureKind.BAD_GATEWAY
            if verdict.fault is Fault.SELF:
                kind = FailureKind.OVERLOADED
            return Trouble(Failure(kind=kind, message="the upstream could not be reached"), verdict, "reset")
        case BrokenStream(reason="idle" | "total"):
            return late("idle")
        case BrokenStream():
            trouble = cut("the upstream broke off its answer")
            return Trouble(trouble.failure, trouble.verdict, error.reason)
        case _:
            message = "the upstream gave no answer" if error is None else "the upstream failed"
    return _trouble("answer.raised", FailureKind.BAD_GATEWAY, message, "reset")


def unreachable(reason: str) -> Verdict:
    """The verdict on an upstream that was not reached.

    Args:
        reason: As in `ds2api_asgi.errors.TransportError`.
    """
    return network(reason)


class Findings:
    """What the parts beneath noted during one attempt.

    Args:
        exchange: The request's exchange.
        mark: Its length when the attempt began.

    Attributes:
        keyed: Whether a key pool took part.
        empty: What a pool said that had no key to give, when the answer is its own.
        unreached: The verdict when the answer is an upstream part's own, since it reached nobody.
        asked: Whether anybody was asked: no pool was empty or made it wait to the end, and no retry
            beneath us kept its open breakers shut.
        processed: Whether an upstream may have begun to work on the request.
    """

    __slots__ = ("_judged", "asked", "empty", "keyed", "processed", "unreached")

    def __init__(self, exchange: Exchange, mark: int) -> None:
        self.keyed = False
        self.empty: PoolEmpty | None = None
        self._judged: list[Judged] = []
        self.unreached: Verdict | None = None
        self.asked = True
        self.processed = True
        for fact in exchange.since(mark, object):
            match fact:
                case Attempted():  # of a retry beneath us: its last attempt speaks for it
                    self.empty = self.unreached = None
                    self.asked = self.processed = True
                    self._judged.clear()
                case KeyLeased():
                    self.keyed = True
                    self.empty = self.unreached = None
                    self.asked = self.processed = True
                case PoolEmpty():
                    self.empty = fact
                    self.asked = self.processed = False
                case Queueing() | Stopped(attempts=0):
                    self.asked = self.processed = False
                case Judged():
                    self._judged.append(fact)
                case Unreachable():
                    self.unreached = unreachable(fact.reason)
                    self.processed = fact.processed
                case _:
                    pass

    def verdict(self, status: int) -> Verdict | None:
        """What a part beneath has found about an answer with this status (0: an error inside a stream)."""
        return next((fact.verdict for fact in reversed(self._judged) if fact.status == status), None)
