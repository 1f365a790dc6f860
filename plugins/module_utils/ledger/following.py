# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Follow the chain over lines in the order of the file: many at once where they plainly hold, else one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from . import batch, entry
from .entry import BadLine, Entry


@dataclass(slots=True)
class Follower:
    """How far the chain was followed: over ``size`` lines, the last sound one of which has ``hash``."""

    size: int
    hash: str
    _memory: batch.Memory = field(default_factory=batch.Memory)

    def follow(self, lines: Sequence[bytes]) -> bool:
        """Take ``lines`` (without feeds) when all of them plainly hold; otherwise take none and return False."""
        try:
            found = batch.check(lines, self.size, self.hash, self._memory)
        except batch.Unsure:
            return False
        self.size, self.hash = found.next, found.last_hash
        return True

    def take(self, line: bytes) -> Entry:
        """Take one line and return its entry.

        :raises BadLine: it is no entry, or (with the kind ``link``) one that does not follow.
        """
        found = entry.parse(line)
        if found.sequence != self.size or found.previous_hash != self.hash:
            raise BadLine("link", "it does not follow the entry before it")
        self.size, self.hash = found.sequence + 1, found.hash
        return found

    def entries(self, lines: Sequence[bytes], strict: bool, events: Collection[str] | None) -> Iterator[Entry]:
        """Take ``lines`` and yield their entries.

        :param strict: when false, lines that are no entries are left out, and those that do not follow are not.
        :param events: when given, only entries of these; all lines are checked.
        :raises BadLine: as :meth:`take` does, at line number ``size``, when ``strict``.
        """
        found = map(entry.sound, _naming(lines, events)) if self.follow(lines) else self._each(lines, strict)
        yield from found if events is None else (one for one in found if one.event in events)

    def _each(self, lines: Sequence[bytes], strict: bool) -> Iterator[Entry]:
        for line in lines:
            try:
                yield self.take(line)
            except BadLine as error:
                if strict:
                    raise
                self.size += 1
                if error.kind == "link":
                    yield entry.parse(line)


def _naming(lines: Sequence[bytes], events: Collection[str] | None) -> Sequence[bytes]:
    """Return the lines that may be of one of ``events``."""
    if events is None:
        return lines
    # All lines at once first: most have none.
    joined = b"\n".join(lines)
    marks = [mark for mark in (f'"event":"{event}"'.encode() for event in events) if mark in joined]
    return [line for line in lines if any(mark in line for mark in marks)] if marks else []
