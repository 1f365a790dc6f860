# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a repair knows and makes again besides the entries: origin, keys, signed heads, tiles."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..files import make_dirs, write_atomic
from ..locks import hold
from . import canonical, checkpoint, entry, heads, segments, store, tiles, tree
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .description import checked_origin, read_origin
from .entry import Entry
from .errors import LedgerBroken, LedgerError, LedgerMissing
from .kept import KeptHead
from .merkle import leaf_hash

LOCK = "repair.lock"


@dataclass(frozen=True, slots=True)
class Origin:
    """The ledger's origin; ``missing`` when its own ledger.json does not say it."""

    name: str
    missing: bool


def origin_of(folder: Path, copy: Path | None, wanted: str | None) -> Origin:
    """Return the origin of the ledger in ``folder``, or of its ``copy`` when ledger.json is damaged.

    :param wanted: what it has to be.
    :raises LedgerMissing: neither is there.
    :raises LedgerError: it is another one, or the copy is of another ledger or not readable.
    """
    try:
        own = read_origin(folder)
    except LedgerBroken:
        own = ""
    except LedgerMissing:
        # Without entries either there is nothing that could be repaired here; a folder that was lost is.
        own = ""
    copied = _copied_origin(copy) if copy is not None else ""
    found = own or copied
    if not found:
        if wanted is None or not (folder / "entries.jsonl").exists():
            raise LedgerMissing(f"There is neither a ledger at {folder} nor a copy that says of which origin it was.")
        found = checked_origin(wanted)
    if wanted is not None and found != wanted:
        raise LedgerError(f"The ledger at {folder} is of the origin '{found}', not '{wanted}'; nothing was changed.")
    if own and copied and own != copied:
        raise LedgerError(f"{copy} is no copy of {folder}: it is of the origin '{copied}', not '{own}'.")
    return Origin(found, not own)


def origin_of_segment(folder: Path, name: str) -> Origin:
    """Return the origin ``name`` of a later segment in ``folder``."""
    try:
        return Origin(name, read_origin(folder) != name)
    except (LedgerBroken, LedgerMissing):
        return Origin(name, True)


def _copied_origin(copy: Path) -> str:
    if not (copy / "ledger.json").exists():
        raise LedgerMissing(f"There is no copy of a ledger at {copy}; give the folder that evidence_backup keeps.")
    try:
        return read_origin(copy)
    except LedgerBroken:
        return ""


def describe(folder: Path, origin: str) -> None:
    """Write ledger.json."""
    described = canonical.encode({"format": entry.FORMAT, "origin": origin}) + b"\n"
    write_atomic(folder / "ledger.json", described, 0o640)


def keys_of(folder: Path | None) -> tuple[Key, ...]:
    """Return the keys that a ledger names; none when the file is damaged."""
    try:
        return heads.keys(folder) if folder is not None else ()
    except BadCheckpoint:
        return ()


def keys_for(
    root: Path, copy: Path | None, numbers: Sequence[int], number: int, given: Sequence[Key] | None
) -> tuple[Key, ...]:
    """Return the keys that may have signed the segment ``number``: those ``given``, else those that the copy names.

    A key of one segment may sign all; what names none, or cannot be read, is left out.
    """
    own = [segments.place(place, number) for place in (copy, root) if place is not None]
    others = [segments.place(place, one) for place in (copy, root) if place is not None for one in numbers]
    found = tuple(given) if given is not None else next(filter(None, map(keys_of, (*own, *others))), ())
    return tuple(dict.fromkeys(key.of(segments.name(key.name, number)) for key in found))


def keys_damaged(folder: Path, known: Sequence[Key]) -> bool:
    """Whether the file with the keys of a segment cannot be read, or is gone although they are ``known``."""
    try:
        return not heads.keys(folder) and bool(known) and (folder / heads.LATEST).exists()
    except BadCheckpoint:
        return True


def notes(folder: Path) -> Iterator[Path]:
    """Yield the files of all checkpoints."""
    for path in (*sorted((folder / "checkpoints").glob("*")), folder / heads.LATEST):
        if path.is_file() and not path.name.startswith("."):
            yield path


