# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the entries to their tree: grow it over the lines that are new, and check its right edge.

The chain is followed in the same pass and over the same bytes as the tree: neither is believed apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import checkpoint, entry, heads, merkle, segments, store, tiles
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .entry import BadLine, Entry
from .errors import LedgerBroken
from .following import Follower

TILES = "tile"


class EdgeBroken(LedgerBroken):
    """The entries are not what was signed; ``kind`` is ``cut``, ``rewritten`` or ``tile``."""

    def __init__(self, kind: str, message: str, sequence: int | None) -> None:
        super().__init__(message, sequence=sequence)
        self.kind = kind


@dataclass(slots=True)
class Grown:
    """A tree of all entries up to ``offset`` bytes; ``hash`` is that of the last entry.

    ``successor`` is the origin of the next segment when the last entry froze this one.
    """

    tree: tiles.Growing
    offset: int
    hash: str
    successor: str = ""


def edge(folder: Path, origin: str, head: Checkpoint | None) -> Grown:
    """Return the tree that ``head`` is of, after checking its right edge against the entries: O(log n) reads.

    :param head: the published checkpoint; None for the tree before the first entry.
    :raises EdgeBroken: the last entry of it is not where it was, the tiles are not those of ``head``, or the file
        has fewer entries.
    """
    if head is None or head.size == 0:
        return Grown(tiles.Growing(), 0, entry.genesis_hash(origin))
    path = folder / "entries.jsonl"
    try:
        line, offset = _line(path, head.size - 1)
    except _Absent as error:
        if error.have is None:
            raise _rewritten(head, str(error)) from error
        raise EdgeBroken("cut", _cut(folder, error.have, head.size), error.have) from error
    tree = _stored(folder, head, line)
    try:
        last = entry.parse(line)
    except BadLine as error:
        raise _rewritten(head, str(error)) from error
    return Grown(tree, offset, last.hash, segments.successor_of(last))


def check_edge(folder: Path, origin: str) -> None:
    """Check that the entries reach the latest checkpoint, and its last entry is the one that was signed.

    Missing or damaged tiles say nothing about the entries; a full verification reports them.

    :raises LedgerBroken: they do not.
    """
    try:
        edge(folder, origin, heads.latest_claimed(folder))
    except EdgeBroken as error:
        if error.kind != "tile":
            raise
    except BadCheckpoint as error:
        # An exception of ours, which pylint does not see; below, too.
        raise LedgerBroken(  # pylint: disable=bad-exception-cause
            f"The checkpoint of {folder} does not hold: {error}", sequence=None
        ) from error


def grow(folder: Path, grown: Grown, size: int | None = None, write: bool = True) -> None:
    """Add the entries after ``grown`` to it, all that are whole or up to ``size`` of them, and follow the chain.

    Tiles that become full are written unless ``write`` is false: they are the same whoever makes them, and nothing
    refers to them yet.

    :raises LedgerBroken: an entry does not hold, or there are fewer than ``size``.
    """
    path, chain = folder / "entries.jsonl", Follower(grown.tree.size, grown.hash)
    end = store.settled_size(folder / "lock", path)
    with store.opened(path, write=False) as descriptor:
        for group in store.line_groups(descriptor, grown.offset, end):
            lines = group if size is None else group[: size - grown.tree.size]
            if not lines:
                break
            _follow(folder, grown, chain, lines)
            grown.tree.add(lines)
            grown.offset += sum(map(len, lines)) + len(lines)
            full = grown.tree.take()
            if full and write:
                tiles.write(folder / TILES, full)
    if size is not None and grown.tree.size < size:
        raise EdgeBroken("cut", _cut(folder, grown.tree.size, size), grown.tree.size)


def _follow(folder: Path, grown: Grown, chain: Follower, lines: Sequence[bytes]) -> None:
    """Follow the chain over ``lines``, which come after ``grown``."""
    # Few entries freeze a ledger; those that might are looked at one by one, to know whether one is the last.
    if grown.successor or segments.MARK in b"\n".join(lines) or not chain.follow(lines):
        for number, line in enumerate(lines, chain.size):
            try:
                found = chain.take(line)
                if grown.successor:
                    raise BadLine("frozen", "it follows the entry that froze the ledger")
            except BadLine as error:
                raise LedgerBroken(
                    f"Entry {number} of {folder} does not hold: {error}. Run the playbook verify.", sequence=number
                ) from error
            grown.successor = segments.successor_of(found)
    grown.hash = chain.hash


def apply(folder: Path, grown: Grown, head: Checkpoint) -> None:
    """Write the tiles at the right edge of ``head`` and make it the latest checkpoint.

    :raises EdgeBroken: ``grown`` is not the tree that ``head`` is of.
    """
    if grown.tree.size != head.size or grown.tree.root() != head.root:
        raise _rewritten(head, "the entries have another root")
    tiles.write(folder / TILES, grown.tree.edge())
    heads.publish(folder, head)
    tiles.drop_partial(folder / TILES, _full_below(folder, head.size))


