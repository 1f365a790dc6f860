# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Check many lines at once, exactly as :func:`entry.parse` and the chain would one by one.

A line is taken apart at its member ``hash``. What follows that is known but for id, time and type: the previous hash
and the sequence have to be these, and the metadata rarely changes. So lines are looked at in columns: each column is
joined and compared as a whole, which costs one step of Python for many lines. If the parts are canonical then so is
the whole, since canonical JSON has one way to put them together. Whatever is not plainly right is left to
``entry.parse``: the fast way may only accept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import canonical, entry, fastjson
from .entry import BadLine
from .objects import MARK, ObjectRef, references
from .shapes import Shapes

_DATA_MARK = b'{"data":'
_HASH_MARK = b',"hash":"'
# Of what stands after that mark: the hash and the name of the next member, the id, and where metadata begins.
_ID_MARK = '","id":"'
_STATED = slice(0, 72)
_ID = slice(72, 108)
_MIDDLE = 108
# The part of it that is in the hash.
_HASHED = slice(65, None)
_HASH_LENGTH = 64
# What stands between the previous hash and the time.
_SEQUENCE = '","sequence":%d,"timestamp":"'
_TIME_LENGTH = 24
_ENDS = frozenset(f'","type":"{kind}"}}'.encode() for kind in entry.TYPES)
_ID_DASHES = (8, 13, 18, 23)
_HEX = b"0123456789abcdef"
_SECOND = re.compile(rb"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.")
# To learn a shape takes as long as to check some hundred lines.
_LEARN_FROM = 128
_DATA_DEPTH = canonical.MAX_DEPTH - 1

# A line before its hash, the mark, and what stands after it.
_Halves = Sequence[tuple[bytes, bytes, bytes]]


class Unsure(Exception):
    """The lines do not plainly hold: look at them one by one."""


