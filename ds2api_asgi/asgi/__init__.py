"""Room 2: mechanics that all parts share, none of which knows a protocol.

| module | noun |
|---|---|
| `types` | ASGI's types at our doors |
| `path`, `own_scope` | where a request points, relative to the mount; the scope of a request of our own |
| `headers` | raw headers, and which may cross us |
| `credentials`, `secret` | where clients put keys, and who a client is; a key that nothing shows |
| `claims` | whose a request is |
| `body` | a request's body, read once and replayed |
| `gate` | a response held back until it may go |
| `masking` | our keys in a provider's words |
| `coding` | answers that are compressed though nobody asked for it |
| `disconnect` | the client's leaving |
| `loop`, `unwrapped` | what runs us; exceptions without the groups that tasks wrap them in |
| `respond`, `denial` | a whole JSON answer; a websocket that is turned away |
| `socket_data` | what a message of a websocket says |
| `lifespan` | opening and closing with the host |
| `exchange`, `facts` | what parts tell each other about a request |
| `trace` | the same, printed: the story of a request |
| `sqlite_file` | a file that several processes share |
"""
