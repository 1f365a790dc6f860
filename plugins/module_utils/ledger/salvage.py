# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Find the longest chain of entries that can be proven, in a damaged ledger, its copy, and the entry bundles of both.

Nothing is written. A line is good when it is a sound entry that follows a good one, whatever place it has in whichever
file: hashes say where it belongs. Two lines that both follow the same one make a fork. What was signed decides it;
where nothing signed reaches, the copy does, because each backup refuses a ledger that differs from it.
"""

from __future__ import annotations

import base64
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files import sha256_file
from . import entry, merkle, segments, store, tiles
from .entry import BadLine
from .losses import REPAIRED
from .merkle import HASH_BYTES, leaf_hash
from .tree import TILES

LEDGER, COPY = 0, 1
# Every entry has more bytes than this: a line that states a higher sequence than all bytes could hold is no entry.
_LEAST_BYTES = 200


class Lines:
    """Where the lines of one ``entries.jsonl`` are, by the sequence that they state; a missing file has none.

    ``claimed`` is how many entries there would be if each whole line were one; ``size`` and ``whole`` are in bytes, of
    the file and of its whole lines.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Read the file once.

        :raises OSError: it cannot be read.
        """
        self.claimed = 0
        self.size = self.whole = 0
        self._first = array("q")
        self._more: dict[int, list[int]] = {}
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.exists() else None
        if self._descriptor is None:
            return
        self.size = os.fstat(self._descriptor).st_size
        self.whole = store.after_last_feed(self._descriptor, self.size)
        last = -1
        for offset, line in store.lines_from(self._descriptor, 0, self.whole):
            number = store.sequence_of(line)
            if number is None or number >= limit:
                last += 1
            else:
                last = number
                self._note(number, offset)
            self.claimed = max(self.claimed, last + 1)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def at(self, number: int) -> Iterator[bytes]:
        """Yield the lines that state the sequence ``number``, without their feeds."""
        if self._descriptor is not None and number < len(self._first) and self._first[number] >= 0:
            for offset in (self._first[number], *self._more.get(number, ())):
                yield store.line_at(self._descriptor, offset)

    def _note(self, number: int, offset: int) -> None:
        while len(self._first) <= number:
            self._first.append(-1)
        if self._first[number] < 0:
            self._first[number] = offset
        else:
            self._more.setdefault(number, []).append(offset)


class Bundles:
    """The same from the entry bundles below ``tile``."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / TILES
        self._index = -1
        self._bundles: list[list[bytes]] = []

    def at(self, number: int) -> Iterator[bytes]:
        """Yield the lines that bundles have in the place ``number``."""
        index, place = divmod(number, tiles.WIDTH)
        if index != self._index:
            self._index, self._bundles = index, [_unbundled(path) for path in self._paths(index)]
        for lines in self._bundles:
            if place < len(lines):
                yield lines[place]

    def _paths(self, index: int) -> Iterator[Path]:
        full = self._root / tiles.Tile(None, index, tiles.WIDTH).path()
        if full.is_file():
            yield full
        partial = full.with_name(f"{full.name}.p")
        if partial.is_dir():
            yield from sorted(path for path in partial.iterdir() if path.name.isdecimal())


