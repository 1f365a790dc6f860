# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Check a ledger with all of its segments, and that they follow each other."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from . import entry, link, losses, segments, store
from .checkpoint import Key
from .entry import BadLine, Entry
from .errors import LedgerBroken, LedgerError
from .ledger import Head
from .losses import Loss
from .objects import Objects
from .segments import Shared
from .verify import Report, verify_segment

# Ids are compared in shares of about this many.
_SHARE = 1 << 18


def verify(
    path: Path | str,
    origin: str | None = None,
    trusted: Head | None = None,
    *,
    trusted_segment: int | None = None,
    keys: Sequence[Key] | None = None,
    signatures: bool = True,
    verified: dict[int, Report] | None = None,
) -> Report:
    """Check every line, link, object, tile and checkpoint of the ledger in the folder ``path``; nothing is written.

    :param origin: when given, the ledger must be of it.
    :param trusted: as :func:`verify_segment` takes it; of the segments before it only the ends are looked at.
    :param trusted_segment: the segment that ``trusted`` is a head of; by default the last.
    :param keys: the keys that may sign it, whichever segment they are named after; by default those that each segment
        names itself.
    :param signatures: as :func:`verify_segment` takes it.
    :param verified: reports of frozen segments that are not read again; those that are found intact are added.
    :raises GoldenGooseError: the folder may not be read, which says nothing about the evidence.
    """
    root = Path(path)
    try:
        numbers = segments.numbers(root)
    except NotADirectoryError:
        numbers = [1]
    except OSError as error:
        raise LedgerError(f"Cannot read the ledger at {root}: {error.strerror or error}.") from error
    if len(numbers) == 1:
        report = verify_segment(root, origin, trusted, keys=keys, signatures=signatures)
        _require_end(root, 1, report)
        if losses.REPAIRED in report.noted:
            _count_losses(report, losses.said_in(root, 1, _after(root, trusted)))
        return report
    whole = _Whole(root, numbers, keys, signatures, {} if verified is None else verified)
    return whole.run(origin, trusted, trusted_segment or numbers[-1])


