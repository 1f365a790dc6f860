# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: a folder in which evidence is only ever added.

``ledger.json`` (format, origin) · ``entries.jsonl`` (the truth) · ``objects/sha256/`` · ``lock`` · ``torn/``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import files
from ..locks import hold
from . import attributes, canonical, clock, entry, store, tree
from .appending import Appender, Statement, broken, statements
from .entry import BadLine, Entry
from .errors import EntryConflict, LedgerBroken, LedgerError, LedgerMissing
from .index import Index
from .objects import Objects

LOCK_WAIT_SECONDS = 30.0
_DESCRIPTION = "ledger.json"


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the hash of the last (of the origin, when there are none)."""

    size: int
    hash: str


@dataclass(frozen=True, slots=True)
class Appended:
    """The entry as it stands in the ledger; ``changed`` is false when it was there before."""

    entry: Entry
    changed: bool


class Ledger:
    """A ledger on this machine. Get one from :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, origin: str, now: Callable[[], datetime] = clock.now) -> None:
        self.path = path
        self.origin = origin
        self.entries_path = path / "entries.jsonl"
        self.lock_path = path / "lock"
        self.torn_path = path / "torn"
        self.objects = Objects(path / "objects" / "sha256")
        self._now = now
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
        :param edge: whether the entries have to reach what the latest checkpoint says (false for reports about a
            ledger that is known to be broken).
        :raises LedgerBroken: the last entry that was signed is gone or is another one.
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
        if edge:
            tree.check_edge(folder, found)
        return cls(folder, found)

    def _make(self) -> None:
        if (self.path / _DESCRIPTION).exists():
            return
        files.make_dirs(self.path.parent)
        files.make_dirs(self.path, 0o750)
        with hold(self.lock_path, "creating the ledger", LOCK_WAIT_SECONDS):
            if (self.path / _DESCRIPTION).exists():
                return  # Another process was faster.
            if self.entries_path.exists() and self.entries_path.stat().st_size:
                raise LedgerBroken(
                    f"{self.path} holds entries but no {_DESCRIPTION}; restore that file from the backup.",
                    sequence=None,
                )
            # The description comes last: a ledger that is killed while being made is simply not there yet.
            files.write_atomic(self.entries_path, b"", 0o640)
            described = canonical.encode({"format": entry.FORMAT, "origin": self.origin}) + b"\n"
            files.write_atomic(self.path / _DESCRIPTION, described, 0o640)

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

    def _append(self, items: Sequence[Mapping[str, Any]], what: str) -> list[Appended]:
        said = statements(items)
        try:
            with hold(self.lock_path, what, LOCK_WAIT_SECONDS):
                attributes.restore(self.path)
                found = self._appender.append(said, self._now(), items[0]["metadata"])
        except OSError as error:
            raise LedgerError(
                f"Failed {what}: {error.strerror or error}. What was not acknowledged can be said again, with its id."
            ) from error
        return [Appended(one, changed) for one, changed in found]

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
        if known := self._same(said):
            return known
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
        """Yield the entries in order, reading as it goes; each is checked to follow the one before.

        :param strict: when false, lines that do not hold are left out instead (for reports about a
            ledger that is known to be broken).
        :raises LedgerBroken: at the first line that does not hold.
        """
        expected = entry.genesis_hash(self.origin)
        for number, line in enumerate(self._whole_lines()):
            try:
                found = entry.parse(line)
                if found.sequence != number or found.previous_hash != expected:
                    raise BadLine("link", "it does not follow the entry before it")
            except BadLine as error:
                if strict:
                    raise broken(self.path, number, str(error)) from error
                if error.kind == "link":
                    yield found
                continue
            expected = found.hash
            yield found

    def find(self, id: str) -> Entry | None:
        """Return the entry with this ``id``, found through the index; what the index lacks is read.

        :raises LedgerBroken: the line that names the id is not a sound entry.
        """
        with store.opened(self.entries_path, write=False) as descriptor:
            try:
                size = store.settled_size(self.lock_path, self.entries_path)
                return self._appender.find(id, descriptor, size)
            except OSError as error:
                raise LedgerError(f"Cannot read {self.entries_path}: {error.strerror or error}.") from error

    def head(self) -> Head:
        """Return size and hash of the ledger, reading only its last line.

        :raises LedgerBroken: the last line is not an entry.
        """
        with store.opened(self.entries_path) as descriptor:
            return self._head(self._last(descriptor, store.whole_size(descriptor)))

    def _same(self, said: Statement) -> Entry | None:
        """Return the entry with the id of ``said`` when it says the same; None when there is none."""
        known = self.find(said.id) if said.id is not None else None
        if known is not None and known.content() != said.content:
            raise EntryConflict(
                f"Entry {known.sequence} of {self.path} already has the id {said.id} with other content; "
                "evidence is never rewritten, use a new id.",
                sequence=known.sequence,
            )
        return known

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

    def _whole_lines(self) -> Iterator[bytes]:
        try:
            size = store.settled_size(self.lock_path, self.entries_path)
            for line in store.lines(self.entries_path, size):
                if line.endswith(b"\n"):
                    yield line[:-1]
        except OSError as error:
            raise LedgerError(f"Cannot read {self.entries_path}: {error.strerror or error}.") from error


def checked_origin(origin: str) -> str:
    """Return ``origin`` when it can name a ledger.

    :raises LedgerError: it is empty, too long, or has blanks or control characters.
    """
    if not 0 < len(origin) <= 255 or any(not ("!" <= character <= "~") for character in origin):
        raise LedgerError(
            f"The origin {origin!r} cannot name a ledger; use 1 to 255 printable ASCII characters without "
            "blanks, such as golden-goose.local/sandbox."
        )
    return origin


def read_origin(path: Path) -> str:
    """Return the origin that ``ledger.json`` in the folder ``path`` states.

    :raises LedgerMissing: there is no such file.
    :raises LedgerBroken: the file is not the description of a ledger of this format.
    :raises GoldenGooseError: the file may not be read.
    """
    file = path / _DESCRIPTION
    try:
        absent = not file.exists()
    except OSError as error:
        raise LedgerError(f"Cannot read the ledger at {path}: {error.strerror or error}.") from error
    if absent:
        raise LedgerMissing(f"There is no ledger at {path}; create it with the role evidence_ledger.")
    try:
        described = json.loads(file.read_bytes())
    except OSError as error:
        raise LedgerError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError:
        described = None
    if not isinstance(described, dict) or described.get("format") != entry.FORMAT or len(described) != 2:
        raise LedgerBroken(f"{file} does not describe a ledger of the format {entry.FORMAT}.", sequence=None)
    origin = described.get("origin")
    if not isinstance(origin, str) or not origin:
        raise LedgerBroken(f"{file} names no origin; restore it from the backup.", sequence=None)
    return origin
