# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The file ``entries.jsonl``: lines that are whole or not there, and never change."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import attributes
from .entry import MAX_LINE_BYTES
from .errors import LedgerBroken, LedgerError

_CHUNK = 1 << 12
_BLOCK = 1 << 20
# The end of every line: canonical JSON sorts the members, so nothing within data can stand there.
_SEQUENCE = re.compile(rb'"sequence":([0-9]{1,16}),"timestamp":"[^"]{24}","type":"[a-z]+"}$')
_READER_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.005


@contextmanager
def opened(path: Path, write: bool = True) -> Iterator[int]:
    """Open ``entries.jsonl``, for an append unless ``write`` is false; who appends holds the ledger's lock.

    :raises LedgerError: it cannot be opened.
    """
    try:
        # O_APPEND is what an append-only file demands; a writer never writes anywhere but at the end.
        descriptor = os.open(path, (os.O_RDWR | os.O_APPEND if write else os.O_RDONLY) | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LedgerBroken(
            f"{path} is missing although the ledger exists; restore the ledger from its backup.", sequence=None
        ) from error
    except OSError as error:
        purpose = "writing" if write else "reading"
        raise LedgerError(f"Cannot open {path} for {purpose}: {error.strerror or error}.") from error
    try:
        yield descriptor
    finally:
        # What was to be durable went through fsync(2).
        with suppress(OSError):
            os.close(descriptor)


def whole_size(descriptor: int) -> int:
    """Return the size in bytes up to and including the last line feed: what was ever acknowledged is in it."""
    end = os.fstat(descriptor).st_size
    return after_last_feed(descriptor, end)


def last_line(descriptor: int, size: int) -> bytes | None:
    """Return the last whole line within the first ``size`` bytes (which end with a feed), or None."""
    if size == 0:
        return None
    start = after_last_feed(descriptor, size - 1)
    return os.pread(descriptor, size - 1 - start, start)


def after_last_feed(descriptor: int, end: int) -> int:
    """Return the offset after the last line feed among the first ``end`` bytes; 0 when there is none."""
    chunk = _CHUNK
    while end > 0:
        start = max(0, end - chunk)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end, chunk = start, min(2 * chunk, _BLOCK)
    return 0


def after_feed(descriptor: int, start: int, end: int) -> int:
    """Return the offset after the first line feed at or after ``start - 1``, or ``end`` when there is none.

    :raises OSError: the file cannot be read.
    """
    offset = start - 1
    while offset < end:
        block = os.pread(descriptor, min(_BLOCK if offset >= start else _CHUNK, end - offset), offset)
        if (found := block.find(b"\n")) >= 0:
            return offset + found + 1
        if not block:
            return end
        offset += len(block)
    return end


def write_line(descriptor: int, line: bytes, size: int, path: Path) -> int:
    """Write ``line`` and its feed at offset ``size``, make it durable, return the new size.

    Lines that are joined by feeds are one group: one fsync for all, and all are taken back when it fails.

    :raises LedgerError: it could not be made durable; the file is again ``size`` bytes long.
    """
    record = line + b"\n"
    try:
        written = 0
        rest = memoryview(record)
        while written < len(record):
            written += os.pwrite(descriptor, rest[written:], size + written)
        os.fsync(descriptor)
    except OSError as error:
        undone = _cut_back(descriptor, size, path)
        raise LedgerError(
            f"Cannot append to {path}: {error.strerror or error}; {undone}. Free some space or repair the disk, "
            "then run this again."
        ) from error
    return size + len(record)


def _cut_back(descriptor: int, size: int, path: Path) -> str:
    try:
        with attributes.lifted(descriptor, path):
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
    except (OSError, LedgerError) as error:
        return f"what was written of it could not be taken back ({getattr(error, 'strerror', None) or error})"
    return "nothing of the entry was kept"


def settled_size(lock: Path | None, entries: Path) -> int:
    """Return the size of ``entries`` at a moment when no append is under way.

    Readers share the lock for just that moment. A reader who may not open it, or finds it held for long,
    takes the size as it is and leaves an unfinished last line out.

    :param lock: None when the caller is the writer and holds it.
    :raises OSError: ``entries`` cannot be read.
    """
    if lock is None:
        return entries.stat().st_size
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return entries.stat().st_size
    try:
        deadline = time.monotonic() + _READER_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    break
                time.sleep(_POLL_SECONDS)
        return entries.stat().st_size
    finally:
        os.close(descriptor)


def lines(path: Path, size: int) -> Iterator[bytes]:
    """Yield the lines of the first ``size`` bytes, each with its feed; only the last may lack one.

    A line longer than any entry is cut into pieces, so that memory stays bounded: each piece is no entry.

    :raises OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        left = size
        while left > 0:
            line = stream.readline(min(left, MAX_LINE_BYTES + 2))
            if not line:
                return
            left -= len(line)
            yield line


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file that may not be there, each with its feed.

    :raises OSError: the file cannot be read.
    """
    if path.is_file():
        with opened(path, write=False) as descriptor:
            yield from (line for _offset, line in lines_from(descriptor, 0, whole_size(descriptor)))


def lines_from(descriptor: int, offset: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line with its feed) of the whole lines between ``offset``, where one begins, and ``size``.

    Memory is bounded as in :func:`lines`.

    :raises OSError: the file cannot be read.
    """
    rest = b""
    while offset + len(rest) < size:
        block = os.pread(descriptor, min(_BLOCK, size - offset - len(rest)), offset + len(rest))
        if not block:
            return
        rest += block
        start = 0
        while (end := rest.find(b"\n", start) + 1) > 0:
            yield offset + start, rest[start:end]
            start = end
        offset, rest = offset + start, rest[start:]
        while len(rest) > MAX_LINE_BYTES + 1:
            yield offset, rest[: MAX_LINE_BYTES + 1]
            offset, rest = offset + MAX_LINE_BYTES + 1, rest[MAX_LINE_BYTES + 1 :]


def line_groups(descriptor: int, offset: int, size: int) -> Iterator[list[bytes]]:
    """Yield the whole lines between ``offset``, where one begins, and ``size``, without feeds, a block of them at once.

    Memory is bounded: a line that is longer than a block comes in pieces, each of which is no entry.

    :raises OSError: the file cannot be read.
    """
    rest = b""
    while offset < size and (block := os.pread(descriptor, min(_BLOCK, size - offset), offset)):
        offset += len(block)
        *whole, rest = (rest + block).split(b"\n")
        if whole:
            yield whole
        while len(rest) > MAX_LINE_BYTES + 1:
            yield [rest[: MAX_LINE_BYTES + 1]]
            rest = rest[MAX_LINE_BYTES + 1 :]


def line_at(descriptor: int, offset: int) -> bytes:
    """Return the line that begins at ``offset``, without its feed; no more of it than an entry may have and one byte.

    :raises OSError: the file cannot be read.
    """
    block = os.pread(descriptor, _CHUNK, offset)
    if b"\n" not in block:
        block = os.pread(descriptor, MAX_LINE_BYTES + 2, offset)
    return block.partition(b"\n")[0]


def count_lines(descriptor: int, end: int) -> int:
    """Return how many lines end within the first ``end`` bytes."""
    return sum(os.pread(descriptor, min(_BLOCK, end - offset), offset).count(b"\n") for offset in range(0, end, _BLOCK))


def sequence_of(line: bytes) -> int | None:
    """Return the sequence that ``line`` states, or None when it is no entry; nothing else of it is checked."""
    found = _SEQUENCE.search(line)
    return int(found[1]) if found else None


def locate(descriptor: int, sequence: int, end: int) -> tuple[int, bytes] | None:
    """Return (offset, line without feed) of the line that states ``sequence``, by halving the first ``end`` bytes.

    ``end`` is that of a whole line. None when it is not found, as in a file whose lines are not in order.

    :raises OSError: the file cannot be read.
    """
    low, high = 0, end
    while low < high:
        start = after_last_feed(descriptor, (low + high) // 2)
        line = line_at(descriptor, start)
        number = sequence_of(line)
        if number is None:
            return None
        if number == sequence:
            return start, line
        if number < sequence:
            low = start + len(line) + 1
        else:
            high = start
    return None


def contains(descriptor: int, mark: bytes, end: int, start: int = 0) -> bool:
    """Whether the bytes from ``start`` to ``end`` have ``mark`` within a line.

    :raises OSError: the file cannot be read.
    """
    return any(
        mark in os.pread(descriptor, min(_BLOCK + len(mark), end - offset), offset)
        for offset in range(start, end, _BLOCK)
    )
