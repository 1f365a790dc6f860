# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Compare the segments of a ledger with each other, and with the heads of them that are kept elsewhere.

A frozen segment's head is kept for good and names its successor. Only for that one is a first head accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol

from . import checkpoint, heads, link, segments
from .diagnosis import AnchorBroken
from .kept import KeptHead
from .ledger import Ledger
from .losses import Loss


class Reads(Protocol):
    """The part of the second place that is needed here."""

    def read(self, origin: str) -> tuple[int, Mapping[str, Any] | None]:
        """Return (version, document) of what is kept for ``origin``."""


class Writes(Reads, Protocol):
    """The same, to accept a loss."""

    def write(self, origin: str, document: Mapping[str, Any], version: int) -> None:
        """Keep ``document`` if what is there has that ``version``."""


def require(ledger: Ledger, second: Reads, kept: KeptHead | None) -> None:
    """Check that ``ledger`` is the last segment, and follows those before it; ``kept`` is its own kept head.

    :raises AnchorBroken: it does not.
    """
    gaps, excused = link.examine(ledger.root, _numbers(ledger))
    for gap in gaps:
        raise AnchorBroken(
            gap.kind,
            f"Segment {gap.segment} of the ledger at {ledger.root} does not hold: {gap.message}.",
            gap.sequence,
        )
    for loss in excused.values():
        _require_accepted(ledger.earlier[loss.segment - 1], second, loss)
    if kept is None and ledger.earlier:
        require_final(ledger.earlier[-1], second, ledger.origin)
    if kept is not None and kept.successor and second.read(kept.successor)[1] is not None:
        raise AnchorBroken(
            "segment_missing",
            f"The ledger at {ledger.root} ends with segment {ledger.number}, which is frozen, but a head of "
            f"'{kept.successor}', which continues it, is kept: segment {ledger.number + 1} was cut off. Restore it "
            "from the backup.",
            None,
        )


def require_final(segment: Ledger, second: Reads, successor: str) -> None:
    """Check that the head that is kept for the frozen ``segment`` is its last one, and names ``successor``.

    :raises AnchorBroken: it is not.
    """
    _version, document = second.read(segment.origin)
    if document is None:
        raise AnchorBroken(
            "vault_lost",
            f"No head is kept for '{segment.origin}', which '{successor}' continues: Vault was made again or its data "
            "was lost. Restore Vault; or, when that is meant, run evidence_checkpoint with accept_replaced.",
            0,
        )
    kept = KeptHead.parse(document, segment.origin)
    if not kept.successor:
        raise AnchorBroken(
            "vault_older",
            f"The head kept for '{segment.origin}' is of {kept.checkpoint.size} entries and not its last, although "
            f"'{successor}' continues it: what keeps it was put back to an older state, or the ledger was frozen "
            "without it. When that is known and meant, run evidence_checkpoint with accept_replaced.",
            kept.checkpoint.size,
        )
    head = segment.head()
    if kept.successor == successor and kept.own_loss and head.size < kept.checkpoint.size:
        return  # An entry says so too, or the segments would not follow each other.
    if (kept.successor, kept.checkpoint.size, kept.hash) != (successor, head.size, head.hash):
        raise AnchorBroken(
            "predecessor",
            f"The head kept for '{segment.origin}' is of {kept.checkpoint.size} entries and continued by "
            f"'{kept.successor}'; the segment {segment.number} at {segment.path} is another one. Compare it with the "
            "backup.",
            min(head.size, kept.checkpoint.size),
        )
    if segments.number(kept.successor) != segment.number + 1:
        raise AnchorBroken("predecessor", f"'{kept.successor}' cannot continue '{segment.origin}'.", None)


def unaccepted(ledger: Ledger, second: Reads) -> list[Loss]:
    """Return the losses of frozen segments that entries state, and what is kept of these segments does not."""
    found = []
    for loss in link.examine(ledger.root, _numbers(ledger))[1].values():
        origin = segments.name(ledger.origin, loss.segment)
        _version, document = second.read(origin)
        if document is not None and not KeptHead.parse(document, origin).own_loss:
            found.append(loss)
    return found


def accept(ledger: Ledger, second: Writes) -> None:
    """Have what is kept of frozen segments say that entries of them are lost, as entries state.

    :raises HeadMoved: somebody else wrote it meanwhile.
    """
    for loss in unaccepted(ledger, second):
        origin = segments.name(ledger.origin, loss.segment)
        version, document = second.read(origin)
        if document is not None:
            second.write(origin, KeptHead.parse(document, origin).after_own_loss().document(), version)


def without_final(ledger: Ledger, second: Reads) -> list[tuple[Ledger, int, KeptHead]]:
    """Return the frozen segments of which no last head is kept, the version that is, and the head to keep.

    The first entry of the next segment names that head; where a repair has lost it, nothing can be kept again.

    :raises BadCheckpoint: it is signed by no key that the segment names.
    """
    found = []
    excused = link.examine(ledger.root, _numbers(ledger))[1]
    for segment, after in pairwise([*ledger.earlier, ledger]):
        version, document = second.read(segment.origin)
        if document is not None and KeptHead.parse(document, segment.origin).successor:
            continue
        first = next(after.own_entries(), None)
        if first is None or first.event != segments.CONTINUED:
            continue
        head = checkpoint.parse(str(first.data.get("checkpoint")), heads.keys(segment.path))
        keeping = KeptHead.after(None, head, str(first.data.get("hash")), heads.keys(segment.path), after.origin)
        found.append((segment, version, keeping.after_own_loss() if segment.number in excused else keeping))
    return found


def _require_accepted(segment: Ledger, second: Reads, loss: Loss) -> None:
    _version, document = second.read(segment.origin)
    # Nothing is kept: the second place was made again, which was accepted with the ledger as it was then.
    if document is not None and not KeptHead.parse(document, segment.origin).own_loss:
        raise AnchorBroken(
            "predecessor",
            f"Segment {loss.segment} of the ledger has {loss.kept} entries, and {loss.sentence()}; but nobody has "
            "accepted that: what is kept of it does not say so. Run evidence_repair; it needs accept_loss.",
            loss.kept,
        )


def _numbers(ledger: Ledger) -> list[int]:
    return [*(one.number for one in ledger.earlier), ledger.number]
