# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The part of a verification that is about the tree: compare tiles and checkpoints with the leaves of all lines.

The leaves are hashed from the bytes that the chain was followed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import checkpoint, heads, tiles
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .entry import MAX_LINE_BYTES
from .merkle import HASH_BYTES
from .tiles import Tile
from .tree import TILES

# The event of the entry that names the key.
SIGNING_EVENT = "signing_key"
# (sequence or None, kind, message); pylint thinks of an older Python.
Add = Callable[[int | None, str, str], None]  # pylint: disable=unsupported-binary-operation


class TreeCheck:
    """Grows the tree of the lines and compares it at every size that was signed.

    Kinds of problems: ``checkpoint`` (altered, of another origin, or by no known key), ``rewritten`` (entries are
    not those that were signed), ``cut`` (fewer than were signed), ``tile`` (a tile is missing or altered),
    ``unsigned`` (the entries say that the ledger is signed, but there is no checkpoint).
    """

    def __init__(self, folder: Path, origin: str, keys: Sequence[Key] | None, signatures: bool, add: Add) -> None:
        """Read what is signed.

        :param keys: trusted keys; None for those that the ledger itself names.
        :param signatures: whether to check signatures; without them only the roots are compared.
        """
        self.latest: Checkpoint | None = None
        self._add = add
        self._root = folder / TILES
        self._tree = tiles.Growing()
        self._signed: dict[int, bytes] = {}
        self._proven = 0
        self._differing: int | None = None
        self._done = False
        self._noted = False
        self._present = dict(tiles.found(self._root)) if self._root.is_dir() else {}
        self._of: dict[tuple[int | None, int], list[Tile]] = {}
        for tile in self._present.values():
            if tile is not None:
                self._of.setdefault((tile.level, tile.index), []).append(tile)
        self._checked: set[Tile] = set()
        self._load(folder, origin, keys, signatures)
        # The sizes that are still to be compared, the next one last.
        self._ahead = sorted((size for size in self._signed if size), reverse=True)

    @property
    def wanted(self) -> bool:
        """Whether there is anything to compare leaves with."""
        return self._noted or bool(self._present)

    def _load(self, folder: Path, origin: str, keys: Sequence[Key] | None, signatures: bool) -> None:
        try:
            known = heads.keys(folder) if keys is None else tuple(keys)
            notes = heads.notes(folder)
        except BadCheckpoint as error:
            self._add(None, "checkpoint", str(error).rstrip("."))
            return
        self._noted = bool(notes)
        for path, text in notes:
            try:
                found = checkpoint.parse(text, known) if signatures else checkpoint.unverified(text)
                if found.origin != origin or (path.name.isdecimal() and path.name != str(found.size)):
                    raise BadCheckpoint(f"It is of {found.size} entries of '{found.origin}'.")
                if self._signed.setdefault(found.size, found.root) != found.root:
                    raise BadCheckpoint(f"Another one of {found.size} entries has another root: the ledger was forked.")
            except BadCheckpoint as error:
                self._add(None, "checkpoint", f"{path} does not hold: {str(error).rstrip('.')}")
                continue
            if path.name == heads.LATEST:
                self.latest = found
        if self._signed and self.latest is None and not (folder / heads.LATEST).exists():
            # A kill during the very first publication leaves what was staged.
            kind = "unsigned" if (folder / heads.STAGED).exists() else "checkpoint"
            self._add(None, kind, f"{folder / heads.LATEST} is missing; evidence_checkpoint makes it again")

    def leaves(self, leaves: Sequence[bytes]) -> None:
        """Take the leaf hashes of the next lines, in the order of the file."""
        place = 0
        while place < len(leaves) and not self._done:
            # Up to the next size that was signed, where the roots are compared.
            stop = place + self._ahead[-1] - self._tree.size if self._ahead else len(leaves)
            some = leaves[place:stop]
            place += len(some)
            self._tree.add_leaves(some)
            for tile, data in self._tree.take():
                self._tile(tile, data)
            if self._ahead and self._tree.size == self._ahead[-1]:
                self._compare(self._ahead.pop())

    def _compare(self, size: int) -> None:
        if self._tree.root() == self._signed.pop(size):
            self._proven = size
        else:
            self._edge()
            self._rewritten(size)

    def finish(self, groups: Iterable[Sequence[bytes]], named: bool) -> None:
        """All leaves were given: report what is missing, and compare the bundles with the lines (without feeds).

        :param groups: all lines, many at once.
        :param named: whether a line may name a key; of no interest when leaves are :attr:`wanted`.
        """
        if not self.wanted:
            if named:
                self._add(None, "unsigned", "its entries name the key that signs it, but there is no checkpoint")
            return
        if not self._done:
            self._edge()
            if self._signed:
                largest = max(self._signed)
                have = self._tree.size
                self._add(have, "cut", f"entries {have} to {largest - 1} were signed and are gone")
            self._bundles(groups)
        self._tiles_left()

    def _bundles(self, groups: Iterable[Sequence[bytes]]) -> None:
        index = 0
        rest: list[bytes] = []
        for group in groups:
            if max(map(len, group)) > MAX_LINE_BYTES:
                return
            rest += group
            while len(rest) >= tiles.WIDTH:
                self._tile(Tile(None, index, tiles.WIDTH), tiles.bundle(rest[: tiles.WIDTH]))
                del rest[: tiles.WIDTH]
                index += 1
        if rest:
            self._tile(Tile(None, index, len(rest)), tiles.bundle(rest))

    def _rewritten(self, size: int) -> None:
        self._done = True
        if self._differing is not None and self._differing < size:
            first, what = self._differing, "it is not the entry that was signed"
        else:
            first = self._proven
            what = (
                f"entries {first} to {size - 1} are not those that were signed"
                if first < size - 1
                else ("it is not the entry that was signed")
            )
        self._add(first, "rewritten", f"{what} (checkpoint of {size} entries)")

    def _edge(self) -> None:
        for tile, data in self._tree.edge():
            self._tile(tile, data)

    def _tile(self, tile: Tile, data: bytes) -> None:
        """Compare the files of a tile, full or not, with what the entries give up to ``tile.width``."""
        for stored in self._of.get((tile.level, tile.index), ()):
            if stored.width > tile.width or stored in self._checked:
                continue
            self._checked.add(stored)
            wanted = _first(data, stored)
            try:
                found = (self._root / stored.path()).read_bytes()
            except FileNotFoundError:
                # A full tile has taken its place since the folder was listed; that it has is checked at the end.
                self._checked.discard(stored)
                self._present.pop(stored.path(), None)
                continue
            except OSError as error:
                self._add(None, "tile", f"{self._root / stored.path()} cannot be read: {error.strerror or error}")
                continue
            if found != wanted:
                self._differs(stored, found, wanted)

    def _differs(self, stored: Tile, found: bytes, wanted: bytes) -> None:
        self._add(None, "tile", f"{self._root / stored.path()} is not what the entries give")
        if stored.level == 0 and len(found) == len(wanted) and self._differing is None:
            byte = next(n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
            self._differing = stored.index * tiles.WIDTH + byte // HASH_BYTES

    def _tiles_left(self) -> None:
        for name, tile in self._present.items():
            if tile not in self._checked and not self._done:
                self._add(None, "tile", f"{self._root / name} is no tile of these entries")
        if self.latest is not None and not self._done:
            for tile in _required(self.latest.size):
                full = Tile(tile.level, tile.index, tiles.WIDTH)
                if tile not in self._checked and full not in self._checked:
                    self._add(None, "tile", f"{self._root / tile.path()} is missing")


def _first(data: bytes, stored: Tile) -> bytes:
    """Return the first ``stored.width`` hashes or entries of ``data``."""
    if stored.level is not None:
        return data[: stored.width * HASH_BYTES]
    return tiles.bundle(tiles.unbundle(data)[: stored.width])


def _required(size: int) -> list[Tile]:
    """Return all tiles of a tree of ``size`` entries."""
    required: list[Tile] = []
    level = 0
    while size >> (8 * level):
        whole, rest = divmod(size >> (8 * level), tiles.WIDTH)
        for kind in (level, None) if level == 0 else (level,):
            required += [Tile(kind, index, tiles.WIDTH) for index in range(whole)]
            required += [Tile(kind, whole, rest)] if rest else []
        level += 1
    return required
