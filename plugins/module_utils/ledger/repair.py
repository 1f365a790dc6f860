# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Restore a damaged ledger from its copy, keep what can be proven, and say in an entry what was done and what is lost.

The new ``entries.jsonl`` is made beside the old one, with the entry ``repaired`` as its last line, and takes its place
by one rename: before it the damage is as it was, after it the repair is stated. Objects are restored before,
checkpoints and tiles after that. The damaged files stay, below ``damaged/``. The next run finishes one that was killed.
"""

from __future__ import annotations

import base64
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files
from ..locks import hold
from . import attributes, clock, entry, heads, rederive
from .anchor import BEYOND
from .backup import compare
from .checkpoint import Key
from .diagnosis import AnchorBroken
from .diagnosis import compare as compare_head
from .dropping import excused
from .errors import LedgerBroken, LedgerError
from .guard import check_metadata
from .kept import KeptHead
from .ledger import LOCK_WAIT_SECONDS, Ledger
from .objects import MARK, ObjectRef, Objects, references
from .rederive import Origin, describe, origin_of
from .salvage import REPAIRED, Chain, Salvage
from .tree import TILES
from .verify import Report, verify

FOLDER = "damaged"
LOCK = "repair.lock"
_NEW = "entries.jsonl.repaired"
_NAMESPACE = uuid.UUID("c1f4f1a5-8a30-5b0e-9a4e-2f5e0b1d7c43")
# So many fit into a line.
_MAX_HEADS = 800
# What an append or a checkpoint puts right by itself.
_NO_DAMAGE = frozenset({"torn_tail", "unsigned"})


class LossNotAccepted(LedgerBroken):
    """Entries cannot be restored, and nobody has said that this is to be accepted; ``facts["plan"]`` says which."""


@dataclass(slots=True)
class Repaired:
    """What was, or would be, done.

    ``kept`` entries follow each other, the first ``proven`` of them to a root that was signed; ``from_copy`` were not
    in the ledger any more. ``lost`` are gone; ``doubtful`` sound lines contradict what is kept. ``sequence`` is that of
    the entry ``repaired``, when there is one.
    ``behind`` says that the head in Vault is of entries whose loss is stated already.
    """

    changed: bool = False
    kept: int = 0
    head: str = ""
    proven: int = 0
    from_copy: int = 0
    lost: int = 0
    doubtful: int = 0
    objects: int = 0
    sequence: int | None = None
    set_aside: str = ""
    behind: bool = False
    report: Report = field(default_factory=Report)

    def sentence(self) -> str:
        """Return it in one sentence."""
        if not self.changed and not self.behind:
            if any(problem.kind not in _NO_DAMAGE for problem in self.report.problems):
                return f"Nothing more can be restored. {self.report.sentence()}"
            return f"The ledger is intact, nothing to repair: {self.kept} entries."
        parts = [f"{self.kept} entries are kept, {self.from_copy} of them from the copy"]
        if self.objects:
            parts.append(f"{self.objects} objects are restored from it")
        parts.append(f"{self.lost} entries are lost" if self.lost else "nothing is lost")
        if self.doubtful:
            parts.append(f"{self.doubtful} lines that contradict the copy are not kept")
        return "; ".join(parts) + "."

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        names = ("kept", "head", "proven", "from_copy", "lost", "doubtful", "objects", "sequence", "set_aside")
        return {name: getattr(self, name) for name in names} | {"state": self.report.state}


def repair(
    path: Path | str,
    copy: Path | str | None,
    metadata: Mapping[str, Any],
    *,
    origin: str | None = None,
    keys: Sequence[Key] | None = None,
    head: KeptHead | None = None,
    accept_loss: bool = False,
    dry_run: bool = False,
) -> Repaired:
    """Repair the ledger in the folder ``path`` from its ``copy``.

    :param keys: the keys that may have signed it; by default those that the copy names, or without any the ledger.
    :param head: what Vault keeps, when it is known.
    :param accept_loss: whether entries that cannot be restored may be given up.
    :raises EntryRefused: ``metadata`` lacks what every entry needs.
    :raises LossNotAccepted: there are such, and they may not; nothing was written.
    :raises LedgerError: the copy is of another ledger, or something cannot be read or written.
    :raises LockHeld: another repair is under way.
    """
    check_metadata(metadata)
    folder = Path(path)
    second = None if copy is None else Path(copy)
    try:
        found = origin_of(folder, second, origin)
        with _only_one(folder, dry_run):
            return _Repair(folder, second, found, metadata, keys, head, accept_loss).run(dry_run)
    except OSError as error:
        raise LedgerError(
            f"Cannot repair {folder}: {error.filename or ''} {error.strerror or error}; what was there is still there."
        ) from error


@contextmanager
def _only_one(folder: Path, dry_run: bool) -> Iterator[None]:
    if dry_run:
        yield
        return
    files.make_dirs(folder, 0o750)
    with hold(folder / LOCK, f"repairing {folder}"):
        yield


class _Repair:
    """One run; the caller holds the lock of repairs."""

    def __init__(
        self,
        folder: Path,
        copy: Path | None,
        origin: Origin,
        metadata: Mapping[str, Any],
        keys: Sequence[Key] | None,
        head: KeptHead | None,
        accept_loss: bool,
    ) -> None:
        self.folder, self.copy, self.origin = folder, copy, origin
        self.metadata, self.head, self.accept_loss = metadata, head, accept_loss
        self.keys = tuple(keys) if keys is not None else rederive.keys_of(copy) or rederive.keys_of(folder)
        self.signed = rederive.Signed.of([folder] if copy is None else [folder, copy], self.keys, origin.name, head)
        self.objects = Objects(folder / "objects" / "sha256")
        self.aside = folder / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
        self.bad_keys = rederive.keys_damaged(folder)
        self.done = Repaired()

    def run(self, dry_run: bool) -> Repaired:
        if self._sound():
            return self.done
        salvage = Salvage(self.folder, self.copy, self.origin.name, self.signed.roots)
        try:
            chain = salvage.best()
            rewrite = self._plan(salvage, chain)
            if dry_run:
                return self.done
            if (self.done.lost or self.done.doubtful or self.done.behind) and not self.accept_loss:
                raise LossNotAccepted(f"{self._loss(chain)} {self.folder} is as it was.", plan=self.done.as_dict())
            self._restore_objects(salvage, chain)
            if rewrite:
                self._replace(salvage, chain)
        finally:
            salvage.close()
        if self.origin.missing:
            self._set_aside("ledger.json")
            describe(self.folder, self.origin.name)
        self._rederive()
        return self.done

    def _sound(self) -> bool:
        """Whether there is nothing to repair, as far as ledger, copy and Vault show."""
        report = self._verify()
        self.done.kept, self.done.head = report.size, report.head or ""
        if self.origin.missing or self.bad_keys or any(problem.kind not in _NO_DAMAGE for problem in report.problems):
            return False
        if self.copy is not None and compare(self.folder, self.copy) is not None:
            return False
        return not self._behind()

    def _verify(self) -> Report:
        self.done.report = verify(self.folder, self.origin.name, keys=self.keys or None)
        return self.done.report

    def _behind(self) -> bool:
        """Whether Vault keeps the head of other entries, or of more, than there are."""
        if self.head is None:
            return False
        try:
            compare_head(Ledger(self.folder, self.origin.name), self.head, self.keys)
        except AnchorBroken as error:
            return error.kind in BEYOND
        except LedgerBroken:
            return True
        return False

    def _plan(self, salvage: Salvage, chain: Chain) -> bool:
        """Note what is to be done; return whether the entries have to be written anew."""
        done = self.done
        same = self._same(salvage, chain)
        rewrite = not same or chain.lost > 0
        done.kept, done.head, done.proven = chain.kept, chain.head, chain.proven
        done.from_copy = chain.kept - chain.from_ledger
        done.lost, done.doubtful = chain.lost, chain.doubtful if rewrite else 0
        done.objects = sum(1 for _reference in self._restorable(salvage, chain))
        # A loss that an entry states already has still to reach Vault.
        done.behind = not rewrite and self._behind()
        done.changed = bool(rewrite or done.objects or self.origin.missing or self.bad_keys or _derived(done.report))
        done.sequence = chain.kept if rewrite else None
        return rewrite

    def _same(self, salvage: Salvage, chain: Chain) -> bool:
        path = self.folder / "entries.jsonl"
        if not path.exists():
            return False
        with path.open("rb") as stream:
            for line in salvage.written(chain):
                if stream.read(len(line) + 1) != line + b"\n":
                    return False
            return stream.tell() == salvage.lines[0].whole

    def _loss(self, chain: Chain) -> str:
        if chain.lost:
            what = f"Entries {chain.kept} to {chain.expected - 1} of '{self.origin.name}' can be restored from nowhere"
        elif chain.doubtful:
            what = (
                f"{chain.doubtful} sound lines of '{self.origin.name}' contradict the copy after entry "
                f"{chain.proven - 1}, and nothing signed says which are right"
            )
        else:
            what = f"Vault keeps the head of entries of '{self.origin.name}' that were lost"
        return f"{what}; find out why, then run this again with accept_loss."

    # --- objects ---

    def _restorable(self, salvage: Salvage, chain: Chain) -> Iterator[ObjectRef]:
        """Yield what the entries refer to, the ledger does not have, and the copy has."""
        if self.copy is None:
            return
        second, seen = Objects(self.copy / "objects" / "sha256"), set(self._dropped(salvage, chain))
        for line in salvage.written(chain):
            if MARK not in line:
                continue
            for reference in references(entry.parse(line).data):
                if reference["sha256"] in seen:
                    continue
                seen.add(reference["sha256"])
                if self.objects.problem(reference) and second.problem(reference) is None:
                    yield reference

    def _dropped(self, salvage: Salvage, chain: Chain) -> set[str]:
        """Return what retention dropped: a run of it that was killed may have left it in the copy."""
        missing = {
            one["sha256"]
            for line in salvage.written(chain)
            if MARK in line
            for one in references(entry.parse(line).data)
            if not self.objects.path(one["sha256"]).exists()
        }
        return excused(salvage.written(chain), missing) if missing else set()

    def _restore_objects(self, salvage: Salvage, chain: Chain) -> None:
        for reference in self._restorable(salvage, chain):
            path = self.objects.path(reference["sha256"])
            if path.exists():
                self._set_aside(path.relative_to(self.folder).as_posix())
            if self.copy is not None:
                self.objects.put_file(Objects(self.copy / "objects" / "sha256").path(reference["sha256"]))

    # --- entries ---

    def _replace(self, salvage: Salvage, chain: Chain) -> None:
        path, new = self.folder / "entries.jsonl", self.folder / _NEW
        with hold(self.folder / "lock", f"repairing {self.folder}", LOCK_WAIT_SECONDS):
            size = path.stat().st_size if path.exists() else None
            if (size or 0) != salvage.lines[0].size:
                raise LedgerError(f"{path} was written to while it was looked at; run this again.")
            said = self._entry(chain, path, size)
            try:
                self._write(new, salvage, chain, said)
                with attributes.unprotected(self.folder):
                    if size is not None:
                        self._keep(path, new)
                    new.replace(path)
                    files.sync_directory(self.folder)
            finally:
                new.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "index", ignore_errors=True)
        self.done.sequence = said.sequence
        self.done.set_aside = "" if size is None else self._name()

    def _entry(self, chain: Chain, path: Path, size: int | None) -> entry.Entry:
        """Return the entry that says what was done, sealed as the next of the chain."""
        data: dict[str, Any] = {
            "event": REPAIRED,
            "kept": chain.kept,
            "head": chain.head,
            "proven": chain.proven,
            "from_copy": self.done.from_copy,
            "doubtful": self.done.doubtful,
            "objects": self.done.objects,
            "lost": self._lost(chain),
        }
        if size is not None:
            data["set_aside"] = f"{self._name()}/entries.jsonl"
            data["bytes"], data["sha256"] = size, files.sha256_file(path)
        identity = uuid.uuid5(_NAMESPACE, f"{chain.kept} {chain.head} {data.get('sha256')}")
        return entry.seal(
            sequence=chain.kept,
            id=str(identity),
            timestamp=clock.stamp(clock.now(), chain.timestamp or None),
            type="validation",
            data=data,
            metadata=self.metadata,
            previous_hash=chain.head,
        )

    def _lost(self, chain: Chain) -> dict[str, Any] | None:
        if not chain.lost:
            return None
        lost: dict[str, Any] = {"from": chain.kept, "to": chain.expected - 1, "count": chain.lost}
        signed = [(size, root) for size in sorted(self.signed.roots) for root in sorted(self.signed.roots[size])]
        beyond = [[size, base64.b64encode(root).decode()] for size, root in signed if size > chain.kept]
        if beyond:
            lost["heads"] = beyond[-_MAX_HEADS:]
        if self.copy is not None and (self.copy / "entries.jsonl").is_file():
            lost["copy"] = files.sha256_file(self.copy / "entries.jsonl")
        return lost

    def _write(self, new: Path, salvage: Salvage, chain: Chain, said: entry.Entry) -> None:
        with new.open("wb") as stream:
            for line in salvage.written(chain):
                stream.write(line + b"\n")
            stream.write(said.line + b"\n")
            stream.flush()
            os.fchmod(stream.fileno(), 0o640)
            os.fsync(stream.fileno())

    def _keep(self, path: Path, new: Path) -> None:
        """Have the damaged file below ``damaged/`` as well; the new one gets its owner."""
        files.make_dirs(self.aside, 0o750)
        kept = self.aside / path.name
        try:
            os.link(path, kept)
        except OSError:  # A filesystem without hard links.
            shutil.copy2(path, kept)
            with kept.open("rb") as stream:
                os.fsync(stream.fileno())
        owner = path.stat()
        with suppress(PermissionError):
            os.chown(new, owner.st_uid, owner.st_gid)
        files.sync_directory(self.aside)
        files.sync_directory(self.aside.parent)

    def _name(self) -> str:
        return self.aside.relative_to(self.folder).as_posix()

    def _set_aside(self, name: str) -> None:
        """Move the file or folder ``name`` of the ledger below ``damaged/``."""
        path, kept = self.folder / name, self.aside / name
        if path.exists():
            files.make_dirs(kept.parent, 0o750)
            path.replace(kept)
            files.sync_directory(kept.parent)
            files.sync_directory(path.parent)
            self.done.set_aside = self._name()

    # --- what is derived ---

    def _rederive(self) -> None:
        """Make checkpoints and tiles again where they do not fit the entries."""
        if self.bad_keys:
            self._set_aside("keys")
            for key in self.keys:
                heads.add_key(self.folder, key)
        if not _derived(self._verify()):
            return
        with hold(self.folder / "checkpoint.lock", f"repairing {self.folder}", LOCK_WAIT_SECONDS):
            good = self.signed.holding(self.folder)
            for path in rederive.notes(self.folder):
                if path.read_bytes() not in (head.note.encode() for head in good):
                    self._set_aside(path.relative_to(self.folder).as_posix())
            self._set_aside(TILES)
            rederive.publish(self.folder, self.origin.name, good)
        self._verify()


def _derived(report: Report) -> bool:
    """Whether something else than objects is wrong: after the entries were put right, what is derived from them."""
    return any(p.kind not in _NO_DAMAGE and not p.kind.startswith("object_") for p in report.problems)
