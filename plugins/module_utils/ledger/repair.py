# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Restore a damaged ledger from its copy, keep what can be proven, and say in an entry what was done and what is lost.

Segments are looked at from the last to the first: the first entry of each names the head of the one before, which fixes
every byte of that. Objects are restored first, then the segment that takes entries is put right, which says what was
done: by one rename, before it the damage is as it was. Then it speaks of each frozen segment, and that is put right.
The damaged files stay, below ``damaged/``. The next run finishes one that was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files
from . import attributes, clock, freezing, link, losses, rederive, segments, store
from .anchor import BEYOND
from .backup import compare
from .checkpoint import Key
from .diagnosis import AnchorBroken
from .diagnosis import compare as compare_head
from .entry import Entry
from .errors import LedgerBroken, LedgerError
from .guard import check_metadata
from .kept import KeptHead
from .ledger import Ledger
from .mending import FOLDER, Mending
from .parts import Counts, Known, Mended, Part
from .rederive import Origin, Whole
from .verify import Report
from .whole import verify

# What an append, a checkpoint or a freeze puts right by itself, in the last segment.
_NO_DAMAGE = frozenset({"torn_tail", "unsigned", "not_continued"})


class LossNotAccepted(LedgerBroken):
    """Entries cannot be restored, and nobody has said that this is to be accepted; ``facts["plan"]`` says which."""


@dataclass(slots=True)
class Repaired(Counts):
    """The same over all ``segments``.

    ``sequence`` is that of the last entry ``repaired``, when there is one. ``parts`` are the segments that were
    damaged; ``planted`` folders are no segments of this ledger, and set aside.
    """

    sequence: int | None = None
    segments: int = 1
    parts: list[Mended] = field(default_factory=list)
    planted: list[int] = field(default_factory=list)

    def sentence(self) -> str:
        """Return it in one sentence."""
        where = f" in {self.segments} segments" if self.segments > 1 else ""
        if not self.changed and not self.behind:
            if any(problem.kind not in _NO_DAMAGE for problem in self.report.problems):
                return f"Nothing more can be restored. {self.report.sentence()}"
            return f"The ledger is intact, nothing to repair: {self.kept} entries{where}."
        parts = [f"{self.kept} entries{where} are kept, {self.from_copy} of them from the copy"]
        if self.objects:
            parts.append(f"{self.objects} objects are restored from it")
        parts.append(f"{self.lost} entries are lost" if self.lost else "nothing is lost")
        if self.doubtful:
            parts.append(f"{self.doubtful} lines that contradict the copy are not kept")
        if self.planted:
            parts.append(f"{', '.join(map(str, self.planted))} is no segment of this ledger and set aside")
        if self.segments > 1 and self.parts:
            parts.append(f"damaged: segment {', '.join(str(one.segment) for one in self.parts)}")
        return "; ".join(parts) + "."

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        names = (
            "kept",
            "head",
            "proven",
            "from_copy",
            "lost",
            "doubtful",
            "objects",
            "sequence",
            "set_aside",
            "planted",
        )
        parts = [one.as_dict() for one in self.parts]
        return {name: getattr(self, name) for name in names} | {"segments": parts, "state": self.report.state}


