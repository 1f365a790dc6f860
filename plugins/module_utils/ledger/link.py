# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How the segments of a ledger hold together: each begins with an entry that names the head of the one before.

That entry has its origin, the number of its entries, the root of their tree, the last hash, and the signed checkpoint.
Hash and root fix every byte of it; what is compared here is therefore only where two segments meet.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import checkpoint, entry, heads, losses, segments, store
from .checkpoint import BadCheckpoint, Checkpoint
from .description import read_origin
from .entry import BadLine, Entry
from .errors import LedgerBroken, LedgerError, LedgerMissing
from .losses import Loss


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the segments do not follow each other.

    ``segment`` and ``sequence`` (None: the segment as a whole) say where, ``kind`` is ``segment_missing`` or
    ``predecessor`` (what stands before is not what the next segment was begun after).
    """

    segment: int
    sequence: int | None
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of the last entry of a segment: its ``hash`` and ``timestamp``."""

    hash: str
    timestamp: str


def named(last: Entry | Named, head: Checkpoint) -> dict[str, Any]:
    """Return the data of the entry that begins the segment after ``last``, whose signed head is ``head``."""
    return {
        "event": segments.CONTINUED,
        "origin": head.origin,
        "size": head.size,
        "root": base64.b64encode(head.root).decode(),
        "hash": last.hash,
        "checkpoint": head.note,
    }


def require(root: Path, numbers: Sequence[int]) -> None:
    """Check that the segments ``numbers`` of the ledger in ``root`` are all, and follow each other: a few reads each.

    :raises LedgerBroken: they do not.
    """
    for gap in examine(root, numbers)[0]:
        raise LedgerBroken(
            f"Segment {gap.segment} of the ledger at {root} does not hold: {gap.message}. Run the playbook verify and "
            "compare with the backup.",
            sequence=gap.sequence,
            segment=gap.segment,
            kind=gap.kind,
        )


def examine(root: Path, numbers: Sequence[int]) -> tuple[list[Gap], dict[int, Loss]]:
    """Return where the segments ``numbers`` (ascending, from 1) do not follow each other, and losses that excuse it.

    A frozen segment that lacks its last entries follows when a later entry says just that; by segment.

    :raises LedgerError: a file cannot be read, which says nothing about the evidence.
    """
    excused: dict[int, Loss] = {}
    gaps = list(_gaps(root, numbers, {}, excused))
    if any(gap.kind == "predecessor" for gap in gaps) and (stated := losses.of_frozen(root, numbers)):
        gaps = list(_gaps(root, numbers, stated, excused))
    return gaps, excused


def _gaps(root: Path, numbers: Sequence[int], stated: dict[int, Loss], excused: dict[int, Loss]) -> Iterator[Gap]:
    for before, after in pairwise(numbers):
        if after != before + 1:
            missing = before + 1
            which = f"segment {missing} is" if missing + 1 == after else f"segments {missing} to {after - 1} are"
            yield Gap(missing, None, "segment_missing", f"{which} missing although segment {after} is there")
        else:
            yield from _between(root, before, after, stated, excused)


def _between(root: Path, before: int, after: int, stated: dict[int, Loss], excused: dict[int, Loss]) -> Iterator[Gap]:
    old, new = segments.place(root, before), segments.place(root, after)
    try:
        ledger = read_origin(root)
        origin, older = segments.name(ledger, after), segments.name(ledger, before)
        if (found := read_origin(new)) != origin:
            yield Gap(after, None, "predecessor", f"it is of the origin '{found}', not '{origin}'")
            return
        first, last = _edge(new, first=True), _edge(old, first=False)
    except LedgerMissing as error:
        yield Gap(after, None, "predecessor", str(error).partition(";")[0])
        return
    except LedgerBroken as error:
        yield Gap(after, None, "predecessor", str(error).rstrip("."))
        return
    have = (last.sequence + 1, last.hash) if last is not None else (0, entry.genesis_hash(older))
    loss = stated.get(before)
    lossy = loss is not None and (loss.kept, loss.head) == have
    if first is None and (gone := stated.get(after)) and gone.kept == 0:
        # Of the segment after it nothing is left that could name its head.
        if not lossy and (last is None or segments.successor_of(last) != origin):
            yield Gap(before, have[0], "predecessor", f"it was not frozen for '{origin}'")
            return
        excused |= {after: gone}
    elif first is None or first.event != segments.CONTINUED or first.sequence:
        what = "it does not begin with the entry that names the head of the segment before"
        yield Gap(after, 0, "predecessor", what)
        return
    elif wrong := _contradiction(first, last, older, origin):
        lossy = lossy and first.data.get("origin") == older and have[0] < _size(first)
        if not lossy:
            yield Gap(after, 0, "predecessor", f"the segment {before} here is not the one that it continues: {wrong}")
            return
    else:
        lossy = False  # It is whole, whatever an entry says.
    if lossy and loss is not None:
        excused[before] = loss
    if first is not None and (wrong := _unlike_note(old, first.data, lossy)):
        yield Gap(after, 0, "predecessor", wrong)


def _size(first: Entry) -> int:
    size = first.data.get("size")
    return size if isinstance(size, int) else 0


def _contradiction(first: Entry, last: Entry | None, origin: str, successor: str) -> str:
    """Return in what the ``first`` entry of a segment and the ``last`` one of the segment before differ."""
    said = first.data
    if said.get("origin") != origin:
        return f"it names the origin '{said.get('origin')}'"
    if last is None:
        return f"that is empty, but had {said.get('size')} entries"
    if segments.successor_of(last) != successor:
        return f"its last entry, {last.sequence}, did not freeze it for this successor"
    if (last.sequence + 1, last.hash) != (said.get("size"), said.get("hash")):
        return f"its head is {last.sequence + 1} {last.hash}, and was {said.get('size')} {said.get('hash')}"
    if first.timestamp < last.timestamp:
        return "it ends after this one begins"
    return ""


def _unlike_note(old: Path, said: dict[str, Any], lossy: bool) -> str:
    """Return why the head that is named is not the signed one; signatures are checked with all other checkpoints.

    A ``lossy`` segment has no checkpoint of that head any more.
    """
    try:
        stated = checkpoint.unverified(str(said.get("checkpoint")))
        if _head(stated) != (said.get("origin"), said.get("size"), said.get("root")):
            return "its first entry names another head than the checkpoint in it"
        latest = heads.latest_claimed(old)
    except BadCheckpoint as error:
        return str(error).rstrip(".")
    if latest is not None and not lossy and _head(latest) != _head(stated):
        return f"the checkpoint of the segment before is of {latest.size} entries, and not the one that it continues"
    return ""


def _head(head: Checkpoint) -> tuple[str, int, str]:
    return head.origin, head.size, base64.b64encode(head.root).decode()


def _edge(folder: Path, first: bool) -> Entry | None:
    """Return the first or the last entry; None when there is no whole line."""
    path = folder / "entries.jsonl"
    with store.opened(path, write=False) as descriptor:
        try:
            size = store.whole_size(descriptor)
            line = store.line_at(descriptor, 0) if first and size else store.last_line(descriptor, size)
        except OSError as error:
            raise LedgerError(f"Cannot read {path}: {error.strerror or error}.") from error
    try:
        return entry.parse(line) if line is not None else None
    except BadLine as error:
        which = "first" if first else "last"
        raise LedgerBroken(f"the {which} line of {path} is not sound ({error})", sequence=None) from error
