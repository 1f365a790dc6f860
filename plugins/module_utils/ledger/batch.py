# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Check many lines at once, exactly as :func:`entry.parse` and the chain would one by one.

A line is taken apart where the previous hash and the sequence, which are known, and the metadata, which rarely
changes, say that it must be. If the parts are canonical then so is the whole, since canonical JSON has one way to put
them together. Whatever is not plainly right is left to ``entry.parse``: the fast way may only accept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from . import canonical, entry, fastjson
from .entry import BadLine
from .objects import MARK, ObjectRef, references

_HASH_MARK = b',"hash":"'
_HASH_MEMBER = len(_HASH_MARK) + 64 + 1
_ID = slice(7, 43)  # after ',"id":"'
_MIDDLE = b'","metadata":%b,"previous_hash":"%b","sequence":%d,"timestamp":"'
_TIME_LENGTH = 24
_ENDS = frozenset(f'","type":"{kind}"}}'.encode() for kind in entry.TYPES)
_ID_DASHES = (8, 13, 18, 23)
_HEX = b"0123456789abcdef"
_SECOND = re.compile(rb"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.")
_DATA_DEPTH = canonical.MAX_DEPTH - 1


class Unsure(Exception):
    """The lines do not plainly hold: look at them one by one."""


@dataclass(slots=True)
class Batch:
    """Lines that hold and follow each other: of each, in order, id and time as bytes, and the data."""

    sequence: int
    previous_hash: str
    count: int = 0
    last_hash: str = ""
    ids: list[bytes] = field(default_factory=list)
    times: list[bytes] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    references: list[tuple[int, ObjectRef]] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """What was found to be sound before, and need not be looked at again."""

    metadata: bytes = b"{}"
    events: set[str] = field(default_factory=set)
    seconds: set[bytes] = field(default_factory=set)


def check(lines: Sequence[bytes], sequence: int, previous_hash: str, memory: Memory) -> Batch:
    """Return what one or more ``lines`` (without feeds) hold, the first of ``sequence`` and after ``previous_hash``.

    :raises Unsure: a line is no entry, its hash is of other content, or it does not follow the one before.
    """
    if max(map(len, lines)) > entry.MAX_LINE_BYTES:
        raise Unsure
    batch = Batch(sequence, previous_hash)
    taken: list[bytes] = []
    parts: list[bytes] = []
    numbers: list[int] = []
    ids, times = batch.ids, batch.times
    sha256 = hashlib.sha256
    previous = previous_hash.encode()
    for line in lines:
        cut = line.find(_HASH_MARK)
        rest = line[cut + _HASH_MEMBER :]
        digest = sha256(line[:cut] + rest).hexdigest().encode()
        middle = b'","metadata":%b,"previous_hash":"%b","sequence":%d,"timestamp":"' % (
            memory.metadata,
            previous,
            sequence,
        )
        end = 43 + len(middle) + _TIME_LENGTH
        if (
            line[cut + 9 : cut + _HASH_MEMBER] == digest + b'"'
            and rest.startswith(middle, 43)
            and rest[end:] in _ENDS
            and line.startswith(b'{"data":{')
            and rest.startswith(b',"id":"')
        ):
            taken.append(line)
            parts.append(line[8:cut])
            numbers.append(sequence)
            ids.append(rest[_ID])
            times.append(rest[end - _TIME_LENGTH : end])
            previous = digest
        else:
            previous = _one(line, sequence, previous, batch, memory)
        sequence += 1
    batch.data[:0] = _check_data(taken, parts, numbers, batch, memory)
    if len(numbers) != len(lines):
        batch.data = _in_order(batch, numbers)
    batch.references.sort(key=_number)
    _check_ids(ids)
    _check_times(times, memory)
    batch.count, batch.last_hash = len(ids), previous.decode()
    return batch


def _number(found: tuple[int, ObjectRef]) -> int:
    return found[0]


def _one(line: bytes, sequence: int, previous: bytes, batch: Batch, memory: Memory) -> bytes:
    """Check one line the exact way; remember its metadata, which the next ones may share."""
    found = _parsed(line)
    if found.sequence != sequence or found.previous_hash.encode() != previous:
        raise Unsure
    batch.ids.append(found.id.encode())
    batch.times.append(found.timestamp.encode())
    batch.data.append(found.data)
    batch.references += [(sequence, reference) for reference in references(found.data)]
    memory.metadata = canonical.encode(found.metadata)
    return found.hash.encode()


def _parsed(line: bytes) -> entry.Entry:
    try:
        return entry.parse(line)
    except BadLine as error:
        raise Unsure from error


def _check_data(
    lines: Sequence[bytes], parts: list[bytes], numbers: Sequence[int], batch: Batch, memory: Memory
) -> list[dict[str, Any]]:
    """Return each of ``parts``, the data of ``lines``, after checking that it is a canonical object with an event."""
    values = _values(parts)
    sound = _all_sound(parts, values, memory)
    for place, part in enumerate(parts):
        if not sound and not _sound(part, values[place], memory):
            values[place] = _parsed(lines[place]).data
        if MARK in part:
            batch.references += [(numbers[place], reference) for reference in references(values[place])]
    return values


def _in_order(batch: Batch, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the data of a batch in the order of its lines: first come those of ``numbers``, then all others."""
    taken = set(numbers)
    others = (number for number in range(batch.sequence, batch.sequence + len(batch.data)) if number not in taken)
    by_number = dict(zip((*numbers, *others), batch.data, strict=True))
    return [by_number[number] for number in sorted(by_number)]


def _values(parts: Sequence[bytes]) -> list[Any]:
    try:
        # One call for all is much faster. Should parts only be JSON together, they are not what is written of them.
        values = fastjson.read(b"[" + b",".join(parts) + b"]")
        if len(values) == len(parts):
            return list(values)
    except (ValueError, RecursionError):
        pass
    return [None] * len(parts)


def _all_sound(parts: list[bytes], values: list[Any], memory: Memory) -> bool:
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
    same = fastjson.SAME.issuperset
    ascii = b"".join(parts).isascii()
    return all((ascii and same(map(type, value.values()))) or fastjson.plain(value, _DATA_DEPTH) for value in values)


def _sound(part: bytes, value: Any, memory: Memory) -> bool:
    # Parsers make exact types; what is plain has no others.
    if not isinstance(value, dict) or not fastjson.plain(value, _DATA_DEPTH):
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
    joined, count = b"".join(times), len(times)
    seconds = {time[:20] for time in times} - memory.seconds
    if (
        len(joined) != _TIME_LENGTH * count
        or joined[23::24] != b"Z" * count
        or not all(joined[place::24].isdigit() for place in (20, 21, 22) if count)
        or not all(_SECOND.fullmatch(second) for second in seconds)
        or any(first > second for first, second in pairwise(times))
    ):
        raise Unsure
    if len(memory.seconds) > 1 << 16:
        memory.seconds.clear()
    memory.seconds |= seconds
