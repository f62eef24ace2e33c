"""What OpenAI's protocols have in common, Chat Completions and Responses; vendors that copy one of them copy it too.

| module | noun |
|---|---|
| `answers` | envelopes of answers |
| `embeddings` | ``POST /v1/embeddings`` |
| `errors` | errors, and what a failure is called |
| `limits` | rate limits in headers |
| `marks` | members with no place, and cache marks |
| `models` | models and token counts |
| `results` | contents, and what tools say of their failure |
| `routes` | paths |
| `rows` | what follows from each failure of OpenAI and the vendors that speak its protocols |
| `settings` | how much to think, and the service tier |
| `sockets` | websockets that a key is put into: Realtime |
| `usage` | token counts |
"""