@dataclass(slots=True)
class Batch:
    """Lines that hold and follow each other: of each, in order, id and time as bytes."""

    sequence: int
    previous_hash: str
    last_hash: str
    ids: list[bytes] = field(default_factory=list)
    times: list[bytes] = field(default_factory=list)
    references: list[tuple[int, ObjectRef]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def next(self) -> int:
        """The sequence of the next line."""
        return self.sequence + len(self.ids)


@dataclass(slots=True)
class Memory:
    """What was found to be sound before, and need not be looked at again; ``events`` has those of all lines so far."""

    metadata: bytes = b"{}"
    events: set[str] = field(default_factory=set)
    seconds: set[bytes] = field(default_factory=set)
    shapes: Shapes = field(default_factory=Shapes)

    @property
    def middle(self) -> bytes:
        """What stands between an id and the previous hash."""
        return b'","metadata":%b,"previous_hash":"' % self.metadata


def check(lines: Sequence[bytes], sequence: int, previous_hash: str, memory: Memory) -> Batch:
    """Return what one or more ``lines`` (without feeds) hold, the first of ``sequence`` and after ``previous_hash``.

    :raises Unsure: a line is no entry, its hash is of other content, or it does not follow the one before.
    """
    if max(map(len, lines)) > entry.MAX_LINE_BYTES:
        raise Unsure
    batch = Batch(sequence, previous_hash, previous_hash)
    halves = [line.partition(_HASH_MARK) for line in lines]
    place = 0
    while place < len(lines):
        if alike := _alike(halves, place, batch.next, memory):
            _many(halves[place : place + alike], batch, memory)
            place += alike
        else:
            _one(lines[place], batch, memory)
            place += 1
    _check_ids(batch.ids)
    _check_times(batch.times, memory)
    return batch


def _alike(halves: _Halves, place: int, sequence: int, memory: Memory) -> int:
    """Return how many from ``place`` on have the metadata of before, and sequences with the same number of digits.

    What stands between their ids and previous hashes is known then.
    """
    more_digits: int = 10 ** len(str(sequence))
    middle, end = memory.middle, min(len(halves), place + more_digits - sequence)
    for number in range(place, end):
        if not halves[number][2].startswith(middle, _MIDDLE):
            return number - place
    return end - place


def _many(halves: _Halves, batch: Batch, memory: Memory) -> None:
    """Check lines that :func:`_alike` has counted, and add what they hold to ``batch``."""
    sha256 = hashlib.sha256
    hashes = [sha256(before + after[_HASHED]).hexdigest() for before, _mark, after in halves]
    rows = [after for _before, _mark, after in halves]
    _check_column(rows, _STATED, _ID_MARK.join(hashes) + _ID_MARK)
    link = _MIDDLE + len(memory.middle)
    _check_column(rows, slice(link, link + _HASH_LENGTH), batch.last_hash + "".join(hashes[:-1]))
    sequences = range(batch.next, batch.next + len(rows))
    time = link + _HASH_LENGTH + len(_SEQUENCE % batch.next)
    _check_column(rows, slice(link + _HASH_LENGTH, time), (_SEQUENCE * len(rows)) % tuple(sequences))
    end = time + _TIME_LENGTH
    if not _ENDS.issuperset([row[end:] for row in rows]):
        raise Unsure
    _check_data(halves, batch, memory)
    batch.ids += [row[_ID] for row in rows]
    batch.times += [row[time:end] for row in rows]
    batch.last_hash = hashes[-1]


def _check_column(rows: Sequence[bytes], where: slice, expected: str) -> None:
    """Check that what the rows have at ``where`` is, one after the other, what is ``expected``.

    That is as long as all of it: so a row that ends too early makes the whole too short.
    """
    if b"".join([row[where] for row in rows]) != expected.encode():
        raise Unsure


def _one(line: bytes, batch: Batch, memory: Memory) -> None:
    """Check one line the exact way; remember its metadata, which the next ones may share."""
    found = _parsed(line)
    if found.sequence != batch.next or found.previous_hash != batch.last_hash:
        raise Unsure
    batch.references += [(found.sequence, reference) for reference in references(found.data)]
    batch.ids.append(found.id.encode())
    batch.times.append(found.timestamp.encode())
    batch.last_hash = found.hash
    memory.metadata = canonical.encode(found.metadata)
    memory.events.add(found.event)


def _parsed(line: bytes) -> entry.Entry:
    try:
        return entry.parse(line)
    except BadLine as error:
        raise Unsure from error


def _check_data(halves: _Halves, batch: Batch, memory: Memory) -> None:
    """Check that the data of each line is a canonical object with an event; note which objects it refers to."""
    if {before[: len(_DATA_MARK)] for before, _mark, _after in halves} != {_DATA_MARK}:
        raise Unsure
    parts = [before for before, _mark, _after in halves]
    joined = b",".join(parts)
    start = len(_DATA_MARK)
    refer = memory.shapes.refer
    places = memory.shapes.unknown(parts, joined, start)
    if places:
        _check_parts([parts[place][start:] for place in places], memory)
    if (places or refer) and MARK in joined:
        for number, part in enumerate(parts, batch.next):
            if MARK in part:
                batch.references += [(number, reference) for reference in references(fastjson.read(part[start:]))]


def _check_parts(parts: Sequence[bytes], memory: Memory) -> None:
    """Check data of a shape that is not known, and learn the first of several."""
    joined = b",".join(parts)
    values = _values(joined, len(parts))
    if not _all_sound(parts, values, joined, memory):
        for part, value in zip(parts, values, strict=True):
            if not _sound(part, value, memory) and not _exact(part, memory):
                raise Unsure
    elif len(parts) >= _LEARN_FROM:
        memory.shapes.learn(values[0])


def _exact(part: bytes, memory: Memory) -> bool:
    """Say whether ``part`` is canonical data, by the slow way."""
    try:
        value = canonical.decode_strict(b'{"data":' + part + b"}")["data"]
    except canonical.NotCanonical:
        return False
    if not isinstance(value, dict) or not isinstance(value.get("event"), str) or not entry.is_event(value["event"]):
        return False
    memory.events.add(value["event"])
    return True


def _values(joined: bytes, count: int) -> list[Any]:
    try:
        # One call for all is much faster. Should parts only be JSON together, they are not what is written of them.
        values = fastjson.read(b"[" + joined + b"]")
        if len(values) == count:
            return list(values)
    except (ValueError, RecursionError):
        pass
    return [None] * count


def _all_sound(parts: Sequence[bytes], values: list[Any], joined: bytes, memory: Memory) -> bool:
    """Say whether :func:`_sound` is true of each, in fewer steps."""
    try:
        if not {dict}.issuperset(map(type, values)) or not memory.events.issuperset(
            [value["event"] for value in values]
        ):
            return False
        if list(map(fastjson.write, values)) != parts:
            return False
    except (KeyError, ValueError, TypeError, RecursionError):
        return False
    return fastjson.all_plain(values, _DATA_DEPTH, keys=not joined.isascii())


def _sound(part: bytes, value: Any, memory: Memory) -> bool:
    # Parsers make exact types; what is plain has no others.
    if not isinstance(value, dict) or not fastjson.plain(value, _DATA_DEPTH, keys=not part.isascii()):
        return False
    if not isinstance(value.get("event"), str):
        return False
    if value["event"] not in memory.events:
        if not entry.is_event(value["event"]):
            return False
        memory.events.add(value["event"])
    try:
        return fastjson.write(value) == part
    except (ValueError, TypeError, RecursionError):
        return False


def _check_ids(ids: Sequence[bytes]) -> None:
    """Check the form of all ids together: hexadecimal digits, and dashes at their places only."""
    joined, count = b"".join(ids), len(ids)
    dashes = b"-" * count
    if (
        len(joined) != 36 * count
        or joined.translate(None, _HEX) != dashes * len(_ID_DASHES)
        or any(joined[place::36] != dashes for place in _ID_DASHES)
    ):
        raise Unsure


def _check_times(times: list[bytes], memory: Memory) -> None:
    """Check the form of all times together, and that none is before the one before it."""
    # Those of a group are the same.
    different = set(times)
    joined, count = b"".join(different), len(different)
    seconds = {time[:20] for time in different} - memory.seconds
    if (
        len(joined) != _TIME_LENGTH * count
        or joined[23::24] != b"Z" * count
        or not all(joined[place::24].isdigit() for place in (20, 21, 22) if count)
        or not all(_SECOND.fullmatch(second) for second in seconds)
        or sorted(times) != times
    ):
        raise Unsure
    if len(memory.seconds) > 1 << 16:
        memory.seconds.clear()
    memory.seconds |= seconds
