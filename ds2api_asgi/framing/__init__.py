"""Bytes to frames and back: incremental, bounded, in linear time, knowing no protocol.

Every parser of a stream has ``feed(bytes)`` and ``close()``, both give lists. How the bytes are cut into reads never
changes what comes out. When bytes break the framing or a bound, all frames before the break are given first; then
`feed` and `close` raise ``FramingError``, so whoever closes a parser learns of it.

| module | noun |
|---|---|
| `sse` | server-sent events |
| `ndjson` | JSON documents, one a line |
| `json_array` | a JSON array, one element after the other |
| `form` | the fields of a form, which is no stream and read whole |
"""
