# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Make a ledger, keep a copy of it, and say in the ledger that it was made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..ledger import (
    BackupReport,
    Head,
    Key,
    Ledger,
    LedgerBroken,
    LedgerError,
    LedgerMissing,
    Report,
    attributes,
    backup,
    compare,
    genesis_hash,
    heads,
    segments,
    store,
    verify,
)
from ..ledger.anchor import ANCHOR_REPLACED, SIGNING_KEY
from ..ledger.checkpoint import parse, unverified
from ..ledger.description import checked_origin
from ..ledger.entry import parse as parse_entry
from ..ledger.tree import EdgeBroken, edge

_BACKUP = "backup"
# What tells of a copy, and what is copied as soon as it is signed.
_COPIED_WITHOUT_A_WORD = frozenset({_BACKUP, SIGNING_KEY, ANCHOR_REPLACED, *segments.RESERVED})


def create(
    path: Path | str, origin: str, dry_run: bool = False, append_only: str | None = None
) -> tuple[bool, Head, str]:
    """Make the ledger at ``path`` when there is none; return whether anything changed, its head, and a warning.

    :param append_only: as ``attributes.protect`` takes it; None leaves the attribute as it is.
    :raises LedgerError: a ledger of another origin is there, it is broken, cannot be written, or cannot be made
        append-only although it has to be.
    """
    made = False
    try:
        head = Ledger.open(path, checked_origin(origin)).head()
    except LedgerMissing:
        made = True
        head = Head(0, genesis_hash(origin)) if dry_run else Ledger.create(path, origin).head()
    if append_only is None:
        return made, head, ""
    changed = made
    for number in segments.numbers(Path(path)):
        protected, why = attributes.protect(segments.place(Path(path), number), append_only, dry_run)
        changed |= protected
    return changed, head, f"{path} is not append-only: {why}." if why else ""


def remove(path: Path | str, dry_run: bool = False) -> bool:
    """Remove the ledger at ``path``, or its copy, with all that is in its folder; return whether there was one.

    :raises LedgerError: the folder is not that of a ledger, or cannot be removed.
    """
    folder = Path(path)
    try:
        if not folder.exists():
            return False
        if any(folder.iterdir()) and not any((folder / name).exists() for name in ("ledger.json", "entries.jsonl")):
            raise LedgerError(f"{folder} is not removed: it holds no ledger; give the folder of one.")
        if not dry_run:
            attributes.release(folder)
            shutil.rmtree(folder)
    except OSError as error:
        raise LedgerError(f"Cannot remove {folder}: {error.strerror or error}.") from error
    return True


def check(
    path: Path | str,
    origin: str | None,
    copy: Path | str | None,
    keys: Sequence[Key] | None = None,
    trusted: Path | str | None = None,
) -> Report:
    """Verify the ledger at ``path``, and that it still has everything that its ``copy`` has.

    :param keys: the only keys that may have signed it; by default those that it names itself.
    :param trusted: file with a checkpoint that was verified before; only what came after it is looked at.
    :raises BadCheckpoint: no known key signed the trusted checkpoint.
    :raises LedgerError: one of the two cannot be read.
    """
    report = _verified(Path(path), origin, keys, None if trusted is None else Path(trusted))
    if copy is not None:
        try:
            problem = compare(path, copy)
        except OSError as error:
            raise LedgerError(f"Cannot compare {path} with {copy}: {error.strerror or error}.") from error
        if problem:
            report.add(problem.sequence, problem.kind, problem.message, problem.segment)
    return report


def _verified(path: Path, origin: str | None, keys: Sequence[Key] | None, trusted: Path | None) -> Report:
    if trusted is None:
        return verify(path, origin, keys=keys)
    try:
        note = trusted.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"The trusted checkpoint {trusted} cannot be read: {error}.") from error
    number = segments.number(unverified(note).origin)
    place = segments.place(path, number)
    of = heads.keys(place) if keys is None else [key.of(segments.name(key.name, number)) for key in keys]
    head = parse(note, of)
    try:
        trusted_head = Head(head.size, edge(place, head.origin, head).hash)
        return verify(path, origin, trusted_head, trusted_segment=number, keys=keys)
    except EdgeBroken as error:
        # Its last entry is not there: a full verification may tell more.
        report = verify(path, origin, keys=keys)
        if report.state != "broken":
            report.add(error.facts["sequence"], error.kind, str(error).rstrip("."), number)
        return report


def keep_copy(
    ledger: Ledger,
    target: Path | str,
    metadata: Mapping[str, Any] | None,
    dry_run: bool = False,
    full: bool | None = None,
) -> BackupReport:
    """Bring the copy in ``target`` up to date; with ``metadata`` a ``backup`` entry tells of it.

    :param full: as :func:`backup` takes it.

    The entry is copied as well. A copy that was up to date, and told of, gets no entry: it would make it outdated.

    :raises LedgerBroken: the ledger, or its copy, is not what it was.
    :raises LedgerError: the copy cannot be written or does not verify.
    """
    if dry_run:
        return _preview(ledger, Path(target))
    made = backup(ledger, target, full)
    # A checkpoint alone is nothing to write down: the entry would have to be signed again, and so on for ever.
    told = _told(ledger, str(target))
    if metadata is None or (told is not None and made.copied_bytes <= told and not made.copied_objects):
        return made
    ledger.append(
        type="validation",
        event=_BACKUP,
        data={"size": made.size, "head": made.head, "target": str(target)},
        metadata=metadata,
    )
    # What there was has been verified a moment ago.
    final = backup(ledger, target, full=False)
    return BackupReport(
        size=final.size,
        head=final.head,
        target=final.target,
        changed=True,
        copied_bytes=made.copied_bytes + final.copied_bytes,
        copied_objects=made.copied_objects + final.copied_objects,
    )


def _told(ledger: Ledger, target: str) -> int | None:
    """Return how many bytes stand from the entry ``backup`` of this copy on, when only such follow as need none.

    None when others follow: their copy has to be told of, even when a call that was killed has made it.
    """
    size = 0
    for segment in (ledger, *reversed(ledger.earlier)):
        with store.opened(segment.entries_path, write=False) as descriptor:
            end = store.whole_size(descriptor)
            while (line := store.last_line(descriptor, end)) is not None:
                found, end, size = parse_entry(line), end - len(line) - 1, size + len(line) + 1
                if found.event == _BACKUP and found.data["target"] == target:
                    return size
                if found.event not in _COPIED_WITHOUT_A_WORD:
                    return None
    return size


def _preview(ledger: Ledger, target: Path) -> BackupReport:
    found = verify(ledger.root)
    if found.state == "broken":
        raise LedgerBroken(f"{ledger.path} would not be copied to {target}: {found.sentence()}", report=found.as_dict())
    copy = verify(target)
    outdated = copy.head != found.head and bool(found.size)
    return BackupReport(copy.size, copy.head, str(target), outdated, 0, 0)
