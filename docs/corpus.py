"""Write `corpus.md`: recorded traffic of real providers, translated from each protocol to every other.

Each document of the corpus goes through `convert`, and what comes out is held against the target's official types, as
the tests do. A document that its own provider would refuse is refused by name (`tests/kits` says why).

    python docs/corpus.py > docs/pages/corpus.md

It needs the recorded traffic beside the project (``../shared/corpus``) and the test dependencies.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from ds2api_asgi import InvalidDocument, convert
from ds2api_asgi.protocols.base import Claim
from ds2api_asgi.universal.jsontext import dumps
from kits import KITS
from lawkit import request_problems, response_problems
from shared import SHARED, corpus_bodies, corpus_items

__all__ = ["page", "rows"]

Kind = Literal["request", "response", "stream", "error"]
KINDS: tuple[Kind, ...] = ("request", "response", "stream", "error")


def page() -> str:
    """The whole page."""
    lines = [
        "# Recorded traffic, from each protocol to every other",
        "",
        "This page is written by `docs/corpus.py`. A cell tells how many recorded documents became valid ones of the",
        "target protocol, and how many of these lost nothing but spelling. What is refused is refused in every",
        "protocol, its own included, with the path of what is wrong.",
        "",
    ]
    for kind in KINDS:
        lines += [f"## {kind}", "", f"| from | recorded | refused | {' | '.join(KITS)} |"]
        lines += [f"|---|---|---|{'---|' * len(KITS)}"]
        for source in KITS:
            total, refused, cells = rows(kind, source)
            lines.append(f"| {source} | {total} | {refused} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def rows(kind: Kind, source: str) -> tuple[int, int, list[str]]:
    """One row.

    Returns:
        How many were recorded, how many are refused, and a cell for each target.
    """
    documents = _documents(kind, source)
    refused: set[str] = set()
    counts: dict[str, Counter[str]] = {target: Counter() for target in KITS}
    for name, body, said in documents:
        for target in KITS:
            try:
                counts[target][_outcome(kind, source, target, body, said)] += 1
            except InvalidDocument:
                refused.add(name)
    return len(documents), len(refused), [_cell(counts[target], kind) for target in KITS]


def _documents(kind: Kind, source: str) -> list[tuple[str, bytes, dict[str, Any]]]:
    kit = KITS[source]
    match kind:
        case "request":
            return [(name, body, _said(claim)) for name, body, claim in kit.bodies()]
        case "response":
            return [(name, body, {}) for name, body in corpus_bodies(kit.corpus, "response")]
        case "stream":
            return [(name, data, {}) for name, data in kit.streams()]
        case "error":
            items = [item for item in corpus_items("errors", "response") if item.get("for_protocol") == kit.corpus]
            return [(item["id"], dumps(item["body"]), {}) for item in items]


def _said(claim: Claim | None) -> dict[str, Any]:
    if claim is None:
        return {}
    return {
        "model": None if claim.model is UNSET else claim.model,
        "stream": None if claim.stream is UNSET else claim.stream,
    }


def _outcome(kind: Kind, source: str, target: str, body: bytes, said: dict[str, Any]) -> str:
    got = convert(body, kind=kind, source=source, target=target, **said)
    problems: list[str] = []
    if kind == "request":
        problems = request_problems(target, json.loads(got.body))
    elif kind == "response" and "error" not in (document := json.loads(got.body)):
        problems = response_problems(target, document)
    elif kind == "stream" and source != target:
        for document in KITS[target].documents(got.body):
            if "error" not in document:
                KITS[target].events.validate_python(document)
    if problems and source != target:
        return "invalid"
    return "lossy" if any(loss.severity != "cosmetic" for loss in got.losses) else "whole"


def _cell(count: Counter[str], kind: Kind) -> str:
    valid = count["whole"] + count["lossy"]
    text = str(valid) if kind == "error" else f"{valid} ({count['whole']} whole)"
    return f"{text}, **{count['invalid']} invalid**" if count["invalid"] else text


if __name__ == "__main__":
    if SHARED is None:
        sys.exit("the recorded traffic is not beside the project (../shared/corpus)")
    print(page(), end="")
