"""`TextTools`: tools for models that have none.

| module | what |
|---|---|
| `transform`, `begun` | the transform, and one request's way through it |
| `telling`, `guide` | the request in words |
| `dialect`, `dialects/` | how calls are written, and small recognisers that read them back |
| `cursor`, `sieve`, `markdown`, `pieces` | one pass over a text: what is a call, what is code, what waits |
| `json_call`, `json_live` | calls in JSON; their arguments, said as they come |
| `arguments`, `values`, `schema`, `repair`, `tokens`, `json_reader` | what a model wrote, as JSON of its schema |
| `stream`, `parts`, `offer`, `verdict` | events, candidates, ids, why an answer stopped |
"""

from .dialect import Dialect
from .dialects import DIALECTS
from .transform import TextTools

__all__ = ["DIALECTS", "Dialect", "TextTools"]
