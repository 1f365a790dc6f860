# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are never seen half-written."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import files
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.files import (
    make_dirs,
    read_json,
    sha256_file,
    write_atomic,
)


def test_write_says_whether_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert write_atomic(path, b"one", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"one", 0o600)
    inode = path.stat().st_ino
    assert not write_atomic(path, b"one", 0o600)
    assert write_atomic(path, b"one", 0o644)
    assert (path.stat().st_ino, path.stat().st_mode & 0o7777) == (inode, 0o644)
    assert write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new and longer")
        assert reader.read() == b"old"


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "write":
        # The kernel's own refusal: a device that is always full.
        monkeypatch.setattr(files.os, "fdopen", lambda descriptor, mode: Path("/dev/full").open(mode, buffering=0))  # noqa: SIM115
    elif failing == "fsync":
        monkeypatch.setattr(files.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(GoldenGooseError, match=f"Cannot write {path}: No space left on device; what was there"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_durable_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(descriptor) else "bytes")  # noqa: PTH112
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        steps.append("name")
        return replace(self, target)

    monkeypatch.setattr(files.os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    write_atomic(tmp_path / "x", b"new")
    assert steps == ["bytes", "name", "folder"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match=f"Cannot write {tmp_path}/none/x: No such file or directory"):
        write_atomic(tmp_path / "none/x", b"")


def test_make_dirs_gives_its_mode_to_the_new_folder_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_dirs(tmp_path / "a/b", 0o700)
    make_dirs(tmp_path / "a/b/c", 0o711)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in (".", "a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o700, 0o711]
    make_dirs(tmp_path / "a/b", 0o755)
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


def test_make_dirs_names_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GoldenGooseError, match=f"Cannot create the folder {tmp_path}/file/x: Not a directory"):
        make_dirs(tmp_path / "file/x")
    with pytest.raises(GoldenGooseError, match=f"Cannot create the folder {tmp_path}/file: something that is none"):
        make_dirs(tmp_path / "file")


def test_sha256_of_a_file_larger_than_a_block(tmp_path: Path) -> None:
    content = b"x" * ((1 << 20) + 1)
    (tmp_path / "x").write_bytes(content)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_read_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(GoldenGooseError, match=f"^The list is not at {path}.$"):
        read_json(path, "The list")
    path.write_text("[1]")
    assert read_json(path, "The list") == [1]
    path.write_text("[1")
    with pytest.raises(GoldenGooseError, match=f"^The list at {path} is not JSON: "):
        read_json(path, "The list")
    with pytest.raises(GoldenGooseError, match=f"^Cannot read The list at {tmp_path}: Is a directory.$"):
        read_json(tmp_path, "The list")
