"""`FileWatch`: a file has changed when it says something else, and says it twice."""

from __future__ import annotations

import os
from pathlib import Path

from ds2api_asgi.gateway.watch import FileWatch


def test_a_change_is_told_once_and_only_when_it_has_settled(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("one")
    watch = FileWatch(file)
    assert not watch.changed()
    file.write_text("two, half of")
    assert not watch.changed()
    file.write_text("two, half of it and the rest")
    assert not watch.changed()
    assert watch.changed()
    assert not watch.changed()


def test_what_is_only_touched_or_changed_back_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("one")
    watch = FileWatch(file)
    os.utime(file, (1, 1))
    assert not any(watch.changed() for _ in range(3))
    file.write_text("two")
    assert not watch.changed()
    file.write_text("one")
    assert not any(watch.changed() for _ in range(3))


def test_a_file_that_is_replaced_missing_or_behind_a_link_is_followed(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a", tmp_path / "b", tmp_path / "gateway.toml"
    first.write_text("same")
    second.write_text("else")
    link.symlink_to(first)
    watch = FileWatch(link)
    link.unlink()
    assert not any(watch.changed() for _ in range(3))
    link.symlink_to(second)  # as Kubernetes does it
    assert [watch.changed() for _ in range(3)].count(True) == 1
    new = tmp_path / "new"
    new.write_text("once more")
    new.replace(second)
    assert [watch.changed() for _ in range(3)].count(True) == 1
