# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Check a whole ledger from its bytes, believing nothing that was computed before."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from . import dropping, duplicates, entry, segments, store, sweep, tree
from .checkpoint import Key
from .description import read_origin
from .entry import BadLine, Entry
from .errors import LedgerBroken, LedgerError, LedgerMissing
from .ledger import Head
from .merkle import HASH_BYTES, leaf_hash
from .objects import ObjectRef, Objects, references
from .treecheck import SIGNING_EVENT, TreeCheck

# A ledger that is garbage from end to end needs no report of a million lines.
MAX_PROBLEMS = 100
# So many losses are told of in one sentence.
_SPOKEN_LOSSES = 3
# What can be mended from the backup without doubting any entry.
_INCOMPLETE = frozenset({"torn_tail", "object_missing", "object_altered", "tile", "unsigned", "not_continued"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold.

    ``sequence`` is the entry concerned (None: the ledger as a whole) in the segment ``segment``. ``kind`` is one of
    ``line``, ``hash``, ``link``, ``missing``, ``order``, ``duplicate_id``, ``timestamp``, ``origin``, ``ledger``,
    ``absent``, ``torn_tail``, ``object_missing``, ``object_altered``; compared with a copy or with checkpoints also
    ``cut`` and ``rewritten``; of the tree ``checkpoint``, ``tile`` and ``unsigned``; of segments ``segment_missing``,
    ``predecessor``, ``after_frozen`` and ``not_continued``.
    """

    sequence: int | None
    kind: str
    message: str
    segment: int = 1

    def as_dict(self) -> dict[str, Any]:
        return {"segment": self.segment, "sequence": self.sequence, "kind": self.kind, "message": self.message}


@dataclass(slots=True)
class Report:
    """What :func:`verify` found.

    ``state`` is ``intact``, ``broken`` (an entry cannot be believed), ``incomplete`` (entries hold, but an
    object is missing or altered, or the last line is unfinished) or ``nothing_to_verify`` (no entry at all,
    which proves nothing). ``size`` is the number of entries, ``head`` the last hash, ``bytes`` the length of
    the whole lines, ``signed`` how many entries the latest checkpoint has (0 without one), ``dropped`` how many
    objects retention dropped, as an entry says (they are not among ``objects``), ``lost`` how many entries repairs gave
    up, as the ``losses`` say in words; of a ledger of several ``segments`` these are of all of them, ``origin`` of the
    first and ``head`` of the last. ``noted`` has those of ``sweep.NOTED`` that are among the events of one segment. At
    most ``MAX_PROBLEMS`` problems are kept; ``problem_count`` counts them all.
    """

    state: str = "nothing_to_verify"
    origin: str | None = None
    size: int = 0
    head: str | None = None
    bytes: int = 0
    objects: int = 0
    dropped: int = 0
    signed: int = 0
    trusted: int = 0
    segments: int = 1
    lost: int = 0
    losses: list[str] = field(default_factory=list)
    noted: frozenset[str] = frozenset()
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return self.state == "intact"

    @property
    def unanchored(self) -> int:
        """How many entries are durable but in no checkpoint yet."""
        return max(0, self.size - self.signed)

    def add(self, sequence: int | None, kind: str, message: str, segment: int = 1) -> None:
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(sequence, kind, message, segment))
        if kind not in _INCOMPLETE:
            self.state = "broken"
        elif self.state != "broken":
            self.state = "incomplete"

    def sentence(self) -> str:
        """Return the finding in one sentence."""
        if self.state == "intact":
            which = f"All {self.size} entries" if not self.trusted else f"The {self.size - self.trusted} new entries"
            where = f" in {self.segments} segments" if self.segments > 1 else ""
            dropped = f"; {self.dropped} were dropped by retention" if self.dropped else ""
            lost = "".join(f"; {loss}" for loss in self.losses[:_SPOKEN_LOSSES])
            return f"{which} of '{self.origin}'{where} hold, and so do {self.objects} objects{dropped}{lost}."
        if not self.problems:
            return "There is nothing to verify: the ledger has no entries."
        first = self.problems[0]
        of = f" of segment {first.segment}" if self.segments > 1 else ""
        where = f"The ledger{of and f',{of},'}" if first.sequence is None else f"Entry {first.sequence}{of}"
        more = f" (and {self.problem_count - 1} more)" if self.problem_count > 1 else ""
        return f"The evidence is {self.state.replace('_', ' ')}. {where}: {first.message}{more}."

    def as_dict(self) -> dict[str, Any]:
        names = ("state", "origin", "size", "head", "objects", "dropped", "signed", "unanchored", "trusted", "segments")
        found = {name: getattr(self, name) for name in (*names, "lost", "losses", "problem_count")}
        return found | {"problems": [problem.as_dict() for problem in self.problems]}


def verify_segment(
    path: Path | str,
    origin: str | None = None,
    trusted: Head | None = None,
    *,
    keys: Sequence[Key] | None = None,
    signatures: bool = True,
    shared: segments.Shared | None = None,
) -> Report:
    """Check every line, link, object, tile and checkpoint of the segment in the folder ``path``; nothing is written.

    :param origin: when given, the ledger must be of it.
    :param trusted: a head that was verified before and kept elsewhere: only what came after it is looked at, and that
        the entry before is the one with its hash, which stands for all before it. Bytes before that entry that were
        changed since, objects of entries before it and tiles away from the right edge, only a full verification finds.
    :param keys: the keys that may sign it; by default those that the ledger itself names.
    :param signatures: false where the library for signatures is missing: checkpoints are then only compared.
    :param shared: what it has in common with other segments.
    :raises GoldenGooseError: the folder may not be read, which says nothing about the evidence.
    """
    folder = Path(path)
    report = Report()
    try:
        report.origin = read_origin(folder)
    except LedgerMissing as error:
        entries = folder / "entries.jsonl"
        # An empty file alone is a ledger that was being made.
        if entries.exists() and entries.stat().st_size:
            report.add(None, "ledger", "entries are there, but no ledger.json says of which origin")
        else:
            report.problem_count, report.problems = 1, [Problem(None, "absent", str(error).rstrip("."))]
        return report
    except LedgerBroken as error:
        report.add(None, "ledger", str(error).rstrip("."))
        return report
    if origin is not None and origin != report.origin:
        report.add(None, "origin", f"it is of the origin '{report.origin}', not '{origin}'")
    tree_check = TreeCheck(folder, report.origin, keys, signatures, report.add)
    shared = shared or segments.Shared(Objects(folder / "objects" / "sha256"), set(), array("q"))
    check = _Check(folder, report, tree_check, shared)
    check.run(trusted if trusted is not None and trusted.size else None)
    return report


class _Check:
    """One pass over the lines."""

    def __init__(self, folder: Path, report: Report, tree: TreeCheck, shared: segments.Shared) -> None:
        self.tree = tree
        self.entries_path = folder / "entries.jsonl"
        self.lock_path = folder / "lock"
        self.report = report
        self.shared = shared
        self.objects, self.objects_seen = shared.objects, shared.objects_seen
        self.objects_missing: dict[str, tuple[int, str]] = {}
        # Hashes of all ids, 8 bytes an entry: the only thing that grows with the ledger.
        self.ids = shared.ids
        self.head = Head(0, entry.genesis_hash(report.origin or ""))
        # None after a line that could not be read: nobody can say what its hash was.
        self.expected_hash: str | None = self.head.hash
        self.timestamp = ""

    def run(self, trusted: Head | None) -> None:
        try:
            with store.opened(self.entries_path, write=False) as descriptor:
                size = store.settled_size(self.lock_path, self.entries_path)
                whole = store.after_last_feed(descriptor, size)
                start = self._begin(descriptor, whole, trusted)
                if start is not None:
                    self._read(descriptor, start, whole)
                    self._missing(descriptor, start, whole)
                    self.report.bytes = whole
                    self._tree(descriptor, start, whole)
                    self._frozen(descriptor, whole)
                if size > whole:
                    message = f"the last line is unfinished ({size - whole} bytes); the next append sets it aside"
                    self.report.add(None, "torn_tail", message)
        except PermissionError as error:
            raise LedgerError(f"{self.entries_path} may not be read; verify as a user who may.") from error
        except LedgerBroken as error:
            self.report.add(None, "ledger", str(error).rstrip("."))
            return
        except OSError as error:
            self.report.add(None, "ledger", f"{self.entries_path} cannot be read: {error.strerror or error}")
            return
        self.report.signed = self.tree.latest.size if self.tree.latest else 0
        self.report.size, self.report.head = self.head.size, self.head.hash
        if self.head.size and self.report.state == "nothing_to_verify":
            self.report.state = "intact"

    def _begin(self, descriptor: int, whole: int, trusted: Head | None) -> int | None:
        """Return where to begin; None when the trusted entry is not there, which is said."""
        if trusted is None:
            return 0
        last = trusted.size - 1
        found = store.locate(descriptor, last, whole)
        if found is None:
            line = store.last_line(descriptor, whole)
            have = store.sequence_of(line) if line is not None else None
            kind = "cut" if line is None or (have is not None and have < last) else "rewritten"
            self.report.add(last, kind, "it was verified before and is no longer there")
            return None
        offset, line = found
        try:
            known = entry.parse(line)
        except BadLine as error:
            self.report.add(last, error.kind, str(error))
            return None
        if known.hash != trusted.hash:
            self.report.add(last, "rewritten", "it is not the entry that was verified before")
            return None
        self.report.trusted = trusted.size
        self.head, self.expected_hash, self.timestamp = trusted, trusted.hash, known.timestamp
        return offset + len(line) + 1

    def _read(self, descriptor: int, start: int, whole: int) -> None:
        for piece in sweep.pieces(self.entries_path, start, whole, leaves=start == 0 and self.tree.wanted):
            if piece.summary is not None and self._follows(piece.summary):
                self._take(piece.summary)
                continue
            for number, (_offset, line) in enumerate(store.lines_from(descriptor, piece.start, piece.end)):
                self._line(number, line.removesuffix(b"\n"))
                # After the chain: of one cause the plainer finding comes first.
                self.tree.leaves([leaf_hash(line.removesuffix(b"\n"))])
        self._duplicates(descriptor, start, whole)

    def _tree(self, descriptor: int, start: int, whole: int) -> None:
        """Finish the comparison with the tree; when only new entries were looked at, with its right edge."""
        if start == 0:
            self.tree.finish(store.line_groups(descriptor, 0, whole), SIGNING_EVENT in self.report.noted)
        elif self.tree.latest is not None:
            try:
                tree.edge(self.entries_path.parent, self.report.origin or "", self.tree.latest)
            except tree.EdgeBroken as error:
                self.report.add(error.facts["sequence"], error.kind, str(error).rstrip("."))

    def _frozen(self, descriptor: int, whole: int) -> None:
        """Nothing follows the entry that froze the segment; it is the last that was signed."""
        signed = self.tree.latest.size if self.tree.latest else 0
        if not 0 < signed < self.head.size:
            return
        found = store.locate(descriptor, signed - 1, whole)
        try:
            if found is not None and segments.successor_of(entry.parse(found[1])):
                self.report.add(signed, "after_frozen", "it follows the entry that froze the ledger")
        except BadLine:
            return  # Which was said.

    def _follows(self, found: sweep.Summary) -> bool:
        return (
            found.sequence == self.head.size
            and found.previous_hash == self.expected_hash
            and found.first_time >= self.timestamp
        )

    def _take(self, found: sweep.Summary) -> None:
        self.head = Head(found.sequence + found.count, found.last_hash)
        self.expected_hash, self.timestamp = found.last_hash, found.last_time
        self.ids.frombytes(found.ids)
        self.report.noted |= found.noted
        starts = range(0, len(found.leaves), HASH_BYTES)
        self.tree.leaves([found.leaves[start : start + HASH_BYTES] for start in starts])
        for sequence, reference in found.references:
            self._object(sequence, reference)

    def _line(self, number: int, line: bytes) -> None:
        try:
            found = entry.parse(line)
        except BadLine as error:
            expected = self.head.size
            self.report.add(expected, error.kind, str(error))
            self.head = Head(expected + 1, self.head.hash)
            self.expected_hash = None
            return
        self.report.noted |= sweep.NOTED & {found.event}
        self._place(found)
        self._identity(found)
        self._objects(found)

    def _place(self, found: Entry) -> None:
        expected = self.head.size
        if found.sequence < expected:
            self.report.add(found.sequence, "order", f"it stands where entry {expected} belongs")
            return
        if found.sequence > expected:
            last = found.sequence - 1
            missing = f"entry {expected} is" if last == expected else f"entries {expected} to {last} are"
            self.report.add(expected, "missing", f"{missing} not where it belongs: entry {found.sequence} follows")
        elif self.expected_hash is not None and found.previous_hash != self.expected_hash:
            self._wrong_link(found)
        if found.timestamp < self.timestamp:
            self.report.add(found.sequence, "timestamp", "its time is before that of the entry before it")
        self.timestamp = max(self.timestamp, found.timestamp)
        self.head = Head(found.sequence + 1, found.hash)
        self.expected_hash = found.hash

    def _wrong_link(self, found: Entry) -> None:
        if found.sequence == 0:
            self.report.add(0, "origin", f"it does not begin a ledger of the origin '{self.report.origin}'")
        else:
            before = found.sequence - 1
            self.report.add(
                before, "link", f"entry {found.sequence} was made after another entry {before} than the one here"
            )

    def _identity(self, found: Entry) -> None:
        self.ids.append(hash(found.id.encode()))

    def _duplicates(self, descriptor: int, start: int, whole: int) -> None:
        """Report ids that occur twice. Equal hashes only tell where to look: then the lines are read again."""
        suspects = duplicates.repeated(self.ids)
        if not suspects:
            return
        first_of: dict[str, int] = {}
        for _offset, line in store.lines_from(descriptor, start, whole):
            try:
                found = entry.parse(line.removesuffix(b"\n"))
            except BadLine:
                continue
            if hash(found.id.encode()) not in suspects:
                continue
            first = first_of.setdefault(found.id, found.sequence)
            if first != found.sequence:
                self.report.add(found.sequence, "duplicate_id", f"it has the id of entry {first}")

    def _objects(self, found: Entry) -> None:
        for reference in references(found.data):
            self._object(found.sequence, reference)

    def _object(self, sequence: int, reference: ObjectRef) -> None:
        if reference["sha256"] in self.objects_seen:
            return
        self.objects_seen.add(reference["sha256"])
        self.report.objects += 1
        if problem := self.objects.problem(reference):
            if problem[0] == "object_missing":
                self.objects_missing[reference["sha256"]] = (sequence, problem[1])
            else:
                self.report.add(sequence, *problem)

    def _missing(self, descriptor: int, start: int, whole: int) -> None:
        """Report the objects that are missing, but for those that an entry says retention dropped."""
        if not self.objects_missing:
            return
        lines = (line.removesuffix(b"\n") for _offset, line in store.lines_from(descriptor, start, whole))
        after = (line.removesuffix(b"\n") for path in self.shared.later for line in store.lines_of(path))
        dropped = dropping.excused(chain(lines, after), self.objects_missing)
        self.report.dropped = len(dropped)
        self.report.objects -= len(dropped)
        for sha256, (sequence, message) in self.objects_missing.items():
            if sha256 not in dropped:
                self.report.add(sequence, "object_missing", message)
