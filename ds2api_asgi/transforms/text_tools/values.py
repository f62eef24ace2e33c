"""The values of parameters in markup: JSON text for what stood between two tags, by the parameter's schema.

| the schema wants | CDATA | plain text |
|---|---|---|
| a string | its characters | its characters, entities read |
| a string or null | its characters | ``null``, else its characters, entities read |
| anything, or says nothing | its characters | JSON if it is some, items as an array, else its characters |
| no string | as plain text | JSON, mended if need be; items or markup as an array or object; else its characters |

A parameter that stands more than once is an array, unless its schema wants a string. An array's only child may stand
for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from ...universal.jsontext import JsonText, json_string
from .repair import listed, repaired
from .schema import Shape, coerced, member, resolve, shape, takes

__all__ = ["Value", "json_of", "unescaped"]

_ENTITY: Final = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6}));")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_TAG: Final = re.compile(r"<(/?)([A-Za-z_][\w.-]*)\s*(/?)>|<br\s*/?>", re.ASCII)
_ITEM: Final = "item"
_MAX_NESTING: Final = 32
"""Elements in elements that are read as structure; deeper ones are text."""


class Value(Struct, frozen=True):
    """What stood between a parameter's tags.

    Attributes:
        segments: Text, and whether it was CDATA; white space around CDATA is not among them.
    """

    segments: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        """Its characters."""
        return "".join(text if cdata else unescaped(text) for text, cdata in self.segments)

    @property
    def cdata(self) -> bool:
        """Whether it is CDATA and nothing else."""
        return bool(self.segments) and all(cdata for _, cdata in self.segments)

    @property
    def markup(self) -> str:
        """Itself as markup; CDATA that is all there is counts as markup, since models wrap whatever they write."""
        if self.cdata:
            return "".join(text for text, _ in self.segments)
        return "".join(_escaped(text) if cdata else text for text, cdata in self.segments)


def unescaped(text: str) -> str:
    """A text with XML's five entities and character references read; whatever else has an ``&`` stays."""
    return _ENTITY.sub(_entity, text) if "&" in text else text


def _entity(found: re.Match[str]) -> str:
    name, decimal, hexadecimal = found.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if code <= 0x10FFFF else found.group()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def json_of(values: Sequence[Value], schema: Any, root: Any) -> str | None:
    """The JSON text of a parameter.

    Args:
        values: What stood between its tags, once for each time that it stood there; at least one.
        schema: Of the parameter.
        root: The whole schema.

    Returns:
        The text; None where a string stands more than once.
    """
    if len(values) == 1:
        return _value(values[0], schema, root)
    if shape(schema, root) in (Shape.STRING, Shape.NULLABLE):
        return None
    inner = resolve(schema, root).get("items", {})
    return f"[{','.join(_value(value, inner, root) for value in values)}]"


def _value(value: Value, schema: Any, root: Any) -> str:
    kind = shape(schema, root)
    if kind is Shape.STRING or (kind is not Shape.OTHER and value.cdata):
        return _string(value.text)
    if kind is Shape.NULLABLE:
        return "null" if value.text.strip() == "null" else _string(value.text)
    text = value.text.strip()
    if JsonText(text).valid:
        return _wanted(text, schema, root)
    built = _built(value.markup, schema, root)
    if built is not None:
        return built
    if kind is Shape.OTHER:
        mended = repaired(text)
        if mended is None and takes(schema, root, "array"):
            mended = listed(text)
        if mended is not None:
            return _wanted(mended, schema, root)
    return _string(value.text)


def _wanted(text: str, schema: Any, root: Any) -> str:
    if text[0] == "{" and takes(schema, root, "array") and not takes(schema, root, "object"):
        text = f"[{text}]"
    return coerced(text, schema, root)


def _string(text: str) -> str:
    return json_string(text).decode("utf-8")


class _Element:
    """An element of markup: its name, its children, its text."""

    __slots__ = ("_text", "children", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[_Element] = []
        self._text: list[str] = []

    def say(self, text: str) -> None:
        """More text."""
        self._text.append(text)

    @property
    def text(self) -> str:
        """Its own text, without its children's."""
        return "".join(self._text)


def _built(markup: str, schema: Any, root: Any) -> str | None:
    """The array or object that markup spells; None if it is text."""
    markup = markup.strip()
    if not markup.startswith("<"):
        return None
    top = _parsed(markup)
    if top is None or top.text.strip() or not top.children:
        return None
    if all(child.name == _ITEM for child in top.children) or takes(schema, root, "object"):
        return _element(top, schema, root)
    if takes(schema, root, "array"):
        inner = resolve(schema, root).get("items", {})
        return f"[{','.join(_element(child, inner, root) for child in top.children)}]"
    return None


def _parsed(markup: str) -> _Element | None:
    """The elements of markup under one without a name; None if tags do not match."""
    stack = [_Element("")]
    at = 0
    for tag in _TAG.finditer(markup):
        stack[-1].say(markup[at : tag.start()])
        at = tag.end()
        closing, name, empty = tag.groups()
        if name is None or name.lower() == "br":
            if len(stack) > 1:
                stack[-1].say("\n")
        elif closing:
            if len(stack) == 1 or stack[-1].name != name:
                return None
            stack.pop()
        else:
            element = _Element(name)
            stack[-1].children.append(element)
            if not empty:
                stack.append(element)
                if len(stack) > _MAX_NESTING:
                    return None
    stack[-1].say(markup[at:])
    return stack[0] if len(stack) == 1 else None


def _element(element: _Element, schema: Any, root: Any) -> str:
    children = element.children
    if not children:
        return _value(Value(((element.text, False),)), schema, root)
    if all(child.name == _ITEM for child in children):
        inner = resolve(schema, root).get("items", {})
        return f"[{','.join(_element(child, inner, root) for child in children)}]"
    named: dict[str, list[_Element]] = {}
    for child in children:
        named.setdefault(child.name, []).append(child)
    return f"{{{','.join(f'{_string(name)}:{_member(same, name, schema, root)}' for name, same in named.items())}}}"


def _member(same: list[_Element], name: str, schema: Any, root: Any) -> str:
    inner = member(schema, name, root)
    if len(same) == 1:
        return _element(same[0], inner, root)
    each = resolve(inner, root).get("items", {})
    return f"[{','.join(_element(one, each, root) for one in same)}]"
