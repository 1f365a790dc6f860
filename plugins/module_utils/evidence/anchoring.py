# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Anchor the ledger in Vault, and compare it with what is anchored there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..ledger import (
    AnchorBroken,
    BadCheckpoint,
    Heads,
    Key,
    Ledger,
    LedgerBroken,
    Report,
    anchor,
    backup,
    freeze,
    heads,
    segments,
    succession,
)
from ..ledger.diagnosis import compare
from ..ledger.freezing import require_next
from ..ledger.kept import KeptHead
from ..vault import PromoterVault, VaultDown
from ..vault_heads import VaultHeads
from .keeping import keep_copy


@dataclass(slots=True)
class Checkpointed:
    """What :func:`checkpoint` did. ``unanchored`` entries are durable but not signed yet; ``warning`` says why."""

    changed: bool
    size: int
    unanchored: int
    checkpoint: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


def vault_heads(approle: Path | str) -> VaultHeads:
    """Return the second place that the promoter's credentials lead to.

    :raises VaultError: the file is missing or lacks a value.
    """
    return VaultHeads(PromoterVault.from_approle_file(approle))


def checkpoint(
    ledger: Ledger,
    second: Heads,
    metadata: Mapping[str, Any],
    *,
    copy: Path | str | None = None,
    required: bool = True,
    accept_replaced: bool = False,
    dry_run: bool = False,
    full: bool | None = None,
) -> Checkpointed:
    """Sign what is durable and keep the head in ``second``; bring the checkpoints of the ``copy`` up to date.

    :param full: as ``ledger.backup`` takes it.
    :param required: whether a Vault that does not answer is an error; otherwise the entries stay unanchored.
    :raises GoldenGooseError: as ``ledger.anchor`` and ``ledger.backup``.
    """
    try:
        if dry_run:
            return _preview(ledger, second)
        done = anchor(ledger, second, metadata, accept_replaced=accept_replaced)
    except VaultDown as error:
        if required:
            raise
        size, signed = ledger.head().size, _signed(ledger)
        warning = f"{size - signed} entries are not anchored: {error}"
        return Checkpointed(False, size, size - signed, warning=warning)
    copied = copy is not None and backup(ledger, copy, full).changed
    unanchored = ledger.head().size - done.size
    return Checkpointed(done.changed or copied, done.size, unanchored, done.as_dict())


def copy_and_anchor(
    ledger: Ledger, second: Heads, metadata: Mapping[str, Any], copy: Path | str | None, *, dry_run: bool = False
) -> bool:
    """Bring the ``copy`` up to date, then sign what is durable, ``backup`` too; return whether anything changed.

    What cannot be copied is anchored all the same.

    :raises GoldenGooseError: as ``keep_copy`` and :func:`checkpoint`.
    """
    try:
        copied = copy is not None and keep_copy(ledger, copy, metadata, dry_run=dry_run).changed
    except GoldenGooseError:
        if not dry_run:
            anchor(ledger, second, metadata)
        raise
    # What was copied has been verified a moment ago.
    return checkpoint(ledger, second, metadata, copy=copy, dry_run=dry_run, full=False).changed or copied


def _preview(ledger: Ledger, second: Heads) -> Checkpointed:
    _compare(ledger, second)
    size, signed = ledger.head().size, _signed(ledger)
    return Checkpointed(size > signed or signed == 0, signed, size - signed)


def _signed(ledger: Ledger) -> int:
    try:
        claimed = heads.latest_claimed(ledger.path)
    except BadCheckpoint:
        return 0
    return claimed.size if claimed else 0


def freeze_ledger(
    ledger: Ledger,
    second: Heads,
    metadata: Mapping[str, Any],
    segment: int,
    *,
    copy: Path | str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring the ledger to ``segment`` and its ``copy`` up to date; return what evidence_freeze returns.

    :raises GoldenGooseError: as ``ledger.freeze`` and ``ledger.backup``.
    """
    if dry_run:
        require_next(ledger, segment)
        _compare(ledger, second)
        due = segment != ledger.number or bool(ledger.earlier and not _signed(ledger))
        here = {"segment": ledger.number, "origin": ledger.origin, "path": str(ledger.path)}
        return here | {"changed": due, "frozen": None, "checkpoint": {}}
    done = freeze(ledger, second, metadata, segment)
    copied = copy is not None and backup(ledger, copy).changed
    return done.as_dict() | {"changed": done.changed or copied}


def compare_report(report: Report, path: Path | str, approle: Path | str) -> str | None:
    """Add to ``report`` what the head in Vault shows about the ledger at ``path``.

    Return a warning when Vault does not answer, or the credentials are not there (after a teardown, on an auditor's
    machine): that says nothing about the evidence.

    :raises VaultError: the credentials are refused.
    """
    if report.origin is None:
        return None
    if not Path(approle).is_file():
        return f"The ledger was not compared with the head in Vault: there are no credentials at {approle}."
    try:
        _compare(Ledger.open(path, edge=False), vault_heads(approle), every=True)
    except VaultDown as error:
        return f"The ledger was not compared with the head in Vault: {error}"
    except AnchorBroken as error:
        report.add(error.facts["sequence"], error.kind, str(error).rstrip("."))
    except LedgerBroken as error:
        # The verification itself has found that, and more; a ledger that is gone is found only here.
        if report.state != "broken":
            report.add(error.facts.get("sequence"), "ledger", str(error).rstrip("."))
    return None


def _compare(ledger: Ledger, second: Heads, every: bool = False) -> None:
    keys = [Key(ledger.origin, public) for _version, public in second.public_keys()]
    _version, document = second.read(ledger.origin)
    kept = KeptHead.parse(document, ledger.origin) if document is not None else None
    if kept is None and not ledger.earlier and not ledger.head().size:
        return
    compare(ledger, kept, keys)
    succession.require(ledger, second, kept)
    for segment in ledger.earlier if every else ():
        succession.require_final(segment, second, segments.name(ledger.origin, segment.number + 1))
