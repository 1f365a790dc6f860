# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a repair knows and makes again besides the entries: origin, keys, signed heads, tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..files import make_dirs, write_atomic
from ..locks import hold
from . import canonical, checkpoint, entry, heads, segments, store, tiles, tree
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .description import checked_origin, read_origin
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


def keys_damaged(folder: Path) -> bool:
    """Whether the file with the ledger's keys cannot be read as such."""
    try:
        heads.keys(folder)
    except BadCheckpoint:
        return True
    return False


def notes(folder: Path) -> Iterator[Path]:
    """Yield the files of all checkpoints."""
    for path in (*sorted((folder / "checkpoints").glob("*")), folder / heads.LATEST):
        if path.is_file() and not path.name.startswith("."):
            yield path


@dataclass(frozen=True, slots=True)
class Signed:
    """All heads that known keys signed, as far as ledger, copy and Vault have them; ``roots`` by size."""

    roots: Mapping[int, frozenset[bytes]]
    heads: Sequence[Checkpoint]

    @classmethod
    def of(cls, folders: Sequence[Path], keys: Sequence[Key], origin: str, kept: KeptHead | None) -> Signed:
        """Read them; files that no known key signed say nothing. What Vault has counts before all others."""
        found: list[Checkpoint] = [kept.checkpoint] if kept else []
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


def require_one_segment(folder: Path, copy: Path | None) -> None:
    """Check that nothing was frozen: segments name each other's heads, so none may give anything up.

    :raises LedgerError: the ledger or its copy has segments.
    """
    for place in (folder, copy):
        if place is not None and segments.numbers(place) != [1]:
            raise LedgerError(
                f"{place} has segments, which are not repaired one by one; put the damaged segment's folder aside, "
                "copy the one of the copy in its place, and run the playbook verify."
            )


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
