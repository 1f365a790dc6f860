# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""End a ledger with a last signed checkpoint, and continue it in a new segment.

Order: sign what is there (nothing is written when the second place does not answer or contradicts) · append
``frozen`` · sign it and keep that head as the last, by check-and-set · make the new segment with its first entry aside
and give it its name · sign that. Killed anywhere, the same call finishes it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import files
from ..locks import hold
from . import attributes, clock, entry, heads, link, segments
from .anchor import Anchored, Heads, anchor
from .checkpoint import Checkpoint
from .description import describe
from .entry import Entry
from .errors import LedgerBroken, LedgerError
from .ledger import FREEZE_LOCK, LOCK_WAIT_SECONDS, Ledger
from .succession import require_final

_NAMESPACE = uuid.UUID("5b1c8a52-7d6e-5f7b-9c65-2f4f0f3f6a04")


@dataclass(frozen=True, slots=True)
class Frozen:
    """The ledger is in ``segment`` now; ``frozen`` is the head of the one before, ``anchored`` its own first one."""

    changed: bool
    segment: int
    origin: str
    path: Path
    frozen: dict[str, Any] | None
    anchored: Anchored | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return {
            "segment": self.segment,
            "origin": self.origin,
            "path": str(self.path),
            "frozen": self.frozen,
            "checkpoint": self.anchored.as_dict() if self.anchored else {},
        }


def freeze(ledger: Ledger, second: Heads, metadata: Mapping[str, Any], segment: int) -> Frozen:
    """Bring ``ledger`` to ``segment``: the one it is in, or the next. It then stands for that segment.

    :raises AnchorBroken: the ledger and what is kept of it contradict each other.
    :raises LedgerError: the segment is neither, or something cannot be written; the same call goes on from there.
    :raises LockHeld: somebody else is freezing it.
    """
    with hold(ledger.root / FREEZE_LOCK, f"freezing {ledger.root}", LOCK_WAIT_SECONDS):
        ledger.refresh()
        require_next(ledger, segment)
        if segment == ledger.number:
            # A kill may have come right before its first checkpoint.
            begun = bool(ledger.earlier) and not heads.sizes(ledger.path)
            done = anchor(ledger, second, metadata) if begun else None
            return _result(ledger, begun, done)
        anchor(ledger, second, metadata)
        last = ledger.last()
        if last is None or not segments.successor_of(last):
            successor = segments.name(ledger.origin, segment)
            last = ledger.freeze({"successor": successor}, metadata, str(uuid.uuid5(_NAMESPACE, f"frozen {successor}")))
            anchor(ledger, second, metadata)
        _begin(ledger, second, metadata, last)
        ledger.refresh()
        return _result(ledger, True, anchor(ledger, second, metadata))


def require_next(ledger: Ledger, segment: int) -> None:
    """Check that ``ledger`` is in ``segment`` or in the one before.

    :raises LedgerError: it is not.
    """
    if segment not in (ledger.number, ledger.number + 1):
        raise LedgerError(
            f"The ledger at {ledger.root} is in segment {ledger.number} and cannot be in segment {segment} next; "
            f"give {ledger.number + 1} to freeze it and go on."
        )
    if not ledger.earlier and segments.number(ledger.origin) != 1:
        raise LedgerError(f"The ledger at {ledger.root} cannot be frozen: its origin '{ledger.origin}' is a segment's.")


def place_segment(root: Path, number: int, origin: str, line: bytes) -> None:
    """Make the segment ``number`` with the one entry ``line``: aside, durable, then under its name.

    :raises LedgerError: it cannot be written; the segment is not there.
    """
    place = segments.place(root, number)
    aside = place.with_name(f".new-{number}")
    try:
        files.make_dirs(aside.parent, 0o750)
        if aside.exists():
            shutil.rmtree(aside)
        files.make_dirs(aside, 0o750)
        files.write_atomic(aside / "entries.jsonl", line + b"\n", 0o640)
        if (root / attributes.MARK).exists():
            files.write_atomic(aside / attributes.MARK, b"", 0o640)
        describe(aside, origin)
        files.sync_directory(root)
        aside.rename(place)
        files.sync_directory(place.parent)
    except OSError as error:
        raise LedgerError(
            f"Cannot begin segment {number} of {root}: {error.strerror or error}; free some space or repair the disk, "
            "then run this again."
        ) from error
    attributes.restore(place)


def first_entry(
    last: Entry | link.Named, successor: str, head: Checkpoint, metadata: Mapping[str, Any], now: datetime
) -> Entry:
    """Return the entry that begins ``successor`` after the segment that ``last`` froze and whose head is ``head``."""
    return entry.seal(
        sequence=0,
        id=str(uuid.uuid5(_NAMESPACE, f"continued {successor} {last.hash}")),
        timestamp=clock.stamp(now, last.timestamp or None),
        type="validation",
        data=link.named(last, head),
        metadata=metadata,
        previous_hash=entry.genesis_hash(successor),
    )


def _begin(ledger: Ledger, second: Heads, metadata: Mapping[str, Any], last: Entry) -> None:
    successor = segments.successor_of(last)
    require_final(ledger, second, successor)
    head = heads.latest(ledger.path, heads.keys(ledger.path))
    if head is None or head.size != last.sequence + 1:
        raise LedgerBroken(f"The checkpoint of the frozen {ledger.path} is not its last.", sequence=last.sequence)
    first = first_entry(last, successor, head, metadata, ledger._now())
    place_segment(ledger.root, ledger.number + 1, successor, first.line)


def _result(ledger: Ledger, changed: bool, anchored: Anchored | None) -> Frozen:
    begun = next(ledger.own_entries(), None) if ledger.earlier else None
    named = {name: begun.data[name] for name in ("origin", "size", "root", "hash")} if begun else None
    return Frozen(changed, ledger.number, ledger.origin, ledger.path, named, anchored)