def _unbundled(path: Path) -> list[bytes]:
    """Return the lines of a bundle up to the first that does not fit."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    lines, offset = [], 0
    while offset + 2 <= len(data):
        end = offset + 2 + int.from_bytes(data[offset : offset + 2], "big")
        lines.append(data[offset + 2 : end])
        offset = end
    return lines


@dataclass(frozen=True, slots=True)
class Stated:
    """A loss that an entry speaks of: the signed heads (size, root), and the SHA-256 of the copy, that had more."""

    heads: frozenset[tuple[int, bytes]]
    copy: str


@dataclass(slots=True)
class Chain:
    """What can be proven: the first ``kept`` entries of a path through what was found.

    ``proven`` of them are below a signed root. ``doubtful`` counts sound lines that go another way after these and that
    nothing signed decides against; ``expected`` is how many entries there should be, as far as is known.
    ``stated`` are the losses that entries of the chain speak of; ``successor`` is the origin of the segment that its
    last entry freezes this one for.
    """

    kept: int = 0
    proven: int = 0
    head: str = ""
    timestamp: str = ""
    from_ledger: int = 0
    doubtful: int = 0
    expected: int = 0
    successor: str = ""
    path: array[int] = field(default_factory=lambda: array("q"))
    stated: list[Stated] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """How many entries are gone."""
        return self.expected - self.kept


class Salvage:
    """All sound lines of a ledger and its copy that follow each other from the origin; close it after use."""

    def __init__(
        self,
        folder: Path,
        copy: Path | None,
        origin: str,
        signed: Mapping[int, frozenset[bytes]],
        size: int | None = None,
    ) -> None:
        """Read all of both.

        :param signed: size → roots that were signed over so many entries.
        :param size: how many entries there are, when that is known of a frozen segment.
        :raises OSError: one of the files cannot be read.
        """
        places = [folder] if copy is None else [folder, copy]
        paths = [place / "entries.jsonl" for place in places]
        limit = 1 + sum(path.stat().st_size for path in paths if path.exists()) // _LEAST_BYTES
        self.lines = [Lines(path, limit) for path in paths]
        self._folders = places
        self._signed, self._size = signed, size
        self._sources: list[tuple[int, Lines | Bundles]] = [*enumerate(self.lines)]
        self._sources += [(number, Bundles(place)) for number, place in enumerate(places)]
        self._genesis = entry.genesis_hash(origin)
        # Of each node: the one before, which of ledger and copy have it (bits), and its leaf hash.
        self._parents = array("q")
        self._masks = bytearray()
        self._leaves = bytearray()
        self._layers = array("q")  # The first node of each sequence.
        self._ends: list[int] = []
        self._ids: dict[str, list[int]] = {}
        self._stated: dict[int, Stated] = {}
        self._freezing: dict[int, str] = {}
        self._grow()

    def close(self) -> None:
        for lines in self.lines:
            lines.close()

    def best(self) -> Chain:
        """Return what is to be kept."""
        found = [self._chain(end) for end in self._ends] or [Chain(head=self._genesis)]
        best = max(found, key=lambda chain: (chain.proven, self._vouched(chain), chain.kept))
        beyond = self._signed_beyond(best)
        if (successor := self._successor(best)) and beyond > best.kept:
            best.kept -= 1  # What was signed goes on: nothing was frozen there.
        elif successor:
            best.successor = successor
        # Nothing follows what freezes a segment.
        ends = best.kept if best.successor else max(best.kept, self._claimed(best), beyond)
        best.expected = ends if self._size is None else self._size
        self._describe(best)
        return best

    def written(self, chain: Chain) -> Iterator[bytes]:
        """Yield the lines that are kept, without their feeds."""
        for number in range(chain.kept):
            yield self._line(number, chain.path[number])

    def _grow(self) -> None:
        """Follow every chain from the origin, one sequence after the other."""
        current: dict[str, tuple[int, str]] = {self._genesis: (-1, "")}
        number = 0
        while current and number != self._size:
            self._layers.append(len(self._masks))
            following: dict[str, tuple[int, str]] = {}
            for line, mask in self._candidates(number).items():
                try:
                    found = entry.parse(line)
                except BadLine:
                    continue
                parent, time = current.get(found.previous_hash, (None, ""))
                if parent is None or found.sequence != number or found.timestamp < time:
                    continue
                if not self._repeats(found.id, parent):
                    following[found.hash] = (self._add(parent, mask, line, found), found.timestamp)
            parents = {self._parents[node] for node, _time in following.values()}
            self._ends += [node for node, _time in current.values() if node >= 0 and node not in parents]
            current, number = following, number + 1
        self._ends += [node for node, _time in current.values() if node >= 0]
        self._ids = {}

    def _candidates(self, number: int) -> dict[bytes, int]:
        lines: dict[bytes, int] = {}
        for place, source in self._sources:
            for line in source.at(number):
                lines[line] = lines.get(line, 0) | (1 << place if isinstance(source, Lines) else 0)
        return lines

    def _add(self, parent: int, mask: int, line: bytes, found: entry.Entry) -> int:
        node = len(self._masks)
        self._parents.append(parent)
        self._masks.append(mask)
        self._leaves += leaf_hash(line)
        self._ids.setdefault(found.id, []).append(node)
        if stated := stated_loss(found):
            self._stated[node] = stated
        if successor := segments.successor_of(found):
            self._freezing[node] = successor
        return node

    def _successor(self, chain: Chain) -> str:
        return self._freezing.get(chain.path[chain.kept - 1], "") if chain.kept else ""

    def _repeats(self, id: str, parent: int) -> bool:
        """Whether an entry before has this id already, on the way that leads to ``parent``."""
        for other in self._ids.get(id, ()):
            node = parent
            while node > other:
                node = self._parents[node]
            if node == other:
                return True
        return False

    def _path(self, end: int) -> array[int]:
        path = array("q")
        while end >= 0:
            path.append(end)
            end = self._parents[end]
        path.reverse()
        return path

    def _chain(self, end: int) -> Chain:
        path = self._path(end)
        chain = Chain(kept=len(path), path=path, stated=[self._stated[n] for n in path if n in self._stated])
        tree, wrong = tiles.Growing(), 0
        for node in path:
            tree.add_leaves([self._leaf(node)])
            tree.take()
            roots = self._signed.get(tree.size)
            if roots is None:
                continue
            if tree.root() in roots:
                chain.proven = tree.size
            elif self._unstated(chain, tree.size):
                wrong = tree.size
                break
        if wrong:
            vouched = self._vouched(chain)
            chain.kept = max(chain.proven, self._exact(path, wrong) or 0, vouched if vouched < wrong else 0)
        elif (beyond := self._signed_beyond(chain)) > chain.kept:
            # Nothing signed is reached: the leaves of a tree that was signed can still tell.
            exact = self._exact(path, beyond)
            chain.kept = chain.kept if exact is None else max(chain.proven, exact)
        return chain

    def _exact(self, path: Sequence[int], size: int) -> int | None:
        """Return how many entries are those that were signed, when the tiles of that tree are here."""
        for folder in self._folders:
            stored = tiles.Tiles(folder / TILES, size)
            try:
                if merkle.root_hash(size, stored.read) not in self._signed[size]:
                    continue
                least = min(size, len(path))
                return next((n for n in range(least) if stored.read(0, n) != self._leaf(path[n])), least)
            except tiles.BadTile:
                continue
        return None

    def _vouched(self, chain: Chain) -> int:
        """Return how many of the first entries the copy has."""
        return next((n for n in range(chain.kept) if not self._masks[chain.path[n]] >> COPY & 1), chain.kept)

    def _unstated(self, chain: Chain, size: int) -> bool:
        """Whether a root of ``size`` entries was signed that no entry says was lost."""
        return any(not any((size, root) in one.heads for one in chain.stated) for root in self._signed[size])

    def _signed_beyond(self, chain: Chain) -> int:
        return max((size for size in self._signed if self._unstated(chain, size)), default=0)

    def _claimed(self, chain: Chain) -> int:
        """Return how many entries the files seem to have; a copy whose loss is stated says no more."""
        claimed = self.lines[LEDGER].claimed
        if len(self.lines) > COPY and self.lines[COPY].claimed > max(claimed, chain.kept):
            stated = chain.stated and sha256_file(self._folders[COPY] / "entries.jsonl") in {
                s.copy for s in chain.stated
            }
            claimed = claimed if stated else self.lines[COPY].claimed
        return claimed

    def _describe(self, chain: Chain) -> None:
        chain.head = self._genesis
        if chain.kept:
            last = entry.parse(self._line(chain.kept - 1, chain.path[chain.kept - 1]))
            chain.head, chain.timestamp = last.hash, last.timestamp
        kept = chain.path[: chain.kept]
        chain.from_ledger = sum(self._masks[node] >> LEDGER & 1 for node in kept)
        nodes = self._layers[chain.kept] if chain.kept < len(self._layers) else len(self._masks)
        first = self._layers[chain.proven] if chain.proven < len(self._layers) else len(self._masks)
        chain.doubtful = max(0, nodes - first) - (chain.kept - chain.proven)

    def _leaf(self, node: int) -> bytes:
        return bytes(self._leaves[node * HASH_BYTES : (node + 1) * HASH_BYTES])

    def _line(self, number: int, node: int) -> bytes:
        wanted = self._leaf(node)
        for line in self._candidates(number):
            if leaf_hash(line) == wanted:
                return line
        raise OSError(f"Entry {number} was read a moment ago and is gone")


def stated_loss(found: entry.Entry) -> Stated | None:
    """Return what an entry says of a loss in its own segment, when it is ``repaired`` and speaks of one."""
    lost = found.data.get("lost")
    if found.event != REPAIRED or "segment" in found.data or not isinstance(lost, dict):
        return None
    try:
        heads = frozenset((int(size), base64.b64decode(root)) for size, root in lost.get("heads", ()))
    except (TypeError, ValueError):
        heads = frozenset()
    return Stated(heads, str(lost.get("copy")))
