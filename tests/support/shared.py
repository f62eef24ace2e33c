"""The shared material beside the project, where it is present: recorded traffic and known defects."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_BESIDE = _ROOT.parent / "shared"
SHARED: Path | None = _BESIDE if (_BESIDE / "corpus").is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason="the shared corpus is not beside the project (../shared)")


@cache
def corpus_items(protocol: str, kind: str) -> list[dict[str, Any]]:
    """All items of the corpus of a protocol and kind; empty where the corpus is not present."""
    # Parsed item by item; bodies keep their number text because tests re-read `raw_body`.
    return [json.loads(line) for line in _lines(protocol, kind)]


@cache
def corpus_bodies(protocol: str, kind: str) -> list[tuple[str, bytes]]:
    """(id, body bytes) of every item, the body's numbers spelled as they are in the corpus file."""
    return [(item["id"], _dump(item["body"])) for item in _exact_items(protocol, kind)]


class _Number(float):
    text: str


def _number(text: str) -> _Number:
    number = _Number(float(text))
    number.text = text
    return number


@cache
def _exact_items(protocol: str, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=_number) for line in _lines(protocol, kind)]


def _lines(protocol: str, kind: str) -> list[bytes]:
    if SHARED is None:
        return []
    for name in (f"{protocol}.{kind}.jsonl", f"{protocol}.{kind}.jsonl.gz"):
        path = SHARED / "corpus" / name
        if path.exists():
            raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            return [line for line in raw.split(b"\n") if line]
    return []


def _dump(value: Any) -> bytes:
    """JSON bytes with the spelling of floats kept."""
    if isinstance(value, _Number):
        return value.text.encode()
    if isinstance(value, dict):
        members = (json.dumps(key).encode() + b":" + _dump(member) for key, member in value.items())
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_dump, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def corpus_stream_bytes(item: dict[str, Any]) -> bytes:
    """The bytes of a recorded stream."""
    return str(item["raw"]).encode("utf-8", "surrogatepass")


@cache
def defects(*protocols: str) -> list[dict[str, Any]]:
    """The known defects whose client and upstream are both among these protocols (in the files' own spelling)."""
    if SHARED is None:
        return []
    cases = [json.loads(path.read_text()) for path in sorted((SHARED / "defects").glob("*.json"))]
    return [case for case in cases if case.get("client") in protocols and case.get("upstream") in protocols]
