# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What happens under the ledger's lock between "these are to be added" and "they are on disk"."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any

from . import batch, canonical, clock, entry, segments, store, torn
from .entry import BadLine, Entry
from .errors import EntryConflict, EntryRefused, LedgerBroken, LedgerFrozen
from .index import Index
from .statements import Statement

# Clocks of one machine are adjusted by less than this all the time.
CLOCK_TOLERANCE_SECONDS = 1.0
_CLOCK_NAMESPACE = uuid.UUID("0b6d5a52-5d0f-5b0a-8a53-3f0f4e6f2c07")
# A process that does not look ids up leaves the index alone, but for one append in so many.
_SETTLE_EVERY = 256
# Fewer lines are sooner read one by one than in columns.
_COLUMNS_FROM = 4
# Of a random digit the two bits that say which variant of UUID it is are set.
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


@dataclass(frozen=True, slots=True)
class _Known:
    """The end of the file as this process last saw it."""

    file: tuple[int, int]
    end: int
    last: Entry

    def stands(self, descriptor: int) -> bool:
        """Whether the last entry is where it was."""
        length = len(self.last.line) + 1
        return os.pread(descriptor, length, self.end - length) == self.last.line + b"\n"


class Appender:
    """Appends to one ``entries.jsonl``; each method is called under the ledger's lock.

    A process that stays remembers the last entry and the index. It believes them only as long as the file is the
    same and still has that entry where it was.
    """

    def __init__(self, folder: Path, origin: str, index: Index) -> None:
        self._path = folder / "entries.jsonl"
        self._torn_path = folder / "torn"
        self._genesis = entry.genesis_hash(origin)
        self._index = index
        self._file = (0, 0)  # Device and inode of what is open now.
        self._known: _Known | None = None
        self._memory = batch.Memory()

    def append(self, said: Sequence[Statement], now: datetime, metadata: Mapping[str, Any]) -> list[tuple[bytes, bool]]:
        """Write what is new of ``said`` as one group, and return (line, whether it is new) for each.

        :param metadata: of the entries about a repair or a clock that was set back.
        :raises EntryConflict: an id is there with other content; nothing was written.
        :raises EntryRefused: an entry has a form that a reader would refuse; nothing was written.
        :raises LedgerBroken: the end of the file is not sound, or the file is not the one of before.
        :raises LedgerFrozen: its last entry froze it, and something of ``said`` is new.
        :raises LedgerError: it could not be written; the ledger is as it was.
        """
        with store.opened(self._path) as descriptor:
            size, last = self._tail(descriptor)
            frozen = last is not None and bool(segments.successor_of(last))
            if not frozen:
                size, last = self._repair(descriptor, size, last, now, metadata)
            found = self._already(said, descriptor, size)
            if None not in found:
                return [(known.line, False) for known in found if known is not None]
            if frozen:
                raise LedgerFrozen(
                    f"The ledger at {self._path.parent} is frozen and takes no entry; it is continued once "
                    "evidence_freeze has run to its end."
                )
            size, last = self._note_clock(descriptor, size, last, now, metadata)
            return self._write(descriptor, size, last, said, found, now)

    def find(self, id: str, descriptor: int, size: int) -> Entry | None:
        """Return the entry with this ``id`` among the first ``size`` bytes.

        :raises LedgerBroken: the line that names it is not a sound entry.
        """
        offsets = self._index.find(id, descriptor, size)
        if not offsets:
            return None
        mark = f'"id":"{id}"'.encode()
        lines = [store.line_at(descriptor, offset) for offset in offsets]
        if not all(mark in line for line in lines):  # The index is of other entries.
            self._index.distrust()
            offsets = self._index.find(id, descriptor, size)
            lines = [store.line_at(descriptor, offset) for offset in offsets]
        for offset, line in zip(offsets, lines, strict=True):
            try:
                found = entry.parse(line)
            except BadLine as error:
                raise broken(self._path.parent, store.count_lines(descriptor, offset), str(error)) from error
            if found.id == id:
                return found
        return None

    def _tail(self, descriptor: int) -> tuple[int, Entry | None]:
        """Return the size in whole lines and the last entry."""
        status = os.fstat(descriptor)
        self._file = file = status.st_dev, status.st_ino
        known = self._known
        there = known is not None and known.stands(descriptor)
        if known is not None and there and file == known.file and status.st_size == known.end:
            return known.end, known.last
        size = store.whole_size(descriptor)
        last = self._parsed(store.last_line(descriptor, size))
        if known is not None:
            self._same_file(known, file, size, there)
        self._known = _Known(file, size, last) if last is not None else None
        return size, last

    def _same_file(self, known: _Known, file: tuple[int, int], size: int, there: bool) -> None:
        if file != known.file:
            what = "was replaced by another file"
        elif size < known.end:
            what = f"is shorter than it was: the entries up to {known.last.sequence} were there"
        elif not there:
            what = f"was rewritten: entry {known.last.sequence} is not what it was"
        else:
            return
        raise LedgerBroken(
            f"{self._path} {what} while this process had it open; nothing is added. Run the playbook verify and "
            "compare with the backup.",
            sequence=known.last.sequence,
        )

    def _parsed(self, line: bytes | None) -> Entry | None:
        if line is None:
            return None
        try:
            return entry.parse(line)
        except BadLine as error:
            raise LedgerBroken(
                f"The last line of {self._path} is not sound ({error}); nothing is added after it. "
                "Run the playbook verify and compare with the backup.",
                sequence=None,
            ) from error

    def _repair(
        self, descriptor: int, size: int, last: Entry | None, now: datetime, metadata: Mapping[str, Any]
    ) -> tuple[int, Entry | None]:
        """Set an unfinished last line aside and say so in the ledger."""
        torn.set_aside(descriptor, size, self._torn_path)
        for piece in torn.pending(self._torn_path):
            if self.find(piece.id, descriptor, size) is None:
                said = _own(piece.data(), piece.id, metadata)
                size, last = self._group(descriptor, size, last, {piece.id: said}, now)[1:]
            piece.done()
        return size, last

    def _note_clock(
        self, descriptor: int, size: int, last: Entry | None, now: datetime, metadata: Mapping[str, Any]
    ) -> tuple[int, Entry | None]:
        """Record, once, that the clock says less than the last entry: the ledger's time stands still meanwhile."""
        behind = (datetime.fromisoformat(last.timestamp) - now).total_seconds() if last is not None else 0.0
        if last is None or behind <= CLOCK_TOLERANCE_SECONDS:
            return size, last
        id = str(uuid.uuid5(_CLOCK_NAMESPACE, last.timestamp))
        if self.find(id, descriptor, size) is not None:
            return size, last
        data = {
            "event": "clock_set_back",
            "clock": clock.stamp(now.astimezone(UTC)),
            "last": last.timestamp,
            "behind_seconds": int(behind),
        }
        return self._group(descriptor, size, last, {id: _own(data, id, metadata)}, now)[1:]

    def _already(self, said: Sequence[Statement], descriptor: int, size: int) -> list[Entry | None]:
        """Return for each of ``said`` the entry that says it already, or None."""
        found: list[Entry | None] = []
        if not any(statement.id for statement in said):
            return [None] * len(said)
        for statement in said:
            known = self.find(statement.id, descriptor, size) if statement.id is not None else None
            if known is not None and known.content() != statement.content:
                raise self._conflict(known.sequence, statement.id)
            found.append(known)
        return found

    def _conflict(self, sequence: int, id: str | None) -> EntryConflict:
        return EntryConflict(
            f"Entry {sequence} of {self._path.parent} already has the id {id} with other content; "
            "evidence is never rewritten, use a new id.",
            sequence=sequence,
        )

    def _write(
        self,
        descriptor: int,
        size: int,
        last: Entry | None,
        said: Sequence[Statement],
        found: Sequence[Entry | None],
        now: datetime,
    ) -> list[tuple[bytes, bool]]:
        new = _new_ids(len(said))
        ids = [statement.id or next(new) for statement in said]
        group: dict[str, Statement] = {}
        for id, statement, known in zip(ids, said, found, strict=True):
            other = group.setdefault(id, statement) if known is None else statement
            if other is not statement and other.content != statement.content:
                raise self._conflict((last.sequence + 1 if last else 0) + list(group).index(id), id)
        lines = self._group(descriptor, size, last, group, now)[0]
        if len(lines) == len(said):
            return list(zip(lines, repeat(True)))
        written = dict(zip(group, lines, strict=True))
        results: list[tuple[bytes, bool]] = []
        for id, known in zip(ids, found, strict=True):
            results.append((known.line, False) if known is not None else (written[id], id in group))
            group.pop(id, None)
        return results

    def _group(
        self, descriptor: int, size: int, last: Entry | None, group: Mapping[str, Statement], now: datetime
    ) -> tuple[list[bytes], int, Entry]:
        """Seal and write a group, by its ids, with one fsync; return its lines, the new size and the last entry."""
        lines, newest = self._sealed(last, group, clock.stamp(now, last.timestamp if last else None))
        end = store.write_line(descriptor, b"\n".join(lines), size, self._path)
        self._known = _Known(self._file, end, newest)
        self._index.added(group, lines, size)
        if self._index.full(end) or newest.sequence % _SETTLE_EVERY < len(lines):
            # The index is derived: where it cannot be written, ids are looked up in the entries.
            with suppress(OSError):
                self._index.settle(descriptor, end)
        return lines, end, newest

    def _sealed(self, last: Entry | None, group: Mapping[str, Statement], timestamp: str) -> tuple[list[bytes], Entry]:
        """Return the lines of a group, and its last entry."""
        sequence, first_previous = (last.sequence + 1, last.hash) if last is not None else (0, self._genesis)
        lines: list[bytes] = []
        previous = first_previous
        writers: dict[tuple[str, bytes], entry.Writer] = {}
        try:
            for number, (id, (type, data, metadata, _id)) in enumerate(group.items(), sequence):
                writer = writers.get((type, metadata))
                if writer is None:
                    writer = writers[type, metadata] = entry.Writer(timestamp, type, metadata)
                line, previous = writer.write(number, id, data, previous)
                lines.append(line)
        except canonical.NotCanonical as error:
            raise EntryRefused(f"The entry is refused: {error}.") from error
        # Reading back what is about to be written keeps writer and reader from ever disagreeing.
        if len(lines) >= _COLUMNS_FROM:
            with suppress(batch.Unsure):
                batch.check(lines, sequence, first_previous, self._memory)
                return lines, entry.sound(lines[-1])
        return lines, [entry.accepted(line) for line in lines][-1]


def _new_ids(most: int) -> Iterator[str]:
    """Yield up to ``most`` new ids, UUIDs of version 4, from one draw of the kernel's random bytes."""
    digits = os.urandom(16 * most).hex()
    for start in range(0, len(digits), 32):
        one = digits[start : start + 32]
        yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{_VARIANTS[one[16]]}{one[17:20]}-{one[20:]}"


def _own(data: Mapping[str, Any], id: str, metadata: Mapping[str, Any]) -> Statement:
    """Return what the ledger itself has to say."""
    return Statement("validation", canonical.encode(dict(data)), canonical.encode(dict(metadata)), id)


def broken(folder: Path, number: int, why: str) -> LedgerBroken:
    """Return the error that entry ``number`` does not hold."""
    return LedgerBroken(
        f"Entry {number} of {folder} does not hold: {why}. Run the playbook verify for all that is "
        "wrong, and compare with the backup.",
        sequence=number,
    )
