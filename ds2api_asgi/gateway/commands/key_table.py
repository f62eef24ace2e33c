"""The keys of all pools as lines, from what the console of a gateway tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...asgi.trace import printable

__all__ = ["table"]


def table(pools: Sequence[Any]) -> str:
    """The keys of all pools, a line each.

    Args:
        pools: As the console's document has them; what is not as expected is left out.
    """
    rows: list[tuple[str, ...]] = [("POOL", "KEY", "STATE", "FOR", "RUNNING", "SERVED", "FAILED", "LEFT")]
    notes = []
    for pool in pools:
        if not isinstance(pool, dict):
            continue
        name = str(pool.get("name"))
        if pool.get("problem"):
            notes.append(f"{name}: {pool['problem']}")
        if pool.get("waiting"):
            notes.append(f"{name}: {pool['waiting']} waiting for a key")
        rows += [_row(name, key) for key in _listed(pool.get("keys"))]
    if len(rows) == 1:
        notes.append("There are no keys.")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(printable(line) for line in [*(lines if len(rows) > 1 else ()), *notes]) + "\n"


def _row(pool: str, key: dict[str, Any]) -> tuple[str, ...]:
    state = "switched off" if key.get("switched_off") else str(key.get("state"))
    match key.get("workers"):
        case [int(alike), int(of)] if alike < of:
            state += f" in {alike} of {of} workers"
        case _:
            pass
    rooms = _listed(key.get("headroom"))
    models = key.get("models")
    left = [*map(_room, rooms), *(_model(*one) for one in (models.items() if isinstance(models, dict) else ()))]
    numbers = [str(key.get(name)) for name in ("in_flight", "served", "failed")]
    return (pool, str(key.get("alias")), state, _span(key.get("until")), *numbers, ", ".join(left))


def _listed(told: Any) -> list[dict[str, Any]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _room(room: dict[str, Any]) -> str:
    limit = "" if room.get("limit") is None else f"/{_count(room['limit'])}"
    about = "" if room.get("model") is None else f"{room['model']}: "
    resets = _span(room.get("resets_in"))
    return f"{about}{room.get('of')} {_count(room.get('left'))}{limit}{f' (all in {resets})' if resets else ''}"


def _model(model: str, told: Any) -> str:
    state, until = told if isinstance(told, list) and len(told) == 2 else (told, None)
    span = _span(until)
    return f"{model}: {state}{f' for {span}' if span else ''}"


def _count(number: Any) -> str:
    if not isinstance(number, int | float):
        return "?"
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= 10 * size:
            return f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def _span(seconds: Any) -> str:
    """``"12 s"``, ``"3 min"``, ``"5 h"``; ``""`` where there is no end."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return ""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
