"""L8 report: every difference that a translation made is confessed, and every confession is true."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.diff import Change, diff, format_path
from ds2api_asgi.universal.loss import Loss, LossKind, Severity
from ds2api_asgi.universal.normal import regroup
from lawkit import PAIRS, protocol, read_request, request_documents

SPELLING = frozenset({"form", "origin"})


def _covered(change: Change, losses: tuple[Loss, ...]) -> bool:
    path = format_path(change.path)
    return any(_within(path, loss.path) or _within(loss.path, path) or _shifted(path, loss) for loss in losses)


def _shifted(path: str, loss: Loss) -> bool:
    """What stood behind a member that was dropped has moved up."""
    name, bracket, _ = loss.path.partition("[")
    return bool(bracket) and loss.kind is LossKind.DROPPED and path.startswith(f"{name}[") and name != "turns"


def _within(inner: str, outer: str) -> bool:
    return inner == outer or (inner.startswith(outer) and inner[len(outer)] in ".[")


def _null(change: Change) -> bool:
    """An explicit null or empty list of the source says no more than its absence."""
    if change.path[-1:] == ("citations",) and change.value == ():
        return True
    if change.path[-1:] == ("ext",):
        return isinstance(change.value, dict) and not any(value is not None for value in change.value.values())
    return change.path[-2:-1] == ("ext",) and change.value is None


def _turn(path: str) -> bool:
    return re.match(r"turns\[\d+\]", path) is not None


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_what_differs_is_reported(source: str, target: str, data: st.DataObject) -> None:
    request = read_request(source, data.draw(request_documents(source)))
    encoded = protocol(target).encode_request(request)
    detour = read_request(target, encoded.document, request)
    changes = diff(regroup(request), regroup(detour), ignore=SPELLING | {"stream_usage"})
    # Regrouping moves turns, so a change in the conversation is covered by any loss in the conversation.
    in_turns = any(_turn(loss.path) for loss in encoded.losses)
    silent = [c for c in changes if not _covered(c, encoded.losses) and not (in_turns and _turn(format_path(c.path)))]
    silent = [c for c in silent if not _null(c)]
    assert [(format_path(c.path), c.value) for c in silent] == []


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(data=st.data())
def test_what_is_reported_differs(source: str, target: str, data: st.DataObject) -> None:
    request = read_request(source, data.draw(request_documents(source)))
    encoded = protocol(target).encode_request(request)
    if not encoded.losses:
        return
    detour = read_request(target, encoded.document, request)
    changes = [format_path(c.path) for c in diff(request, detour)]
    for loss in encoded.losses:
        if loss.severity is Severity.COSMETIC and _turn(loss.path):
            continue  # what only moved between turns may land where it was
        assert any(
            _within(path, loss.path) or _within(loss.path, path) or (_turn(path) and _turn(loss.path))
            for path in changes
        ), loss
