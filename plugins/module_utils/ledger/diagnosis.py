# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Compare a ledger with the head that is kept elsewhere, and name what was done to it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from . import heads, tree
from .checkpoint import BadCheckpoint, Checkpoint, Key
from .errors import LedgerBroken
from .kept import KeptHead
from .ledger import Ledger


class AnchorBroken(LedgerBroken):
    """The ledger and the head that is kept elsewhere contradict each other.

    ``kind``: ``cut`` (entries are gone), ``restored`` (an older copy, checkpoint included), ``rewritten`` (other
    entries), ``forked`` (another continuation of an older head that was signed), ``foreign_key`` (the checkpoint here
    is signed by a key that was never ours), ``vault_lost`` (nothing is kept of a ledger that was signed),
    ``vault_older`` (what is kept is older than what was published), ``segment_missing`` (what continues a frozen
    ledger is gone), ``predecessor`` (the segment before is not the one that this one continues). ``facts["sequence"]``
    is the first entry that is gone or cannot be believed.
    """

    def __init__(self, kind: str, message: str, sequence: int | None) -> None:
        super().__init__(message, sequence=sequence, kind=kind)
        self.kind = kind


def compare(ledger: Ledger, kept: KeptHead | None, current: Sequence[Key]) -> None:
    """Check the entries against what is ``kept``; nothing is written.

    :param current: the keys that the second place can sign with.
    :raises AnchorBroken: they contradict each other.
    :raises LedgerBroken: an entry does not hold.
    """
    if kept is None:
        _require_first_start(ledger, current)
        return
    published, foreign = _published(ledger, kept.keys)
    _require_entries(ledger, kept, published)
    if foreign:
        raise AnchorBroken(
            "foreign_key",
            f"The checkpoint of {ledger.path} is signed by a key that was never this ledger's: {foreign}",
            None,
        )
    if published and published.size > kept.checkpoint.size:
        raise AnchorBroken(
            "vault_older",
            f"The head kept for '{ledger.origin}' is of {kept.checkpoint.size} entries, but a checkpoint of "
            f"{published.size} was published: what keeps it was put back to an older state. When that is known and "
            "meant, run evidence_checkpoint with accept_replaced.",
            kept.checkpoint.size,
        )


def _require_entries(ledger: Ledger, kept: KeptHead, published: Checkpoint | None) -> None:
    """Check that the entries begin with those of the kept head."""
    head = kept.checkpoint
    have = ledger.head().size
    if have < head.size:
        older = published is not None and published.size < head.size
        first = min(have, _first_bad(ledger, kept))
        what = (
            f"is an older copy that was put back: it has {have} entries and a checkpoint of {published.size}"
            if older and published
            else f"was cut: it has {have} entries"
        )
        raise AnchorBroken(
            "restored" if older else "cut",
            f"The ledger at {ledger.path} {what}, but {head.size} were signed and kept. "
            f"Entries from {first} on are gone; restore them from the backup.",
            first,
        )
    if _continues(ledger, head, published):
        return
    first = _first_bad(ledger, kept)
    forked = published is not None and published.size < head.size and published.size <= first
    raise AnchorBroken(
        "forked" if forked else "rewritten",
        f"The ledger at {ledger.path} is not the one whose head of {head.size} entries was signed and kept: from entry "
        f"{first} on it {'continues another way' if forked else 'has other entries'}. Compare it with the backup.",
        first,
    )


def _continues(ledger: Ledger, head: Checkpoint, published: Checkpoint | None) -> bool:
    """Return whether the entries lead to ``head``: O(log n) and what is new, unless the tiles have to be made again."""
    begin = published if published is not None and published.size <= head.size else None
    for start in (begin, None):
        try:
            grown = tree.edge(ledger.path, ledger.origin, start)
            tree.grow(ledger.path, grown, head.size, write=False)
        except tree.EdgeBroken:
            continue
        if grown.tree.root() == head.root:
            return True
    return False


def _first_bad(ledger: Ledger, kept: KeptHead) -> int:
    return tree.first_difference(ledger.path, kept.checkpoint, kept.keys, dict(kept.history))


def _published(ledger: Ledger, keys: Sequence[Key]) -> tuple[Checkpoint | None, str]:
    try:
        return heads.latest(ledger.path, keys), ""
    except BadCheckpoint as error:
        return None, str(error)


def _require_first_start(ledger: Ledger, current: Sequence[Key]) -> None:
    """Nothing is kept: that is right for a ledger that never was signed, and for no other."""
    signs = [f"{ledger.path / name} is there" for name in (heads.LATEST, "keys") if (ledger.path / name).exists()]
    if not signs:
        signs = [sign for sign in (_names_key(ledger, current),) if sign]
    if signs:
        raise AnchorBroken(
            "vault_lost",
            f"No head is kept for '{ledger.origin}', although the ledger at {ledger.path} was signed before "
            f"({signs[0]}): Vault was made again or its data was lost. Restore Vault; or, when that is meant, run "
            "evidence_checkpoint with accept_replaced.",
            0,
        )


def _names_key(ledger: Ledger, current: Sequence[Key]) -> str | None:
    """Return which entry names a key that the second place does not have.

    One that it has may come from a first signing that was interrupted.
    """
    ours = {str(key) for key in current}
    public = {base64.b64encode(key.public).decode() for key in current}
    for entry in ledger.own_entries(events=("signing_key", "started")):
        if entry.event == "signing_key" and entry.data.get("vkey") not in ours:
            return f"entry {entry.sequence} names another key"
        if entry.event == "started" and not public & {str(entry.data.get("public_key", next(iter(public))))}:
            return f"entry {entry.sequence} is signed by a key that Vault does not have"
    return None
