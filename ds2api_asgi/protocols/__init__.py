"""Room 1: the wire protocols, one package each with the same files; none imports another.

| module | what protocols share |
|---|---|
| `base`, `exchanged` | what a protocol is: its sides; what they exchange |
| `dialects` | dialects by their names |
| `codec` | `Codec`: a protocol put together from the modules of its package |
| `fields` | tables of members that are one value on both sides; reading with a check |
| `scope` | `Scope`: one run of an encoder: home or not, losses, spelling of names and ids |
| `arguments` | arguments where a protocol takes objects only; tools of free text where it takes functions only |
| `stream` | `FrameDecoder` and `LineWatch`: reading and watching a stream, but for the meaning of its frames |
| `verdict` | what follows from a failure, given the protocol's rows and limits, and a user's |
| `classification` | the same as a public function, and all rows as data |
| `bedrock_rows` | rows of Amazon Bedrock, whatever protocol it is asked in |
| `alive` | what may be sent to a client that waits |
| `ending` | errors in the middle of a stream |
| `hidden` | errors under a success status |
| `inference` | answers to what is not translated, watched and judged |
| `metering` | `Meter`: token counts, read off the bytes of an answer of any protocol |
| `mould` | `Mould`: frames of a stream that differ from an earlier one in a single string |
| `plain` | the short way: usual requests and answers from bytes to bytes |
| `embedding` | what embeddings of all protocols share |
| `namespaces` | namespaces of tools, spelled out for protocols that have none |
| `resources` | what accounts keep, and how documents name it |
| `openai_shared` | what all protocols of OpenAI spell alike |
| `registry` | protocols by name, and whose a request is |

To add one:

1. ``profile.py``: ``NAME``, ``TARGET`` (alphabets of call ids and tool names), dialects, and ``violations``, the
   provider's rules that a schema cannot say. ``fields.py``: the tables, and ``PLACED``, the universal members that the
   encoder writes or reports by itself; `fields.unplaced` reports the others.
2. ``request.py``, ``response.py``: ``decode_x`` above ``encode_x``. An encoder makes one `scope.Scope`, hands it down,
   and ends with ``Encoded(losses=tuple(scope.losses), context=scope.context(request))``. What grows past 300 lines is
   split by noun (``turns``, ``tools``, ``media``, ``calls``, ``usage``, ``stops``).
3. ``errors.py`` (spelling), ``limits.py`` (headers), ``verdicts.py`` (``ROWS``, each with its page, and ``classify`` by
   `verdict.verdict_of`), ``routes.py``, ``companions.py``, and ``resources.py`` where providers keep anything.
4. ``stream_decoder.py`` (a `stream.FrameDecoder`), ``stream_watch.py`` (a `stream.LineWatch`), ``stream_encoder.py``
   (the answer; what it says of parts is ``stream_parts.py`` where that is much).
   ``plain.py`` where the usual request shall be cheap: the same sides for what says nothing but texts.
5. ``__init__.py``: its docstring lists the decisions, ``PROTOCOL: Protocol = Codec(…)`` names the modules: a type
   checker sees whether each has what its side demands.
6. Its name in `registry`, its entry in ``KITS`` of ``tests/kits``: then every law, every pair and the recorded
   corpus are tested. ``tests/protocols/<package>/`` has only what is the protocol's own.
"""
