# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One sorted file of the index: which ids are among some bytes of the entries, and at which offsets.

Layout, integers big-endian: a head of 128 bytes; a fence of 8 bytes for each slot, that is where its records end
(counted in records) and their CRC-32; then the records of 24 bytes, 16 of the id's SHA-256 and the offset. The slot
of a record is the first ``bits`` bits of it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ..files import sync_directory

_MAGIC = b"golden-goose-ids/1\n\0\0\0\0\0"
# magic, start, end, count, bits, fingerprint; then the CRC-32 of these.
_HEAD = struct.Struct(">24sQQQI64s")
_HEAD_BYTES = 128
_FENCE = struct.Struct(">II")
_KEY = 16
_RECORD = struct.Struct(">16sQ")
# A slot has about 2^4 records: one short read finds an id.
_SLOT_BITS = 4
# A smaller run is not made durable: should a crash leave it in part, its length or its checksums say so, and it is
# read from the entries again.
_DURABLE_FROM = 1 << 15
# While merging, about 2^16 records are in memory.
_PIECE_BITS = 16


class Damaged(Exception):
    """The file is not a run, or not as it was written."""


def key_of(id: bytes) -> bytes:
    """Return what an id is sorted by; it spreads evenly whatever ids are chosen."""
    return hashlib.sha256(id).digest()[:_KEY]


@dataclass(slots=True)
class Run:
    """An open run; ``fingerprint`` is the SHA-256 of the line that ends at ``end``, in hexadecimal."""

    path: Path
    start: int
    end: int
    count: int
    bits: int
    fingerprint: str
    _map: mmap.mmap

    @classmethod
    def open(cls, path: Path, start: int, end: int) -> Run:
        """Return the run in the file ``path``, which covers the bytes from ``start`` to ``end`` of the entries.

        :raises Damaged: it is none, or covers others.
        :raises OSError: it cannot be read.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size < _HEAD_BYTES:
                raise Damaged(path)
            mapped = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        magic, begins, ends, count, bits, fingerprint = _HEAD.unpack_from(mapped)
        sound = mapped[:_HEAD_BYTES] == _head(begins, ends, count, bits, fingerprint)
        if not sound or magic != _MAGIC or (begins, ends) != (start, end) or size != _size(count, bits):
            mapped.close()
            raise Damaged(path)
        return cls(path, start, end, count, bits, fingerprint.decode("ascii", "replace"), mapped)

    def close(self) -> None:
        self._map.close()

    def find(self, key: bytes) -> list[int]:
        """Return the offsets under ``key``.

        :raises Damaged: what is stored there is not what was written.
        """
        slot = int.from_bytes(key[:4], "big") >> (32 - self.bits)
        records = self._slot(slot)
        found, place = [], records.find(key)
        while place >= 0:
            if place % _RECORD.size == 0:
                found.append(_RECORD.unpack_from(records, place)[1])
            place = records.find(key, place + 1)
        return found

    def part(self, piece: int, bits: int) -> list[bytes]:
        """Return the records whose first ``bits`` bits are ``piece``; ``bits`` is at most the run's own.

        :raises Damaged: they are not what was written.
        """
        width = 1 << (self.bits - bits)
        data = b"".join(self._slot(slot) for slot in range(piece * width, (piece + 1) * width))
        return [data[place : place + _RECORD.size] for place in range(0, len(data), _RECORD.size)]

    def _slot(self, slot: int) -> bytes:
        end, checksum = _FENCE.unpack_from(self._map, _HEAD_BYTES + slot * _FENCE.size)
        start = _FENCE.unpack_from(self._map, _HEAD_BYTES + (slot - 1) * _FENCE.size)[0] if slot else 0
        base = _HEAD_BYTES + (_FENCE.size << self.bits)
        records = self._map[base + start * _RECORD.size : base + end * _RECORD.size]
        if zlib.crc32(records, slot) != checksum:
            raise Damaged(self.path)
        return records


def record_of(id: bytes, offset: int) -> bytes:
    """Return what a run keeps of an id; records in the order of their bytes are in the order of their keys."""
    return hashlib.sha256(id).digest()[:_KEY] + offset.to_bytes(_RECORD.size - _KEY, "big")


def write(path: Path, start: int, end: int, fingerprint: str, records: Sequence[bytes]) -> Run:
    """Write the sorted ``records`` as a run and return it.

    :raises OSError: it cannot be written.
    """
    _write(path, start, end, fingerprint, len(records), [records], 0)
    return Run.open(path, start, end)


def merge(path: Path, runs: Sequence[Run]) -> Run:
    """Write what is in ``runs``, which follow each other, as one run and return it; the old ones are closed.

    Memory does not grow with their size: they are merged piece by piece, by the first bits of the keys.

    :raises Damaged: one is not what was written.
    :raises OSError: it cannot be written.
    """
    count = sum(run.count for run in runs)
    bits = min(max(0, count.bit_length() - _PIECE_BITS), *(run.bits for run in runs))

    pieces = (sorted(chain.from_iterable(run.part(piece, bits) for run in runs)) for piece in range(1 << bits))
    start, end = runs[0].start, runs[-1].end
    _write(path, start, end, runs[-1].fingerprint, count, pieces, bits)
    for run in runs:
        run.close()
    return Run.open(path, start, end)


def _write(
    path: Path,
    start: int,
    end: int,
    fingerprint: str,
    count: int,
    pieces: Iterable[Sequence[bytes]],
    piece_bits: int,
) -> None:
    bits = max(0, count.bit_length() - _SLOT_BITS)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.seek(_HEAD_BYTES + (_FENCE.size << bits))
            fences = _write_records(stream.write, bits, pieces, piece_bits)
            stream.seek(0)
            stream.write(_head(start, end, count, bits, fingerprint.encode()))
            stream.write(fences)
            stream.flush()
            os.fchmod(stream.fileno(), 0o640)
            if count >= _DURABLE_FROM:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if count >= _DURABLE_FROM:
        sync_directory(path.parent)


def _write_records(
    put: Callable[[bytes], object], bits: int, pieces: Iterable[Sequence[bytes]], piece_bits: int
) -> bytes:
    """Write the sorted records of ``1 << bits`` slots, which come in ``1 << piece_bits`` pieces; return the fences."""
    fences: list[bytes] = []
    total, slots = 0, 1 << bits
    width = slots >> piece_bits
    for piece, records in enumerate(pieces):
        start = 0
        for slot in range(piece * width, (piece + 1) * width):
            last = slot + 1 == slots
            stop = len(records) if last else bisect_left(records, (slot + 1 << 32 - bits).to_bytes(4, "big"), start)
            data = b"".join(records[start:stop])
            put(data)
            total, start = total + stop - start, stop
            fences.append(_FENCE.pack(total, zlib.crc32(data, slot)))
    return b"".join(fences)


def _head(start: int, end: int, count: int, bits: int, fingerprint: bytes) -> bytes:
    head = _HEAD.pack(_MAGIC, start, end, count, bits, fingerprint)
    return (head + zlib.crc32(head).to_bytes(4, "big")).ljust(_HEAD_BYTES, b"\0")


def _size(count: int, bits: int) -> int:
    if bits > 32:
        return -1
    return _HEAD_BYTES + (_FENCE.size << bits) + count * _RECORD.size
