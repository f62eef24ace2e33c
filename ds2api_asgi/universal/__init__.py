"""Room 0: the universal format. No protocol is named in it, and none is at home here.

A document decodes into a tree of frozen structs and encodes from one. Three rules make the laws of conversion hold:

* Decoding transcribes, encoding normalises: one wire message is one `Turn`, in its place, as it was.
* Every node keeps what it does not know (``ext``) and how it was spelled (``form``); an unknown variant is opaque.
* Absent, null and empty are three things: absent is UNSET, a null where a value could stand is kept in ``ext``.

| module | noun |
|---|---|
| `node` | what every node has |
| `content` | parts: text, media, reasoning, calls, results, and what nobody knows |
| `request`, `response` | the two documents |
| `events`, `lifecycle`, `fold` | an answer as a stream of events, the order they may come in, and what they add up to |
| `failure`, `unanswered`, `retry_after` | errors, and what follows from them, or from no answer; how long to wait |
| `plain` | the usual request and the usual answer, flat |
| `embedding` | texts that become vectors |
| `loss` | what a conversion could not carry |
| `diff`, `normal` | what differs between two trees, and putting it back; one grouping of turns for all |
| `ids`, `digest` | call ids and names of tools in other alphabets |
| `effort`, `media`, `templates`, `estimate` | budgets, data URLs, the only words we ever add, guessed token counts |
| `capsule` | payloads that only their minter can read, in an envelope |
| `jsontext` | JSON that keeps its numbers and its text |
"""