@dataclass(frozen=True, slots=True)
class Whole:
    """The last head of a frozen segment: ``size`` entries with this ``root``, the last of which has this ``hash``.

    ``head`` is its checkpoint, unless no key is known that signed it.
    """

    size: int
    root: bytes
    hash: str
    head: Checkpoint | None

    @classmethod
    def kept(cls, head: KeptHead | None) -> Whole | None:
        """Return it from what Vault keeps; None when that is not the last head of a frozen segment."""
        if head is None or not head.successor:
            return None
        return cls(head.checkpoint.size, head.checkpoint.root, head.hash, head.checkpoint)

    @classmethod
    def named(cls, first: Entry | None, origin: str, keys: Sequence[Key]) -> Whole | None:
        """Return it from the ``first`` entry of the next segment; None when that does not name one of ``origin``.

        With ``keys`` known the checkpoint in it has to be signed by one of them.
        """
        said = first.data if first is not None and first.event == segments.CONTINUED else {}
        try:
            note = str(said["checkpoint"])
            head = checkpoint.parse(note, keys) if keys else checkpoint.unverified(note)
            root = base64.b64decode(said["root"])
        except (KeyError, TypeError, ValueError, BadCheckpoint):
            return None
        if (head.origin, head.size, head.root) != (origin, said.get("size"), root) or not head.size:
            return None
        return cls(head.size, head.root, str(said.get("hash")), head if keys else None)


def is_latest(folder: Path, head: Checkpoint) -> bool:
    """Whether the latest checkpoint in ``folder`` is of ``head``."""
    try:
        found = heads.latest_claimed(folder)
    except BadCheckpoint:
        return False
    return found is not None and (found.size, found.root) == (head.size, head.root)


@dataclass(frozen=True, slots=True)
class Signed:
    """All heads that known keys signed, as far as ledger, copy and Vault have them; ``roots`` by size."""

    roots: Mapping[int, frozenset[bytes]]
    heads: Sequence[Checkpoint]

    @classmethod
    def of(
        cls,
        folders: Sequence[Path],
        keys: Sequence[Key],
        origin: str,
        kept: KeptHead | None,
        whole: Whole | None = None,
    ) -> Signed:
        """Read them; files that no known key signed say nothing. What Vault has counts before all others.

        :param whole: of a frozen segment, for which nothing that is larger counts.
        """
        found: list[Checkpoint] = [kept.checkpoint] if kept else []
        found += [whole.head] if whole and whole.head else []
        known = (*keys, *kept.keys) if kept else keys
        for folder in folders:
            for path in notes(folder):
                try:
                    head = checkpoint.parse(path.read_bytes().decode(), known)
                except (BadCheckpoint, UnicodeDecodeError):
                    continue
                if head.origin == origin:
                    found.append(head)
        roots: dict[int, frozenset[bytes]] = {}
        for head in found:
            roots[head.size] = roots.get(head.size, frozenset()) | {head.root}
        if kept:
            roots |= {size: frozenset({root}) for size, root in kept.history}
            roots[kept.checkpoint.size] = frozenset({kept.checkpoint.root})
        if whole:
            roots = {size: items for size, items in roots.items() if size < whole.size}
            roots[whole.size] = frozenset({whole.root})
        return cls({size: items for size, items in roots.items() if size}, found)

    def holding(self, folder: Path) -> list[Checkpoint]:
        """Return the heads that the entries in ``folder`` lead to, ascending."""
        wanted: dict[int, list[Checkpoint]] = {}
        for head in self.heads:
            wanted.setdefault(head.size, []).append(head)
        tree_, good = tiles.Growing(), []
        with store.opened(folder / "entries.jsonl", write=False) as descriptor:
            for _offset, line in store.lines_from(descriptor, 0, store.whole_size(descriptor)):
                tree_.add_leaves([leaf_hash(line.removesuffix(b"\n"))])
                tree_.take()
                good += [head for head in wanted.get(tree_.size, []) if head.root == tree_.root()]
        return good


def publish(folder: Path, origin: str, good: Sequence[Checkpoint]) -> None:
    """Have all heads of ``good`` beside the entries, the last as the latest, and the tiles of it made anew."""
    for head in good:
        heads.keep(folder, head)
    if good:
        grown = tree.edge(folder, origin, None)
        tree.grow(folder, grown, good[-1].size)
        tree.apply(folder, grown, good[-1])


@contextmanager
def only_one(folder: Path, dry_run: bool) -> Iterator[None]:
    """Hold the lock of a repair, unless nothing is to be written.

    :raises LockHeld: another repair is under way.
    """
    if dry_run:
        yield
        return
    make_dirs(folder, 0o750)
    with hold(folder / LOCK, f"repairing {folder}"):
        yield
