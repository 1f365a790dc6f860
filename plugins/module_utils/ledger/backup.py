# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A verified copy of a ledger in a second place (``storage.audit: local-with-backup``)."""

from __future__ import annotations

import json
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .. import files
from ..errors import GoldenGooseError
from ..locks import hold
from . import attributes, checkpoint, heads, link, segments, store, tree
from .checkpoint import BadCheckpoint, Key
from .entry import parse
from .errors import LedgerBroken, LedgerError
from .freezing import place_segment
from .ledger import LOCK_WAIT_SECONDS, Head, Ledger
from .objects import MARK as OBJECT_MARK
from .objects import Objects, references
from .segments import Shared
from .verify import Problem, Report, verify_segment

_BLOCK = 1 << 20
# Entries: so few are verified before anybody notices.
SMALL = 10_000
# Seconds.
FULL_EVERY = 24 * 3600.0
_VERIFIED = "verified.json"
# What the copy does without, or is made again for it.
_MADE_AGAIN = frozenset({"torn_tail", "tile", "unsigned"})


@dataclass(frozen=True, slots=True)
class BackupReport:
    """``size`` entries with the last hash ``head`` are in ``target``, and were verified there."""

    size: int
    head: str | None
    target: str
    changed: bool
    copied_bytes: int
    copied_objects: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "head": self.head,
            "target": self.target,
            "copied_bytes": self.copied_bytes,
            "copied_objects": self.copied_objects,
        }


def backup(ledger: Ledger, target: Path | str, full: bool | None = None) -> BackupReport:
    """Bring the copy in the folder ``target`` up to date, segment by segment, then verify the copy itself.

    Only what is new is written: the copy, too, is only ever added to. A kill leaves a copy that the next
    call completes.

    :param full: whether to verify and compare all of both, or only what is new since the last backup. By default all
        of it in a ledger of fewer than ``SMALL`` entries, and of a larger one when that was last done over
        ``FULL_EVERY`` ago. Changes to old entries and objects are found by a full one alone.
    :raises LedgerBroken: the source does not hold, is shorter than its copy, or differs from it: something
        was edited or cut, and the copy is what to restore from.
    :raises LedgerError: the copy cannot be written, or does not verify.
    """
    folder = Path(target)
    if folder.resolve() == ledger.root.resolve():
        raise LedgerError(f"The backup of {ledger.root} cannot be the ledger itself; give another folder.")
    link.require(ledger.root, [one.number for one in (*ledger.earlier, ledger)])
    chain = [*ledger.earlier, ledger]
    done = [_backup(segment, folder, full, chain[number:]) for number, segment in enumerate(chain, start=1)]
    return BackupReport(
        size=sum(one.size for one in done),
        head=done[-1].head,
        target=str(folder),
        changed=any(one.changed for one in done),
        copied_bytes=sum(one.copied_bytes for one in done),
        copied_objects=sum(one.copied_objects for one in done),
    )


def _backup(ledger: Ledger, root: Path, full: bool | None, later: Sequence[Ledger]) -> BackupReport:
    """Bring the copy of one segment up to date; ``root`` is the folder of the whole copy, ``later`` come after it."""
    folder = segments.place(root, ledger.number)
    if folder.resolve() == ledger.path.resolve():
        raise LedgerError(
            f"The backup of {ledger.path} cannot be that segment itself: one of the two is a link to the other; "
            "give each a folder of its own."
        )
    # Taken before the entries are looked at: all of these are of entries that are there.
    signed, keys = heads.notes(ledger.path), heads.keys(ledger.path)
    since = _verified_before(folder, full, frozen=bool(later))
    trusted = since.head if since else None
    found = verify_segment(ledger.path, ledger.origin, trusted, shared=_shared(ledger.objects, later))
    _refuse_unsound(ledger, found, folder)
    copy = _copy_of(ledger, root)
    with hold(copy.lock_path, f"copying {ledger.path} to {folder}", LOCK_WAIT_SECONDS):
        attributes.restore(folder)
        # Objects first: a copy never holds an entry without what it refers to.
        start = _end_of(copy, since.head if since else None)
        copied_objects = _copy_objects(ledger, copy, start, found.bytes)
        copied_bytes = _copy_entries(ledger, copy, start, found.bytes)
    copied_heads = _copy_heads(copy, [note for _path, note in signed], keys)
    checked = verify_segment(folder, ledger.origin, trusted, shared=_shared(copy.objects, later))
    # A kill between the first entry that names a key and the first signature leaves both without one.
    unsigned = {problem.kind for problem in found.problems} & {"unsigned"}
    worse = [problem for problem in checked.problems if problem.kind not in unsigned]
    if checked.head != found.head or worse:
        raise LedgerError(f"The copy in {folder} does not verify: {checked.sentence()}", report=checked.as_dict())
    _remember(folder, checked, since)
    changed = bool(copied_bytes or copied_objects or copied_heads)
    return BackupReport(found.size, found.head, str(folder), changed, copied_bytes, copied_objects)


