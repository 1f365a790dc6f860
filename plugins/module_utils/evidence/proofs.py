# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Proofs about a ledger for people who do not have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..ledger import Checkpoint, Entry, Ledger, LedgerBroken, LedgerError, heads
from ..ledger.merkle import leaf_hash
from ..ledger.proof import BadProof, Proof, check_consistency, check_inclusion, consistency, consistency_text, inclusion
from ..ledger.tiles import BadTile, Tiles
from ..ledger.tree import TILES, line_of


@dataclass(frozen=True, slots=True)
class Exported:
    """An ``entry``, and ``text``: that it is in the ledger, as C2SP tlog-proof against ``checkpoint``."""

    entry: Entry
    checkpoint: Checkpoint
    text: str


def inclusion_proof(ledger: Ledger, sequence: int) -> Exported | None:
    """Return the proof that the entry ``sequence`` is in this segment; None while no checkpoint has it.

    It is against the first checkpoint that has it, so that it is the same whenever it is asked for.

    :raises LedgerBroken: the ledger does not give a proof that holds.
    """
    keys = heads.keys(ledger.path)
    head = heads.covering(ledger.path, sequence, keys)
    if head is None:
        return None
    entry = line_of(ledger.path, sequence)
    try:
        hashes = inclusion(sequence, head.size, Tiles(ledger.path / TILES, head.size).read)
        check_inclusion(leaf_hash(entry.line), sequence, head.size, hashes, head.root)
    except (BadTile, BadProof) as error:
        raise LedgerBroken(
            f"The ledger at {ledger.path} gives no proof of entry {sequence}: {error} Run the playbook verify.",
            sequence=sequence,
        ) from error
    return Exported(entry, head, Proof(sequence, hashes, head.note).text())


def consistency_proof(ledger: Ledger, old: int, size: int | None = None) -> tuple[Checkpoint, Checkpoint, str]:
    """Return the checkpoint of ``old`` entries, that of ``size`` (the latest), and that the one continues the other.

    The text is an add-checkpoint request of C2SP tlog-witness.

    :raises LedgerError: there is no checkpoint of that size.
    :raises LedgerBroken: the ledger does not give a proof that holds.
    """
    keys = heads.keys(ledger.path)
    latest = heads.latest(ledger.path, keys) if size is None else heads.of_size(ledger.path, size, keys)
    older = heads.of_size(ledger.path, old, keys)
    if latest is None or older is None:
        known = ", ".join(str(item) for item in heads.sizes(ledger.path)) or "none"
        raise LedgerError(
            f"The ledger at {ledger.path} has no checkpoint of {old if older is None else size} entries; "
            f"it has checkpoints of: {known}."
        )
    try:
        hashes = consistency(older.size, latest.size, Tiles(ledger.path / TILES, latest.size).read)
        check_consistency(older.size, older.root, latest.size, latest.root, hashes)
    except (BadTile, BadProof) as error:
        raise LedgerBroken(
            f"The ledger at {ledger.path} does not prove that it only grew since it had {old} entries: {error}",
            sequence=None,
        ) from error
    return older, latest, consistency_text(older.size, hashes, latest.note)


def segment_of(ledger: Ledger, number: int | None) -> Ledger:
    """Return the segment ``number``, by default the last.

    :raises LedgerError: there is none.
    """
    if number is None or number == ledger.number:
        return ledger
    found = next((segment for segment in ledger.earlier if segment.number == number), None)
    if found is None:
        raise LedgerError(f"The ledger at {ledger.root} has no segment {number}; its last is {ledger.number}.")
    return found


def prove(
    ledger: Ledger,
    *,
    sequence: int | None = None,
    id: str | None = None,
    since: int | None = None,
    segment: int | None = None,
) -> dict[str, Any]:
    """Return what evidence_proof_info returns, for just one of the first three arguments.

    :param segment: which segment ``sequence`` or ``since`` is of, by default the last.
    :raises LedgerError: there is no such entry, checkpoint or segment, or no checkpoint has the entry yet.
    """
    if since is not None:
        ledger = segment_of(ledger, segment)
        _older, latest, text = consistency_proof(ledger, since)
        said = {"proof": text, "checkpoint": latest.note, "key": str(latest.key)}
        return said | {"entry": None, "sequence": None, "segment": ledger.number}
    if id is not None:
        known = ledger.find(id)
        if known is None:
            raise LedgerError(f"The ledger at {ledger.path} has no entry with the id {id}.")
        segment, sequence = known.place
    ledger = segment_of(ledger, segment)
    number = sequence or 0
    exported = inclusion_proof(ledger, number)
    if exported is None:
        raise LedgerError(
            f"Entry {number} of {ledger.path} is in no checkpoint; it has {ledger.head().size} entries. "
            "Run evidence_checkpoint when the entry is there."
        )
    return {
        "proof": exported.text,
        "entry": exported.entry.line.decode(),
        "sequence": number,
        "segment": ledger.number,
        "checkpoint": exported.checkpoint.note,
        "key": str(exported.checkpoint.key),
    }
