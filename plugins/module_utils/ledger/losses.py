# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Losses that were accepted: an entry ``repaired`` says how many entries are gone, and in which segment.

In the segment that takes entries it stands where the lost ones were. Of a frozen segment, which takes no more, an entry
of a later one says what is left of it; the last that does so counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import heads, segments, store
from .checkpoint import BadCheckpoint
from .entry import BadLine, Entry, parse

REPAIRED = "repaired"
_MARK = b'"event":"repaired"'


@dataclass(frozen=True, slots=True)
class Loss:
    """``count`` entries of ``segment`` after its first ``kept``, the last of which has the hash ``head``, were lost.

    ``said_in`` and ``sequence`` are the place of the entry that says so.
    """

    segment: int
    kept: int
    head: str
    count: int
    said_in: int
    sequence: int

    @property
    def elsewhere(self) -> bool:
        """Whether it is about another segment than the one that says so."""
        return self.segment != self.said_in

    def sentence(self) -> str:
        """Return it in the words of golden-goose-verify."""
        of = f" of segment {self.said_in}" if self.said_in > 1 else ""
        which = f"of segment {self.segment}" if self.elsewhere else "after it"
        return f"entry {self.sequence}{of} says that {self.count} entries {which} were lost: a repair gave them up"


def of_entry(found: Entry, number: int) -> Loss | None:
    """Return what ``found``, an entry of the segment ``number``, says is lost; ``count`` 0 takes that back."""
    data = found.data
    if found.event != REPAIRED:
        return None
    lost, segment = data.get("lost"), data.get("segment", number)
    count = lost.get("count") if isinstance(lost, dict) else 0
    kept, head = data.get("kept"), data.get("head")
    if not isinstance(segment, int) or not isinstance(kept, int) or not isinstance(count, int):
        return None
    # To Python true and false are numbers.
    if bool in {type(segment), type(kept), type(count)} or not isinstance(head, str):
        return None
    return Loss(segment, kept, head, count, number, found.sequence) if 0 < segment <= number else None


def counting(said: Iterable[Loss]) -> list[Loss]:
    """Return those that count, in order: of another segment than its own only the last says what is left."""
    last = {loss.segment: loss for loss in said if loss.elsewhere}
    return [loss for loss in said if loss.count and (not loss.elsewhere or last[loss.segment] is loss)]


def said_in(folder: Path, number: int, start: int = 0) -> Iterator[Loss]:
    """Yield what entries of one segment say of losses, from the offset ``start`` on, as far as it can be read.

    :raises LedgerError: its file cannot be opened.
    """
    path = folder / "entries.jsonl"
    if not path.is_file():
        return
    # An error while reading is what a verification reports.
    with store.opened(path, write=False) as descriptor, suppress(OSError):
        end = store.whole_size(descriptor)
        if not store.contains(descriptor, _MARK, end, start):
            return
        for _offset, line in store.lines_from(descriptor, start, end):
            if _MARK in line:
                try:
                    loss = of_entry(parse(line.removesuffix(b"\n")), number)
                except BadLine:
                    continue  # Which a verification says.
                if loss is not None:
                    yield loss


def of_frozen(root: Path, numbers: Sequence[int]) -> dict[int, Loss]:
    """Return by segment what later segments of the ledger in ``root`` say is lost of frozen ones.

    It reads all of them: ask when something does not fit.
    """
    said = [loss for number in numbers[1:] for loss in said_in(segments.place(root, number), number)]
    return {loss.segment: loss for loss in counting(said) if loss.elsewhere}


def signed(root: Path, loss: Loss) -> bool:
    """Whether the latest checkpoint of its segment has the entry that speaks of it; the signature is unchecked."""
    try:
        head = heads.latest_claimed(segments.place(root, loss.said_in))
    except BadCheckpoint:
        return False  # Which a verification says.
    return head is not None and head.size > loss.sequence
