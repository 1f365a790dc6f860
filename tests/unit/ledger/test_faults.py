# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Full disks, killed writers, many writers."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Appended,
    Ledger,
    LedgerBroken,
    LedgerError,
    store,
    torn,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import ledger as ledger_module
from ansible_collections.golden_goose.compliance.plugins.module_utils.locks import LockHeld

from .conftest import METADATA, ORIGIN

Add = Callable[..., Appended]
_FORK = multiprocessing.get_context("fork")


def _say(ledger: Ledger, **data: Any) -> Appended:
    return ledger.append(type="validation", event="sast", data=data, metadata=METADATA)


def test_an_unfinished_line_is_set_aside_and_said(ledger: Ledger, add: Add) -> None:
    add(number=1)
    with ledger.entries_path.open("ab") as stream:
        stream.write(b'{"data":{"event":"comp')
    add(number=2)
    repair, after = list(ledger.entries())[1:]
    assert (repair.event, repair.type, repair.data["bytes"]) == ("repair", "validation", 22)
    assert repair.metadata == METADATA
    assert (ledger.path / repair.data["set_aside"]).read_bytes() == b'{"data":{"event":"comp'
    assert after.data["number"] == 2
    assert verify(ledger.path).intact
    add(number=3)
    assert ledger.head().size == 4


def test_a_whole_line_without_its_feed_was_never_acknowledged(ledger: Ledger, add: Add) -> None:
    add(number=1)
    add(number=2)
    content = ledger.entries_path.read_bytes()
    ledger.entries_path.write_bytes(content[:-1])
    assert [entry.data["number"] for entry in ledger.entries()] == [1]
    with pytest.raises(LedgerBroken, match="is shorter than it was"):
        add(number=3)  # This process knows better: it was told that entry 1 is on disk.
    _say(Ledger.open(ledger.path), number=3)
    assert [entry.event for entry in ledger.entries()] == ["sast", "repair", "sast"]


@pytest.mark.parametrize("step", ["write_atomic", "ftruncate", "write_line", "done"])
def test_a_repair_that_is_killed_is_finished_later(
    ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    add(number=1)
    with ledger.entries_path.open("ab") as stream:
        stream.write(b"torn")
    owner: Any = {"write_atomic": torn, "ftruncate": torn.os, "write_line": store, "done": torn.Torn}[step]
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, die)
        with pytest.raises(Killed):
            add(number=2)
    add(number=2)
    assert [entry.event for entry in ledger.entries()] == ["sast", "repair", "sast"]
    assert [path.suffix for path in ledger.torn_path.iterdir()] == [".part"]
    assert verify(ledger.path).intact


def test_a_full_disk_leaves_nothing_half_written(ledger: Ledger, add: Add) -> None:
    """RLIMIT_FSIZE makes the kernel write a part of the line, then fail, as a full disk does."""
    add(number=1)
    before = ledger.entries_path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(LedgerError, match=r"Cannot append .*File too large; nothing of the entry was kept"):
            add(number=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ledger.entries_path.read_bytes() == before
    add(number=2)
    assert verify(ledger.path).intact
    assert not ledger.torn_path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True)
    try:
        ledger = Ledger.create(mount / "ledger", ORIGIN)
        with pytest.raises(LedgerError, match=r"No space left on device; nothing of the entry was kept"):
            for number in range(10_000):
                _say(ledger, number=number, filler="x" * 3000)
        size = ledger.head().size
        assert verify(ledger.path).state == "intact"
        with pytest.raises(LedgerError, match=r"No space left"):
            ledger.objects.put_bytes(os.urandom(60_000))
        assert [path for path in (ledger.path / "objects").rglob("*") if path.is_file()] == []
        subprocess.run(["mount", "-o", "remount,size=1m", str(mount)], check=True)
        assert _say(ledger, after=True).entry.sequence == size
        assert verify(ledger.path).intact
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
def test_an_error_of_the_disk_is_taken_back(
    ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    add(number=1)
    before = ledger.entries_path.read_bytes()
    real, calls = getattr(os, call), []

    def fail_first(*arguments: Any) -> Any:
        if os.fstat(arguments[0]).st_ino == ledger.entries_path.stat().st_ino and not calls:
            calls.append(arguments)
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(store.os, call, fail_first)
        with pytest.raises(LedgerError, match="Input/output error; nothing of the entry was kept"):
            add(number=2)
    assert ledger.entries_path.read_bytes() == before


def test_what_cannot_be_taken_back_is_said_and_repaired(
    ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(number=1)
    real = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if os.fstat(descriptor).st_ino != ledger.entries_path.stat().st_ino:
            return real(descriptor, data, offset)
        real(descriptor, data[:50], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(store.os, "pwrite", half)
        patched.setattr(store.os, "ftruncate", lambda fd, size: refuse() if size else None)
        with pytest.raises(LedgerError, match="could not be taken back"):
            add(number=2)
    add(number=3)
    assert [entry.event for entry in ledger.entries()] == ["sast", "repair", "sast"]
    assert verify(ledger.path).intact


def _write_many(path: Path, writer: int, count: int) -> None:
    ledger = Ledger.open(path)
    for number in range(count):
        _say(ledger, writer=writer, number=number)


def test_many_writers_make_one_chain(ledger: Ledger) -> None:
    workers = [_FORK.Process(target=_write_many, args=(ledger.path, writer, 25)) for writer in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        # A reader beside the writers never sees half a line.
        assert verify(ledger.path).state in ("intact", "nothing_to_verify")
        time.sleep(0.02)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    entries = list(ledger.entries())
    assert len(entries) == 100
    for writer in range(4):
        assert [e.data["number"] for e in entries if e.data["writer"] == writer] == list(range(25))


def test_two_writers_of_one_id_write_it_once(ledger: Ledger) -> None:
    identity = "8a1f6a0e-6c1a-4f3a-8f0e-0c6f2a9f8b11"

    def write() -> None:
        Ledger.open(ledger.path).append(type="validation", event="sast", data={}, metadata=METADATA, id=identity)

    workers = [_FORK.Process(target=write) for _worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert ledger.head().size == 1


def test_waiting_for_the_lock_has_an_end(ledger: Ledger, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "LOCK_WAIT_SECONDS", 0.2)
    with ledger.lock_path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        started = time.monotonic()
        with pytest.raises(LockHeld, match="is held by"):
            add()
        assert time.monotonic() - started < 5
    assert add().changed


_KILLED_WRITER = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {tests!r})
    import conftest
    from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger
    ledger = Ledger.open({path!r})
    for number in range(100000):
        ledger.append(type="validation", event="sast", data={{"number": number, "filler": "x" * 20000}},
                      metadata={{"sprint": "1", "provisional": True}})
        print(number, flush=True)
    """
)


@pytest.mark.parametrize("milliseconds", [30, 75, 140])
def test_what_was_acknowledged_survives_kill_9(ledger: Ledger, milliseconds: int) -> None:
    tests = str(Path(__file__).resolve().parents[2])
    script = _KILLED_WRITER.format(tests=tests, path=str(ledger.path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [writer.stdout.readline()]
        time.sleep(milliseconds / 1000)
        writer.send_signal(signal.SIGKILL)
        seen += writer.stdout.readlines()
    acknowledged = max(int(line) for line in seen if line.endswith("\n"))
    assert verify(ledger.path).state in ("intact", "incomplete")
    _say(ledger, after=True)
    assert verify(ledger.path).intact
    numbers = [entry.data["number"] for entry in ledger.entries() if "number" in entry.data]
    assert numbers[: acknowledged + 1] == list(range(acknowledged + 1))
