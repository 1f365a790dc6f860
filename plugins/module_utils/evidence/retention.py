# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Drop objects past a date, from the ledger and from its copy; the entries keep their digests and sizes.

Write order: an entry lists what is dropped, the copy gets that entry, and only then are files removed. A run that is
killed is finished by the next, which removes what is listed and still there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import sync_directory
from ..ledger import (
    Entry,
    Ledger,
    LedgerBroken,
    LedgerError,
    LedgerMissing,
    ObjectRef,
    Objects,
    backup,
    compare,
    dropping,
    verify,
)
from ..ledger.clock import stamp
from ..ledger.ledger import LOCK_WAIT_SECONDS
from ..ledger.objects import references
from ..locks import hold
from ..promotion.plan import MEDIA_TYPE as PLAN
from ..promotion.standing import Standing
from ..promotion.state import Promotion, ServiceState, fold

# Seconds in which an entry may follow the object that it refers to.
GRACE = 3600.0

_NO_DAMAGE = frozenset({"torn_tail", "tile", "unsigned"})


@dataclass(slots=True)
class Dropped:
    """What was, or would be, dropped; ``kept`` old objects are still needed or were used within the last hour."""

    before: str
    objects: list[dict[str, Any]] = field(default_factory=list)
    removed: int = 0
    kept: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.objects or self.removed)

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        size = sum(one["size"] for one in self.objects)
        return {
            "before": self.before,
            "objects": self.objects,
            "bytes": size,
            "removed_files": self.removed,
            "kept": self.kept,
        }


def cut_off(before: str | None, keep_days: int | None, now: datetime | None = None) -> str:
    """Return the first moment that counts as recent, as the ledger writes times: a midnight, UTC.

    :param before: a date, YYYY-MM-DD.
    :param keep_days: so many days up to today are kept; used when ``before`` is not given.
    :raises GoldenGooseError: the date is none or is in the future, or ``keep_days`` is below 1.
    """
    today = (now or datetime.now(UTC)).date()
    if before is None:
        if keep_days is None or keep_days < 1:
            raise GoldenGooseError(f"The option keep_days is {keep_days}; give 1 or more.")
        day = today - timedelta(days=keep_days)
    else:
        try:
            day = date.fromisoformat(before)
        except ValueError as error:
            raise GoldenGooseError(f"The option before is '{before}'; give a date such as 2025-09-25.") from error
    if day > today:
        raise GoldenGooseError(f"The option before is {day}, which is in the future; give a date up to today.")
    return stamp(datetime(day.year, day.month, day.day, tzinfo=UTC))


def drop_objects(
    ledger: Ledger,
    before: str,
    metadata: Mapping[str, Any],
    *,
    reason: str,
    copy: Path | str | None = None,
    dry_run: bool = False,
) -> Dropped:
    """Drop the objects whose entries are all older than ``before``, but for what is still needed.

    :param before: as :func:`cut_off` returns it.
    :raises LedgerBroken: ledger or copy does not hold, or lacks an object; nothing was dropped.
    :raises GoldenGooseError: an entry cannot be written, or a file cannot be removed.
    :raises LockHeld: another run drops objects.
    """
    try:
        with nullcontext() if dry_run else hold(ledger.path / "retention.lock", f"dropping objects of {ledger.path}"):
            return _drop(ledger, before, metadata, reason, None if copy is None else Path(copy), dry_run)
    except OSError as error:
        raise LedgerError(
            f"Cannot drop objects of {ledger.path}: {error.filename or ''} {error.strerror or error}; run this again."
        ) from error


def _drop(
    ledger: Ledger, before: str, metadata: Mapping[str, Any], reason: str, copy: Path | None, dry_run: bool
) -> Dropped:
    report = verify(ledger.path, ledger.origin)
    if any(problem.kind not in _NO_DAMAGE for problem in report.problems):
        raise LedgerBroken(f"Nothing is dropped: {report.sentence()} Run the playbook repair.", sequence=None)
    if copy is not None:
        _require_copy(ledger, copy)
    places = [ledger.objects, *([] if copy is None else [Objects(copy / "objects" / "sha256")])]
    found = _Usage(ledger.entries(), before)
    done = Dropped(before)
    removable = []
    for reference in found.old():
        there = any(place.path(reference["sha256"]).exists() for place in places)
        if reference["sha256"] in found.needed or _in_use(ledger.objects, reference):
            done.kept += there
        elif there:
            removable.append(reference)
    new = [one for one in removable if not found.stated(one) and ledger.objects.path(one["sha256"]).exists()]
    done.objects = dropping.listed(new)
    files = [one for one in removable if one in new or found.stated(one)]
    done.removed = sum(place.path(one["sha256"]).exists() for one in files for place in places)
    if done.changed and not dry_run:
        _state(ledger, new, before, metadata, reason)
        if copy is not None:
            backup(ledger, copy)
        _remove(ledger, places, files)
    return done


