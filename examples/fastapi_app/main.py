"""Notes, and a language model beside them: a FastAPI app with an LLM endpoint for every protocol under ``/llm``.

    uvicorn --app-dir examples/fastapi_app main:app

It needs no keys and no network: the demo model answers. Set ``UPSTREAM_URL`` (``https://api.openai.com``) and
``UPSTREAM_KEYS`` (``sk-1,sk-2``) to ask a provider that speaks OpenAI Chat Completions, and ``UPSTREAM_MODEL`` to the
model that summarises notes.
"""

from __future__ import annotations

import os

import httpx2
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from ds2api_asgi import KeyPool, Retry, Translator, Upstream, lifespan
from ds2api_asgi.demo import DemoModel

MODEL = os.environ.get("UPSTREAM_MODEL", "demo-small")


def make_llm() -> Translator:
    """The endpoint: a translator around retries around a key pool around who answers."""
    url = os.environ.get("UPSTREAM_URL")
    provider = Upstream(url, protocol="openai-chat") if url else DemoModel()
    keys = os.environ.get("UPSTREAM_KEYS", "demo-key").split(",")
    return Translator(Retry(KeyPool(provider, protocol="openai-chat", keys=keys)), speaks="openai-chat")


class NewNote(BaseModel):
    """What a client writes."""

    text: str


class Note(NewNote):
    """A note as it is kept."""

    id: int


llm = make_llm()
app = FastAPI(title="Notes", lifespan=lifespan(llm))
app.mount("/llm", llm)
app.state.notes = {}


@app.get("/health")
async def health() -> dict[str, str]:
    """Tell that the app is up."""
    return {"status": "ok"}


@app.post("/notes", status_code=201)
async def create_note(new: NewNote) -> Note:
    """Keep a note."""
    note = Note(id=len(app.state.notes) + 1, text=new.text)
    app.state.notes[note.id] = note
    return note


@app.get("/notes")
async def list_notes() -> list[Note]:
    """All notes."""
    return list(app.state.notes.values())


@app.post("/notes/{note_id}/summary")
async def summarise(note_id: int) -> dict[str, str]:
    """Let the model say a note in fewer words. The endpoint is an app: its own host asks it without a socket."""
    if note_id not in app.state.notes:
        raise HTTPException(404, "no such note")
    question = f"Summarise: {app.state.notes[note_id].text}"
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(llm), base_url="http://llm") as client:
        answer = await client.post(
            "/v1/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": question}]}
        )
    if answer.status_code != 200:
        raise HTTPException(502, "the model did not answer")
    return {"summary": answer.json()["choices"][0]["message"]["content"]}
