"""Room 2: mechanics that all parts share, none of which knows a protocol.

| module | noun |
|---|---|
| `path` | where a request points, relative to the mount |
| `headers` | raw headers, and which may cross us |
| `claims` | whose a request is |
| `body` | a request's body, read once and replayed |
| `gate` | a response held back until it may go |
| `masking` | our keys in a provider's words |
| `disconnect` | the client's leaving |
| `loop` | what runs us |
| `respond` | a whole JSON answer |
| `lifespan` | opening and closing with the host |
| `exchange`, `facts` | what parts tell each other about a request |
"""
