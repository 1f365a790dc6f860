# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Read the ledger again only when it may have changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..ledger import segments
from .figures import Figures, Memory, read

# Files of the ledger whose change is a reason to read it again.
_WATCHED = ("entries.jsonl", "ledger.json", "checkpoint")
_Stamp = tuple[int, int, int]
_ABSENT: _Stamp = (-1, -1, -1)


class Watch:
    """The latest figures of one ledger, for any number of threads.

    The files' size, time and inode decide whether they are as they were. An altered object, or an edit that
    put the old time back, shows in none of these; so all is verified again after ``recheck_seconds``.
    """

    def __init__(self, path: Path, recheck_seconds: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._recheck_seconds = recheck_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: tuple[tuple[_Stamp, ...], ...] = ()
        self._read_at = 0.0
        self._figures = Figures("nothing_to_verify")
        self._memory = Memory()
        self.verified_at = 0.0
        self.verify_seconds = 0.0

    def figures(self) -> Figures:
        """Return the figures of the ledger as it is now."""
        with self._lock:
            # Taken before reading: what changes meanwhile differs from it and is read next time.
            stamp = self._look()
            due = self._clock() - self._read_at >= self._recheck_seconds
            if stamp != self._stamp or due:
                started = time.monotonic()
                if due or stamp[:-1] != self._stamp[:-1]:  # Of frozen segments nothing changes but by a forger's hand.
                    self._memory = Memory()
                self._figures = read(self._path, self._memory)
                self.verify_seconds = time.monotonic() - started
                self.verified_at = time.time()
                self._stamp, self._read_at = stamp, self._clock()
            return self._figures

    def _look(self) -> tuple[tuple[_Stamp, ...], ...]:
        """Return the stamps of the files of each segment."""
        try:
            numbers = segments.numbers(self._path)
        except OSError:
            numbers = [1]
        places = [segments.place(self._path, number) for number in numbers]
        return tuple(tuple(_stamp(place / name) for name in _WATCHED) for place in places)


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return _ABSENT
    return status.st_size, status.st_mtime_ns, status.st_ino
