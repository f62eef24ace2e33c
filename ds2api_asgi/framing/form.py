"""Forms (``multipart/form-data``): `read_fields` finds short text fields of a whole form, `with_field` changes one.

Whoever decides by a field must not read another one than the app behind, and parsers differ on nearly everything that
is not as browsers and SDKs write it. So what they may read differently is refused: bytes before the first part or after
the last one (but for a blank line, which Unity writes before and older Rubys behind), a boundary within a part, a line
that ends with LF alone, a name twice, in disguise or in another case, a field that is a file. All parts are held to
that; only the fields that are asked for are decoded.

https://www.rfc-editor.org/rfc/rfc7578, and RFC 2046, 5.1 for boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from ..errors import FramingError

__all__ = ["MAX_HEAD", "MAX_PARTS", "MAX_VALUE", "Field", "may_be_pairs_of", "read_fields", "with_field"]

MAX_HEAD: Final = 8 * 1024
"""Bytes of the headers of one part."""

MAX_PARTS: Final = 256
"""Parts of a form."""

MAX_VALUE: Final = 1024
"""Bytes of a field that is asked for."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# Parsers differ on whether a backslash before a quote escapes it.
_QUOTED: Final = rb'"(?:[^"\\\x00-\x1f]|\\(?!["\x00-\x1f]))*+"'
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PARAMETER: Final = rb"[ \t]*+;[ \t]*+(%b)=(%b|%b)"
_OF_PART: Final = re.compile(_PARAMETER % (_TOKEN, _QUOTED, _TOKEN))
# Boundaries stand without quotes, though some of what they may have is in no token.
_OF_FORM: Final = re.compile(_PARAMETER % (_TOKEN, _QUOTED, rb"[0-9A-Za-z'()+_,\-./:=?]++"))
_LINE: Final = re.compile(rb"(%b):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)" % _TOKEN)
_LENGTH: Final = re.compile(rb"^content-length:.*\n", re.IGNORECASE | re.MULTILINE)
# Of Latin 1, which some of Java's say without need, only what is ASCII too.
_PLAIN: Final = re.compile(rb'text/plain(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii|(iso-8859-1))"?)?', re.IGNORECASE)
_DISPOSED: Final = frozenset({b"name", b"filename", b"filename*"})
_CHARSET: Final = b"_charset_"  # says to some in which charset all fields are
_AS_IT_IS: Final = frozenset({b"7bit", b"8bit", b"binary"})
_BETWEEN_PAIRS: Final = re.compile(rb"[&;]")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f]")


class Field(Struct, frozen=True, gc=False):
    """A text field.

    Attributes:
        value: What it says.
        head: Where its part begins in the body, in bytes.
        start: Where the value begins.
        end: Where it ends.
    """

    value: str
    head: int
    start: int
    end: int


def read_fields(body: bytes, content_type: bytes, names: Collection[str]) -> dict[str, Field]:
    """Find text fields of a form.

    Args:
        body: All of it.
        content_type: The header, with its boundary.
        names: Of the fields, in lower case.

    Returns:
        Those that are there.

    Raises:
        FramingError: It is no form, or one that parsers may read differently; says nothing of what is in it.
    """
    wanted = {name.encode(): name for name in names}
    found: dict[str, Field] = {}
    for number, (head, start, end) in enumerate(_parts(body, _boundary_of(content_type)), 1):
        if number > MAX_PARTS:
            raise FramingError(f"there are more than {MAX_PARTS} parts")
        headers = _headers(head)
        disposition = _parameters(headers.get(b"content-disposition", b""), b"form-data", _OF_PART)
        called = disposition.get(b"name", _CHARSET)
        if called == _CHARSET or b"\\" in called or not disposition.keys() <= _DISPOSED:
            raise FramingError("a part has no plain name")
        if headers.get(b"content-length") not in (None, b"%d" % (end - start)):
            raise FramingError("a part is not as long as it says")
        name = wanted.get(called)
        if name is None:
            folded = called.decode(errors="replace").casefold()  # some of Go's readers compare names as those do
            if folded in names:
                raise FramingError(f"the field {folded!r} is spelled in another case")
            continue
        if name in found:
            raise FramingError(f"the field {name!r} is there twice")
        if len(disposition) > 1 or not _is_text(headers, body[start:end]):
            raise FramingError(f"the field {name!r} is no text")
        found[name] = Field(_value(name, body[start:end]), start - len(head) - 4, start, end)
    return found


