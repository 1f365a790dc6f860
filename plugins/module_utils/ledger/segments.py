# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Names and places of the segments of a ledger.

The first segment is the ledger's folder itself, segment ``n`` is ``segments/<n>`` below it; the last is the one that
takes entries. Nothing is ever moved: a log keeps its origin and its address (C2SP tlog-tiles), and a file that may only
be appended to could not be moved anyway. Objects are shared; they are in the ledger's folder.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path

from .entry import Entry
from .objects import Objects

FOLDER = "segments"
# The last entry of a segment, and the first of the next one. Only a freeze writes them.
FROZEN = "frozen"
CONTINUED = "continued"
RESERVED = frozenset({FROZEN, CONTINUED})
# The line of an entry that freezes has these bytes.
MARK = b'"event":"frozen"'
_NUMBER = re.compile(r"[2-9]|[1-9][0-9]{1,5}")
_ORIGIN = re.compile(rf"(.+)/segment/({_NUMBER.pattern})")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the segments of one ledger have in common, for a verification.

    ``objects`` is where all refer to, ``objects_seen`` what was looked at already, ``ids`` gets the hashes of one
    segment's ids; ``later`` are the ``entries.jsonl`` of those after it, which may say that objects were dropped.
    """

    objects: Objects
    objects_seen: set[str]
    ids: array[int]
    later: tuple[Path, ...] = ()


def number(origin: str) -> int:
    """Return which segment of its ledger has this ``origin``."""
    found = _ORIGIN.fullmatch(origin)
    return int(found[2]) if found else 1


def name(origin: str, number: int) -> str:
    """Return the origin of another segment, ``number``, of the ledger that a segment with ``origin`` belongs to."""
    found = _ORIGIN.fullmatch(origin)
    base = found[1] if found else origin
    return base if number == 1 else f"{base}/segment/{number}"


def place(root: Path, number: int) -> Path:
    """Return the folder of the segment ``number`` of the ledger in ``root``."""
    return root if number == 1 else root / FOLDER / str(number)


def numbers(root: Path) -> list[int]:
    """Return the numbers of the segments that are there, ascending; a ledger that was never frozen has just 1.

    :raises OSError: the folder cannot be read.
    """
    try:
        names = [path.name for path in (root / FOLDER).iterdir() if _NUMBER.fullmatch(path.name)]
    except FileNotFoundError:
        names = []
    return [1, *sorted(int(one) for one in names)]


def successor_of(last: Entry) -> str:
    """Return the origin of the segment after the one that ``last`` ends, or nothing when it ends none."""
    return str(last.data.get("successor", "")) if last.event == FROZEN else ""
