# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Compare the segments of a ledger with each other, and with the heads of them that are kept elsewhere.

A frozen segment's head is kept for good and names its successor. Only for that one is a first head accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from . import link, segments
from .diagnosis import AnchorBroken
from .kept import KeptHead
from .ledger import Ledger


class Reads(Protocol):
    """The part of the second place that is needed here."""

    def read(self, origin: str) -> tuple[int, Mapping[str, Any] | None]:
        """Return (version, document) of what is kept for ``origin``."""


def require(ledger: Ledger, second: Reads, kept: KeptHead | None) -> None:
    """Check that ``ledger`` is the last segment, and follows those before it; ``kept`` is its own kept head.

    :raises AnchorBroken: it does not.
    """
    for gap in link.gaps(ledger.root, [*(one.number for one in ledger.earlier), ledger.number]):
        raise AnchorBroken(
            gap.kind,
            f"Segment {gap.segment} of the ledger at {ledger.root} does not hold: {gap.message}.",
            gap.sequence,
        )
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
