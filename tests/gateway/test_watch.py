"""`FileWatch`: a file has changed when it says something else, and says it twice; one that is referred to, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ds2api_asgi.gateway.config.contents import LONGEST, digest
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


def changes(watch: FileWatch, looks: int = 3) -> int:
    return [watch.changed() for _ in range(looks)].count(True)


def said(path: Path) -> bytes | None:
    return digest(path) if path.exists() else None


def test_files_that_are_referred_to_are_followed_from_when_they_were_read(tmp_path: Path) -> None:
    file, old, new = tmp_path / "gateway.toml", tmp_path / "old", tmp_path / "new"
    for path in (file, old):
        path.write_text("one")
    watch = FileWatch(file)
    known = {old: said(old), new: said(new)}
    old.write_text("two")  # before anybody looked
    watch.follow(known)
    assert changes(watch) == 1
    new.write_text("there")
    assert changes(watch) == 1
    for path in (old, new):  # at once
        path.write_text("three")
    assert changes(watch) == 1
    watch.follow({new: said(new)})
    old.write_text("four")
    assert changes(watch) == 0
    file.write_text("two")
    assert changes(watch) == 1


def test_a_folder_of_secrets_that_is_swapped_is_seen(tmp_path: Path) -> None:
    """Kubernetes: name -> ..data/name, ..data -> ..2026_11_29, and only ..data is replaced."""
    for folder, key in (("..first", "one"), ("..second", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "key").write_text(key)
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "key").symlink_to("..data/key")
    watch = FileWatch(tmp_path / "gateway.toml")
    watch.follow({tmp_path / "key": said(tmp_path / "key")})
    assert changes(watch) == 0
    (tmp_path / "..data_tmp").symlink_to("..second")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert changes(watch) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_nothing_waits_for_what_is_no_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("one")
    watch = FileWatch(tmp_path / "gateway.toml")
    watch.follow({key: said(key)})
    key.unlink()
    os.mkfifo(key)
    assert changes(watch) == 0
    key.unlink()
    key.mkdir()
    assert changes(watch) == 0
    key.rmdir()
    key.write_text("two")
    assert changes(watch) == 1


def test_what_is_too_much_for_a_secret_is_told_once(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"x" * (LONGEST + 100))
    watch = FileWatch(tmp_path / "gateway.toml")
    watch.follow({key: said(key)})
    assert changes(watch) == 0
    key.write_bytes(b"y" * (LONGEST + 100))
    assert changes(watch) == 1
    watch.follow({key: said(key)})
    assert changes(watch) == 0


def test_a_file_that_changes_far_behind_its_beginning_has_changed(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"#" * 5_000_000 + b"one")
    watch = FileWatch(tmp_path / "gateway.toml")
    watch.follow({bundle: said(bundle)})
    assert changes(watch) == 0
    bundle.write_bytes(b"#" * 5_000_000 + b"two")
    assert changes(watch) == 1
