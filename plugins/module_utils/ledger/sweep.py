# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Read all lines once, in pieces, on all cores; what holds is summed up, what may not is left to the caller."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import batch, entry, store
from .batch import Batch, Memory, Unsure
from .children import Child, useful
from .losses import REPAIRED
from .merkle import leaf_hashes
from .objects import ObjectRef
from .treecheck import SIGNING_EVENT

PIECE_BYTES = 1 << 20
# What is looked for afterwards only where an entry has such an event.
NOTED = frozenset({SIGNING_EVENT, REPAIRED})
# Below this one process is done before others have begun.
_PARALLEL_BYTES = 8 * PIECE_BYTES


@dataclass(frozen=True, slots=True)
class Summary:
    """A piece whose lines hold and follow each other.

    ``ids`` are Python's hashes of the ids, which only tell which ones may be equal; ``leaves`` the hashes of the lines
    as leaves of the tree, one after the other, where they are wanted; ``noted`` which of ``NOTED`` are
    among the events, here or in a piece before.
    """

    sequence: int
    previous_hash: str
    count: int
    last_hash: str
    first_time: str
    last_time: str
    ids: bytes
    leaves: bytes
    noted: frozenset[str]
    references: list[tuple[int, ObjectRef]]


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines between two offsets; ``summary`` is None when they have to be looked at one by one."""

    start: int
    end: int
    summary: Summary | None


def pieces(path: Path, start: int, end: int, leaves: bool = False) -> Iterator[Piece]:
    """Yield, in order, what was found in the whole lines of the file ``path`` between two offsets.

    :param leaves: whether the hashes of leaves are wanted.
    :raises OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ranges = list(_ranges(descriptor, start, end))
        workers = min(useful(), len(ranges))
        if end - start < _PARALLEL_BYTES or workers < 2:
            memory = Memory()
            for low, high in ranges:
                yield Piece(low, high, _summary(descriptor, low, high, memory, leaves))
        else:
            yield from _parallel(descriptor, ranges, workers, leaves)
    finally:
        os.close(descriptor)


def _ranges(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets of pieces of about ``PIECE_BYTES`` that end with a line."""
    while start < end:
        stop = store.after_feed(descriptor, min(start + PIECE_BYTES, end), end)
        yield start, stop
        start = stop


def _parallel(descriptor: int, ranges: list[tuple[int, int]], workers: int, leaves: bool) -> Iterator[Piece]:
    """Let each process do every ``workers``-th piece; what one that is killed left undone is left to the caller."""

    def start(mine: list[tuple[int, int]]) -> Child:
        memory = Memory()
        return Child.start(lambda: (_summary(descriptor, low, high, memory, leaves) for low, high in mine))

    started = [start(ranges[number::workers]) for number in range(workers)]
    try:
        for number, (low, high) in enumerate(ranges):
            summary: Summary | None = None
            with suppress(EOFError, OSError):
                summary = started[number % workers].receive()
            yield Piece(low, high, summary)
    finally:
        for child in started:
            child.end()


def _summary(descriptor: int, start: int, end: int, memory: Memory, leaves: bool) -> Summary | None:
    if end - start > 2 * PIECE_BYTES:
        return None  # A line without end: it is read in bounded parts.
    data = os.pread(descriptor, end - start, start)
    if len(data) != end - start or not data.endswith(b"\n"):
        return None
    lines = data.split(b"\n")
    lines.pop()  # What stands after the last feed: nothing.
    del data
    try:
        first = entry.parse(lines[0])
        found = batch.check(lines, first.sequence, first.previous_hash, memory)
        return _summed(found, b"".join(leaf_hashes(lines)) if leaves else b"", NOTED & memory.events)
    except (entry.BadLine, Unsure):
        return None


def _summed(found: Batch, leaves: bytes, noted: frozenset[str]) -> Summary:
    return Summary(
        found.sequence,
        found.previous_hash,
        found.count,
        found.last_hash,
        found.times[0].decode(),
        found.times[-1].decode(),
        array("q", map(hash, found.ids)).tobytes(),
        leaves,
        noted,
        found.references,
    )