def repair(
    path: Path | str,
    copy: Path | str | None,
    metadata: Mapping[str, Any],
    *,
    origin: str | None = None,
    keys: Sequence[Key] | None = None,
    kept: Mapping[int, KeptHead] | None = None,
    accept_loss: bool = False,
    dry_run: bool = False,
) -> Repaired:
    """Repair the ledger in the folder ``path`` from its ``copy``.

    :param keys: the keys that may have signed it; by default those that the copy names, or without any the ledger.
    :param kept: what Vault keeps, by segment, when it is known.
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
        found = rederive.origin_of(folder, second, origin)
        with rederive.only_one(folder, dry_run), ExitStack() as opened:
            return _Repair(folder, second, found, metadata, keys, kept or {}, opened).run(accept_loss, dry_run)
    except OSError as error:
        raise LedgerError(
            f"Cannot repair {folder}: {error.filename or ''} {error.strerror or error}; what was there is still there."
        ) from error


class _Repair:
    """One run; the caller holds the lock of repairs."""

    def __init__(
        self,
        folder: Path,
        copy: Path | None,
        origin: Origin,
        metadata: Mapping[str, Any],
        keys: Sequence[Key] | None,
        kept: Mapping[int, KeptHead],
        opened: ExitStack,
    ) -> None:
        self.folder, self.copy, self.origin = folder, copy, origin
        self.metadata, self.kept, self.opened = metadata, kept, opened
        self.here = segments.numbers(folder)
        self.copied = segments.numbers(copy) if copy is not None else []
        last = max(*self.here, *self.copied, *kept, 1)
        self.numbers = list(range(1, last + 1))
        self.given = keys
        self.stated = losses.of_frozen(folder, self.here) if last > 1 else {}
        self.mendings: dict[int, Mending] = {}
        self.done = Repaired()

    def run(self, accept_loss: bool, dry_run: bool) -> Repaired:
        if self._sound():
            return self.done
        self._plan()
        if dry_run:
            return self.done
        if (self.done.lost or self.done.doubtful or self.done.behind) and not accept_loss:
            raise LossNotAccepted(f"{self._loss()} {self.folder} is as it was.", plan=self.done.as_dict())
        self._mend()
        self._verify()
        return self.done

    # --- what there is ---

    def _sound(self) -> bool:
        """Whether there is nothing to repair, as far as ledger, copy and Vault show."""
        report = self._verify()
        self.done.kept, self.done.head, self.done.segments = report.size, report.head or "", len(self.numbers)
        last = self.numbers[-1]
        damaged = any(one.kind not in _NO_DAMAGE or one.segment != last for one in report.problems)
        if damaged or self.origin.missing or self.here != self.numbers:
            return False
        for number in self.numbers:
            if rederive.keys_damaged(segments.place(self.folder, number), self._keys(number)):
                return False
        if self.copy is not None and compare(self.folder, self.copy) is not None:
            return False
        return not self._behind()

    def _verify(self) -> Report:
        self.done.report = verify(self.folder, self.origin.name, keys=self._keys(1) or None)
        return self.done.report

    def _keys(self, number: int) -> tuple[Key, ...]:
        return rederive.keys_for(self.folder, self.copy, self.numbers, number, self.given)

    def _behind(self) -> bool:
        """Whether Vault keeps a head that the entries do not lead to."""
        excused = link.examine(self.folder, self.numbers)[1]
        if any(number in self.kept and not self.kept[number].own_loss for number in excused):
            return True
        number = self.numbers[-1]
        if number not in self.kept:
            return False
        here = Ledger(segments.place(self.folder, number), segments.name(self.origin.name, number))
        try:
            compare_head(here, self.kept[number], self.kept[number].keys)
        except AnchorBroken as error:
            return error.kind in BEYOND
        except LedgerBroken:
            return True
        return False

    # --- what is to be done ---

    def _plan(self) -> None:
        """Look at all segments, the last one first, and sum up what is to be done."""
        while self._planted():
            self.done.planted.append(self.numbers.pop())
        for number in reversed(self.numbers):
            self.mendings[number] = self._look(number, self.numbers)
            self._require_end(number)
        parts, done = [self.mendings[number].done for number in self.numbers], self.done
        for name in ("kept", "proven", "from_copy", "lost", "doubtful", "objects"):
            setattr(done, name, sum(getattr(one, name) for one in parts))
        done.doubtful += sum(map(self._lines_of, done.planted))
        done.changed = bool(done.planted) or any(one.changed for one in parts)
        done.behind = any(one.behind for one in parts)
        done.parts = [one for one in parts if one.changed or one.behind]
        done.head, done.segments = parts[-1].head, len(parts)
        self._require_speaker()
        current, said = self.mendings[self.numbers[-1]], len(self._frozen())
        own = int(current.rewrite) + int(self._begins())
        if not current.successor and own + said:
            done.sequence = current.done.kept + own + said - 1

    def _look(self, number: int, numbers: Sequence[int]) -> Mending:
        """Return the plan for one segment of those with ``numbers``; its successor was looked at."""
        root, copy = self.folder, self.copy
        place, name = segments.place(root, number), segments.name(self.origin.name, number)
        part = Part(
            number,
            place,
            segments.place(copy, number) if copy is not None and number in self.copied else None,
            root / "objects" / "sha256",
            copy / "objects" / "sha256" if copy is not None else None,
            tuple(segments.place(root, one) / "entries.jsonl" for one in numbers if one > number),
        )
        origin = self.origin if number == 1 else rederive.origin_of_segment(place, name)
        keys = self._keys(number)
        head, whole = self.kept.get(number), None
        if part.frozen:
            whole = Whole.kept(head) or Whole.named(self.mendings[number + 1].first(), name, keys)
        mending = Mending(part, Known(origin, keys, head, whole, self.stated.get(number)), self.metadata)
        self.opened.callback(mending.close)
        mending.plan()
        return mending

    def _planted(self) -> bool:
        """Whether the last folder is no segment of this ledger: nobody else has it, and the one before says so."""
        number = self.numbers[-1]
        if number == 1 or number in self.copied or number in self.kept:
            return False
        before, name = number - 1, segments.name(self.origin.name, number)
        found, older = self._look(number, self.numbers), self._look(before, self.numbers[:-1])
        if older.successor == name:
            # What a freeze that was interrupted left is no loss, and made again by the next.
            return found.nothing
        whole = Whole.named(found.first(), segments.name(self.origin.name, before), self._keys(before))
        # Only a segment whose end is there can say that it was not frozen.
        return older.done.kept >= whole.size if whole else not older.done.lost

    def _require_end(self, number: int) -> None:
        """Check that it is known of a frozen segment with what it ended."""
        mending, name = self.mendings[number], segments.name(self.origin.name, number + 1)
        if not mending.part.frozen:
            return
        whole, done = mending.known.whole, mending.done
        if whole is None and mending.successor != name:
            raise LedgerError(
                f"Neither the end of segment {number} of {self.folder} nor the beginning of the next can be "
                "restored, so nothing says how they follow each other; look for an older backup and give it as copy."
            )
        if whole is not None and done.kept == whole.size and (done.head != whole.hash or mending.successor != name):
            raise LedgerError(
                f"Segment {number + 1} of {self.folder} was begun after another head of segment {number} than the one "
                "that was signed; compare both with the backup and with the head in Vault."
            )

    def _require_speaker(self) -> None:
        """Check that there is a segment that can say what is lost of frozen ones."""
        if self.mendings[self.numbers[-1]].successor and any(one.done.lost for one in self._frozen()):
            raise LedgerError(
                f"{self._loss()} Nothing can say so: the last segment is frozen and not continued. "
                f"{self.folder} is as it was."
            )

    def _frozen(self) -> list[Mending]:
        """Return the frozen segments whose entries have to be written anew."""
        return [self.mendings[number] for number in self.numbers[:-1] if self.mendings[number].rewrite]

    def _lines_of(self, number: int) -> int:
        return sum(1 for _line in store.lines_of(segments.place(self.folder, number) / "entries.jsonl"))

    def _loss(self) -> str:
        lossy = [one for one in self.mendings.values() if one.done.lost or one.done.doubtful]
        if lossy:
            what = lossy[-1].missing()
        elif self.done.doubtful:
            what = f"Lines in segments/{self.done.planted[0]} of {self.folder} belong to no segment of the ledger"
        else:
            what = f"Vault keeps the head of entries of '{self.origin.name}' that were lost"
        return f"{what}; find out why, then run this again with accept_loss."

    # --- doing it ---

    def _begins(self) -> bool:
        """Whether the segment that takes entries has to be begun again."""
        number = self.numbers[-1]
        return number > 1 and self.mendings[number].rewrite and not self.mendings[number].chain.kept

    def _begin(self) -> Entry | None:
        """Return the first entry of the segment that takes entries, when nothing is left of that."""
        if not self._begins():
            return None
        number = self.numbers[-1]
        before = self.mendings[number - 1]
        whole, done = before.known.whole, before.done
        head = whole.head if whole else next((one for one in before.signed.heads if one.size == done.kept), None)
        if head is None:
            raise LedgerError(
                f"Segment {number} of {self.folder} cannot be begun again: the last checkpoint of segment {number - 1} "
                "is gone; look for an older backup, and give it as copy."
            )
        named = link.Named(whole.hash if whole else done.head, before.last_time())
        return freezing.first_entry(named, segments.name(self.origin.name, number), head, self.metadata, clock.now())

    def _set_planted_aside(self) -> None:
        for number in self.done.planted:
            aside = self.folder / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z" / segments.FOLDER
            files.make_dirs(aside, 0o750)
            segments.place(self.folder, number).rename(aside / str(number))
            files.sync_directory(aside)
            files.sync_directory(self.folder / segments.FOLDER)

    def _make_places(self) -> None:
        """Make the folders of segments that are gone; the file is append-only where that of the ledger is to be."""
        for number in self.numbers[1:]:
            place = segments.place(self.folder, number)
            files.make_dirs(place.parent, 0o750)
            files.make_dirs(place, 0o750)
            if (self.folder / attributes.MARK).exists():
                files.write_atomic(place / attributes.MARK, b"", 0o640)

    def _mend(self) -> None:
        begin, number = self._begin(), self.numbers[-1]
        self._set_planted_aside()
        self._make_places()
        for mending in self.mendings.values():
            mending.objects_first()
        current = self.mendings[number]
        self.done.sequence = current.entries(begin)
        current.derive()
        here = Ledger(segments.place(self.folder, number), segments.name(self.origin.name, number))
        for mending in self._frozen():
            if not current.successor:
                self.done.sequence = mending.state(here)
            mending.entries()
        for before in self.numbers[:-1]:
            self.mendings[before].derive()
        self.done.set_aside = next((one.set_aside for one in self.done.parts if one.set_aside), "")