def compare(path: Path | str, target: Path | str) -> Problem | None:
    """Return what the copy in ``target`` shows to be wrong with the ledger in ``path``, or None.

    A chain whose last entries were cut off, or that was rewritten from end to end, holds in itself; only a
    second place can tell. An absent or outdated copy shows nothing. Kinds are ``cut``, ``rewritten`` and
    ``segment_missing``.
    """
    here, there = segments.numbers(Path(path)), segments.numbers(Path(target))
    for number in there:
        if number not in here:
            return Problem(None, "segment_missing", f"it is in the copy {target} but no longer in the ledger", number)
        folder, copy = segments.place(Path(path), number), segments.place(Path(target), number)
        if problem := compare_segment(folder, copy):
            return replace(problem, segment=number)
    return None


def compare_segment(path: Path, target: Path) -> Problem | None:
    """Return the same of one segment and its copy."""
    mine, copy = path / "entries.jsonl", target / "entries.jsonl"
    if not copy.is_file() or not mine.is_file():
        return None
    have = store.settled_size(target / "lock", copy)
    size = store.settled_size(path / "lock", mine)
    for number, (line, copied) in enumerate(zip_longest(store.lines(mine, size), store.lines(copy, have))):
        if copied is None or not copied.endswith(b"\n"):
            return None
        if line is None or not line.endswith(b"\n"):
            return Problem(number, "cut", f"it is in the copy {target} but no longer in the ledger")
        if line != copied:
            return Problem(number, "rewritten", f"it is not what the copy {target} holds")
    return None


def _refuse_unsound(ledger: Ledger, found: Report, target: Path) -> None:
    serious = [problem for problem in found.problems if problem.kind not in _MADE_AGAIN]
    if serious:
        raise LedgerBroken(
            f"{ledger.path} is not copied to {target}: {found.sentence()} Restore from the copy there.",
            sequence=serious[0].sequence,
            report=found.as_dict(),
        )


@dataclass(frozen=True, slots=True)
class _Before:
    """What a backup verified before: that all up to ``head`` is in the copy; all of it at ``full_at`` (Unix time)."""

    head: Head
    full_at: float


def _verified_before(folder: Path, full: bool | None, frozen: bool) -> _Before | None:
    """Return what need not be verified again, or None for a full verification.

    It is kept beside the copy: who could forge it there could forge the copy as well.
    """
    file = folder / _VERIFIED
    if full or not file.is_file():
        return None
    try:
        said = files.read_json(file, "What was verified before")
        before = _Before(Head(int(said["size"]), str(said["head"])), float(said["full_at"]))
    except (GoldenGooseError, KeyError, TypeError, ValueError):
        return None
    recent = 0 <= time.time() - before.full_at < FULL_EVERY
    # Of a frozen segment nothing is new.
    enough = full is False or (recent and (frozen or before.head.size >= SMALL))
    return before if before.head.size and enough else None


def _shared(objects: Objects, later: Sequence[Ledger]) -> Shared:
    return Shared(objects, set(), array("q"), tuple(segment.entries_path for segment in later))


def _copy_of(segment: Ledger, root: Path) -> Ledger:
    """Return the copy of ``segment`` below ``root``, made when it is not there; a later one begins with its entry."""
    if not segment.earlier:
        Ledger.create(root, segment.origin, edge=False)
        return Ledger(root, segment.origin)
    place = segments.place(root, segment.number)
    if not place.exists():
        with store.opened(segment.entries_path, write=False) as descriptor:
            line = store.line_at(descriptor, 0)
        place_segment(root, segment.number, segment.origin, line)
    earlier = [Ledger(segments.place(root, one.number), one.origin) for one in segment.earlier]
    return Ledger(place, segment.origin, earlier=earlier)


