# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The append-only attribute: what the kernel then refuses, and that the ledger itself goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.keeping import create, remove
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Appended,
    Ledger,
    LedgerBroken,
    LedgerError,
    attributes,
    backup,
    verify,
)

from .conftest import ORIGIN

Add = Callable[..., Appended]


@pytest.fixture
def protected(ledger: Ledger) -> Iterator[Ledger]:
    changed, why = attributes.protect(ledger.path, "auto")
    if why:
        pytest.skip(f"The append-only attribute cannot be set in {ledger.path}: {why}")
    assert changed
    yield ledger
    attributes.release(ledger.path)


def test_the_kernel_refuses_all_but_adding(protected: Ledger, add: Add) -> None:
    add(number=1)
    path = protected.entries_path
    before = path.read_bytes()
    for attempt in (
        lambda: path.write_bytes(b""),
        lambda: os.truncate(path, 0),
        lambda: path.rename(path.with_name("away")),
        path.unlink,
    ):
        with pytest.raises(PermissionError):
            attempt()
    add(number=2)
    assert path.read_bytes().startswith(before) and verify(protected.path).intact


def test_the_folder_can_be_renamed_and_is_still_protected(protected: Ledger, tmp_path: Path) -> None:
    moved = protected.path.rename(tmp_path / "moved")
    assert attributes.is_set(moved / "entries.jsonl")
    attributes.release(moved)
    moved.rename(protected.path)


def test_a_torn_tail_is_set_aside_and_the_attribute_is_back(protected: Ledger, add: Add) -> None:
    add(number=1)
    with protected.entries_path.open("ab") as stream:
        stream.write(b'{"data":{"ev')
    add(number=2)
    assert [entry.event for entry in protected.entries()] == ["sast", "repair", "sast"]
    assert attributes.is_set(protected.entries_path)


def test_what_could_not_be_made_durable_is_taken_back(
    protected: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(number=1)
    before = protected.entries_path.read_bytes()
    real, failures = os.fsync, iter([True])

    def fsync(descriptor: int) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(LedgerError, match="nothing of the entry was kept"):
        add(number=2)
    assert protected.entries_path.read_bytes() == before and attributes.is_set(protected.entries_path)


def test_a_writer_that_was_killed_meanwhile_is_made_up_for(protected: Ledger, add: Add) -> None:
    descriptor = os.open(protected.entries_path, os.O_RDONLY)
    attributes._put(descriptor, False, "test")
    os.close(descriptor)
    add(number=1)
    assert attributes.is_set(protected.entries_path)


def test_a_file_that_is_replaced_gets_it_too(protected: Ledger, add: Add) -> None:
    add(number=1)
    new = protected.path / "new"
    new.write_bytes(protected.entries_path.read_bytes())
    with attributes.unprotected(protected.path):
        assert not attributes.is_set(protected.entries_path)
        new.replace(protected.entries_path)
    assert attributes.is_set(protected.entries_path)
    with pytest.raises(LedgerBroken, match="replaced by another file while this process had it open"):
        add(number=2)


def test_the_copy_can_be_protected_as_well(protected: Ledger, add: Add, tmp_path: Path) -> None:
    add(number=1)
    copy = tmp_path / "copy"
    backup(protected, copy)
    attributes.protect(copy, "always")
    add(number=2)
    try:
        assert backup(protected, copy).copied_bytes
        assert attributes.is_set(copy / "entries.jsonl") and verify(copy).size == 2
    finally:
        attributes.release(copy)


def test_protecting_is_idempotent_and_can_be_taken_back(protected: Ledger) -> None:
    assert attributes.protect(protected.path, "always") == (False, "")
    for dry_run in (True, False):
        assert attributes.protect(protected.path, "never", dry_run) == (True, "")
    assert attributes.protect(protected.path, "never") == (False, "")
    assert not attributes.is_set(protected.entries_path)
    for dry_run in (True, False):
        assert attributes.protect(protected.path, "auto", dry_run) == (True, "")
    assert attributes.protect(protected.path, "auto", dry_run=True) == (False, "")


def test_without_the_attribute_auto_says_why_and_always_refuses(
    ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(*_arguments: object) -> int:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    monkeypatch.setattr(attributes.fcntl, "ioctl", ioctl)
    assert attributes.protect(ledger.path, "auto") == (False, "its filesystem has no such attribute")
    with pytest.raises(LedgerError, match="its filesystem has no such attribute; set append_only to auto or never"):
        attributes.protect(ledger.path, "always")
    (ledger.path / attributes.MARK).touch()  # A ledger that came from a filesystem that has it.
    assert add(number=1).changed and not attributes.is_set(ledger.entries_path)


def test_without_the_capability_auto_says_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "_capable", lambda: False)
    changed, head, warning = create(ledger.path, ORIGIN, append_only="auto")
    assert (changed, head.size) == (False, 0) and not (ledger.path / attributes.MARK).exists()
    assert warning.endswith("is not append-only: that needs the capability CAP_LINUX_IMMUTABLE.")


def test_a_writer_without_the_capability_says_what_it_needs(
    protected: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    with protected.entries_path.open("ab") as stream:
        stream.write(b"torn")
    real = attributes.fcntl.ioctl

    def ioctl(descriptor: int, request: int, argument: bytes | bytearray) -> int:
        if request == attributes._SET:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return int(real(descriptor, request, argument))

    with monkeypatch.context() as patched, pytest.raises(LedgerError, match="CAP_LINUX_IMMUTABLE; run this as root"):
        patched.setattr(attributes.fcntl, "ioctl", ioctl)
        add(number=1)
    assert protected.entries_path.read_bytes() == b"torn"
    assert add(number=1).entry.sequence == 1


def test_removing_a_ledger_takes_it_off(protected: Ledger, tmp_path: Path) -> None:
    assert remove(protected.path, dry_run=True) and protected.path.exists()
    assert remove(protected.path) and not protected.path.exists()
    assert not remove(protected.path)
    protected.path.mkdir()
    (protected.path / "photographs").touch()
    with pytest.raises(LedgerError, match="it holds no ledger"):
        remove(protected.path)
    assert (protected.path / "photographs").exists()
