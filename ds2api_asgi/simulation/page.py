"""A report as a page of text."""

from __future__ import annotations

from collections.abc import Sequence

from .report import Bucket, GroupReport, KeyUse, Report

__all__ = ["clock", "page_of", "summary_of"]

_BAR = 32
_MOST_VIOLATIONS = 20


def page_of(report: Report) -> str:
    """A report to read.

    Args:
        report: What was counted.

    Returns:
        Lines, the last one ended too.
    """
    parts = [
        [_headline(report)],
        _keys(report.keys),
        _groups(report.groups),
        _timeline(report),
        _findings(report),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def summary_of(report: Report) -> str:
    """A report in one line."""
    slowest = max((group.latency[2] for group in report.groups), default=0.0)
    words = f"seed {report.seed}: {report.requests} requests, {report.served:.2%} served, p99 {_seconds(slowest)}"
    words += f", {report.amplification:.2f} calls a request"
    if report.violations:
        words += f", {len(report.violations)} violations"
    return words if report.failure is None else f"{words}, broken off: {report.failure}"


def clock(start: float, seconds: float) -> str:
    """The time of day, ``"14:00:00"``.

    Args:
        start: Of the simulation, in seconds since midnight.
        seconds: Since the start.
    """
    now = int(start + seconds) % 86_400
    return f"{now // 3600:02}:{now // 60 % 60:02}:{now % 60:02}"


def _headline(report: Report) -> str:
    return (
        f"seed {report.seed}, {clock(report.start, 0)} to {clock(report.start, report.duration)}: "
        f"{report.requests} requests, {report.served:.2%} served\n"
        f"{report.attempts} HTTP requests with what clients' SDKs tried again, {report.calls} upstream calls "
        f"({report.amplification:.2f} a request)"
    )


def _keys(keys: Sequence[KeyUse]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("key", "calls", "served", "429", "quota", "401", "5xx", "cut", "left", "most", "of its rpm", "states")
    ]
    for use in keys:
        ends = use.ends
        states = ", ".join(f"{name} {share:.0%}" for name, share in use.states.items() if share >= 0.005)
        rows.append(
            (
                f"{use.provider}/{use.key}" if use.key else use.provider,
                *(str(use.calls), str(ends["served"]), str(ends["rate"]), str(ends["quota"]), str(ends["dead"])),
                *(str(ends["fault"]), str(ends["cut"]), str(ends["left"]), str(use.most)),
                "" if use.utilisation is None else f"{use.utilisation:.0%}",
                states,
            )
        )
    return _table(rows)


def _groups(groups: Sequence[GroupReport]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("clients", "requests", "served", "p50", "p95", "p99", "first p50", "p95", "key wait p95", "p99", "else")
    ]
    for group in groups:
        others = ", ".join(f"{end}: {count}" for end, count in group.ends.items() if end != "ok")
        rows.append(
            (
                group.name,
                str(group.requests),
                f"{group.served:.2%}",
                *map(_seconds, group.latency),
                *map(_seconds, group.first[:2]),
                *map(_seconds, group.waited[1:]),
                others,
            )
        )
    return _table(rows)


def _timeline(report: Report) -> list[str]:
    buckets = report.timeline
    if not buckets:
        return []
    most = max(1, *(bucket.served + bucket.failed for bucket in buckets))
    lines = [f"{'time':8}  {'served #, failed x':{_BAR}}  served  failed   calls     429"]
    for bucket in buckets:
        bar = _bar(bucket, most)
        counts = f"{bucket.served:6}  {bucket.failed:6}  {bucket.calls:6}  {bucket.limited:6}"
        lines.append(f"{clock(report.start, bucket.at)}  {bar:{_BAR}}  {counts}")
    return lines


def _bar(bucket: Bucket, most: int) -> str:
    failed = -(-bucket.failed * _BAR // most)  # a single failure shows
    return "#" * min(bucket.served * _BAR // most, _BAR - failed) + "x" * failed


def _findings(report: Report) -> list[str]:
    lines = []
    if report.failure is not None:
        lines.append(f"BROKEN OFF: {report.failure}")
    if report.violations:
        lines.append(f"{len(report.violations)} VIOLATIONS of what must always hold (a bug: please report it):")
        for one in report.violations[:_MOST_VIOLATIONS]:
            lines.append(f"  {clock(report.start, one.at)} {one.rule}: {one.message}")  # noqa: PERF401 - reads better
    return lines or ["no violations of what must always hold"]


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be: the first and the last to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell if number == len(row) - 1 else cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
