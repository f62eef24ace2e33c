"""The public surface as a type checker sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

API = Path(__file__).with_name("api.py")
ROOT = API.parents[2]


def test_user_code_passes_a_strict_type_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = pytest.importorskip("mypy.api", reason="mypy is not in the extra test; the lint step of .ci/run has it")
    monkeypatch.chdir(ROOT)
    report, errors, status = checker.run(["--strict", "--warn-unused-ignores", str(API.relative_to(ROOT))])
    assert status == 0, report + errors
