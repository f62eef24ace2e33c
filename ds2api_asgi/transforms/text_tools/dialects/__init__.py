"""The dialects that calls are written in: how each looks, and a small recogniser that reads it back.

| module | noun |
|---|---|
| `xml` | ``xml`` |
| `tags`, `invoke`, `cdata` | what it is made of |
| `hermes`, `llama`, `mistral`, `fence` | one dialect of JSON each |
| `json_form` | calls and results as JSON |
"""

from typing import Final

from .fence import JSON_FENCE
from .hermes import HERMES
from .llama import LLAMA3_JSON
from .mistral import MISTRAL
from .xml import XML

__all__ = ["DIALECTS", "HERMES", "JSON_FENCE", "LLAMA3_JSON", "MISTRAL", "XML"]

DIALECTS: Final = (XML, HERMES, LLAMA3_JSON, MISTRAL, JSON_FENCE)
"""All of ours; they can be read together."""