def _require_copy(ledger: Ledger, copy: Path) -> None:
    """Refuse a copy that a backup would refuse, before anything is written."""
    try:
        Ledger.open(copy, ledger.origin, edge=False)
    except LedgerMissing:
        return
    if problem := compare(ledger.path, copy):
        raise LedgerBroken(
            f"Nothing is dropped: entry {problem.sequence}: {problem.message}.", sequence=problem.sequence
        )


class _Usage:
    """Which entry refers to an object last, which objects are still needed, and which an entry lists as dropped."""

    def __init__(self, entries: Iterable[Entry], before: str) -> None:
        everything = list(entries)
        self._before = before
        self._references: dict[str, ObjectRef] = {}
        self._last: dict[str, Entry] = {}
        self._dropped: dict[str, int] = {}
        self.needed: set[str] = set()
        matters = _still_matters(everything)
        for entry in everything:
            for sha256 in dropping.dropped_by(entry):
                self._dropped[sha256] = entry.sequence
            for reference in references(entry.data):
                self._references[reference["sha256"]] = reference
                self._last[reference["sha256"]] = entry
                # A plan is small, and approvals name nothing but its hash.
                if reference["media_type"] == PLAN or matters(entry):
                    self.needed.add(reference["sha256"])

    def old(self) -> Iterator[ObjectRef]:
        """Yield the objects that no entry from the cut-off on refers to."""
        for sha256, entry in self._last.items():
            if entry.timestamp < self._before:
                yield self._references[sha256]

    def stated(self, reference: ObjectRef) -> bool:
        """Whether an entry after all that refer to it lists it as dropped."""
        return self._dropped.get(reference["sha256"], -1) > self._last[reference["sha256"]].sequence


def _still_matters(entries: list[Entry]) -> Any:
    """Return whether the objects of an entry are needed for what is compliant, could be again, or is under way."""
    states = fold(entries)
    vetoes = Standing.of(entries).vetoes
    promotions = [one for state in states.values() for one in _standing(state, vetoes)]
    ids = {promotion.id for promotion in promotions}
    digests = {promotion.digest for promotion in promotions}
    deployed = {str(one.data.get("service")): str(one.data.get("digest")) for one in entries if one.event == "deployed"}
    digests |= set(deployed.values())

    def matters(entry: Entry) -> bool:
        return entry.id in ids or entry.data.get("promotion_id") in ids or entry.data.get("digest") in digests

    return matters


def _standing(state: ServiceState, vetoes: Mapping[str, Entry]) -> Iterator[Promotion]:
    """Yield what is compliant now, what a rollback goes back to, and what is not finished."""
    yield from state.history[-2:]
    earlier = [promotion for promotion in state.history[:-1] if promotion.digest not in vetoes]
    yield from earlier[-1:]
    yield from (promotion for promotion in state.promotions.values() if promotion.open)


def _in_use(objects: Objects, reference: ObjectRef) -> bool:
    """Whether somebody kept the object a moment ago: an entry may be about to refer to it."""
    try:
        return time.time() - objects.path(reference["sha256"]).stat().st_mtime < GRACE
    except FileNotFoundError:
        return False


def _state(ledger: Ledger, new: list[ObjectRef], before: str, metadata: Mapping[str, Any], reason: str) -> None:
    groups = [new[start : start + dropping.PER_ENTRY] for start in range(0, len(new), dropping.PER_ENTRY)]
    ledger.append_many(
        [
            {
                "type": "validation",
                "event": dropping.DROPPED,
                "data": {"before": before, "reason": reason, "objects": dropping.listed(group)},
                "metadata": metadata,
            }
            for group in groups
        ]
    )


def _remove(ledger: Ledger, places: list[Objects], files: list[ObjectRef]) -> None:
    with hold(ledger.lock_path, f"dropping objects of {ledger.path}", LOCK_WAIT_SECONDS):
        for reference in files:
            if _in_use(ledger.objects, reference):
                continue
            for place in places:
                path = place.path(reference["sha256"])
                path.unlink(missing_ok=True)
                if path.parent.is_dir():
                    sync_directory(path.parent)
