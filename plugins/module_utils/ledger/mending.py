# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repair one segment of a ledger: what :mod:`repair` does for each that needs it.

The new ``entries.jsonl`` is made beside the old one and takes its place by one rename. In the segment that takes
entries the entry ``repaired`` is its last line; of a frozen one, which takes none, a later segment speaks before that.
"""

from __future__ import annotations

import base64
import os
import shutil
import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files
from ..locks import hold
from . import attributes, clock, entry, heads, rederive, segments, store
from .anchor import BEYOND
from .backup import compare_segment
from .diagnosis import AnchorBroken
from .diagnosis import compare as compare_head
from .entry import Entry
from .errors import LedgerBroken, LedgerError
from .ledger import LOCK_WAIT_SECONDS, Ledger
from .losses import REPAIRED
from .objects import ObjectRef, Objects
from .parts import Known, Mended, Part, restorable
from .salvage import Chain, Salvage
from .segments import Shared
from .tree import TILES
from .verify import Report, verify_segment

FOLDER = "damaged"
_NEW = "entries.jsonl.repaired"
_NAMESPACE = uuid.UUID("c1f4f1a5-8a30-5b0e-9a4e-2f5e0b1d7c43")
# So many fit into a line.
_MAX_HEADS = 800
# What an append or a checkpoint puts right by itself; of a frozen segment nothing is.
_NO_DAMAGE = frozenset({"torn_tail", "unsigned"})


class Mending:
    """The repair of one segment; the caller holds the lock of repairs. Close it after use."""

    def __init__(self, part: Part, known: Known, metadata: Mapping[str, Any]) -> None:
        self.part, self.known, self.metadata = part, known, metadata
        self.folder, self.copy, self.origin = part.folder, part.copy, known.origin
        self.frozen = part.frozen
        folders = [part.folder] if part.copy is None else [part.folder, part.copy]
        self.signed = rederive.Signed.of(folders, known.keys, known.origin.name, known.head, known.whole)
        self.objects = Objects(part.objects)
        self.aside = part.folder / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
        self.bad_keys = rederive.keys_damaged(part.folder, known.keys)
        self.done = Mended(segment=part.number)
        self.chain = Chain()
        self.rewrite = False
        self._salvage: Salvage | None = None

    def close(self) -> None:
        if self._salvage is not None:
            self._salvage.close()

    def plan(self) -> None:
        """Find out what is to be done, as :attr:`done` says then; nothing is written.

        :raises OSError: a file cannot be read.
        """
        if self._sound():
            return
        size = self.known.whole.size if self.known.whole else None
        self._salvage = Salvage(self.folder, self.copy, self.origin.name, self.signed.roots, size)
        done, chain = self.done, self._salvage.best()
        self.chain = chain
        stated = self.known.stated
        given_up = stated is not None and (stated.kept, stated.head) == (chain.kept, chain.head)
        self.rewrite = not self._same() or (chain.lost > 0 and not given_up)
        done.kept, done.head, done.proven = chain.kept, chain.head, chain.proven
        done.from_copy = chain.kept - chain.from_ledger
        done.lost, done.doubtful = self._lost_now(), chain.doubtful if self.rewrite else 0
        done.objects = sum(1 for _reference in self._restorable())
        # A loss that an entry states already has still to reach Vault.
        done.behind = not self.rewrite and self._behind()
        derived = _derived(done.report, self.frozen and not chain.lost) or self._other_head()
        done.changed = bool(self.rewrite or done.objects or self.origin.missing or self.bad_keys or derived)

    def first(self) -> Entry | None:
        """Return the first entry that is kept."""
        if self._salvage is not None:
            line = next(self._salvage.written(self.chain), None) if self.chain.kept else None
        else:
            with store.opened(self.folder / "entries.jsonl", write=False) as descriptor:
                line = store.line_at(descriptor, 0) if store.whole_size(descriptor) else None
        return entry.parse(line) if line is not None else None

    @property
    def successor(self) -> str:
        """The origin of the segment for which its last entry, as far as it is kept, freezes this one."""
        if self._salvage is not None:
            return self.chain.successor
        last = Ledger(self.folder, self.origin.name).last()
        return segments.successor_of(last) if last is not None else ""

    def last_time(self) -> str:
        """Return the timestamp of the last entry that is kept."""
        if self._salvage is not None:
            return self.chain.timestamp
        last = Ledger(self.folder, self.origin.name).last()
        return last.timestamp if last is not None else ""

    @property
    def nothing(self) -> bool:
        """Whether no entry is kept, and none is known to be lost."""
        return self._salvage is not None and not self.chain.kept and not self.chain.lost

    def missing(self) -> str:
        """Return which entries can be restored from nowhere, or are in doubt."""
        chain = self.chain
        if self.done.lost:
            return f"Entries {chain.kept} to {chain.expected - 1} of '{self.origin.name}' can be restored from nowhere"
        return (
            f"{self.done.doubtful} sound lines of '{self.origin.name}' contradict the copy after entry "
            f"{chain.proven - 1}, and nothing signed says which are right"
        )

    def objects_first(self) -> None:
        """Restore the objects that its entries refer to."""
        if not self.done.changed or self._salvage is None:
            return
        for reference in self._restorable():
            path = self.objects.path(reference["sha256"])
            if path.exists():
                self._set_aside(path, f"objects/sha256/{path.parent.name}/{path.name}")
            if self.part.copied_objects is not None:
                self.objects.put_file(Objects(self.part.copied_objects).path(reference["sha256"]))

    def entries(self, begin: Entry | None = None) -> int | None:
        """Put the entries right; return the sequence of the entry that says so, if one does.

        :param begin: the first entry of a segment that is begun again.
        """
        if not self.rewrite or self._salvage is None:
            return None
        said: Entry | None = None
        path, new = self.folder / "entries.jsonl", self.folder / _NEW
        files.make_dirs(self.folder, 0o750)
        with hold(self.folder / "lock", f"repairing {self.folder}", LOCK_WAIT_SECONDS):
            size = path.stat().st_size if path.exists() else None
            if (size or 0) != self._salvage.lines[0].size:
                raise LedgerError(f"{path} was written to while it was looked at; run this again.")
            if not self.frozen and not self.chain.successor:
                said = self._entry(begin, self._data())
            try:
                self._write(new, [one for one in (begin, said) if one is not None])
                with attributes.unprotected(self.folder):
                    if size is not None:
                        self._keep(path, new)
                    new.replace(path)
                    files.sync_directory(self.folder)
            finally:
                new.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "index", ignore_errors=True)
        self.done.set_aside = "" if size is None else self._name()
        return said.sequence if said is not None else None

    def state(self, current: Ledger) -> int | None:
        """Have the segment that takes entries say what is done to this frozen one; return the sequence, if it does."""
        if not self.rewrite:
            return None
        data = {"segment": self.part.number, **self._data()}
        identity = str(
            uuid.uuid5(_NAMESPACE, f"{self.origin.name} {self.chain.kept} {data['head']} {data.get('sha256')}")
        )
        known = current.find(identity)
        if known is None:
            event = data.pop("event")
            known = current.append(type="validation", event=event, data=data, metadata=self.metadata, id=identity).entry
        elif name := known.data.get("set_aside"):
            self.aside = self.folder / Path(str(name)).parent  # Where the run that was killed had begun to.
        return known.sequence

    def derive(self) -> None:
        """Make ledger.json, keys, checkpoints and tiles again where they do not fit the entries."""
        if not self.done.changed:
            return
        if self.origin.missing:
            self._set_aside(self.folder / "ledger.json")
            rederive.describe(self.folder, self.origin.name)
        if self.bad_keys:
            self._set_aside(self.folder / "keys")
        if self.bad_keys or (self.frozen and not rederive.keys_of(self.folder)):
            for key in self.known.keys:
                heads.add_key(self.folder, key)
        if not _derived(self._verify(), self.frozen and not self.chain.lost) and not self._other_head():
            return
        with hold(self.folder / "checkpoint.lock", f"repairing {self.folder}", LOCK_WAIT_SECONDS):
            good = self.signed.holding(self.folder)
            for path in rederive.notes(self.folder):
                if path.read_bytes() not in (head.note.encode() for head in good):
                    self._set_aside(path)
            self._set_aside(self.folder / TILES)
            rederive.publish(self.folder, self.origin.name, good)

    # --- what there is ---

    def _sound(self) -> bool:
        """Whether there is nothing to repair, as far as the segment, its copy and Vault show."""
        report = self._verify()
        self.done.kept, self.done.head = report.size, report.head or ""
        if self.origin.missing or self.bad_keys or _damaged(report, self.frozen):
            return False
        if self.known.whole is not None:
            # Its head fixes all of it, whatever the copy has.
            return (report.size, report.head) == (
                self.known.whole.size,
                self.known.whole.hash,
            ) and not self._other_head()
        if self.copy is not None and compare_segment(self.folder, self.copy) is not None:
            return False
        return not self._behind()

    def _verify(self) -> Report:
        shared = Shared(self.objects, set(), array("q"), self.part.later)
        self.done.report = verify_segment(self.folder, self.origin.name, keys=self.known.keys or None, shared=shared)
        return self.done.report

    def _behind(self) -> bool:
        """Whether Vault keeps the head of other entries, or of more, than there are."""
        head = self.known.head
        if head is None:
            return False
        if self.frozen:
            return self.chain.lost > 0 and not head.own_loss
        try:
            compare_head(Ledger(self.folder, self.origin.name), head, self.known.keys)
        except AnchorBroken as error:
            return error.kind in BEYOND
        except LedgerBroken:
            return True
        return False

    def _other_head(self) -> bool:
        """Whether the last checkpoint of a frozen segment that is whole is not beside it."""
        whole = self.known.whole
        if whole is None or whole.head is None or self.chain.lost:
            return False
        return not rederive.is_latest(self.folder, whole.head)

    def _same(self) -> bool:
        path = self.folder / "entries.jsonl"
        if not path.exists() or self._salvage is None:
            return False
        lines = self._salvage.lines[0]
        with path.open("rb") as stream:
            for line in self._salvage.written(self.chain):
                if stream.read(len(line) + 1) != line + b"\n":
                    return False
            # Nothing sets aside what follows the last line of a frozen segment.
            return stream.tell() == (lines.size if self.frozen or self.chain.successor else lines.whole)

    def _lost_now(self) -> int:
        """Return how many entries are lost besides those that were given up before."""
        chain, stated = self.chain, self.known.stated
        if stated is None or not self.frozen:
            return chain.lost
        return max(0, stated.kept - chain.kept)

    # --- objects ---

    def _restorable(self) -> Iterator[ObjectRef]:
        """Yield what the entries refer to, the ledger does not have, and the copy has."""
        if self.part.copied_objects is None or self._salvage is None:
            return
        salvage, chain = self._salvage, self.chain
        copied = Objects(self.part.copied_objects)
        yield from restorable(lambda: salvage.written(chain), self.objects, copied, self.part.later)

    # --- entries ---

    def _data(self) -> dict[str, Any]:
        """Return what is said of it."""
        chain, path = self.chain, self.folder / "entries.jsonl"
        data: dict[str, Any] = {
            "event": REPAIRED,
            "kept": chain.kept,
            "head": chain.head,
            "proven": chain.proven,
            "from_copy": self.done.from_copy,
            "doubtful": self.done.doubtful,
            "objects": self.done.objects,
            "lost": self._lost(),
        }
        if path.exists():
            data["set_aside"] = f"{self._name()}/entries.jsonl"
            data["bytes"], data["sha256"] = path.stat().st_size, files.sha256_file(path)
        return data

    def _entry(self, begin: Entry | None, data: dict[str, Any]) -> Entry:
        """Return the entry that says what was done, sealed as the next of the chain."""
        identity = uuid.uuid5(_NAMESPACE, f"{data['kept']} {data['head']} {data.get('sha256')}")
        last = begin.timestamp if begin is not None else self.chain.timestamp
        return entry.seal(
            sequence=self.chain.kept if begin is None else 1,
            id=str(identity),
            timestamp=clock.stamp(clock.now(), last or None),
            type="validation",
            data=data,
            metadata=self.metadata,
            previous_hash=self.chain.head if begin is None else begin.hash,
        )

    def _lost(self) -> dict[str, Any] | None:
        chain = self.chain
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

    def _write(self, new: Path, more: Sequence[Entry]) -> None:
        with new.open("wb") as stream:
            for line in self._salvage.written(self.chain) if self._salvage is not None else ():
                stream.write(line + b"\n")
            for one in more:
                stream.write(one.line + b"\n")
            stream.flush()
            os.fchmod(stream.fileno(), 0o640)
            os.fsync(stream.fileno())

    def _keep(self, path: Path, new: Path) -> None:
        """Have the damaged file below ``damaged/`` as well; the new one gets its owner."""
        files.make_dirs(self.aside, 0o750)
        kept = self.aside / path.name
        try:
            os.link(path, kept)
        except OSError:  # A filesystem without hard links, or a run that was killed has done so.
            if not (kept.exists() and kept.samefile(path)):
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

    def _set_aside(self, path: Path, name: str = "") -> None:
        """Move a file or folder below ``damaged/``, there under its ``name`` in the segment."""
        kept = self.aside / (name or path.relative_to(self.folder).as_posix())
        if path.exists():
            files.make_dirs(kept.parent, 0o750)
            path.replace(kept)
            files.sync_directory(kept.parent)
            files.sync_directory(path.parent)
            self.done.set_aside = self._name()


def _damaged(report: Report, frozen: bool) -> bool:
    return any(frozen or problem.kind not in _NO_DAMAGE for problem in report.problems)


def _derived(report: Report, whole: bool) -> bool:
    """Whether something else than objects is wrong: after the entries were put right, what is derived from them."""
    return any(
        (whole or problem.kind not in _NO_DAMAGE) and not problem.kind.startswith("object_")
        for problem in report.problems
    )
