# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where in ``entries.jsonl`` an id is: sorted files under ``index/``, derived from the entries and rebuilt at will.

Each run covers the bytes ``[start, end)`` of the entries; the runs follow each other from byte 0. What they do not
cover yet is read each time (or remembered by a process that stays). When ``_FANOUT`` runs of one size class have
gathered they are merged into one, so there are O(log n) of them and each entry is written O(log n) times.

Nothing here is believed: a run counts only while the line that ends at its ``end`` is the one that it names, each
piece that is read has a checksum, and whoever asks reads the entry at the offset that was found.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import store
from .runs import Damaged, Run, key_of, merge, record_of, write

FOLDER = "index"
# So many new ids are kept in memory, or read from the end of the entries, before they become a run.
MEMORY = 1024
# So many at once while the index of a whole ledger is made.
_BATCH = 1 << 16
_FANOUT = 4
_EDGE = 1 << 11
# Every id that a line names, at whatever depth: the reader of the line tells which is its own.
_IDS = re.compile(rb'"id":"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"')


class Index:
    """The index of one ledger; ``descriptor`` arguments are its open ``entries.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._runs: list[Run] | None = None
        self._recent: dict[bytes, list[int]] = {}
        self._seen = 0  # Bytes of entries that runs and ``_recent`` know.
        self._edge = b""  # The last of these bytes: other ones there are another ledger.

    def forget(self) -> None:
        """Believe nothing that was read before: the entries may be other ones."""
        for run in self._runs or ():
            run.close()
        self._runs, self._recent, self._seen, self._edge = None, {}, 0, b""

    def full(self, size: int) -> bool:
        """Whether :meth:`settle` has something to write, as far as is known without reading."""
        return self._runs is not None and (len(self._recent) >= MEMORY or self._seen < size)

    def distrust(self) -> None:
        """The entries are not where the runs say: read all of them until a writer has made the index anew."""
        self.forget()
        self._runs = []

    def find(self, id: str, descriptor: int, size: int) -> list[int]:
        """Return the offsets of lines among the first ``size`` bytes that name ``id``; usually one or none.

        :raises OSError: the entries cannot be read.
        """
        try:
            return self._find(id.encode(), descriptor, size)
        except Damaged:
            self.distrust()
            return self._find(id.encode(), descriptor, size)

    def added(self, ids: Iterable[str], lines: Sequence[bytes], offset: int) -> None:
        """Remember entries that this process has just written at ``offset``; ``lines`` are without their feeds."""
        if self._runs is None or self._seen != offset:
            return
        for id, line in zip(ids, lines, strict=True):
            self._recent.setdefault(id.encode(), []).append(offset)
            offset += len(line) + 1
        self._seen, self._edge = offset, lines[-1][-_EDGE:] + b"\n"

    def settle(self, descriptor: int, size: int) -> None:
        """Write a run when enough is new. The caller holds the ledger's lock; ``size`` bytes of entries are whole.

        :raises OSError: the index cannot be written; the ledger does not need it.
        """
        self._refresh(descriptor, size)
        self._read_new(descriptor, size, limit=None)
        if len(self._recent) >= MEMORY:
            self._flush(descriptor)

    def rebuild(self, descriptor: int, size: int) -> None:
        """Make the index anew from the entries, whatever is there. The caller holds the ledger's lock.

        :raises OSError: it cannot be written.
        """
        self.forget()
        self._runs = []
        self.settle(descriptor, size)

    def _find(self, id: bytes, descriptor: int, size: int) -> list[int]:
        self._refresh(descriptor, size)
        self._read_new(descriptor, size, limit=4 * MEMORY)
        found = [*self._recent.get(id, ())]
        if self._seen < size:
            mark = b'"id":"' + id + b'"'
            found += [offset for offset, line in store.lines_from(descriptor, self._seen, size) if mark in line]
        key = key_of(id)
        for run in self._runs or ():
            found += run.find(key)
        return sorted([offset for offset in found if offset < size])

    def _read_new(self, descriptor: int, size: int, limit: int | None) -> None:
        """Remember the ids between what is known and ``size``; without a limit write runs as they fill up."""
        if self._seen >= size:
            return
        for offset, line in store.lines_from(descriptor, self._seen, size):
            if len(self._recent) >= _BATCH and limit is None:
                self._remember(descriptor, offset)
                self._flush(descriptor)
            if limit is not None and len(self._recent) >= limit:
                break
            for id in _IDS.findall(line):
                self._recent.setdefault(id, []).append(offset)
            self._seen = offset + len(line)
        self._remember(descriptor, self._seen)

    def _refresh(self, descriptor: int, size: int) -> None:
        """Begin anew when nothing was read yet, or the entries that were read are no longer there."""
        edge = len(self._edge)
        if self._seen > size or os.pread(descriptor, edge, self._seen - edge) != self._edge:
            self.forget()
        if self._runs is None:
            self._load(descriptor, size)

    def _remember(self, descriptor: int, seen: int) -> None:
        start = max(0, seen - _EDGE - 1)
        self._seen, self._edge = seen, os.pread(descriptor, seen - start, start)

    def _load(self, descriptor: int, size: int) -> None:
        """Open the runs that follow each other from byte 0 and agree with the entries."""
        self.forget()
        runs: list[Run] = []
        end = 0
        try:
            spans = sorted((_span(path), path) for path in _files(self.folder))
        except OSError:
            spans = []
        # Of runs that begin alike the longest is the one that the others were merged into.
        for (start, stop), path in sorted(spans, key=lambda found: (found[0][0], -found[0][1])):
            if start == end and stop <= size:
                try:
                    runs.append(Run.open(path, start, stop))
                except (OSError, Damaged):
                    continue
                end = stop
        if runs and _fingerprint(descriptor, end) != runs[-1].fingerprint:
            for run in runs:
                run.close()
            runs, end = [], 0
        self._runs = runs
        self._remember(descriptor, end)

    def _flush(self, descriptor: int) -> None:
        """Make what is remembered a run, and merge runs of one size class."""
        runs = self._runs if self._runs is not None else []
        start = runs[-1].end if runs else 0
        records = sorted(record_of(id, offset) for id, offsets in self._recent.items() for offset in offsets)
        self._make_folder()
        fingerprint = _fingerprint(descriptor, self._seen)
        runs.append(write(self._path(start, self._seen), start, self._seen, fingerprint, records))
        self._recent = {}
        while (count := _mergeable(runs)) > 1:
            start, end = runs[-count].start, runs[-1].end
            runs[-count:] = [merge(self._path(start, end), runs[-count:])]
        self._runs = runs
        self._tidy()

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o750, exist_ok=True)

    def _tidy(self) -> None:
        """Remove what runs were merged from, what does not agree, and what a killed writer left."""
        kept = {run.path for run in self._runs or ()}
        for path in self.folder.iterdir():
            if path not in kept:
                path.unlink(missing_ok=True)

    def _path(self, start: int, end: int) -> Path:
        return self.folder / f"{start:016d}-{end:016d}.ids"


def _mergeable(runs: list[Run]) -> int:
    """Return how many of the last runs to merge: sizes never grow, and fewer than _FANOUT are of one class."""
    if len(runs) > 1 and runs[-2].count < runs[-1].count:
        return 2
    last = [_level(run.count) for run in runs[-_FANOUT:]]
    return _FANOUT if len(last) == _FANOUT and len(set(last)) == 1 else 0


def _level(count: int) -> int:
    level = 0
    while count >= 2 * MEMORY * _FANOUT**level:
        level += 1
    return level


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.ids") if re.fullmatch(r"\d{16}-\d{16}\.ids", path.name)]


def _span(path: Path) -> tuple[int, int]:
    start, _dash, end = path.stem.partition("-")
    return int(start), int(end)


def _fingerprint(descriptor: int, end: int) -> str:
    """Return the SHA-256 of the line that ends at ``end``: its hash is of all entries before it."""
    line = store.last_line(descriptor, end) if end and os.pread(descriptor, 1, end - 1) == b"\n" else None
    return hashlib.sha256(line or b"").hexdigest()
