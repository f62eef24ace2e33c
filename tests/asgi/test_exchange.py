"""The journal of a request, and that of an attempt beside another one."""

from __future__ import annotations

from itertools import count

from ds2api_asgi.asgi.exchange import Exchange
from ds2api_asgi.asgi.facts import Attempted, Broke, KeyLeased


def test_a_branch_notes_for_itself_until_it_is_absorbed():
    ticks = count()
    exchange = Exchange(started=0.0, clock=lambda: float(next(ticks)))
    exchange.limit(deadline=9.0, calls=3)
    exchange.wants_usage = True
    exchange.note(Attempted(number=1))
    branch, mark = exchange.branch(calls=1), len(exchange)
    assert (branch.deadline, branch.calls_left, branch.wants_usage) == (9.0, 1, True)
    branch.note(KeyLeased(pool="p", key="second"))
    exchange.note(Broke(reason="reset"))
    assert (branch.last(Attempted), exchange.last(KeyLeased), branch.last(Broke)) == (Attempted(number=1), None, None)
    exchange.absorb(branch, mark)
    branch.note(Broke(reason="idle"))
    assert list(exchange) == [
        Attempted(number=1),
        Broke(reason="reset"),
        KeyLeased(pool="p", key="second"),
        Broke(reason="idle"),
    ]


def test_what_a_branch_noted_keeps_its_time():
    ticks = count()
    exchange = Exchange(started=0.0, clock=lambda: float(next(ticks)))
    exchange.note(Attempted(number=1))
    branch = exchange.branch(calls=1)
    branch.note(Attempted(number=2))
    exchange.note(Attempted(number=3))
    exchange.absorb(branch, 1)
    assert [(moment, fact.number) for moment, fact in exchange.timed()] == [(0.0, 1), (1.0, 2), (2.0, 3)]
