"""What OpenAI's protocols have in common, Chat Completions and Responses; vendors that copy one of them copy it too.

| module | noun |
|---|---|
| `routes`, `sockets` | paths; websockets that a key is put into: Realtime |
| `errors`, `rows` | errors; what follows from each, of OpenAI and of the vendors that speak its protocols |
| `limits` | rate limits in headers |
| `models`, `embeddings` | models and token counts; ``POST /v1/embeddings`` |
| `answers`, `usage` | envelopes of answers; token counts |
| `inference_watch` | streams that are not translated: completions, sound, pictures |
| `resources` | what organisations keep: files, batches, stores |
| `results` | contents, and what tools say of their failure |
| `settings` | how much to think, and the service tier |
| `marks` | members with no place, and cache marks |
"""
