"""L16 no invention: every word of content stood in the source, or is a template that the report names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal import jsontext, templates
from ds2api_asgi.universal.content import Part, Reasoning, Refusal, Text, ToolResult
from ds2api_asgi.universal.request import Request
from lawkit import PAIRS, protocol, read_request, request_documents

WORDING = {
    template[0]: template[1] for template in (templates.ERROR_PREFIX, templates.RAW_ARGUMENTS, templates.TOOL_MEDIA)
}


def _content(request: Request) -> str:
    return "".join(text for turn in request.turns for part in turn.parts for text in _texts(part))


def _texts(part: Part) -> list[str]:
    match part:
        case Text(text=text) | Refusal(text=text):
            return [text]
        case Reasoning():
            return [part.text or "", *part.summary]
        case ToolResult():
            return [text for inner in part.parts or () for text in _texts(inner)]
        case _:
            return []


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_content_has_no_letter_that_the_source_has_not(source: str, target: str, data: st.DataObject) -> None:
    document: dict[str, Any] = data.draw(request_documents(source))
    request = read_request(source, document)
    encoded = protocol(target).encode_request(request)
    # Where a value stood and a text is wanted, its JSON text stands, whose letters are the document's.
    allowed = set(_everything(document)) | set(jsontext.dumps(document).decode("utf-8", "surrogatepass"))
    for loss in encoded.losses:
        if isinstance(loss.template, str):
            allowed |= set(WORDING[loss.template])
    assert set(_content(read_request(target, encoded.document, request))) <= allowed


def _everything(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(key + _everything(member) for key, member in value.items())
    if isinstance(value, list):
        return "".join(map(_everything, value))
    return str(value)
