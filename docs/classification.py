"""Write `classification.md`: every row by which failures are judged, with the page that it follows.

python docs/classification.py > docs/pages/classification.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ds2api_asgi.protocols import bedrock_rows
from ds2api_asgi.protocols.classification import Listed, rows
from ds2api_asgi.universal.failure import Row

__all__ = ["page"]

_HEAD = """\
# What a failure means

Written by `docs/classification.py` from the tables that the parts go by. The first row of a protocol that matches
decides; a rule of your own (`rules=[rule(…)]`) comes before all of them. The id of the row stands in the decision
trace and in logs. Status 0 is an error inside a stream that states no status. A failure that no row matches is judged
by its status alone, as `PROTOCOL.kind.KIND`. The page is what a row follows, with the day on which it was read: the
provider's documentation, its SDK, or a report that shows the wire; *unchecked* is from knowledge.
"""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    listed = rows()
    for protocol in dict.fromkeys(one.protocol for one in listed):
        own = [one for one in listed if one.protocol == protocol and one.row not in bedrock_rows.ROWS]
        yield f"## {protocol or 'No answer'}"
        yield ""
        yield from _table(own)
    yield "## Amazon Bedrock, before the rows of each protocol"
    yield ""
    yield from _table([Listed("PROTOCOL", row) for row in bedrock_rows.ROWS])


def _table(listed: Iterable[Listed]) -> Iterator[str]:
    yield "| row | matches | fault | try again | key | page |"
    yield "|---|---|---|---|---|---|"
    for one in listed:
        row = one.row
        fault = row.fault.value + (f" ({row.reason})" if row.reason else "")
        page = f"[page]({row.source}), {row.read}" if row.source else "our own"
        yield f"| `{one.id}` | {_matches(row)} | {fault} | {row.retry} | {row.key} | {page} |"
    yield ""


def _matches(row: Row) -> str:
    found = []
    if row.status:
        found.append(" ".join(str(status) for status in row.status))
    for name, values in (("type", row.type), ("code", row.code), ("type or code", row.word)):
        if values:
            found.append(f"{name} " + ", ".join(f"`{value}`" for value in values))
    if row.detail:
        found.append(f"`{row.detail[0]}` is `{row.detail[1]}`")
    if row.message:
        found.append("message `" + row.message.pattern.replace("|", "\\|").replace("`", "'") + "`")
    return "; ".join(found)


if __name__ == "__main__":
    print(page(), end="")
