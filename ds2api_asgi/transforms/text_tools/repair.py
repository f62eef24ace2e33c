r"""JSON as models write it, made JSON: one pass over its tokens, tried only where the text is none.

* a backslash that begins no escape is one (``C:\dir``, ``\u12``); control characters in strings are escaped;
* keys without quotes get them; a comma before a closing bracket goes;
* objects side by side (``{…},{…}``) are an array, where one is asked for.
"""

from __future__ import annotations

import re
from typing import Final

from ...universal.jsontext import JsonText

__all__ = ["listed", "mended_string", "repaired"]

# Possessive, and a string may be open to the end: so no character is tried twice, whatever the text.
_TOKEN: Final = re.compile(
    r"""(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)
    |(?P<key>(?<=[{,\s])[A-Za-z_$][\w$-]*(?=\s*:))
    |(?P<comma>,(?=\s*[}\]]))""",
    re.DOTALL | re.VERBOSE | re.ASCII,
)
_ODD: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\|[\x00-\x1f]')
_CONTROL: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def repaired(text: str) -> str | None:
    """The JSON that a text means: itself if it is some; None if it cannot be told."""
    if JsonText(text).valid:
        return text
    text = _TOKEN.sub(_mend, text)
    return text if JsonText(text).valid else None


def listed(text: str) -> str | None:
    """The array that objects side by side mean; None if they are no such thing."""
    return repaired(f"[{text}]") if text.lstrip().startswith("{") else None


def _mend(token: re.Match[str]) -> str:
    found = token.group()
    match token.lastgroup:
        case "string":
            return mended_string(found)
        case "key":
            return f'"{found}"'
        case _:
            return ""


def mended_string(text: str) -> str:
    """A JSON string, or a piece of one that cuts no escape, without what no string may hold."""
    return _ODD.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    text = found.group()
    if text == "\\":
        return "\\\\"
    return text if len(text) > 1 else _CONTROL.get(text, f"\\u{ord(text):04x}")
