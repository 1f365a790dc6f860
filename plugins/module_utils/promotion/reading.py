# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What one process has read and verified of a ledger, so that the next of its steps looks only at what was added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..ledger import Entry, Head, Ledger, Report, store, verify
from ..ledger.entry import BadLine, genesis_hash
from ..ledger.following import Follower

# Bytes of entries; the memory that a larger ledger would take is not bounded.
KEPT_BYTES = 16 << 20


@dataclass
class Reading:
    """Whether to remember, and what is remembered: entries, the offset after them, and a head that was verified."""

    kept: bool = False
    trusted: Head | None = None
    _entries: list[Entry] = field(default_factory=list)
    _offset: int = 0

    @contextmanager
    def once(self) -> Iterator[None]:
        """Within the block, verify all of the ledger once and after that what was added; read each entry once."""
        before = self.kept
        self.kept = True
        try:
            yield
        finally:
            self.kept = before
            if not before:
                self._forget()

    def verify(self, ledger: Ledger, whole: bool) -> Report:
        """Verify the ledger: all of it when ``whole``, or when nothing of it was verified in this block."""
        report = verify(ledger.root, trusted=None if whole else self.trusted)
        # The head of several segments is not that of one of them.
        sound = self.kept and report.intact and report.segments == 1 and bool(report.size)
        if self._entries and report.size == len(self._entries) and report.head != self._entries[-1].hash:
            self._forget()
        self.trusted = Head(report.size, str(report.head)) if sound else None
        return report

    def entries(self, ledger: Ledger) -> Iterator[Entry]:
        """Yield all entries, oldest first.

        :raises LedgerBroken: as ``Ledger.entries``.
        """
        if self.kept and self._read_on(ledger):
            yield from tuple(self._entries)
        else:
            yield from ledger.entries()

    def _read_on(self, ledger: Ledger) -> bool:
        """Read what was added; return False, with nothing remembered, where that cannot be done."""
        ledger.refresh()
        try:
            with store.opened(ledger.entries_path, write=False) as descriptor:
                size = store.settled_size(ledger.lock_path, ledger.entries_path)
                if ledger.earlier or not self._offset <= size <= KEPT_BYTES:
                    raise ValueError("it is not kept")
                last = self._entries[-1].hash if self._entries else genesis_hash(ledger.origin)
                chain = Follower(len(self._entries), last)
                for lines in store.line_groups(descriptor, self._offset, size):
                    self._entries += chain.entries(lines, True, None)
                    self._offset += sum(len(line) + 1 for line in lines)
        except (OSError, ValueError, BadLine):
            # Reading it as a whole tells what is wrong, and where.
            self._forget()
            return False
        return True

    def _forget(self) -> None:
        self.trusted, self._entries, self._offset = None, [], 0
