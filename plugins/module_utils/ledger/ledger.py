# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: a folder in which evidence is only ever added.

``ledger.json`` (format, origin) · ``entries.jsonl`` (the truth) · ``objects/sha256/`` · ``lock`` · ``torn/`` ·
``segments/<n>/`` (the same again, for what continues a frozen ledger).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..locks import hold
from . import attributes, clock, entry, link, segments, store, tree
from .appending import Appender, broken
from .description import DESCRIPTION, checked_origin, describe, read_origin
from .entry import BadLine, Entry
from .errors import EntryConflict, EntryRefused, LedgerBroken, LedgerError, LedgerFrozen
from .following import Follower
from .index import Index
from .objects import Objects
from .statements import Statement, statements

LOCK_WAIT_SECONDS = 30.0
FREEZE_LOCK = "freeze.lock"


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the hash of the last (of the origin, when there are none)."""

    size: int
    hash: str


class Appended(NamedTuple):
    """The ``line`` as it stands in the ledger; ``changed`` is false when it was there before."""

    line: bytes
    changed: bool
    segment: int = 1

    @property
    def entry(self) -> Entry:
        """The entry that the line holds, read when it is asked for: who adds many rarely looks at each."""
        found = entry.sound(self.line)
        return found if self.segment == 1 else found._replace(segment=self.segment)


class Ledger:
    """A ledger on this machine. Get one from :meth:`create` or :meth:`open`.

    ``root`` is its folder. ``path``, ``origin``, ``number`` and all paths are of its last segment, which takes the
    entries; ``earlier`` are the frozen segments before it. Of a ledger that was never frozen ``path`` is ``root``.
    """

    def __init__(
        self, path: Path, origin: str, now: Callable[[], datetime] = clock.now, earlier: Sequence[Ledger] = ()
    ) -> None:
        self._now = now
        self._be(path, origin, tuple(earlier))

    def _be(self, path: Path, origin: str, earlier: tuple[Ledger, ...]) -> None:
        self.path = path
        self.origin = origin
        self.earlier = earlier
        self.root = earlier[0].path if earlier else path
        self.number = int(path.name) if earlier else 1
        self.entries_path = path / "entries.jsonl"
        self.lock_path = path / "lock"
        self.torn_path = path / "torn"
        self.objects = Objects(self.root / "objects" / "sha256")
        self._appender = Appender(path, origin, Index(path))

    @classmethod
    def create(cls, path: Path | str, origin: str, edge: bool = True) -> Ledger:
        """Return the ledger at ``path``, made when it is not there; ``edge`` is that of :meth:`open`.

        :raises LedgerError: another ledger or entries without a ledger.json are there, or it cannot be written.
        """
        ledger = cls(Path(path), checked_origin(origin))
        try:
            ledger._make()
        except OSError as error:
            raise LedgerError(f"Cannot create the ledger at {path}: {error.strerror or error}.") from error
        return cls.open(path, origin, edge)

    @classmethod
    def open(cls, path: Path | str, origin: str | None = None, edge: bool = True) -> Ledger:
        """Return the ledger that is at ``path``, after looking at its right edge.

        :param origin: when given, it must be the ledger's.
        :param edge: whether the entries have to reach what the latest checkpoint says, and the segments have to follow
            each other (false for reports about a ledger that is known to be broken).
        :raises LedgerBroken: the last entry that was signed is gone or is another one, or a segment is.
        :raises LedgerMissing: there is none.
        :raises LedgerError: it is of another origin or format.
        """
        folder = Path(path)
        found = read_origin(folder)
        if origin is not None and origin != found:
            raise LedgerError(
                f"The ledger at {folder} is of the origin '{found}', not '{origin}'; "
                "use the ledger of this environment or correct golden_goose_ledger_origin."
            )
        if (number := segments.number(found)) != 1:
            raise LedgerError(f"{folder} is segment {number} of a ledger; give the folder of the whole ledger.")
        ledger = cls(folder, found)
        ledger._enter(edge)
        return ledger

    def refresh(self, edge: bool = True) -> bool:
        """Go on to the last segment when the ledger was frozen meanwhile; return whether that was so.

        :raises LedgerError: as :meth:`open`.
        """
        if not segments.place(self.root, self.number + 1).exists():
            return False
        before = self.number
        self._enter(edge)
        return self.number != before

    def _enter(self, edge: bool) -> None:
        """Become the last segment of the ledger in ``root``."""
        try:
            numbers = segments.numbers(self.root)
        except OSError as error:
            raise LedgerError(f"Cannot read the segments of {self.root}: {error.strerror or error}.") from error
        if edge:
            link.require(self.root, numbers)
            tree.check_edge(segments.place(self.root, numbers[-1]), segments.name(self.origin, numbers[-1]))
        if numbers[-1] == self.number:
            return
        first = self.earlier[0] if self.earlier else Ledger(self.path, self.origin, self._now)
        chain = [first]
        for number in numbers[1:]:
            place = segments.place(self.root, number)
            chain.append(Ledger(place, segments.name(first.origin, number), self._now, chain))
        self._be(chain[-1].path, chain[-1].origin, tuple(chain[:-1]))

    def _make(self) -> None:
        if (self.path / DESCRIPTION).exists():
            return
        files.make_dirs(self.path.parent)
        files.make_dirs(self.path, 0o750)
        with hold(self.lock_path, "creating the ledger", LOCK_WAIT_SECONDS):
            if (self.path / DESCRIPTION).exists():
                return  # Another process was faster.
            if self.entries_path.exists() and self.entries_path.stat().st_size:
                raise LedgerBroken(
                    f"{self.path} holds entries but no {DESCRIPTION}; restore that file from the backup.",
                    sequence=None,
                )
            # The description comes last: a ledger that is killed while being made is simply not there yet.
            files.write_atomic(self.entries_path, b"", 0o640)
            describe(self.path, self.origin)

    def append(
        self,
        *,
        type: str,
        event: str,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any],
        id: str | None = None,
    ) -> Appended:
        """Add one entry; when this returns it is on disk.

        :param id: a UUID that makes the call repeatable; by default a new one.
        :raises EntryConflict: ``id`` is there with other type, data or metadata.
        :raises EntryRefused: the entry is incomplete, too large, not JSON, or holds a secret.
        :raises LedgerBroken: the last line is not an entry; nothing is added after it.
        :raises LedgerFrozen: it was frozen, and nothing continues it yet.
        :raises LedgerError: it could not be written; the ledger is as it was.
        :raises LockHeld: another writer kept the lock for ``LOCK_WAIT_SECONDS``.
        """
        item = {"type": type, "event": event, "data": data, "metadata": metadata, "id": id}
        return self._append([item], f"appending '{event}' to {self.path}")[0]

    def append_many(self, items: Sequence[Mapping[str, Any]]) -> list[Appended]:
        """Add a group of entries with one lock and one fsync; when this returns all of them are on disk.

        Nothing of a group that raises is acknowledged, and nothing of it is kept. A kill in between may leave some
        first entries of it, whole: with ``id`` given, saying the group again completes it.

        :param items: mappings with ``type``, ``event``, ``data``, ``metadata`` and perhaps ``id``, as :meth:`append`
            takes them, in the order in which they are to stand.
        :raises GoldenGooseError: as :meth:`append` does, for any of them.
        """
        return self._append(items, f"appending {len(items)} entries to {self.path}") if items else []

    def mend(self, metadata: Mapping[str, Any]) -> None:
        """Set aside what a killed writer has left of a line, as the next append does.

        :raises LedgerError: as :meth:`append`.
        """
        self._add([], metadata, f"mending {self.path}")

    def freeze(self, data: Mapping[str, Any], metadata: Mapping[str, Any], id: str) -> Entry:
        """Add the last entry of this segment; :mod:`freeze` does what belongs to it.

        :raises LedgerError: as :meth:`append`.
        """
        said = statements(
            [{"type": "validation", "event": segments.FROZEN, "data": data, "metadata": metadata, "id": id}]
        )
        [one] = self._add(said, metadata, f"freezing {self.path}")
        return one.entry

    def _append(self, items: Sequence[Mapping[str, Any]], what: str) -> list[Appended]:
        if not segments.RESERVED.isdisjoint([item["event"] for item in items]):
            raise EntryRefused(
                "The events frozen and continued are evidence_freeze's own; give the event another name."
            )
        said = statements(items)
        before = [self._in_earlier(one) for one in said] if self.earlier else []
        new = [one for one, known in zip(said, before, strict=True) if known is None] if before else said
        try:
            added = self._add(new, items[0]["metadata"], what) if new else []
        except LedgerFrozen:
            if not self._continued():
                raise
            return self._append(items, what)
        rest = iter(added)
        return [
            Appended(known.line, False, known.segment) if known is not None else next(rest) for known in before
        ] or added

    def _continued(self) -> bool:
        """Return whether this frozen ledger goes on in another segment, after waiting for who is about to begin it."""
        with hold(self.root / FREEZE_LOCK, f"waiting for {self.root} to go on", LOCK_WAIT_SECONDS):
            return self.refresh()

    def _in_earlier(self, said: Statement) -> Entry | None:
        """Return what a frozen segment has under the id of ``said``, which has to say the same."""
        for segment in reversed(self.earlier if said.id is not None else ()):
            if (known := segment._same(said)) is not None:
                return known
        return None

    def _add(self, said: Sequence[Statement], metadata: Mapping[str, Any], what: str) -> list[Appended]:
        try:
            with hold(self.lock_path, what, LOCK_WAIT_SECONDS):
                attributes.restore(self.path)
                found = self._appender.append(said, self._now(), metadata)
        except OSError as error:
            raise LedgerError(
                f"Failed {what}: {error.strerror or error}. What was not acknowledged can be said again, with its id."
            ) from error
        return [Appended(line, changed, self.number) for line, changed in found]

    def _ours(self, found: Entry) -> Entry:
        """Return what was read from this segment as an entry of it."""
        return found if self.number == 1 else found._replace(segment=self.number)

    def preview(
        self,
        *,
        type: str,
        event: str,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any],
        id: str | None = None,
    ) -> Entry | None:
        """Return the entry that :meth:`append` would find unchanged, or None when it would add one.

        Nothing is written. It raises what ``append`` raises for the same arguments.
        """
        [said] = statements([{"type": type, "event": event, "data": data, "metadata": metadata, "id": id}])
        head = self.head()
        if known := self._same(said) or self._in_earlier(said):
            return known
        if self.frozen:
            raise LedgerFrozen(f"The ledger at {self.path} is frozen and takes no entry; run evidence_freeze again.")
        entry.seal_encoded(
            head.size,
            id or str(uuid.uuid4()),
            clock.stamp(self._now()),
            said.type,
            said.data,
            said.metadata,
            head.hash,
        )
        return None

    def entries(self, strict: bool = True) -> Iterator[Entry]:
        """Yield the entries of all segments in order, reading as it goes; each is checked to follow the one before.

        :param strict: when false, lines that do not hold are left out instead (for reports about a
            ledger that is known to be broken).
        :raises LedgerBroken: at the first line that does not hold.
        """
        self.refresh(strict)
        # The caller may append while reading, and so go on to another segment.
        for segment in (*self.earlier, copy(self)):
            yield from segment.own_entries(strict)

    def own_entries(self, strict: bool = True, events: Collection[str] | None = None) -> Iterator[Entry]:
        """Yield what :meth:`entries` does of this segment alone; only those of ``events``, when these are given."""
        chain = Follower(0, entry.genesis_hash(self.origin))
        try:
            with store.opened(self.entries_path, write=False) as descriptor:
                size = store.settled_size(self.lock_path, self.entries_path)
                for lines in store.line_groups(descriptor, 0, size):
                    yield from map(self._ours, chain.entries(lines, strict, events))
        except OSError as error:
            raise LedgerError(f"Cannot read {self.entries_path}: {error.strerror or error}.") from error
        except BadLine as error:
            raise broken(self.path, chain.size, str(error)) from error

    def find(self, id: str) -> Entry | None:
        """Return the entry with this ``id`` in any segment, found through the index; what the index lacks is read.

        :raises LedgerBroken: the line that names the id is not a sound entry.
        """
        self.refresh()
        for segment in (self, *reversed(self.earlier)):
            if (found := segment._find(id)) is not None:
                return segment._ours(found)
        return None

    def _find(self, id: str) -> Entry | None:
        with store.opened(self.entries_path, write=False) as descriptor:
            try:
                size = store.settled_size(self.lock_path, self.entries_path)
                return self._appender.find(id, descriptor, size)
            except OSError as error:
                raise LedgerError(f"Cannot read {self.entries_path}: {error.strerror or error}.") from error

    def head(self) -> Head:
        """Return size and hash of the last segment, reading only its last line.

        :raises LedgerBroken: the last line is not an entry.
        """
        return self._head(self.last())

    @property
    def size(self) -> int:
        """How many entries all segments have."""
        return sum(segment.head().size for segment in (*self.earlier, self))

    @property
    def frozen(self) -> bool:
        """Whether the last entry froze the last segment, so that it takes no more."""
        last = self.last()
        return last is not None and bool(segments.successor_of(last))

    def last(self) -> Entry | None:
        """Return the last entry of the last segment; None while it has none.

        :raises LedgerBroken: the last line is not an entry.
        """
        with store.opened(self.entries_path) as descriptor:
            return self._last(descriptor, store.whole_size(descriptor))

    def _same(self, said: Statement) -> Entry | None:
        """Return the entry with the id of ``said`` when it says the same; None when there is none."""
        known = self._find(said.id) if said.id is not None else None
        if known is not None and known.content() != said.content:
            raise EntryConflict(
                f"Entry {known.sequence} of {self.path} already has the id {said.id} with other content; "
                "evidence is never rewritten, use a new id.",
                sequence=known.sequence,
            )
        return self._ours(known) if known is not None else None

    def _last(self, descriptor: int, size: int) -> Entry | None:
        line = store.last_line(descriptor, size)
        if line is None:
            return None
        try:
            return entry.parse(line)
        except BadLine as error:
            raise LedgerBroken(
                f"The last line of {self.entries_path} is not sound ({error}); nothing is added after it. "
                "Run the playbook verify and compare with the backup.",
                sequence=None,
            ) from error

    def _head(self, last: Entry | None) -> Head:
        return Head(last.sequence + 1, last.hash) if last else Head(0, entry.genesis_hash(self.origin))
