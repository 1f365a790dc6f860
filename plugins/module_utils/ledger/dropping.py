# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Objects that retention dropped: an entry ``objects_dropped`` lists them; the entries about them keep their digests.

It excuses that an object is missing only for the entries before it. Who refers to the same bytes again later keeps
them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .entry import BadLine, Entry, parse
from .errors import LedgerBroken, LedgerError
from .ledger import Ledger
from .objects import MARK, ObjectRef, references

DROPPED = "objects_dropped"
_EVENT = f'"event":"{DROPPED}"'.encode()
# So many fit into a line.
PER_ENTRY = 400


class ObjectDropped(LedgerError):
    """An object is not there because retention dropped it."""


def listed(dropped: Iterable[ObjectRef]) -> list[dict[str, Any]]:
    """Return how an entry lists objects that are dropped: unlike a reference, without their media type."""
    return [{"sha256": one["sha256"], "size": one["size"]} for one in dropped]


def dropped_by(found: Entry) -> Iterator[str]:
    """Yield the digests that ``found`` says are dropped."""
    objects = found.data.get("objects") if found.event == DROPPED else None
    for one in objects if isinstance(objects, list) else ():
        if isinstance(one, dict) and isinstance(one.get("sha256"), str):
            yield one["sha256"]


def excused(lines: Iterable[bytes], missing: Iterable[str]) -> set[str]:
    """Return which of the ``missing`` objects were dropped after the last entry that refers to them.

    :param lines: all lines, without their feeds; those that are no entries are left out.
    """
    wanted = set(missing)
    found: set[str] = set()
    for line in lines:
        if MARK not in line:
            continue
        try:
            if _EVENT in line:
                found.update(wanted.intersection(dropped_by(parse(line))))
            elif found and any(digest.encode() in line for digest in found):
                found.difference_update(reference["sha256"] for reference in references(parse(line).data))
        except BadLine:
            continue
    return found


def read(ledger: Ledger, sha256: str) -> bytes:
    """Return the bytes of an object, checked against its digest.

    :raises ObjectDropped: retention dropped it.
    :raises LedgerBroken: it is missing or altered.
    """
    try:
        return ledger.objects.read(sha256)
    except LedgerBroken:
        if not ledger.objects.path(sha256).exists():
            for one in ledger.entries(strict=False):
                if sha256 in dropped_by(one):
                    raise ObjectDropped(
                        f"The object {sha256} was dropped by retention, as entry {one.sequence} of {ledger.path} says; "
                        "what needs it can no longer be made, but packages from before hold it."
                    ) from None
        raise
