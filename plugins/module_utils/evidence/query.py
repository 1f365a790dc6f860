# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Choose entries of a ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from ..errors import GoldenGooseError
from ..ledger import Entry, Ledger


def select(
    ledger: Ledger,
    *,
    type: str | None = None,
    events: Collection[str] = (),
    service: str | None = None,
    promotion_id: str | None = None,
    limit: int | None = None,
) -> list[Entry]:
    """Return the entries that match every filter given, oldest first; with ``limit`` the latest of them.

    :raises LedgerBroken: an entry does not hold.
    :raises GoldenGooseError: ``limit`` is negative.
    """
    if limit is not None and limit < 0:
        raise GoldenGooseError(f"The option limit is {limit}; give 0 or more.")
    found: deque[Entry] = deque(maxlen=limit)
    for entry in ledger.entries():
        if type is not None and entry.type != type:
            continue
        if events and entry.event not in events:
            continue
        if service is not None and entry.data.get("service") != service:
            continue
        if promotion_id is not None and promotion_id not in (entry.id, entry.data.get("promotion_id")):
            continue
        found.append(entry)
    return list(found)
