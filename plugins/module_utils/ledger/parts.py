# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a repair knows of one segment, says of it, and can restore besides its entries: the objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from . import entry, store
from .checkpoint import Key
from .dropping import excused
from .kept import KeptHead
from .losses import Loss
from .objects import MARK, ObjectRef, Objects, references
from .rederive import Origin, Whole
from .verify import Report


@dataclass(frozen=True, slots=True)
class Part:
    """A segment: its folder, that of its copy, the objects of both, and the ``entries.jsonl`` of those after it."""

    number: int
    folder: Path
    copy: Path | None
    objects: Path
    copied_objects: Path | None
    later: tuple[Path, ...] = ()

    @property
    def frozen(self) -> bool:
        """Whether there is a segment after it, so that it takes no entries."""
        return bool(self.later)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a segment besides its files.

    ``whole`` is the last head of a frozen one, ``stated`` the loss of its last entries that an entry speaks of.
    """

    origin: Origin
    keys: tuple[Key, ...]
    head: KeptHead | None = None
    whole: Whole | None = None
    stated: Loss | None = None


@dataclass(slots=True)
class Counts:
    """What was, or would be, done, to one segment or over all.

    ``kept`` entries follow each other, the first ``proven`` of each segment to a root that was signed; ``from_copy``
    were not in the ledger any more. ``lost`` are gone; ``doubtful`` sound lines contradict what is kept. ``behind``
    says that the head in Vault is of entries whose loss is stated already.
    """

    changed: bool = False
    kept: int = 0
    head: str = ""
    proven: int = 0
    from_copy: int = 0
    lost: int = 0
    doubtful: int = 0
    objects: int = 0
    set_aside: str = ""
    behind: bool = False
    report: Report = field(default_factory=Report)


@dataclass(slots=True)
class Mended(Counts):
    """The same of one segment, ``segment``."""

    segment: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        names = ("segment", "kept", "proven", "from_copy", "lost", "doubtful", "objects", "set_aside")
        return {name: getattr(self, name) for name in names}


def restorable(
    lines: Callable[[], Iterator[bytes]], objects: Objects, copied: Objects, later: tuple[Path, ...]
) -> Iterator[ObjectRef]:
    """Yield what the ``lines`` of a segment refer to, ``objects`` lacks, and ``copied`` has.

    :param later: the ``entries.jsonl`` after it, which may say that retention dropped some.
    """
    seen = set(_dropped(lines, objects, later))
    for line in lines():
        if MARK not in line:
            continue
        for reference in references(entry.parse(line).data):
            if reference["sha256"] in seen:
                continue
            seen.add(reference["sha256"])
            if objects.problem(reference) and copied.problem(reference) is None:
                yield reference


def _dropped(lines: Callable[[], Iterator[bytes]], objects: Objects, later: tuple[Path, ...]) -> set[str]:
    """Return what retention dropped: a run of it that was killed may have left it in the copy."""
    missing = {
        one["sha256"]
        for line in lines()
        if MARK in line
        for one in references(entry.parse(line).data)
        if not objects.path(one["sha256"]).exists()
    }
    if not missing:
        return set()
    after = (line.removesuffix(b"\n") for path in later for line in store.lines_of(path))
    return excused(chain(lines(), after), missing)
