"""Room 3: the state of the OpenAI Responses API in front of an app that has none.

| module | noun |
|---|---|
| `component` | the part |
| `routes`, `create`, `request` | which requests it takes; what one says of state; one on its way |
| `members`, `items` | JSON one level deep; the items of a conversation |
| `answer`, `rewrite`, `reply` | the app's answer; as the client knows it; what a waiting client gets |
| `stored`, `store`, `sqlite` | what is kept, and where |
| `retrieval`, `replay`, `envelope` | what was kept, shown again |
| `background`, `workshop` | work for which nobody waits; where it is done |
| `websocket`, `connection` | the API over a websocket, and what one of these remembers |
| `client`, `refusal`, `settings` | who asks; how they are refused; what all requests share |
"""

from .component import StatefulResponses
from .sqlite import SQLiteResponseStore
from .store import MemoryResponseStore, ResponseStore
from .stored import StoredResponse

__all__ = ["MemoryResponseStore", "ResponseStore", "SQLiteResponseStore", "StatefulResponses", "StoredResponse"]
