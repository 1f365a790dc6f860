# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The engine's view of the ledger: read it, append with the audit metadata, and trust it or stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..ledger import Entry, Ledger, LedgerBroken, LedgerError, ObjectRef, Report, dropping, segments
from ..locks import LockHeld
from .model import gate_step, step_id
from .reading import Reading


@dataclass(frozen=True)
class Evidence:
    """One ledger, the metadata that every entry carries, and the copy it must not fall behind.

    ``backup`` is the folder of the verified copy, or None where there is none. With ``read_only`` refusals
    are not written down (check mode).
    """

    ledger: Ledger
    metadata: dict[str, Any]
    backup: Path | None = None
    read_only: bool = False
    reading: Reading = field(default_factory=Reading, compare=False, repr=False)

    @property
    def origin(self) -> str:
        """The name of the ledger, the same in all of its segments."""
        return segments.name(self.ledger.origin, 1)

    def record(
        self,
        event: str,
        data: dict[str, Any],
        *,
        step_of: str | None = None,
        type: str = "promotion",
        id: str | None = None,
    ) -> Entry:
        """Append one entry and return it once it is on disk.

        :param step_of: the promotion whose step this is; a step is recorded at most once.
        :param id: the entry's own id, where it is no step.
        :raises LedgerError: it could not be made durable.
        """
        step = gate_step(data) if "gate" in data else event
        identity = step_id(step_of, step) if step_of else id
        return self.ledger.append(type=type, event=event, data=data, metadata=self.metadata, id=identity).entry

    def entries(self) -> Iterator[Entry]:
        """Yield all entries, oldest first."""
        return self.reading.entries(self.ledger)

    def store(self, content: bytes, media_type: str) -> ObjectRef:
        """Keep ``content`` as a ledger object; return its sha256, size and media type."""
        return self.ledger.objects.put_bytes(content, media_type)

    def load(self, reference: ObjectRef) -> bytes:
        """Return the bytes of a ledger object, checked against its digest."""
        return dropping.read(self.ledger, reference["sha256"])

    def require_sound(self, whole: bool = False) -> Report:
        """Verify the ledger and refuse to go on with one that was altered or cut.

        That is all of it, unless this process has verified it before (see ``Reading.once``) and ``whole`` is false.

        Nothing is appended to such a ledger, not even the refusal.

        :raises LedgerBroken: a line was edited, removed or swapped, or the backup has entries that
            the ledger has not.
        """
        report = self.reading.verify(self.ledger, whole)
        problem = report.sentence() if report.state == "broken" else self.behind_backup()
        if problem:
            raise LedgerBroken(
                f"The ledger at {self.ledger.root} cannot be trusted: {problem.rstrip('.')}; nothing was appended "
                "and nothing was promoted (gate chain: observed broken, required intact). Leave it as it is "
                "and run playbooks/verify.yml.",
                denied=[{"gate": "chain", "observed": report.as_dict(), "required": {"state": "intact"}}],
            )
        return report

    def behind_backup(self) -> str | None:
        """Return what the backup copy has that the ledger lacks, or None.

        A chain whose tail was cut still verifies; only a second place can tell.
        """
        if self.backup is None or not (self.backup / "ledger.json").exists():
            return None
        head = Ledger.open(self.backup).head()
        if head.size == 0:
            return None
        if any(entry.hash == head.hash for entry in self.entries() if entry.sequence == head.size - 1):
            return None
        return f"the last of the {head.size} entries in its backup {self.backup} is not in it"

    @contextmanager
    def refusing(self, service: str) -> Iterator[dict[str, Any]]:
        """Leave a ``refused`` entry when the block ends in an error that is not the ledger's own.

        Such an entry does not close the promotion: what stopped it (a server that is down, another
        run) can pass, and the promotion is then resumed. What the block puts into the yielded dictionary
        goes into the entry.
        """
        facts: dict[str, Any] = {}
        try:
            yield facts
        except (LedgerError, AlreadyRecorded):
            raise
        except GoldenGooseError as error:
            if self.read_only:
                raise
            denied = {key: error.facts[key] for key in ("denied",) if key in error.facts}
            data = {"service": service, "reason": str(error), "final": False} | denied | facts
            try:
                self.record("refused", data)
            except (LedgerError, LockHeld) as failure:
                raise GoldenGooseError(
                    f"{error} (The refusal could not be recorded: {failure})", **error.facts
                ) from error
            raise


class AlreadyRecorded(GoldenGooseError):
    """A failure whose entry is in the ledger already."""
