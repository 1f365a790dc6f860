# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: a folder in which evidence is only ever added.

``ledger.json`` (format, origin) · ``entries.jsonl`` (the truth) · ``objects/sha256/`` · ``lock`` · ``torn/``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import files
from ..locks import hold
from . import canonical, clock, entry, store, torn, tree
from .entry import BadLine, Entry
from .errors import EntryConflict, EntryRefused, LedgerBroken, LedgerError, LedgerMissing
from .guard import check_metadata, refuse_secrets
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

    @classmethod
    def create(cls, path: Path | str, origin: str, edge: bool = True) -> Ledger:
        """Return the ledger at ``path``, made when it is not there; ``edge`` is that of :meth:`open`.

        :raises LedgerError: another ledger or entries without a ledger.json are there, or it cannot be written.
        """
        ledger = cls(Path(path), checked_origin(origin))
        if (ledger.path / _DESCRIPTION).exists():
            return cls.open(path, origin, edge)
        files.make_dirs(ledger.path.parent)
        files.make_dirs(ledger.path, 0o750)
        with hold(ledger.lock_path, "creating the ledger", LOCK_WAIT_SECONDS):
            if ledger.entries_path.exists() and ledger.entries_path.stat().st_size:
                raise LedgerBroken(
                    f"{ledger.path} holds entries but no {_DESCRIPTION}; restore that file from the backup.",
                    sequence=None,
                )
            # The description comes last: a ledger that is killed while being made is simply not there yet.
            files.write_atomic(ledger.entries_path, b"", 0o640)
            described = canonical.encode({"format": entry.FORMAT, "origin": origin}) + b"\n"
            files.write_atomic(ledger.path / _DESCRIPTION, described, 0o640)
        return cls.open(path, origin)

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
        full, said = _checked(type, event, data, metadata)
        with hold(self.lock_path, f"appending '{event}' to {self.path}", LOCK_WAIT_SECONDS):
            self._repair(metadata)
            if known := self._same(id, said, locked=True):
                return Appended(known, changed=False)
            return Appended(self._write(id or str(uuid.uuid4()), type, full, metadata), changed=True)

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
        full, said = _checked(type, event, data, metadata)
        head = self.head()
        if known := self._same(id, said, locked=False):
            return known
        entry.seal(
            sequence=head.size,
            id=id or str(uuid.uuid4()),
            timestamp=clock.stamp(self._now()),
            type=type,
            data=full,
            metadata=metadata,
            previous_hash=head.hash,
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
                    raise self._broken(number, str(error)) from error
                if error.kind == "link":
                    yield found
                continue
            expected = found.hash
            yield found

    def find(self, id: str) -> Entry | None:
        """Return the entry with this ``id``. Reads the file; lines that cannot hold it are not parsed.

        :raises LedgerBroken: the line that names the id is not a sound entry.
        """
        return self._find(id, locked=False)

    def _find(self, id: str, locked: bool) -> Entry | None:
        mark = f'"id":"{id}"'.encode()
        for number, line in enumerate(self._whole_lines(locked)):
            if mark not in line:
                continue
            try:
                found = entry.parse(line)
            except BadLine as error:
                raise self._broken(number, str(error)) from error
            if found.id == id:
                return found
        return None

    def head(self) -> Head:
        """Return size and hash of the ledger, reading only its last line.

        :raises LedgerBroken: the last line is not an entry.
        """
        with store.opened(self.entries_path) as descriptor:
            return self._head(self._last(descriptor, store.whole_size(descriptor)))

    def _same(self, id: str | None, said: bytes, locked: bool) -> Entry | None:
        """Return the entry with this id when it says the same; None when there is none."""
        known = self._find(id, locked) if id is not None else None
        if known is not None and known.content() != said:
            raise EntryConflict(
                f"Entry {known.sequence} of {self.path} already has the id {id} with other content; "
                "evidence is never rewritten, use a new id.",
                sequence=known.sequence,
            )
        return known

    def _write(self, id: str, type: str, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Entry:
        """Seal and write one entry. The caller holds the lock and has repaired the tail."""
        with store.opened(self.entries_path) as descriptor:
            size = os.fstat(descriptor).st_size
            last = self._last(descriptor, size)
            head = self._head(last)
            sealed = entry.seal(
                sequence=head.size,
                id=id,
                timestamp=clock.stamp(self._now(), last.timestamp if last else None),
                type=type,
                data=data,
                metadata=metadata,
                previous_hash=head.hash,
            )
            store.write_line(descriptor, sealed.line, size, self.entries_path)
        return sealed

    def _repair(self, metadata: Mapping[str, Any]) -> None:
        """Set an unfinished last line aside and say so in the ledger. The caller holds the lock."""
        with store.opened(self.entries_path) as descriptor:
            size = store.whole_size(descriptor)
            self._last(descriptor, size)  # A broken last line is looked into by people, not repaired.
            torn.set_aside(descriptor, size, self.torn_path)
        for piece in torn.pending(self.torn_path):
            if self._find(piece.id, locked=True) is None:
                self._write(piece.id, "validation", piece.data(), metadata)
            piece.done()

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

    def _whole_lines(self, locked: bool = False) -> Iterator[bytes]:
        """Yield the whole lines; ``locked`` says that the caller holds the lock, which nobody else can share."""
        try:
            lock = None if locked else self.lock_path
            size = store.settled_size(lock, self.entries_path)
            for line in store.lines(self.entries_path, size):
                if line.endswith(b"\n"):
                    yield line[:-1]
        except OSError as error:
            raise LedgerError(f"Cannot read {self.entries_path}: {error.strerror or error}.") from error

    def _broken(self, number: int, why: str) -> LedgerBroken:
        return LedgerBroken(
            f"Entry {number} of {self.path} does not hold: {why}. Run the playbook verify for all that is "
            "wrong, and compare with the backup.",
            sequence=number,
        )


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
    described = files.read_json(file, "The description of the ledger")
    if not isinstance(described, dict) or described.get("format") != entry.FORMAT:
        raise LedgerBroken(f"{file} does not describe a ledger of the format {entry.FORMAT}.", sequence=None)
    origin = described.get("origin")
    if not isinstance(origin, str) or not origin:
        raise LedgerBroken(f"{file} names no origin; restore it from the backup.", sequence=None)
    return origin


def _checked(
    type: str, event: str, data: Mapping[str, Any], metadata: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Return the full data of an entry, and the bytes of what it says."""
    if data.get("event", event) != event:
        raise EntryRefused(f"data.event is '{data['event']}' but the entry is of the event '{event}'.")
    full = {**data, "event": event}
    check_metadata(metadata)
    refuse_secrets(full)
    refuse_secrets(metadata, "metadata")
    return full, entry.content(type, full, metadata)
