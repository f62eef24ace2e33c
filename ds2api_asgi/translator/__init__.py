"""Room 3: speak every protocol in front of an app that speaks one.

| module | noun |
|---|---|
| `component` | `Translator`, the ASGI app |
| `settings` | what all requests share |
| `request` | one request, from its claim to the end of its answer |
| `question` | what the app is asked, or what the client is told without it |
| `scope` | the scope in which the app is asked |
| `answer`, `headers` | the app's answer, taken as it is sent and given to the client |
| `translation`, `transcoder` | what becomes of an answer: of a document, and of a stream |
| `commit`, `failures` | what is held back until the first content; what is said when it is the answer that failed |
| `transformed` | the transforms of one request |
| `carrying`, `strip` | opaque state, of requests that are translated and of those that are not |
| `losses` | what is done about losses |
| `convert` | `convert`: a document or a stream with no web at all |
"""

from ..transforms.carry import CarryStore, MemoryCarryStore
from .component import Translator
from .convert import Converted, convert

__all__ = ["CarryStore", "Converted", "MemoryCarryStore", "Translator", "convert"]