class _Whole:
    """One pass over all segments."""

    def __init__(
        self,
        root: Path,
        numbers: Sequence[int],
        keys: Sequence[Key] | None,
        signatures: bool,
        verified: dict[int, Report],
    ) -> None:
        self.root, self.numbers = root, numbers
        self.keys, self.signatures = keys, signatures
        self.verified = verified
        self.objects = Objects(root / "objects" / "sha256")
        self.seen: set[str] = set()
        self.ids: dict[int, array[int]] = {}
        self.gaps, self.excused = link.examine(root, numbers)
        self.said: list[Loss] = []
        self.total = Report(segments=len(numbers))

    def run(self, origin: str | None, trusted: Head | None, trusted_segment: int) -> Report:
        for number in self.numbers:
            if trusted is not None and number < trusted_segment:
                self._skip(number)
            else:
                self._one(number, origin if number == 1 else None, trusted if number == trusted_segment else None)
        for gap in self.gaps:
            self.total.add(gap.sequence, gap.kind, gap.message, gap.segment)
        self._insertions()
        _require_end(segments.place(self.root, self.numbers[-1]), self.numbers[-1], self.total)
        for segment, repeated, first in self._duplicates():
            what = f"it has the id of entry {first.sequence} of segment {first.segment}"
            self.total.add(repeated.sequence, "duplicate_id", what, segment)
        for loss in self.excused.values():
            if not losses.signed(self.root, loss):
                message = "it gives up entries of a frozen segment, and is not signed yet"
                self.total.add(loss.sequence, "unsigned", message, loss.said_in)
        _count_losses(self.total, self.said)
        if self.total.size and self.total.state == "nothing_to_verify":
            self.total.state = "intact"
        return self.total

    def _one(self, number: int, origin: str | None, trusted: Head | None) -> None:
        report = self.verified.get(number)
        if report is None:
            later = tuple(segments.place(self.root, one) / "entries.jsonl" for one in self.numbers if one > number)
            shared = Shared(self.objects, self.seen, self.ids.setdefault(number, array("q")), later)
            place, keys = segments.place(self.root, number), self._keys(number)
            report = verify_segment(place, origin, trusted, keys=keys, signatures=self.signatures, shared=shared)
            if report.intact and trusted is None and number != self.numbers[-1]:
                self.verified[number] = report
        place = segments.place(self.root, number)
        if losses.REPAIRED in report.noted:
            self.said += losses.said_in(place, number, _after(place, trusted))
        self._sum(number, report)

    def _sum(self, number: int, report: Report) -> None:
        total = self.total
        total.origin, total.head = total.origin or report.origin, report.head
        if (loss := self.excused.get(number)) and losses.signed(self.root, loss):
            report = replace(report, signed=report.size)  # The entry that states the loss names the last of them.
        for name in ("size", "bytes", "objects", "dropped", "signed", "trusted"):
            setattr(total, name, getattr(total, name) + getattr(report, name))
        total.problem_count += report.problem_count - len(report.problems)
        for problem in report.problems:
            # What was signed of a segment that lost its last entries can no longer be met, and is not here.
            if number not in self.excused or problem.kind != "unsigned":
                total.add(problem.sequence, problem.kind, problem.message, number)

    def _skip(self, number: int) -> None:
        """Count a segment that is before what is trusted, which names its head."""
        last = _last(segments.place(self.root, number))
        size = last.sequence + 1 if last is not None else 0
        self._sum(number, Report(size=size, signed=size, trusted=size))

    def _keys(self, number: int) -> Sequence[Key] | None:
        if self.keys is None:
            return None
        return [key.of(segments.name(key.name, number)) for key in self.keys]

    def _insertions(self) -> None:
        """Within a frozen segment only the last entry freezes it."""
        for number in self.numbers[:-1]:
            if number in self.ids:
                for found in _frozen(segments.place(self.root, number)):
                    self.total.add(found.sequence + 1, "after_frozen", "it follows the entry that froze it", number)

    def _duplicates(self) -> Iterator[tuple[int, Entry, Entry]]:
        """Yield (segment, entry, the one that has its id already) of ids that are in two segments."""
        suspects: set[int] = set()
        known: list[array[int]] = []
        for number in self.numbers:
            ids = self.ids.get(number, array("q"))
            share = max(1, len(ids) // _SHARE)
            for part in range(share if known else 0):
                mine = {id for id in ids if id % share == part} if share > 1 else set(ids)
                for earlier in known:
                    suspects |= mine.intersection(earlier)
            known.append(ids)
        if suspects:
            yield from self._repeated(suspects)

    def _repeated(self, suspects: set[int]) -> Iterator[tuple[int, Entry, Entry]]:
        first_of: dict[str, Entry] = {}
        for number in self.numbers:
            for found in _entries(segments.place(self.root, number), number):
                if hash(found.id.encode()) in suspects:
                    first = first_of.setdefault(found.id, found)
                    if first.segment != number:
                        yield number, found, first


def _count_losses(report: Report, said: Iterable[Loss]) -> None:
    for loss in losses.counting([*said]):
        report.lost += loss.count
        report.losses.append(loss.sentence())


def _after(folder: Path, trusted: Head | None) -> int:
    """Return the offset after the last entry of what is ``trusted``; 0 when it is not there, which is said."""
    path = folder / "entries.jsonl"
    if trusted is None or not trusted.size or not path.is_file():
        return 0
    with store.opened(path, write=False) as descriptor:
        found = store.locate(descriptor, trusted.size - 1, store.whole_size(descriptor))
    return found[0] + len(found[1]) + 1 if found is not None else 0


def _require_end(folder: Path, number: int, report: Report) -> None:
    """Report that the last segment is frozen: a freeze was interrupted, or what came after it is gone."""
    if report.state == "broken":
        return
    last = _last(folder)
    if last is not None and (successor := segments.successor_of(last)):
        message = f"it froze the ledger, but '{successor}', which continues it, is not here"
        report.add(last.sequence, "not_continued", message, number)


def _last(folder: Path) -> Entry | None:
    path = folder / "entries.jsonl"
    if not path.is_file():
        return None
    try:
        with store.opened(path, write=False) as descriptor:
            line = store.last_line(descriptor, store.whole_size(descriptor))
        return entry.parse(line) if line is not None else None
    except (BadLine, LedgerBroken):
        return None  # Which was said.
    except OSError as error:
        raise LedgerError(f"Cannot read {path}: {error.strerror or error}.") from error


def _frozen(folder: Path) -> Iterator[Entry]:
    """Yield the entries that freeze the segment, but for its last entry."""
    before: Entry | None = None
    for found in _entries(folder, 1, segments.MARK):
        if before is not None:
            yield before
        before = found if segments.successor_of(found) else None
    last = _last(folder)
    if before is not None and last is not None and before.sequence != last.sequence:
        yield before


def _entries(folder: Path, number: int, mark: bytes = b"") -> Iterator[Entry]:
    """Yield the sound entries whose line has ``mark``."""
    for line in store.lines_of(folder / "entries.jsonl"):
        if mark not in line:
            continue
        try:
            yield entry.parse(line.removesuffix(b"\n"))._replace(segment=number)
        except BadLine:
            continue