def first_difference(folder: Path, head: Checkpoint, keys: Iterable[Key], known: Mapping[int, bytes]) -> int:
    """Return the first entry that is not what ``head`` was signed over.

    Exact while the tiles are those of ``head``; otherwise the size of the last older head that holds, which is as far
    as anything can be proven.

    :param keys: keys whose signature is believed on the checkpoints that are here.
    :param known: size → root of older heads that are kept elsewhere.
    """
    stored = tiles.Tiles(folder / TILES, head.size)
    sound = _sound(stored, head)
    older = {**_older_roots(folder, keys), **known}
    proven, tree = 0, tiles.Growing()
    path = folder / "entries.jsonl"
    with store.opened(path, write=False) as descriptor:
        end = store.settled_size(folder / "lock", path)
        for line in (line for group in store.line_groups(descriptor, 0, end) for line in group):
            if tree.size >= head.size or len(line) > entry.MAX_LINE_BYTES:
                break
            leaf = merkle.leaf_hash(line)
            if sound and leaf != stored.read(0, tree.size):
                return tree.size
            tree.add_leaves([leaf])
            tree.take()
            if older.get(tree.size) == tree.root():
                proven = tree.size
    return tree.size if sound else proven


def _older_roots(folder: Path, keys: Iterable[Key]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    known = tuple(keys)
    for _path, text in heads.notes(folder):
        try:
            older = checkpoint.parse(text, known)
        except BadCheckpoint:
            continue
        found[older.size] = older.root
    return found


def line_of(folder: Path, sequence: int) -> Entry:
    """Return the entry ``sequence``, found by halving the file.

    :raises LedgerBroken: it is not there or not sound.
    """
    try:
        return entry.parse(_line(folder / "entries.jsonl", sequence)[0])
    except (BadLine, _Absent) as error:
        raise LedgerBroken(f"Entry {sequence} of {folder} cannot be read: {error}.", sequence=sequence) from error


class _Absent(Exception):
    """The line is not where it belongs; ``have`` is how many entries there are, None when they are not in order."""

    def __init__(self, message: str, have: int | None) -> None:
        super().__init__(message)
        self.have = have


def _sound(stored: tiles.Tiles, head: Checkpoint) -> bool:
    try:
        return merkle.root_hash(head.size, stored.read) == head.root
    except tiles.BadTile:
        return False


def _full_below(folder: Path, size: int) -> Iterator[tiles.Tile]:
    """Yield the full tiles beside which partial ones are left."""
    for _name, tile in tiles.found(folder / TILES):
        if tile is None or tile.width == tiles.WIDTH:
            continue
        if (tile.index + 1) * tiles.WIDTH <= size >> (8 * (tile.level or 0)):
            yield tiles.Tile(tile.level, tile.index, tiles.WIDTH)


def _stored(folder: Path, head: Checkpoint, line: bytes) -> tiles.Growing:
    stored = tiles.Tiles(folder / TILES, head.size)
    try:
        tree = tiles.Growing.resume(stored)
        last = stored.read(0, head.size - 1)
    except tiles.BadTile as error:
        raise EdgeBroken("tile", str(error), None) from error  # pylint: disable=bad-exception-cause
    if tree.root() != head.root:
        raise EdgeBroken("tile", f"The tiles below {folder / TILES} are not those of the checkpoint.", None)
    if last != merkle.leaf_hash(line):
        raise _rewritten(head, "the last entry that was signed is another one")
    return tree


def _line(path: Path, wanted: int) -> tuple[bytes, int]:
    """Return the entry ``wanted`` and the offset after it."""
    with store.opened(path, write=False) as descriptor:
        end = store.whole_size(descriptor)
        found = store.locate(descriptor, wanted, end)
        last = store.last_line(descriptor, end)
    if found is not None:
        offset, line = found
        return line, offset + len(line) + 1
    number = store.sequence_of(last) if last is not None else -1
    # An older last entry: what is missing was cut off.
    raise _Absent("it is not where it belongs", number + 1 if number is not None and number < wanted else None)


def _cut(folder: Path, have: int, signed: int) -> str:
    return (
        f"The ledger at {folder} has {have} entries, but its checkpoint was signed over {signed}: entries {have} to "
        f"{signed - 1} were cut off. Restore them from the backup."
    )


def _rewritten(head: Checkpoint, why: str) -> EdgeBroken:
    return EdgeBroken(
        "rewritten",
        f"The entries are not those that the checkpoint of {head.size} entries was signed over: {why}. "
        "Run the playbook verify.",
        None,
    )
