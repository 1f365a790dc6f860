# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The tree as files, and the entries in bundles: https://c2sp.org/tlog-tiles.

``tile/<level>/<index>`` holds up to 256 hashes of one level of tiles (eight levels of the tree),
``tile/entries/<index>`` the entries below a tile of level 0, each after its length in two bytes. What is not full yet
is ``….p/<width>``. All of it is derived from ``entries.jsonl`` and can be made again from that alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from ..files import make_dirs, sync_directory, write_atomic
from .errors import LedgerError
from .merkle import HASH_BYTES, fold, leaf_hashes, node_hash, parents, perfect

WIDTH = 256
_HEIGHT = 8
ENTRIES = "entries"
_FILE_MODE = 0o640
_NAME = re.compile(r"(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class BadTile(LedgerError):
    """A tile that is needed is missing or is not the size that its name says."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The name of a file: ``level`` counts tiles (None: entries), ``width`` from 1 to ``WIDTH`` hashes or entries."""

    level: int | None
    index: int
    width: int

    def path(self) -> str:
        """Return its path below ``tile/``."""
        number = f"{self.index % 1000:03d}"
        rest = self.index // 1000
        while rest:
            number = f"x{rest % 1000:03d}/{number}"
            rest //= 1000
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{ENTRIES if self.level is None else self.level}/{number}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile | None:
        """Return the tile whose path below ``tile/`` is ``path``, or None when it is no tile's."""
        found = _NAME.fullmatch(path)
        if found is None:
            return None
        level, number, width = found.groups()
        index = int(number.replace("x", "").replace("/", ""))
        tile = cls(None if level == ENTRIES else int(level), index, int(width) if width else WIDTH)
        # One name for each tile: path() never writes a width of 0 or 256, or a leading zero.
        return tile if 0 < tile.width <= WIDTH and tile.path() == path else None


def bundle(lines: Iterable[bytes]) -> bytes:
    """Return the entry bundle of ``lines`` (without line feed)."""
    some = list(lines)
    return b"".join(chain.from_iterable(zip(map(_length, map(len, some)), some, strict=True)))


@lru_cache(maxsize=4096)
def _length(length: int) -> bytes:
    """Return how an entry's length stands before it; those of many entries are few."""
    return length.to_bytes(2, "big")


def unbundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    :raises BadTile: a length does not fit.
    """
    lines, offset = [], 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2], "big")
        line = data[offset + 2 : offset + 2 + length]
        if offset + 2 > len(data) or len(line) != length:
            raise BadTile("An entry bundle ends within an entry.")
        lines.append(line)
        offset += 2 + length
    return lines


class Tiles:
    """The folder ``tile`` of a ledger, as the tree of its first ``size`` entries needs it."""

    def __init__(self, root: Path, size: int) -> None:
        self.root = root
        self.size = size
        self._cache: dict[Tile, bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of the named node of the tree (a :data:`merkle.NodeReader`).

        :raises BadTile: the tile that it comes from is not there as it should be.
        """
        tile_level, within = divmod(level, _HEIGHT)
        first = index << within
        data = self._hashes(tile_level, first // WIDTH)
        start = first % WIDTH
        hashes = [data[n * HASH_BYTES : (n + 1) * HASH_BYTES] for n in range(start, start + (1 << within))]
        while len(hashes) > 1:
            hashes = parents(hashes)
        return hashes[0]

    def width(self, level: int, index: int) -> int:
        """Return how many hashes the tile has in a tree of this size; 0 when it is not there."""
        return max(0, min(WIDTH, (self.size >> (_HEIGHT * level)) - index * WIDTH))

    def content(self, tile: Tile) -> bytes:
        """Return the bytes of the tile's file.

        :raises BadTile: it cannot be read.
        """
        path = self.root / tile.path()
        try:
            return path.read_bytes()
        except OSError as error:
            raise BadTile(
                f"The tile {path} cannot be read: {error.strerror or error}; evidence_checkpoint makes it again."
            ) from error

    def edge(self, level: int) -> list[bytes]:
        """Return the hashes of the tile of ``level`` that is not full; none when all are.

        :raises BadTile: it is not there as it should be.
        """
        index, width = divmod(self.size >> (_HEIGHT * level), WIDTH)
        data = self._hashes(level, index) if width else b""
        return [data[n : n + HASH_BYTES] for n in range(0, len(data), HASH_BYTES)]

    def edge_lines(self, hashes: list[bytes]) -> list[bytes]:
        """Return the entries of the bundle that is not full, whose leaves have ``hashes``.

        :raises BadTile: it is not there, or holds others.
        """
        index, width = divmod(self.size, WIDTH)
        full = Tile(None, index, WIDTH)
        tile = full if (self.root / full.path()).is_file() else Tile(None, index, width)
        lines = unbundle(self.content(tile))[:width]
        if leaf_hashes(lines) != hashes:
            raise BadTile(f"The entry bundle {self.root / tile.path()} is not what its tile says.")
        return lines

    def _hashes(self, level: int, index: int) -> bytes:
        # A full tile takes the place of the partial ones.
        width = self.width(level, index)
        tile = Tile(level, index, width)
        if tile not in self._cache:
            full = Tile(level, index, WIDTH)
            found = self.content(full if (self.root / full.path()).is_file() else tile)
            if len(found) < width * HASH_BYTES or width == 0:
                raise BadTile(f"The tile {self.root / tile.path()} has not the length that its name says.")
            self._cache[tile] = found[: width * HASH_BYTES]
        return self._cache[tile]


class Growing:
    """A tree to which entries are added: one hash a level, and the tiles that are not full.

    Memory does not grow with the tree as long as :meth:`take` is called now and then.
    """

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []
        self._levels: list[list[bytes]] = []
        self._lines: list[bytes] = []
        self._full: list[tuple[Tile, bytes]] = []

    @classmethod
    def resume(cls, tiles: Tiles) -> Growing:
        """Return the tree that is on disk.

        :raises BadTile: a tile of its right edge is missing or not what another says.
        """
        tree = cls()
        tree.size = tiles.size
        tree._subtrees = [tiles.read(level, index) for level, index in perfect(0, tiles.size)]
        level = 0
        while tiles.size >> (_HEIGHT * level):
            tree._levels.append(tiles.edge(level))
            level += 1
        if tree._levels and tree._levels[0]:
            tree._lines = tiles.edge_lines(tree._levels[0])
        return tree

    def add(self, lines: Sequence[bytes]) -> None:
        """Add the entries ``lines`` (without line feeds)."""
        index = self.size // WIDTH
        self._lines += lines
        while len(self._lines) >= WIDTH:
            self._full.append((Tile(None, index, WIDTH), bundle(self._lines[:WIDTH])))
            del self._lines[:WIDTH]
            index += 1
        self.add_leaves(leaf_hashes(lines))

    def add_leaves(self, leaves: Sequence[bytes]) -> None:
        """Add entries by the hashes of their leaves: there will be no bundles of them."""
        place = 0
        while place < len(leaves):
            # The largest subtree that may begin here and is not above a tile: its nodes are hashed level by level.
            most = min(WIDTH, len(leaves) - place, self.size & -self.size or WIDTH)
            count: int = 1 << (most.bit_length() - 1)
            self._add_subtree(leaves[place : place + count])
            place += count

    def _add_subtree(self, leaves: Sequence[bytes]) -> None:
        """Add as many leaves as a power of two that divides the size; at most a tile of them."""
        level = len(leaves).bit_length() - 1
        rest = self.size >> level
        self.size += len(leaves)
        self._push(0, leaves)
        while len(leaves) > 1:
            leaves = parents(leaves)
        [carried] = leaves
        if level == _HEIGHT:
            self._push(1, [carried])
        while rest & 1:
            carried = node_hash(self._subtrees.pop(), carried)
            rest >>= 1
            level += 1
            if level % _HEIGHT == 0:
                self._push(level // _HEIGHT, [carried])
        self._subtrees.append(carried)

    def _push(self, level: int, items: Sequence[bytes]) -> None:
        """Add hashes to the tile of ``level`` that is not full; they fit into it."""
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes += items
        if len(hashes) == WIDTH:
            index = (self.size >> (_HEIGHT * (level + 1))) - 1
            self._full.append((Tile(level, index, WIDTH), b"".join(hashes)))
            self._levels[level] = []

    def root(self) -> bytes:
        """Return the root of the entries so far."""
        return fold(self._subtrees)

    def take(self) -> list[tuple[Tile, bytes]]:
        """Return the tiles that became full since the last call, with their bytes."""
        full, self._full = self._full, []
        return full

    def edge(self) -> Iterator[tuple[Tile, bytes]]:
        """Yield the tiles that are not full, with their bytes."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield Tile(level, (self.size >> (_HEIGHT * level)) // WIDTH, len(hashes)), b"".join(hashes)
        if self._lines:
            yield Tile(None, self.size // WIDTH, len(self._lines)), bundle(self._lines)


def write(root: Path, tiles: Iterable[tuple[Tile, bytes]]) -> None:
    """Write tiles below ``root``, each whole and durable.

    :raises GoldenGooseError: one cannot be written.
    """
    folders: set[Path] = set()
    for tile, data in tiles:
        path = root / tile.path()
        if path.parent not in folders:
            make_dirs(path.parent, 0o750)
            folders.add(path.parent)
        write_atomic(path, data, _FILE_MODE, durable_name=False)
    try:
        for folder in folders:
            sync_directory(folder)
    except OSError as error:
        raise LedgerError(f"Cannot write the tiles below {root}: {error.strerror or error}.") from error


def drop_partial(root: Path, full: Iterable[Tile]) -> None:
    """Remove the partial tiles that the full ones replace."""
    for tile in full:
        folder = (root / tile.path()).with_name(f"{tile.index % 1000:03d}.p")
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()


def found(root: Path) -> Iterator[tuple[str, Tile | None]]:
    """Yield the path below ``root`` and the name of every file that is there; None when it is no tile's name."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            name = path.relative_to(root).as_posix()
            yield name, Tile.parse(name)