def _remember(folder: Path, checked: Report, since: _Before | None) -> None:
    if checked.size and (since is None or since.head.size != checked.size):
        said = {
            "size": checked.size,
            "head": checked.head,
            "full_at": since.full_at if since else round(time.time(), 3),
        }
        files.write_atomic(folder / _VERIFIED, json.dumps(said, sort_keys=True).encode() + b"\n", 0o640)


def _end_of(copy: Ledger, head: Head | None) -> int:
    """Return the offset after the last entry of ``head`` in the copy; in the ledger it is the same."""
    if head is None:
        return 0
    with store.opened(copy.entries_path, write=False) as descriptor:
        end = store.after_last_feed(descriptor, os.fstat(descriptor).st_size)
        found = store.locate(descriptor, head.size - 1, end)
    if found is None or parse(found[1]).hash != head.hash:
        raise LedgerBroken(
            f"{copy.entries_path} lacks entries that were copied there: it was cut or rewritten. Find out what "
            "happened to the copy before anything else.",
            sequence=head.size - 1,
        )
    return found[0] + len(found[1]) + 1


def _copy_objects(source: Ledger, copy: Ledger, start: int, size: int) -> int:
    """Copy the objects that entries between two offsets refer to, and what was set aside."""
    copied = 0
    seen: set[str] = set()
    with store.opened(source.entries_path, write=False) as descriptor:
        for _offset, line in store.lines_from(descriptor, start, size):
            if OBJECT_MARK not in line:
                continue
            for reference in references(parse(line.removesuffix(b"\n")).data):
                sha256 = reference["sha256"]
                if sha256 in seen:
                    continue
                seen.add(sha256)
                if not source.objects.path(sha256).exists():
                    continue  # Retention dropped it: the ledger was verified.
                if copy.objects.problem(reference):
                    copy.objects.put_file(source.objects.path(sha256))
                    copied += 1
    return copied + _copy_torn(source, copy)


def _copy_torn(source: Ledger, copy: Ledger) -> int:
    copied = 0
    for piece in sorted(source.torn_path.glob("*.part")):
        files.make_dirs(copy.torn_path, 0o750)
        copied += files.write_atomic(copy.torn_path / piece.name, piece.read_bytes(), 0o640)
    return copied


def _copy_heads(copy: Ledger, notes: list[str], keys: Sequence[Key]) -> int:
    """Give the copy every checkpoint, and tiles made from its own entries; return how many checkpoints are new."""
    added = sum(heads.add_key(copy.path, key) for key in keys)
    for note in notes[:-1]:
        added += heads.keep(copy.path, checkpoint.parse(note, keys))
    if not notes:
        return added
    latest = checkpoint.parse(notes[-1], keys)
    try:
        published = heads.latest(copy.path, keys)
        if published is not None and (published.size, published.root) == (latest.size, latest.root):
            tree.edge(copy.path, copy.origin, published)
            return added
        grown = tree.edge(copy.path, copy.origin, published)
    except (BadCheckpoint, tree.EdgeBroken):
        grown = tree.edge(copy.path, copy.origin, None)
    tree.grow(copy.path, grown, latest.size)
    tree.apply(copy.path, grown, latest)
    return added + 1


def _copy_entries(source: Ledger, copy: Ledger, start: int, size: int) -> int:
    """Write to the copy what the first ``size`` bytes of the source have beyond it; return how many bytes.

    They are compared from the offset ``start``, where an entry begins.
    """
    with store.opened(copy.entries_path) as descriptor:
        have = os.fstat(descriptor).st_size
        if have > size:
            raise LedgerBroken(
                f"{source.entries_path} is shorter than its copy {copy.entries_path} ({size} and {have} bytes): "
                "entries were cut off. Restore from the copy.",
                sequence=None,
            )
        offset = start
        try:
            for block in _blocks(source.entries_path, start, size):
                known = min(len(block), max(0, have - offset))
                if os.pread(descriptor, known, offset) != block[:known]:
                    raise LedgerBroken(
                        f"{source.entries_path} and its copy {copy.entries_path} differ before byte "
                        f"{offset + known}: one of them was rewritten. Find out which before anything else.",
                        sequence=None,
                    )
                _write(descriptor, block[known:], offset + known)
                offset += len(block)
            os.fsync(descriptor)
        except OSError as error:
            raise LedgerError(
                f"Cannot copy {source.entries_path} to {copy.entries_path}: {error.strerror or error}; "
                "the next backup completes the copy."
            ) from error
    return size - have


def _write(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        size = end - start
        while size > 0 and (block := stream.read(min(_BLOCK, size))):
            size -= len(block)
            yield block
