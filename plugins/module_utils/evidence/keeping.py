# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Keep a copy of the ledger, and say in the ledger that it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..ledger import BackupReport, Ledger, LedgerBroken, backup, verify


def keep_copy(
    ledger: Ledger, target: Path | str, metadata: Mapping[str, Any] | None, dry_run: bool = False
) -> BackupReport:
    """Bring the copy in ``target`` up to date; with ``metadata`` a ``backup`` entry tells of it.

    The entry is copied as well. A copy that was up to date gets no entry: saying so would make it outdated.

    :raises LedgerBroken: the ledger, or its copy, is not what it was.
    :raises LedgerError: the copy cannot be written or does not verify.
    """
    if dry_run:
        return _preview(ledger, Path(target))
    made = backup(ledger, target)
    if not made.changed or metadata is None:
        return made
    ledger.append(
        type="validation",
        event="backup",
        data={"size": made.size, "head": made.head, "target": str(target)},
        metadata=metadata,
    )
    final = backup(ledger, target)
    return BackupReport(
        size=final.size,
        head=final.head,
        target=final.target,
        changed=True,
        copied_bytes=made.copied_bytes + final.copied_bytes,
        copied_objects=made.copied_objects + final.copied_objects,
    )


def _preview(ledger: Ledger, target: Path) -> BackupReport:
    found = verify(ledger.path, ledger.origin)
    if found.state == "broken":
        raise LedgerBroken(f"{ledger.path} would not be copied to {target}: {found.sentence()}", report=found.as_dict())
    copy = verify(target, ledger.origin)
    outdated = copy.head != found.head and bool(found.size)
    return BackupReport(copy.size, copy.head, str(target), outdated, 0, 0)
