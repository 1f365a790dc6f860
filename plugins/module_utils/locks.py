# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Locks between processes of one machine, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from .errors import GoldenGooseError
from .files import make_dirs

_POLL_SECONDS = 0.05
# Notes are filled up with blanks to this length.
_NOTE_BYTES = 512


class LockHeld(GoldenGooseError):
    """Another process holds the lock; ``facts["held_by"]`` says who, with pid and since when."""


@contextmanager
def hold(path: Path, holder: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the exclusive flock(2) on ``path`` for the duration of the block.

    The kernel drops the lock when the process ends, however it ends, so a killed run leaves none.

    :param holder: who we are, in words; it is what another run is told.
    :param wait_seconds: how long to wait for the lock before giving up.
    :raises LockHeld: another process still holds it.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise GoldenGooseError(f"Cannot open the lock {path}: {error.strerror or error}.") from error
    try:
        _acquire(descriptor, path, wait_seconds)
        _write_note(descriptor, _note(holder, os.getpid(), int(time.time())))
        yield
    finally:
        # The lock is dropped whatever close(2) says.
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        make_dirs(path.parent)
        return os.open(path, flags, 0o600)


@lru_cache(maxsize=8)
def _note(holder: str, pid: int, second: int) -> bytes:
    """Return what others are told; who takes a lock often takes it more than once a second."""
    since = datetime.fromtimestamp(second, UTC).isoformat()
    return json.dumps({"holder": holder, "pid": pid, "since": since}).encode().ljust(_NOTE_BYTES)


def _write_note(descriptor: int, text: bytes) -> None:
    """Replace the note in place: to cut the file each time would cost more than all the rest of a lock.

    The note is only for people: where it cannot be written, as on a full disk, the lock itself still works.
    """
    with contextlib.suppress(OSError):
        if os.pread(descriptor, len(text) + 1, 0) == text:
            return  # We held it before, within this second.
        try:
            os.pwrite(descriptor, text, 0)
            if os.fstat(descriptor).st_size > len(text):
                os.ftruncate(descriptor, len(text))
        except OSError:
            os.ftruncate(descriptor, 0)


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            held_by = _read_note(descriptor)
            raise LockHeld(f"{path} is held by {held_by}.", held_by=held_by) from error
        except OSError as error:
            raise GoldenGooseError(f"Cannot lock {path}: {error.strerror or error}.") from error


def _read_note(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
        return f"{note['holder']} (pid {note['pid']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not said who it is"
