# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that end with the process that holds them."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils import locks
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.locks import LockHeld, hold


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "run/x.lock"
    with hold(path, "promotion of x"):
        with pytest.raises(LockHeld) as caught, hold(path, "another"):
            raise AssertionError
        assert str(caught.value) == f"{path} is held by {caught.value.facts['held_by']}."
        assert caught.value.facts["held_by"].startswith(f"promotion of x (pid {os.getpid()}, since 20")
    with hold(path, "another"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "x", "first"):
        raise ZeroDivisionError
    with hold(tmp_path / "x", "second"):
        pass


def test_it_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    path, entered = tmp_path / "x", threading.Event()

    def first() -> None:
        with hold(path, "first"):
            entered.set()
            time.sleep(0.3)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with pytest.raises(LockHeld), hold(path, "impatient", wait_seconds=0.05):
        raise AssertionError
    with hold(path, "patient", wait_seconds=10):
        thread.join()


def test_a_killed_holder_leaves_none(tmp_path: Path) -> None:
    path, (read, write) = tmp_path / "x", os.pipe()
    child = os.fork()
    if child == 0:
        with hold(path, "child"):
            os.write(write, b"!")
            time.sleep(60)
        os._exit(0)
    assert os.read(read, 1) == b"!"
    with pytest.raises(LockHeld, match=f"child \\(pid {child}"), hold(path, "parent"):
        raise AssertionError
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with hold(path, "parent"):
        pass


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"holder": "x"}', b"\xff\xfe"])
def test_a_holder_without_a_readable_note(tmp_path: Path, note: bytes) -> None:
    path = tmp_path / "x"
    with hold(path, "first"):
        path.write_bytes(note)
        with pytest.raises(LockHeld, match="a process that has not said who it is"), hold(path, "second"):
            raise AssertionError


def test_a_full_disk_does_not_keep_it_from_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(locks.os, "pwrite", full)
    with (
        hold(tmp_path / "x", "first"),
        pytest.raises(LockHeld, match="has not said who it is"),
        hold(tmp_path / "x", "second"),
    ):
        raise AssertionError


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match=f"Cannot open the lock {tmp_path}: Is a directory"), hold(tmp_path, "x"):
        raise AssertionError
