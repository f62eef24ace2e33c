"""`JsonLines` and `TextLines`: formatters that make one line of a record, whatever stands in it.

::

    handler.setFormatter(JsonLines())

| member | of |
|---|---|
| ``time``, ``level``, ``logger``, ``message`` | every record |
| ``exception`` | those with a traceback |
| those of `Summary`, and ``trace`` | a request, from `Traced`: the decision trace that ``ds2api explain`` reads |
| ``method``, ``path``, ``status``, ``end``, ``why``, ``took`` | a request that is no protocol's |
| ``extra`` | what else the caller gave, as far as it is data |

The line is JSON for every parser: no NaN, no lone surrogate, and nothing in it ends a line, turns its direction, or
speaks to a terminal.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ..asgi.trace import plain, printable
from .summary import Summary

__all__ = ["MAX_EXCEPTION", "MAX_MESSAGE", "JsonLines", "TextLines"]

MAX_MESSAGE: Final = 8_192
"""Characters of a message that are kept."""

MAX_EXCEPTION: Final = 16_384
"""Characters of a traceback that are kept: its last ones."""

_MAX_EXTRA: Final = 32
_OWN: Final = frozenset({"ds2_id", "ds2_status", "ds2_end", "ds2_trace", "ds2_request", "ds2_other"})
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
# What the encoder leaves as it is and a line cannot hold; it stands only inside of strings, so it may be escaped.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


class JsonLines(logging.Formatter):
    """One JSON document per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line; never raises for what a record holds."""
        moment = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, Any] = {
            "time": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        members = vars(record)
        summary, other = members.get("ds2_request"), members.get("ds2_other")
        trace = members.get("ds2_trace")
        if isinstance(summary, Summary) and isinstance(trace, str):
            told["message"] = f"{summary.operation} {summary.status} {summary.end}"
            told.update(msgspec.to_builtins(summary))
            told["trace"] = _document(trace)
        elif isinstance(other, dict):
            told["message"] = f"{other.get('method')} {other.get('path')}"
            told.update(other)
        else:
            told["message"] = _cut(_message(record), MAX_MESSAGE)
            extra = _extra(members)
            if extra:
                told["extra"] = extra
        exception = _exception(self, record)
        if exception:
            told["exception"] = exception
        line = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_name)
        return _ESCAPED.sub(_escape, line)


class TextLines(logging.Formatter):
    """One line to read per record, and its traceback beneath; what a message holds does not begin another line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without a traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or whose text raises
        return record.msg if isinstance(record.msg, str) else _name(record.msg)


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    found: list[str] = []
    if record.exc_info:
        found.append(record.exc_text or formatter.formatException(record.exc_info))
    if record.stack_info:
        found.append(formatter.formatStack(record.stack_info))
    text = "\n".join(found)
    return text if len(text) <= MAX_EXCEPTION else "…" + text[1 - MAX_EXCEPTION :]


def _extra(members: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in members if name not in _STANDARD and name not in _OWN]
    return {_cut(name, 100): _plain(members[name]) for name in names[:_MAX_EXTRA]}


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except Exception:  # noqa: BLE001 - the proxy of a thing that is gone, or what else raises when it is looked at
        return _name(value)


def _document(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # a record of somebody else's
        return None


def _name(value: object) -> str:
    return type(value).__name__


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"
