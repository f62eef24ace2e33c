"""The gateway that benchmarks measure: every part on, over the upstream that UPSTREAM names.

Clients may speak OpenAI Chat (bytes pass untouched) or Anthropic (translated).
"""

from __future__ import annotations

import gc
import os

from ds2api_asgi import KeyPool, Retry, Translator, Upstream

upstream = Upstream(os.environ["UPSTREAM"])
pool = KeyPool(upstream, protocol="openai-chat", keys=os.environ["API_KEYS"].split(","))
app = Translator(Retry(pool), speaks="openai-chat", on_loss="allow")

# As the command line does (`gateway.serving.uvicorn_server`).
gc.collect()
gc.freeze()
gc.set_threshold(10_000)