def may_be_pairs_of(body: bytes, names: Collection[str]) -> bool:
    """Whether a reader of ``application/x-www-form-urlencoded`` may find one of these fields in a body.

    So says ``curl -d`` of JSON, in which no field stands unless somebody means it: ``{"x": "&model=dear"}``.

    Args:
        body: All of it.
        names: Of the fields, in lower case.
    """
    for pair in _BETWEEN_PAIRS.split(body):
        name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).partition(b"[")[0]  # PHP: model[]
        if name.strip().decode(errors="replace").casefold() in names:
            return True
    return False


def with_field(body: bytes, content_type: bytes, name: str, value: str) -> bytes:
    """A form with another value of a text field.

    Args:
        body: All of it.
        content_type: The header.
        name: The field's, which must be there.
        value: What it is to say.

    Raises:
        FramingError: It has no such field, is no plain form, or cannot say the value with its boundary.
    """
    field = read_fields(body, content_type, (name,)).get(name)
    if field is None:
        raise FramingError(f"there is no field {name!r}")
    head = _LENGTH.sub(b"", body[field.head : field.start])
    changed = b"".join((body[: field.head], head, value.encode(), body[field.end :]))
    try:
        said = read_fields(changed, content_type, (name,))[name].value
    except FramingError:
        said = None
    if said != value:
        raise FramingError(f"the field {name!r} cannot say that")
    return changed


def _boundary_of(content_type: bytes) -> bytes:
    boundary = _parameters(content_type, b"multipart/form-data", _OF_FORM).get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise FramingError("the form has no boundary")
    return boundary


def _parameters(value: bytes, kind: bytes, pattern: re.Pattern[bytes]) -> dict[bytes, bytes]:
    """The parameters behind a value of a header, by their names in lower case."""
    if value[: len(kind)].lower() != kind:
        raise FramingError(f"this is no {kind.decode()}")
    found: dict[bytes, bytes] = {}
    bases: set[bytes] = set()
    at, end = len(kind), len(value.rstrip(b" \t;"))
    while at < end:
        match = pattern.match(value, at, end)
        if match is None:
            raise FramingError("the parameters of a header are no plain ones")
        name, said = match[1].lower(), match[2]
        base = name.partition(b"*")[0]  # some join ``name*0=mo; name*1=del``, and take it for the name
        if name in found or (base in bases and base != b"filename"):
            raise FramingError("a parameter of a header is there twice")
        bases.add(base)
        found[name] = said[1:-1] if said[:1] == b'"' else said
        at = match.end()
    return found


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The head of each part, and where its content begins and ends."""
    dash = b"--" + boundary
    first = 2 if body.startswith(b"\r\n") else 0
    at = first + len(dash)
    if not body.startswith(dash, first):
        raise FramingError("the form does not begin with its boundary")
    while not body.startswith(b"--", at):
        if not body.startswith(b"\r\n", at):
            raise FramingError("a boundary does not stand alone")
        at += 2
        over = body.find(dash, at)  # wherever it stands, some parser will end the part there
        blank = body.find(b"\r\n\r\n", at, at + MAX_HEAD)
        start, end = blank + 4, over - 2
        if over < 0 or blank < 0 or end < start or body[end:over] != b"\r\n":
            raise FramingError("a part has no head or no end")
        yield body[at:blank], start, end
        at = over + len(dash)
    if body[at + 2 :].strip(b"\r\n"):
        raise FramingError("something follows the form")


def _headers(head: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        match = _LINE.fullmatch(line)
        if match is None or match[1].lower() in found:
            raise FramingError("a part has no plain headers")
        found[match[1].lower()] = match[2].rstrip()
    return found


def _is_text(headers: dict[bytes, bytes], content: bytes) -> bool:
    kind = _PLAIN.fullmatch(headers.get(b"content-type", b"text/plain"))
    coding = headers.get(b"content-transfer-encoding", b"8bit").lower()
    return kind is not None and coding in _AS_IT_IS and (kind[1] is None or content.isascii())


def _value(name: str, content: bytes) -> str:
    if len(content) > MAX_VALUE:
        raise FramingError(f"the field {name!r} has more than {MAX_VALUE} bytes")
    try:
        value = content.decode()
    except UnicodeDecodeError:
        raise FramingError(f"the field {name!r} is no UTF-8") from None
    if _CONTROLS.search(value):
        raise FramingError(f"the field {name!r} is more than a line")
    return value
